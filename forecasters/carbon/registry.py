"""From the settings' words to sources. Each adapter is imported only when it is named.

A new source is a line in `make_source`, a kind in `settings.SOURCE_KINDS` and a case in the contract suite.
"""

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from carbonq.domain.carbon import Scope, SignalKind
from carbonq.domain.errors import CarbonqError, InvalidInput
from carbonq.domain.ports import IntensitySource
from carbonq.problems import did_you_mean
from carbonq.settings import SOURCE_KINDS, Settings, redact_url


class Unusable(NamedTuple):
    """A configured source that cannot be asked, such as one whose key is not set; its word as it may be shown."""

    word: str
    error: CarbonqError


def make_sources(settings: Settings) -> tuple[list[IntensitySource], list[Unusable]]:
    """The configured sources in their order, and those that are left out: one of them must not cost the others."""
    made: list[IntensitySource] = []
    unusable: list[Unusable] = []
    for word in settings.sources:
        try:
            made.append(make_source(word, settings))
        except CarbonqError as error:
            unusable.append(Unusable(redact_url(word), error))
    return made, unusable


def make_source(word: str, settings: Settings | None = None) -> IntensitySource:
    """The source of that word, with its URL, its keys and the length of a slot from the settings. Raises InvalidInput."""
    settings = settings or Settings()
    kind, _, rest = word.strip().partition(":")
    match kind:
        case "csv":
            return _csv(rest, settings)
        case "parquet":
            return _parquet(rest, settings)
        case "uk" if not rest:
            return _uk(settings)
        case "energy-charts" if rest in ("", "direct"):
            return _energy_charts(rest, settings)
        case "rte" if not rest:
            return _rte(settings)
        case "carbon-aware-sdk":
            return _carbon_aware_sdk(rest, settings)
        case "electricity-maps" if rest in ("", "direct"):
            return _electricity_maps(rest, settings)
        case "watttime" if not rest:
            return _watttime(settings)
        case "entsoe" if not rest:
            return _entsoe(settings)
        case "eia" if not rest:
            return _eia(settings)
        case "typical" if not rest:
            return _typical(settings)
        case "replay":
            return _replay(rest, settings)
        case _:
            hint = did_you_mean(kind, SOURCE_KINDS)
            raise InvalidInput(f"{word!r} is no carbon source", hint=f"{hint} {_kinds()}".lstrip())


def slot_s(settings: Settings) -> int:
    return settings.slot_minutes * 60


def secret(settings: Settings, name: str) -> str:
    """The value of the setting `name`, without which a source cannot be asked. Raises InvalidInput."""
    value: str | None = getattr(settings, name)
    if not value:
        raise InvalidInput(
            f"{name} is not set",
            hint=f"set CARBONQ_{name.upper()}, or `{name}` in a carbonq.yaml that only you can read",
        )
    return value


def _address(settings: Settings, name: str, variable: str) -> str:
    """Where a source asks. The provider's own client has an environment variable for it, which holds where the setting
    does not say otherwise."""
    value: str = getattr(settings, name)
    return value if name in settings.model_fields_set else os.environ.get(variable) or value


def _kinds() -> str:
    return f"sources are {', '.join(SOURCE_KINDS)}"


def _csv(path: str, settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.csv_files import CsvSource

    if not path:
        raise InvalidInput("the source csv needs a path", hint="write csv:FILE or csv:FOLDER")
    return CsvSource(Path(path).expanduser(), slot_s=slot_s(settings))


def _parquet(path: str, settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.parquet_files import ParquetSource

    if not path:
        raise InvalidInput("the source parquet needs a path", hint="write parquet:FILE or parquet:FOLDER")
    return ParquetSource(Path(path).expanduser(), slot_s=slot_s(settings))


def _uk(settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.http import JsonClient
    from carbonq.forecasters.carbon.sources.uk import UkSource

    return UkSource(JsonClient(settings.uk_url), slot_s=slot_s(settings))


def _electricity_maps(scope: str, settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.electricity_maps import ElectricityMapsSource, electricity_maps_client

    client = electricity_maps_client(settings.electricity_maps_url, secret(settings, "electricity_maps_key"))
    return ElectricityMapsSource(client, scope=Scope(scope or "lifecycle"), slot_s=slot_s(settings))


def _watttime(settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.watttime import WattTimeSource, watttime_client

    url = _address(settings, "watttime_url", "WATTTIME_API_URL")
    user, password = secret(settings, "watttime_user"), secret(settings, "watttime_password")
    return WattTimeSource(watttime_client(url, user, password), slot_s=slot_s(settings))


def _entsoe(settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.entsoe import EntsoeSource, entsoe_client

    url = _address(settings, "entsoe_url", "ENTSOE_ENDPOINT_URL")
    return EntsoeSource(entsoe_client(url, secret(settings, "entsoe_key")))


def _eia(settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.eia import EiaSource, eia_client

    return EiaSource(eia_client(settings.eia_url, secret(settings, "eia_key")))


def _energy_charts(scope: str, settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.energy_charts import EnergyChartsSource, energy_charts_client
    from carbonq.forecasters.carbon.sources.energy_charts_mix import EnergyChartsMixSource

    client = energy_charts_client(settings.energy_charts_url)
    return EnergyChartsMixSource(client) if scope else EnergyChartsSource(client, slot_s=slot_s(settings))


def _rte(settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.http import JsonClient
    from carbonq.forecasters.carbon.sources.rte import RteSource

    return RteSource(JsonClient(settings.rte_url))


def _carbon_aware_sdk(rest: str, settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.http import JsonClient
    from carbonq.forecasters.carbon.sources.carbon_aware_sdk import CarbonAwareSdkSource

    kind, _, after = rest.partition(":")
    signal, url = (SignalKind(kind), after) if kind in list(SignalKind) else (SignalKind.MARGINAL, rest)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise InvalidInput(
            "the source carbon-aware-sdk needs the address of a server, without a user or password",
            hint="write carbon-aware-sdk:https://server, or carbon-aware-sdk:average:https://server",
        )
    return CarbonAwareSdkSource(JsonClient(url), signal=signal, slot_s=slot_s(settings))


def _typical(settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.typical import TypicalSource

    return TypicalSource(slot_s=slot_s(settings))


def _replay(rest: str, settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.replay import DEFAULT_ERROR_REL, ReplaySource

    first, _, after = rest.partition(":")
    options, inner = (first, after) if "=" in first else ("", rest)
    chosen = {key: value for key, _, value in (option.partition("=") for option in options.split(",") if option)}
    try:
        error_rel, seed = float(chosen.pop("error", DEFAULT_ERROR_REL)), int(chosen.pop("seed", 1))
    except ValueError:
        error_rel, seed = -1.0, 0
    if chosen or not 0 <= error_rel <= 1:
        raise InvalidInput(
            f"{options!r} are no settings of a replay", hint="write replay:error=0.1,seed=1:typical; error from 0 to 1"
        )
    return ReplaySource(make_source(inner or "typical", settings), error_rel=error_rel, seed=seed)
