"""Writes the pages of the reference that are made from the code. `python docs/generate.py [--check]`.

A page of its own is a function in PAGES. `--check` writes nothing and names the pages that are out of date.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from carbonq import schemas
from carbonq.cli import reference
from carbonq.domain.carbon import SourceInfo
from carbonq.domain.job import TERMINAL, TRANSITIONS, JobState
from carbonq.domain.units import DURATION_PATTERN, SIZE_PATTERN, format_duration
from carbonq.domain.written import ENV_NAME_PATTERN, NAME_PATTERN, ZONE_PATTERN
from carbonq.forecasters.carbon import weather
from carbonq.forecasters.carbon.generation import DIRECT, LIFECYCLE
from carbonq.forecasters.carbon.registry import make_source
from carbonq.forecasters.carbon.sources import entsoe
from carbonq.settings import ENV_PREFIX, SECRETS, SOURCE_KINDS, Settings

DOCS = Path(__file__).resolve().parent
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"

Schema = dict[str, Any]

_YEAR_S = 365 * 86_400

_PATTERNS = {
    DURATION_PATTERN: "duration, such as `2h30m`",
    SIZE_PATTERN: "size, such as `16GiB`",
    NAME_PATTERN: "name",
    ENV_NAME_PATTERN: "variable's name",
    ZONE_PATTERN: "zone",
}
_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": ""}


def job_file() -> str:
    """One table a section of the job file."""
    schema = schemas.schema("job")
    sections = [("The job", schema)] + [
        (f"`{name}`", schema["$defs"][target])
        for name, field in schema["properties"].items()
        if (target := _target(field)) in schema["$defs"] and "properties" in schema["$defs"][target]
    ]
    return "\n\n".join(f"## {title}\n\n{_about(section)}{_table(section, schema)}" for title, section in sections)


def settings() -> str:
    """One table of every setting: its key in a file, its variable, its default and meaning."""
    schema = schemas.schema("settings")
    rows = [
        (f"`{key}`", f"`{ENV_PREFIX}{key.upper()}`", *_cells(field, schema))
        for key, field in schema["properties"].items()
    ]
    return "\n".join(_lines(("key", "variable", "value", "default", "meaning"), rows))


def states() -> str:
    """The transition table as a Mermaid state diagram; moves between the same two states share an arrow."""
    moves = sorted(TRANSITIONS, key=lambda move: (list(JobState).index(move.source), list(JobState).index(move.target)))
    arrows = [
        f"    {source} --> {target}: {', '.join(move.event for move in group)}"
        for (source, target), group in groupby(moves, key=lambda move: (move.source, move.target))
    ]
    ends = [f"    {state} --> [*]" for state in JobState if state in TERMINAL]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> pending: submitted", *arrows, *ends, "```"])


def sources() -> str:
    """What each source says of itself, then the factors by which fuels are turned into grams."""
    rows = [(f"`{word}`", *_gives(info)) for word, info in _infos().items()]
    terms = [
        (f"`{word}`", info.title, info.licence, info.attribution, f"<{info.terms_url}>" if info.terms_url else "")
        for word, info in _infos().items()
    ]
    terms.append(("`weather: open-meteo`", *weather.INFO[:3], f"<{weather.INFO.terms_url}>"))
    factors = [
        (
            fuel.value,
            *(text for table in (LIFECYCLE, DIRECT) for text in (f"{table[fuel].g_per_kwh:g}", table[fuel].source)),
        )
        for fuel in LIFECYCLE
    ]
    return "\n\n".join(
        f"## {title}\n\n" + "\n".join(_lines(head, lines))
        for title, head, lines in (
            ("What they give", ("source", "signal", "step", "own forecast", "past", "readings come", "key"), rows),
            ("Terms of use", ("source", "what it is", "licence", "credit that is shown", "terms"), terms),
            ("Emission factors", ("fuel", "lifecycle", "by", "direct", "by"), factors),
        )
    )


def _infos() -> Mapping[str, SourceInfo]:
    """Every source by the settings' word, none of which is asked anything."""
    settings = Settings(**dict.fromkeys(SECRETS, "a key"))
    words = {
        "csv": ("csv:PATH",),
        "parquet": ("parquet:PATH",),
        "energy-charts": ("energy-charts", "energy-charts:direct"),
        "electricity-maps": ("electricity-maps", "electricity-maps:direct"),
        "carbon-aware-sdk": ("carbon-aware-sdk:https://SERVER", "carbon-aware-sdk:average:https://SERVER"),
        "replay": ("replay:typical",),
    }
    named = [word for kind in SOURCE_KINDS for word in words.get(kind, (kind,))]
    return {word: entsoe.INFO if word == "entsoe" else make_source(word, settings).info for word in named}


