"""CSV tables that a person hands in, plain or gzipped: bounded, and every mistake with its file and line."""

import csv
import io
import math
import zlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from carbonq.domain.errors import InvalidInput
from carbonq.domain.written import parse_moment
from carbonq.forecasters.carbon.models.series import FloatArray

MAX_FILE_B = 64 * 2**20
"""Unpacked: years of 5-minute rows. More is a mistake, or a bomb."""
MAX_COLUMNS = 200
MAX_MEMBERS = 1000
"""Of one gzip file: each costs a copy of what follows it."""
MAX_STEPS = 2_000_000
"""Of one regular series: 19 years of 5 minutes."""
DAY_S, DEFAULT_STEP_S = 86_400, 3600
_GZIP_MAGIC, _GZIP_FORMAT = b"\x1f\x8b", 31


class Table(NamedTuple):
    """A file's columns as text, and the line that each row ends on."""

    path: Path
    columns: dict[str, list[str]]
    lines: list[int]

    def where(self, row: int) -> str:
        return f"{self.path}:{self.lines[row]}"

    def need(self, name: str, hint: str) -> list[str]:
        if name not in self.columns:
            raise InvalidInput(f"no column {name!r}", where=f"{self.path}:1", hint=hint)
        return self.columns[name]


def read_table(path: Path, *, max_file_b: int = MAX_FILE_B) -> Table:
    """The whole file. Raises InvalidInput; OSError where it cannot be opened."""
    text = _text(path, max_file_b)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = [name.strip() for name in next(rows, [])]
        if len(head) > MAX_COLUMNS or len(set(head)) < len(head):
            raise InvalidInput(
                "the first line names a column twice, or too many",
                where=f"{path}:1",
                hint=f"at most {MAX_COLUMNS} columns, each with a name of its own",
            )
        found: list[list[str]] = []
        lines: list[int] = []
        for row in rows:
            if not row:
                continue
            if len(row) != len(head):
                raise InvalidInput(
                    f"{len(row)} cells, but the first line names {len(head)} columns", where=f"{path}:{rows.line_num}"
                )
            found.append(row)
            lines.append(rows.line_num)
    except csv.Error as error:
        raise InvalidInput(f"no CSV: {error}", where=f"{path}:{rows.line_num}") from error
    if not found:
        raise InvalidInput(
            "no rows", where=str(path), hint="the first line names the columns, each further one is a row"
        )
    return Table(path, {name: list(cells) for name, cells in zip(head, zip(*found, strict=True), strict=True)}, lines)


def moments(table: Table, column: str, *, zoneless_is_utc: bool = False) -> list[datetime]:
    """A column of times, in UTC. Raises InvalidInput."""
    found: list[datetime] = []
    for row, cell in enumerate(table.columns[column]):
        try:
            found.append(_moment(cell.strip(), zoneless_is_utc))
        except ValueError as error:
            what, _, hint = str(error).partition("; ")
            raise InvalidInput(what, where=table.where(row), hint=hint) from None
    return found


def is_text(table: Table, column: str) -> bool:
    """Whether a column is no numbers, told by its first filled cell."""
    first = next((cell for cell in table.columns[column] if not _is_empty(cell)), "")
    return _number(first) is None


def numbers(table: Table, column: str) -> FloatArray:
    """A column of finite numbers; NaN for an empty cell. Raises InvalidInput."""
    cells = table.columns[column]
    try:  # all at once, as nearly every file allows
        values = np.array([cell or "nan" for cell in cells], dtype=np.float64)
    except ValueError:
        pass
    else:
        if not np.isinf(values).any():
            return values
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        value = float("nan") if _is_empty(cell) else _number(cell)
        if value is None:
            raise InvalidInput(
                f"{column}: {cell[:40]!r} is no number",
                where=table.where(row),
                hint="write a finite number, or leave the cell empty where it is unknown",
            )
        values[row] = value
    return values


