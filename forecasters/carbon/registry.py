"""From the settings' words to sources: `csv:PATH`, `uk`, `typical`, `replay:[error=E,seed=N:]SOURCE`.

Each adapter is imported only when it is named.
"""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from carbonq.domain.errors import InvalidInput
from carbonq.domain.ports import IntensitySource

KINDS = ("csv", "uk", "typical", "replay")
_HINT = "sources are csv:PATH, uk, typical and replay:SOURCE"


def make_sources(
    names: Sequence[str], *, uk_url: str | None = None, folder: Path | None = None
) -> tuple[IntensitySource, ...]:
    """One source a name, in that order. Relative paths start from `folder`. Raises InvalidInput."""
    return tuple(make_source(name, uk_url=uk_url, folder=folder) for name in names)


def make_source(name: str, *, uk_url: str | None = None, folder: Path | None = None) -> IntensitySource:
    kind, _, rest = name.strip().partition(":")
    makers: dict[str, Callable[[], IntensitySource]] = {
        "csv": lambda: _csv(rest, folder),
        "uk": lambda: _uk(uk_url),
        "typical": _typical,
        "replay": lambda: _replay(rest, uk_url, folder),
    }
    if kind not in makers or (kind in ("uk", "typical") and rest):
        raise InvalidInput(f"{name!r} is no carbon source", hint=_did_you_mean(kind))
    return makers[kind]()


def _csv(path: str, folder: Path | None) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.csv_files import CsvSource

    if not path:
        raise InvalidInput("the source csv needs a path", hint="write csv:FILE or csv:FOLDER")
    return CsvSource((folder or Path()) / Path(path).expanduser())


def _uk(url: str | None) -> IntensitySource:
    from carbonq.forecasters.carbon.http import JsonClient
    from carbonq.forecasters.carbon.sources.uk import DEFAULT_URL, UkSource

    return UkSource(JsonClient(url or DEFAULT_URL))


def _typical() -> IntensitySource:
    from carbonq.forecasters.carbon.sources.typical import TypicalSource

    return TypicalSource()


def _replay(rest: str, uk_url: str | None, folder: Path | None) -> IntensitySource:
    from carbonq.forecasters.carbon.sources.replay import DEFAULT_ERROR_REL, ReplaySource

    first, _, after = rest.partition(":")
    options, inner = (first, after) if "=" in first else ("", rest)
    settings = {key: value for key, _, value in (option.partition("=") for option in options.split(",") if option)}
    try:
        error_rel, seed = float(settings.pop("error", DEFAULT_ERROR_REL)), int(settings.pop("seed", 1))
    except ValueError:
        error_rel, seed = -1.0, 0
    if settings or not 0 <= error_rel <= 1:
        raise InvalidInput(
            f"{options!r} are no settings of a replay", hint="write replay:error=0.1,seed=1:typical; error from 0 to 1"
        )
    return ReplaySource(make_source(inner or "typical", uk_url=uk_url, folder=folder), error_rel=error_rel, seed=seed)


def _did_you_mean(kind: str) -> str:
    near = difflib.get_close_matches(kind, KINDS, n=1)
    return f"did you mean {near[0]}? {_HINT}" if near else _HINT