def _gives(info: SourceInfo) -> tuple[str, ...]:
    past = "years" if info.history_s is None else format_duration(info.history_s) if info.history_s else "none"
    ahead = (
        "none" if not info.forecasts else "any time" if info.horizon_s > _YEAR_S else format_duration(info.horizon_s)
    )
    return (
        f"{info.signal}, {info.scope}",
        format_duration(info.resolution_s) if info.resolution_s else "its own",
        ahead,
        past,
        f"{format_duration(info.lag_s)} late" if info.lag_s else "at once",
        f"`{info.key_setting}`" if info.key_setting else "none needed",
    )


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/cli.md": reference.markdown,
    "reference/job-file.md": job_file,
    "reference/settings.md": settings,
    "reference/sources.md": sources,
    "explanation/states.md": states,
}
"""Each page's part between the two marks; what stands around it is written by hand."""


def render(page: str) -> str:
    """The page as it should be."""
    before, _, rest = (DOCS / page).read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{PAGES[page]()}\n\n{END}{after}"


def outdated() -> list[str]:
    return [page for page in PAGES if render(page) != (DOCS / page).read_text(encoding="utf-8")]


# --- tables


def _table(section: Schema, root: Schema) -> str:
    required = section.get("required", ())
    rows = [
        (f"`{name}`" + (" (required)" if name in required else ""), *_cells(field, root))
        for name, field in section["properties"].items()
    ]
    return "\n".join(_lines(("field", "value", "default", "meaning"), rows))


def _lines(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _cells(field: Schema, root: Schema) -> tuple[str, str, str]:
    return _kind(field, root), _default(field), field.get("description", "")


def _about(section: Schema) -> str:
    return f"{section['description']}\n\n" if section.get("description") else ""


def _default(field: Schema) -> str:
    if field.get("default") in (None, [], {}, ()):
        return ""
    value = field["default"]
    return f"`[{', '.join(value)}]`" if isinstance(value, list) else f"`{value}`"


def _target(field: Schema) -> str:
    """The name of the section that a field holds, or nothing."""
    options = [field, *field.get("anyOf", ())]
    return next((option["$ref"].rpartition("/")[2] for option in options if "$ref" in option), "")


def _kind(field: Schema, root: Schema) -> str:
    """What a field may hold, in words."""
    if "$ref" in field:
        inner = root["$defs"][_target(field)]
        return _kind(inner, root) if "enum" in inner else "fields"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{choice}`" for choice in field["enum"])
    if field.get("pattern") in _PATTERNS:
        return _PATTERNS[field["pattern"]]
    if "anyOf" in field and field.get("type") == "string":
        return "duration, or time with a zone"
    if "anyOf" in field:
        kinds = dict.fromkeys(_kind(option, root) for option in field["anyOf"])
        return " or ".join(kind for kind in kinds if kind and not (kind == "whole number" and "number" in kinds))
    if field["type"] == "array":
        return f"list of: {_kind(field['items'], root)}"
    if field["type"] == "object":
        return "fields of your own"
    return _TYPES[field["type"]] + _limits(field)


def _limits(field: Schema) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f", {low:g} to {high:g}"
    return f", at least {low:g}" if low is not None else ""


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        for page in (late := outdated()):
            print(f"docs/{page} is out of date: run python docs/generate.py", file=sys.stderr)
        return int(bool(late))
    for page in PAGES:
        (DOCS / page).write_text(render(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