def usual_step_s(times: Sequence[datetime], where: str) -> int:
    """The most frequent distance of sorted times, an hour for a single one. Raises InvalidInput for one that fits no day."""
    gaps = Counter(int((later - earlier).total_seconds()) for earlier, later in pairwise(times) if later > earlier)
    step_s = max(gaps, key=lambda gap: (gaps[gap], -gap)) if gaps else DEFAULT_STEP_S
    if step_s < 60 or DAY_S % step_s or step_s > DAY_S // 4:
        raise InvalidInput(
            f"rows are {step_s} s apart",
            where=where,
            hint="give steps that divide a day, from 1 minute to 6 hours; hourly rows are the usual ones",
        )
    return step_s


def on_grid(
    table: Table, rows: Sequence[int], times: Sequence[datetime], values: FloatArray, step_s: int
) -> tuple[datetime, FloatArray]:
    """The rows of the table at those times as a regular series: its start, and (steps, columns) with NaN in gaps.

    Of rows at the same time the last one counts. Raises InvalidInput for a time off the clock's grid and for an endless span.
    """
    seconds = np.array([int(times[row].timestamp()) for row in rows], dtype=np.int64)
    off = np.flatnonzero(seconds % step_s)
    if len(off):
        raise InvalidInput(
            f"{times[rows[int(off[0])]]:%Y-%m-%d %H:%M:%S} UTC is not on the grid of {step_s // 60} minutes",
            where=table.where(rows[int(off[0])]),
            hint="give every row at a whole step, counted from 00:00 UTC",
        )
    index = (seconds - seconds.min()) // step_s
    steps = int(index.max()) + 1
    if steps > MAX_STEPS:
        raise InvalidInput(
            f"{steps:,} steps from the first row to the last", where=str(table.path), hint=f"at most {MAX_STEPS:,}"
        )
    grid = np.full((steps, values.shape[1]), np.nan)
    grid[index] = values[np.asarray(rows)]
    return datetime.fromtimestamp(int(seconds.min()), UTC), grid


def _moment(text: str, zoneless_is_utc: bool) -> datetime:
    """Whatever `fromisoformat` knows, with a zone; `parse_moment` says what is wrong with the rest."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and zoneless_is_utc:
            return moment.replace(tzinfo=UTC)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    return parse_moment(text)


def _text(path: Path, max_file_b: int) -> str:
    with path.open("rb") as file:
        data = file.read(max_file_b + 1)
    if data.startswith(_GZIP_MAGIC) and len(data) <= max_file_b:
        data = _unpacked(data, path, max_file_b)
    if len(data) > max_file_b:
        raise InvalidInput(
            f"more than {max_file_b // 2**20} MiB", where=str(path), hint="split it by year, or leave columns out"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"no text in UTF-8: {error.reason} at byte {error.start}", where=str(path)) from error


def _unpacked(data: bytes, path: Path, max_file_b: int) -> bytes:
    """All members, up to just beyond the bound: a bomb is never unpacked whole."""
    parts: list[bytes] = []
    size_b = 0
    try:
        while data and size_b <= max_file_b and len(parts) < MAX_MEMBERS:
            member = zlib.decompressobj(_GZIP_FORMAT)
            parts.append(member.decompress(data, max_file_b + 1 - size_b))
            size_b += len(parts[-1])
            if not member.eof and size_b <= max_file_b:
                raise InvalidInput("the gzip file is cut off", where=str(path), hint="fetch or write it again")
            data = member.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise InvalidInput(f"no sound gzip file: {error}", where=str(path), hint="fetch or write it again") from error
    if data and size_b <= max_file_b:
        raise InvalidInput(f"more than {MAX_MEMBERS} gzip members", where=str(path), hint="write it anew as one")
    return b"".join(parts)


def _is_empty(cell: str) -> bool:
    return cell.strip().lower() in ("", "nan", "null")


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
