"""From the settings' words to sources: `csv:PATH`, `uk`, `typical`, `replay:[error=E,seed=N:]SOURCE`.

Each adapter is imported only when it is named.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from carbonq.domain.errors import InvalidInput
from carbonq.domain.ports import IntensitySource
from carbonq.domain.time import DEFAULT_SLOT_S
from carbonq.problems import did_you_mean

_HINT = "sources are csv:PATH, uk, typical and replay:SOURCE"


class Settings(NamedTuple):
    """What sources are made with. `folder` is where relative paths start."""

    uk_url: str | None = None
    folder: Path = Path()
    slot_s: int = DEFAULT_SLOT_S


def make_sources(
    names: Sequence[str], *, uk_url: str | None = None, folder: Path | None = None, slot_s: int = DEFAULT_SLOT_S
) -> tuple[IntensitySource, ...]:
    """One source a name, in that order; `slot_s` must be the outlook's. Raises InvalidInput."""
    settings = Settings(uk_url, folder or Path(), slot_s)
    return tuple(_make(name, settings) for name in names)


def make_source(name: str, **settings: Any) -> IntensitySource:
    """One source, with the settings of `make_sources`."""
    return make_sources([name], **settings)[0]


def _make(name: str, settings: Settings) -> IntensitySource:
    kind, _, rest = name.strip().partition(":")
    makers = {"csv": _csv, "uk": _uk, "typical": _typical, "replay": _replay}
    if kind not in makers or (kind in ("uk", "typical") and rest):
        raise InvalidInput(f"{name!r} is no carbon source", hint=f"{did_you_mean(kind, makers)} {_HINT}".lstrip())
    return makers[kind](rest, settings)


def _csv(path: str, settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.csv_files import CsvSource

    if not path:
        raise InvalidInput("the source csv needs a path", hint="write csv:FILE or csv:FOLDER")
    return CsvSource(settings.folder / Path(path).expanduser(), slot_s=settings.slot_s)


def _uk(_: str, settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.http import JsonClient
    from carbonq.forecasters.carbon.sources.uk import DEFAULT_URL, UkSource

    return UkSource(JsonClient(settings.uk_url or DEFAULT_URL), slot_s=settings.slot_s)


def _typical(_: str, settings: Settings) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.typical import TypicalSource

    return TypicalSource(slot_s=settings.slot_s)


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
    return ReplaySource(_make(inner or "typical", settings), error_rel=error_rel, seed=seed)
