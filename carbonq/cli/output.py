"""What reaches the terminal: data on stdout, the rest on stderr, nothing in between that could drive the terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, NamedTuple

COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}

# C0, DEL, C1, line separators and the marks that turn the direction of writing: a job's name may hold any of them.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def safe(text: str) -> str:
    """The text with every character that could move the cursor, or hide what follows, written out as an escape."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class Cell(NamedTuple):
    """A piece of text and its colour; the text is made safe when it is drawn."""

    text: str
    colour: str = ""


class Column(NamedTuple):
    """A table's column. On a narrow terminal `least` is how far it may be cut (0: not at all); where that is not enough,
    columns with a `spare` are left out, the highest first, and only then the others are cut further."""

    title: str
    right: bool = False
    least: int = 0
    spare: int = 0


def colourful(stream: IO[Any]) -> bool:
    """Whether to colour: on a terminal, unless https://no-color.org is asked for."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def speaks_unicode(stream: IO[Any]) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")


def paint(text: str, colour: str, stream: IO[Any] | None = None) -> str:
    codes = ";".join(COLOURS[name] for name in colour.split())
    return f"\x1b[{codes}m{text}\x1b[0m" if codes and colourful(stream or sys.stdout) else text


def say(text: str = "") -> None:
    """One line of data."""
    print(text, file=sys.stdout)


def note(text: str, colour: str = "") -> None:
    """One line for the person, not for the pipe."""
    sys.stdout.flush()
    print(paint(text, colour, sys.stderr), file=sys.stderr, flush=True)


def plain(value: Any) -> Any:
    """A value as JSON has it: models and named tuples by their fields, other collections as lists."""
    if hasattr(value, "model_dump"):  # told by its method: pydantic is not imported for it
        return value.model_dump(mode="json")
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value


def write_json(value: object) -> None:
    import json

    print(json.dumps(plain(value), indent=2, ensure_ascii=not speaks_unicode(sys.stdout), default=str))


def write_json_line(value: object) -> None:
    """For streams: one object a line, out at once."""
    import json

    print(json.dumps(plain(value), ensure_ascii=not speaks_unicode(sys.stdout), default=str), flush=True)


def terminal_columns() -> int:
    return shutil.get_terminal_size().columns


def terminal_width() -> int | None:
    """Columns of the terminal on stdout; None for a pipe or a file, where nothing is cut."""
    return terminal_columns() if sys.stdout.isatty() else None


def paragraph(text: str, colour: str = "") -> str:
    """A sentence or two, wrapped where a terminal ends."""
    import textwrap

    lines = textwrap.wrap(safe(text), terminal_width() or 10_000, break_on_hyphens=False)
    return "\n".join(paint(line, colour) for line in lines)


def table(columns: Sequence[Column], rows: Iterable[Sequence[Cell | str]], *, width: int | None = None) -> str:
    """A plain table: a header line, two spaces between columns, fitted to `width` (default: the terminal's)."""
    from carbonq.reports.format import columns as width_of

    cells = [[Cell(safe(cell.text), cell.colour) if isinstance(cell, Cell) else Cell(safe(cell)) for cell in row]
             for row in rows]  # fmt: skip
    widths = [
        max([width_of(column.title), *(width_of(row[i].text) for row in cells)]) for i, column in enumerate(columns)
    ]
    kept = _fit(columns, widths, width or terminal_width())
    header = [Cell(column.title, "bold") for column in columns]
    return "\n".join(
        "  ".join(_pad(row[i], widths[i], columns[i].right, i == kept[-1]) for i in kept).rstrip()
        for row in [header, *cells]
    )


def _fit(columns: Sequence[Column], widths: list[int], limit: int | None) -> list[int]:
    """The columns that stay; narrows `widths` of those that may shrink, the widest first."""
    kept = list(range(len(columns)))
    if limit is None:
        return kept

    def excess(least: Sequence[int]) -> int:
        return sum(least[i] + 2 for i in kept) - 2 - limit

    narrowest = [min(width, column.least or width) for column, width in zip(columns, widths, strict=True)]
    for i in sorted((i for i in kept if columns[i].spare), key=lambda i: -columns[i].spare):
        if excess(narrowest) > 0:
            kept.remove(i)
    for floor in (narrowest, [min(width, 8) for width in narrowest]):
        while excess(widths) > 0 and (wide := [i for i in kept if columns[i].least and widths[i] > floor[i]]):
            widths[max(wide, key=lambda i: widths[i])] -= 1
    return kept


def _pad(cell: Cell, width: int, right: bool, last: bool) -> str:
    from carbonq.reports.format import columns as width_of
    from carbonq.reports.format import shorten

    text = shorten(cell.text, width)
    space = " " * (width - width_of(text))
    painted = paint(text, cell.colour)
    if right:
        return space + painted
    return painted if last else painted + space


def fields(pairs: Iterable[tuple[str, Cell | str]], *, indent: str = "  ") -> str:
    """Name and value, one a line; values wrap under themselves on a terminal, and empty ones are left out."""
    import textwrap

    shown = [(name, value if isinstance(value, Cell) else Cell(value)) for name, value in pairs]
    shown = [(name, value) for name, value in shown if value.text]
    gap = max((len(name) for name, _ in shown), default=0) + 2
    room = max(24, (terminal_width() or 10_000) - len(indent) - gap)
    lines: list[str] = []
    for name, value in shown:
        first, *more = textwrap.wrap(safe(value.text), room, break_on_hyphens=False) or [""]
        lines.append(f"{indent}{paint(name, 'dim')}{' ' * (gap - len(name))}{paint(first, value.colour)}")
        lines += [f"{indent}{' ' * gap}{paint(line, value.colour)}" for line in more]
    return "\n".join(lines)
