"""Every setting with its meaning, unit and default. `carbonq.config` finds the values."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, Strict, field_validator

from carbonq.domain.carbon import SignalKind
from carbonq.domain.value import StrictValue
from carbonq.domain.written import Duration, Name, Size, ZoneCode
from carbonq.problems import did_you_mean

ENV_PREFIX = "CARBONQ_"
SOURCE_KINDS = (
    "csv",
    "parquet",
    "uk",
    "energy-charts",
    "rte",
    "carbon-aware-sdk",
    "electricity-maps",
    "watttime",
    "entsoe",
    "eia",
    "typical",
    "replay",
)
_NEEDS_MORE = {"csv": "csv:PATH", "parquet": "parquet:PATH", "carbon-aware-sdk": "carbon-aware-sdk:https://server"}
HIDDEN = "***"

Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]


def _is_redis_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.path.strip("/")):
        raise ValueError("is no Redis URL; write redis://host:6379/0, rediss://… for TLS or unix:///path/to/socket")
    return url


def _is_http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f'"{redact_url(url)[:80]}" is no web address; write it like https://api.carbonintensity.org.uk'
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("holds more than an address; keys and passwords have settings of their own")
    return url


def _is_secret(value: object) -> object:
    if value is not None and not isinstance(value, str):
        raise ValueError("needs a text; put it in quotes")  # pydantic would show the value
    return value.strip() if value else None


Url = Annotated[str, AfterValidator(_is_http_url)]
Secret = Annotated[str | None, BeforeValidator(_is_secret)]
"""Never shown: not by `repr`, not by `redacted`, and not in a message about a mistake."""


def _secret(description: str) -> Any:
    return Field(default=None, repr=False, description=description, json_schema_extra={"writeOnly": True})


def _depends(schema: dict[str, Any]) -> None:
    """The default is found on the machine: the description says how."""
    del schema["default"]


class Settings(StrictValue):
    """Every setting. In a file its key is the alias (`lease: 30s`), in the environment `CARBONQ_LEASE`; here the base unit."""

    model_config = StrictValue.model_config | ConfigDict(populate_by_name=True, hide_input_in_errors=True)

    redis_url: Annotated[str, AfterValidator(_is_redis_url)] | None = Field(
        default=None,
        repr=False,
        description="the Redis or Valkey that holds the queue; default: the private server that `carbonq up` starts",
        examples=["redis://user:password@queue.example.org:6379/0"],
    )
    namespace: Name = Field(default="carbonq", description="prefix of every key: two queues can share a server")
    pool: Name = Field(default="default", description="the pool that a worker of this machine belongs to")
    zone: ZoneCode = Field(
        default="DE",
        description="the grid's zone of this machine; default: assumed from its time zone",
        json_schema_extra=_depends,
        examples=["FR"],
    )
    sources: tuple[str, ...] = Field(
        default=("typical",),
        min_length=1,
        repr=False,
        json_schema_extra=_depends,
        description="providers of carbon intensity, asked in this order: `csv:PATH`, `parquet:PATH`, `uk`, "
        "`energy-charts`, `rte`, `carbon-aware-sdk:URL`, `electricity-maps`, `watttime`, `entsoe`, `eia`, `typical`; "
        "default: those whose keys are set, then `uk`, `energy-charts`, `rte` and `typical`; "
        "each is asked for the zones that it knows",
    )
    signal: SignalKind = Field(
        default=SignalKind.AVERAGE,
        description="the kind of intensity that plans and receipts rest on; sources of the other kind are passed over",
    )
    weather: Literal["none", "open-meteo"] = Field(
        default="none", description="weather forecasts as a help to the carbon forecast"
    )
    uk_url: Url = Field(default="https://api.carbonintensity.org.uk", description="where the source `uk` asks")
    energy_charts_url: Url = Field(
        default="https://api.energy-charts.info", description="where the source `energy-charts` asks"
    )
    rte_url: Url = Field(default="https://odre.opendatasoft.com", description="where the source `rte` asks")
    electricity_maps_url: Url = Field(
        default="https://api.electricitymaps.com/v4",
        description="where the source `electricity-maps` asks, with its version",
    )
    electricity_maps_key: Secret = _secret("the key (auth token) of the source `electricity-maps`")
    watttime_url: Url = Field(default="https://api.watttime.org", description="where the source `watttime` asks")
    watttime_user: Secret = _secret("the user of the source `watttime`")
    watttime_password: Secret = _secret("the password of the source `watttime`")
    entsoe_url: Url = Field(default="https://web-api.tp.entsoe.eu/api", description="where the source `entsoe` asks")
    entsoe_key: Secret = _secret("the security token of the source `entsoe`")
    eia_url: Url = Field(default="https://api.eia.gov/v2", description="where the source `eia` asks, with its version")
    eia_key: Secret = _secret("the key of the source `eia`")
    open_meteo_url: Url = Field(
        default="https://api.open-meteo.com", description="where weather forecasts are asked for"
    )
    slot_minutes: Whole = Field(default=30, ge=1, le=60, description="length of a planning slot in minutes")
    horizon_hours: Whole = Field(default=96, ge=1, le=24 * 14, description="how far ahead is planned, in hours")
    refresh_s: Duration = Field(default=900.0, alias="refresh", description="how often forecasts are fetched")
    replan_s: Duration = Field(default=60.0, alias="replan", description="how often is planned anew, at the latest")
    default_duration_s: Duration = Field(
        default=3600.0, alias="default_duration", description="how long a job is taken to run of which nothing is known"
    )
    deadline_margin_rel: Number = Field(
        default=0.05,
        ge=0,
        le=1,
        alias="deadline_margin",
        description="share of a job's duration that its latest safe start keeps in reserve",
    )
    deadline_margin_min_s: Duration = Field(
        default=60.0, alias="deadline_margin_min", description="the least of that reserve"
    )
    worker_cpus: Whole | None = Field(
        default=None, ge=1, le=4096, description="CPU slots that a worker offers; default: all it may use"
    )
    worker_gpus: Literal["all", "none"] = Field(default="all", description="the GPUs that a worker offers")
    worker_pue: Number | None = Field(
        default=None,
        ge=1,
        le=10,
        description="the site's power usage effectiveness: all that the building draws over what its machines draw; "
        "shown on a line of its own; default: not reckoned with",
        examples=[1.3],
    )
    worker_embodied_kg: Number | None = Field(
        default=None,
        gt=0,
        description="what making this machine emitted, in kg CO2e, as its maker states it; each job's share is shown on a "
        "line of its own; default: not reckoned with",
        examples=[1300],
    )
    worker_lifetime_years: Number = Field(
        default=4.0,
        gt=0,
        le=50,
        description="how long this machine is used in all: `worker_embodied_kg` is spread over it",
    )
    lease_s: Duration = Field(
        default=30.0, alias="lease", description="how long a worker may be silent before its jobs run elsewhere"
    )
    poll_s: Duration = Field(default=1.0, alias="poll", description="longest wait between two looks at the queue")
    log_limit_b: Size = Field(default=64 * 2**20, alias="log_limit", description="output kept of one attempt")
    retention_s: Duration = Field(
        default=30 * 86_400.0, alias="retention", description="how long the queue keeps jobs that have ended"
    )
    data_dir: Path = Field(
        default=Path("~/.local/share/carbonq"),
        json_schema_extra=_depends,
        description="logs, results and the private server's data; default: carbonq under XDG_DATA_HOME (~/.local/share)",
    )
    runtime_dir: Path = Field(
        default=Path("/tmp/carbonq"),  # noqa: S108  # replaced by one of the user's own: see carbonq.config
        json_schema_extra=_depends,
        description="sockets, so a short path; default: carbonq under XDG_RUNTIME_DIR, else /tmp/carbonq-UID",
    )
    secrets_dir: Path = Field(
        default=Path("~/.config/carbonq/secrets"),
        json_schema_extra=_depends,
        description="one file a secret that jobs name under `secrets`; "
        "default: carbonq/secrets under XDG_CONFIG_HOME (~/.config)",
    )
    origins: Mapping[str, str] = Field(default={}, exclude=True, repr=False, description="where each value came from")

    @field_validator("sources")
    @classmethod
    def _are_known(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        for source in sources:
            kind, _, rest = source.partition(":")
            if kind not in SOURCE_KINDS or (kind in _NEEDS_MORE and not rest):
                hint = _NEEDS_MORE.get(kind) and f"write {_NEEDS_MORE[kind]}"
                hint = hint or did_you_mean(kind, SOURCE_KINDS) or f"there are: {', '.join(SOURCE_KINDS)}"
                raise ValueError(f'"{redact_url(source)[:80]}" is no source; {hint}')
        return sources

    def redacted(self) -> dict[str, object]:
        """Every setting by its name with its unit, as plain values that may be shown: without passwords and keys."""
        hidden: dict[str, object] = {name: HIDDEN for name in SECRETS if getattr(self, name)}
        hidden["redis_url"] = self.redis_url and redact_url(self.redis_url)
        hidden["sources"] = [redact_url(source) for source in self.sources]
        return {**self.model_dump(mode="json"), **hidden}


SECRETS = ("electricity_maps_key", "watttime_user", "watttime_password", "entsoe_key", "eia_key")
"""The settings whose values are shown to nobody."""


def redact_url(url: str) -> str:
    """The URL with `***` in place of its password. A password with unescaped marks in it is hidden whole."""
    without = re.sub(r"(://[^:/?#@]*:).*@", r"\1***@", url)
    return re.sub(r"(?i)(password=)[^&]*", r"\1***", without)


def keys() -> dict[str, str]:
    """Each setting's key, as files, flags and (in capitals) the environment name it, with its name in `Settings`."""
    return {field.alias or name: name for name, field in Settings.model_fields.items() if name != "origins"}
