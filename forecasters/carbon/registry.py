"""From the settings' words to sources: `csv:PATH`, `uk`, `typical`, `replay:[error=E,seed=N:]SOURCE`.

Each adapter is imported only when it is named.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from carbonq.domain.errors import InvalidInput
from carbonq.domain.ports import IntensitySource
from carbonq.domain.time import DEFAULT_SLOT_S
from carbonq.problems import did_you_mean
from carbonq.settings import SOURCE_KINDS

_HINT = "sources are csv:PATH, uk, typical and replay:SOURCE"


def make_sources(
    names: Sequence[str], *, uk_url: str | None = None, slot_s: int = DEFAULT_SLOT_S
) -> tuple[IntensitySource, ...]:
    """One source a name, in that order; `slot_s` must be the outlook's. Raises InvalidInput."""
    return tuple(make_source(name, uk_url=uk_url, slot_s=slot_s) for name in names)


def make_source(name: str, *, uk_url: str | None = None, slot_s: int = DEFAULT_SLOT_S) -> IntensitySource:
    kind, _, rest = name.strip().partition(":")
    match kind:
        case "csv":
            return _csv(rest, slot_s)
        case "uk" if not rest:
            return _uk(uk_url, slot_s)
        case "typical" if not rest:
            return _typical(slot_s)
        case "replay":
            return _replay(rest, lambda inner: make_source(inner, uk_url=uk_url, slot_s=slot_s))
        case _:
            hint = did_you_mean(kind, SOURCE_KINDS)
            raise InvalidInput(f"{name!r} is no carbon source", hint=f"{hint} {_HINT}".lstrip())


def _csv(path: str, slot_s: int) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.csv_files import CsvSource

    if not path:
        raise InvalidInput("the source csv needs a path", hint="write csv:FILE or csv:FOLDER")
    return CsvSource(Path(path).expanduser(), slot_s=slot_s)


def _uk(url: str | None, slot_s: int) -> IntensitySource:
    from carbonq.forecasters.carbon.http import JsonClient
    from carbonq.forecasters.carbon.sources.uk import DEFAULT_URL, UkSource

    return UkSource(JsonClient(url or DEFAULT_URL), slot_s=slot_s)


def _typical(slot_s: int) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.typical import TypicalSource

    return TypicalSource(slot_s=slot_s)


def _replay(rest: str, make: Callable[[str], IntensitySource]) -> IntensitySource:
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
    return ReplaySource(make(inner or "typical"), error_rel=error_rel, seed=seed)
