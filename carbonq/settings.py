"""Every setting with its meaning, unit and default. `carbonq.config` finds the values."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, Strict, field_validator

from carbonq.domain.value import StrictValue
from carbonq.domain.written import Duration, Name, Size, ZoneCode
from carbonq.problems import did_you_mean

ENV_PREFIX = "CARBONQ_"
SOURCE_KINDS = ("csv", "uk", "typical", "replay")

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
        raise ValueError(f'"{url[:80]}" is no web address; write it like https://api.carbonintensity.org.uk')
    return url


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
        json_schema_extra=_depends,
        description="providers of carbon intensity, asked in this order: `csv:PATH`, `uk`, `typical`; "
        "default: `uk` in Great Britain, then `typical`",
    )
    uk_url: Annotated[str, AfterValidator(_is_http_url)] = Field(
        default="https://api.carbonintensity.org.uk", description="where the source `uk` asks"
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
            if kind not in SOURCE_KINDS or (kind == "csv" and not rest):
                hint = did_you_mean(kind, SOURCE_KINDS) or "write csv:PATH, uk or typical"
                raise ValueError(f'"{source[:80]}" is no source; {hint}')
        return sources

    def redacted(self) -> dict[str, object]:
        """Every setting by its name with its unit, as plain values that may be shown: without the password."""
        return {**self.model_dump(mode="json"), "redis_url": self.redis_url and redact_url(self.redis_url)}


def redact_url(url: str) -> str:
    """The URL with `***` in place of its password. A password with unescaped marks in it is hidden whole."""
    without = re.sub(r"(://[^:/?#@]*:).*@", r"\1***@", url)
    return re.sub(r"(?i)(password=)[^&]*", r"\1***", without)


def keys() -> dict[str, str]:
    """Each setting's key, as files, flags and (in capitals) the environment name it, with its name in `Settings`."""
    return {field.alias or name: name for name, field in Settings.model_fields.items() if name != "origins"}
