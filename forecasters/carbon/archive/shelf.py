"""One table as Parquet files in a folder: a file a year (or a month), and a small tail of what came since.

    2025.parquet 2026.parquet    sorted, each row once
    tail.parquet                 the newest rows, rewritten with each addition until they are folded into the others
    *.damaged                    what could not be read, set aside

Files are replaced whole. A fold writes the years first and removes the tail last, and a reader reads the tail first: rows may
be met twice, which is mended on reading, but never missed. Writers hold the lock; that is the caller's care.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbonq.forecasters.carbon.archive.files import (
    read_whole,
    remove,
    set_aside,
    storage_failed,
    sweep,
    sync_folder,
    write_whole,
)
from carbonq.forecasters.carbon.parquet import pyarrow

log = logging.getLogger("carbonq.carbon")

TAIL_ROWS = 1000
"""Beyond this the tail is folded at once: rewriting it stays a matter of a millisecond."""
GROUP_ROWS = 4096
"""Who asks for a week reads a few thousand rows, not a year's."""
Columns = dict[str, NDArray[Any]]
"""Moments as int64 microseconds since 1970; numbers as float64, finite unless `maybe` (NaN: not given); words as int8 indexes;
texts as objects."""
FOREVER = (-(2**62), 2**62)
_PART = re.compile(r"\d{4}(-(0[1-9]|1[0-2]))?\.parquet")


class Column(NamedTuple):
    name: str
    kind: Literal["moment", "number", "maybe", "word", "text"]
    words: tuple[str, ...] = ()  # what a word can be


class Layout(NamedTuple):
    """A table's columns. The first two are moments that identify a row and order the table; the first parts it into files."""

    columns: tuple[Column, ...]
    part: Literal["Y", "M"] = "Y"

    @property
    def identity(self) -> tuple[str, str]:
        return self.columns[0].name, self.columns[1].name


class Shelf:
    """`about` says whose rows these are, in every file; a file about something else does not belong here."""

    def __init__(self, folder: Path, layout: Layout, about: Mapping[str, str]) -> None:
        self.folder, self._layout, self._about = folder, layout, dict(about)
        self._tail = folder / "tail.parquet"

    def read(self, first_us: int = FOREVER[0], last_us: int = FOREVER[1]) -> Columns:
        """The rows whose first moment lies in `[first_us, last_us)`, sorted, each once."""
        span = (first_us, last_us)
        return self._within(span, self._load(self._tail, span), mend=False)  # the tail first: see above

    def add(self, first_us: int, last_us: int, fresh: Callable[[Columns], Columns]) -> None:
        """Keep what `fresh` makes of the rows that are there in `[first_us, last_us)`.

        Raises StorageFailed; then nothing kept before is lost.
        """
        tail = self._load(self._tail, mend=True)
        new = fresh(self._within((first_us, last_us), tail, mend=True))
        if not _length(new):
            return
        tail = self._tidy([tail, new])
        if _length(tail) > TAIL_ROWS:
            self._spread(tail)
        else:
            write_whole(self._tail, self._dump(tail))

    def fold(self) -> int:
        """Move the tail into its years. Returns how many rows it had."""
        sweep(self.folder)
        for part in self._parts():
            self._load(part, mend=True)
        tail = self._load(self._tail, mend=True)
        if _length(tail):
            self._spread(tail)
        return _length(tail)

    def drop_parts_before(self, moment_us: int) -> int:
        """Remove the files that hold only older rows. Returns how many."""
        old = [part for part in self._parts() if self._end_us(part) <= moment_us]
        for part in old:
            remove(part)
        return len(old)

    def exists(self) -> bool:
        return self._tail.exists() or bool(self._parts())

    def abouts(self) -> Iterator[dict[str, str]]:
        """What each sound file says whose rows it holds."""
        pa = pyarrow()
        for path in (self._tail, *self._parts()):
            with suppress(pa.ArrowException, OSError, ValueError):
                yield _about(pa.parquet.read_schema(path))

    # --- files

    def _within(self, span: tuple[int, int], tail: Columns, *, mend: bool) -> Columns:
        parts = [self._load(part, span, mend=mend) for part in self._parts() if self._may_hold(part, span)]
        rows = self._tidy([tail, *parts])
        first, last = np.searchsorted(rows[self._layout.identity[0]], span)
        return {name: values[first:last] for name, values in rows.items()}

    def _spread(self, rows: Columns) -> None:
        labels = self._labels(rows[self._layout.identity[0]])
        for label in np.unique(labels):
            part = self.folder / f"{label}.parquet"
            chosen = {name: values[labels == label] for name, values in rows.items()}
            write_whole(part, self._dump(self._tidy([self._load(part, mend=True), chosen])))
        sync_folder(self.folder)
        remove(self._tail)

    def _parts(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if _PART.fullmatch(path.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_failed("list", self.folder, error) from error

    def _labels(self, moments_us: NDArray[np.int64]) -> NDArray[np.str_]:
        return np.datetime_as_string(moments_us.astype("datetime64[us]").astype(f"datetime64[{self._layout.part}]"))

    def _may_hold(self, part: Path, span: tuple[int, int]) -> bool:
        return self._start_us(part) < span[1] and span[0] < self._end_us(part)

    def _start_us(self, part: Path) -> int:
        return int(np.datetime64(part.stem).astype("datetime64[us]").astype(np.int64))

    def _end_us(self, part: Path) -> int:
        return int((np.datetime64(part.stem) + 1).astype("datetime64[us]").astype(np.int64))

    def _load(self, path: Path, span: tuple[int, int] = FOREVER, *, mend: bool = False) -> Columns:
        """At least the file's rows within the span; none where it is absent or damaged. Who writes mends: sets a damaged one
        aside, so that a sound one can take its place. Who reads changes nothing."""
        data = read_whole(path)
        if data is None:
            return self._none()
        try:
            return self._parse(data, span)
        except ValueError as error:
            log.warning("%s is %s: %s", path, f"set aside as {set_aside(path).name}" if mend else "passed over", error)
            return self._none()

    # --- rows and bytes

    def _none(self) -> Columns:
        return {column.name: np.empty(0, _DTYPES[column.kind]) for column in self._layout.columns}

    def _tidy(self, found: Sequence[Columns]) -> Columns:
        """All rows in order, each once."""
        some = [rows for rows in found if _length(rows)]
        if not some:
            return self._none()
        rows = some[0] if len(some) == 1 else {name: np.concatenate([each[name] for each in some]) for name in some[0]}
        first, second = (rows[name] for name in self._layout.identity)
        rises = (first[1:] > first[:-1]) | ((first[1:] == first[:-1]) & (second[1:] > second[:-1]))
        if rises.all():
            return rows
        order = np.lexsort((second, first))
        first, second = first[order], second[order]
        once = np.append(True, (first[1:] != first[:-1]) | (second[1:] != second[:-1]))
        return {name: values[order][once] for name, values in rows.items()}

    def _dump(self, rows: Columns) -> bytes:
        pa = pyarrow()
        arrays = [_to_arrow(column, rows[column.name]) for column in self._layout.columns]
        names = [column.name for column in self._layout.columns]
        table = pa.Table.from_arrays(arrays, names=names).replace_schema_metadata(self._about)
        moments = [column.name for column in self._layout.columns if column.kind == "moment"]
        out = pa.BufferOutputStream()
        pa.parquet.write_table(
            table,
            out,
            compression="zstd",
            use_dictionary=[name for name in names if name not in moments],
            column_encoding=dict.fromkeys(moments, "DELTA_BINARY_PACKED"),
            row_group_size=GROUP_ROWS,
        )
        return bytes(out.getvalue())

    def _parse(self, data: bytes, span: tuple[int, int]) -> Columns:
        """Raises ValueError for bytes that are no Parquet, or not of this table."""
        pa = pyarrow()
        try:
            file = pa.parquet.ParquetFile(pa.BufferReader(data))
            about = _about(file.schema_arrow)
            for key, value in self._about.items():
                if about.get(key) != value:
                    raise ValueError(f"it is of {key} {about.get(key)!r:.80}, not {value!r:.80}")
            groups = _groups_within(file.metadata, span)
            if not groups:
                return self._none()
            table = file.read_row_groups(groups, use_threads=False)
            return {column.name: _from_arrow(column, table.column(column.name)) for column in self._layout.columns}
        except (pa.ArrowException, OSError, KeyError) as error:  # OSError: Arrow's word for a page that it can't unpack
            raise ValueError(f"not a Parquet file of this table: {str(error)[:200]}") from error


_DTYPES = {"moment": np.int64, "number": np.float64, "maybe": np.float64, "word": np.int8, "text": np.object_}


def _about(schema: Any) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}


def _groups_within(metadata: Any, span: tuple[int, int]) -> list[int]:
    """The row groups whose first column may hold a moment within the span; those without statistics count."""
    return [index for index in range(metadata.num_row_groups) if _may_overlap(metadata.row_group(index), span)]


def _may_overlap(group: Any, span: tuple[int, int]) -> bool:
    known = group.column(0).statistics if group.num_columns else None
    if known is None or not known.has_min_max or known.physical_type != "INT64":
        return True
    return bool(known.min_raw < span[1] and known.max_raw >= span[0])


def _length(rows: Columns) -> int:
    return len(next(iter(rows.values())))


def _to_arrow(column: Column, values: NDArray[Any]) -> Any:
    pa = pyarrow()
    if column.kind == "moment":
        return pa.array(values, pa.int64()).cast(pa.timestamp("us", "UTC"))
    if column.kind == "word":
        return pa.DictionaryArray.from_arrays(pa.array(values, pa.int8()), pa.array(column.words))
    if column.kind == "text":
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, pa.float64(), from_pandas=column.kind == "maybe")  # then NaN is written as null


def _from_arrow(column: Column, values: Any) -> NDArray[Any]:
    """Raises ValueError for a missing value or an unknown word; ArrowException for another type."""
    pa = pyarrow()
    if values.null_count and column.kind != "maybe":
        raise ValueError(f"values of {column.name} are missing")
    if column.kind == "moment":
        return np.asarray(values.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy())
    if column.kind == "word":
        codes = pa.compute.index_in(values.cast(pa.string()), pa.array(column.words))
        if codes.null_count:
            raise ValueError(f"an unknown word in {column.name}")
        return np.asarray(codes.to_numpy().astype(np.int8))
    if column.kind == "text":
        return np.array(values.cast(pa.string()).to_pylist(), np.object_)
    numbers = np.asarray(values.cast(pa.float64()).to_numpy())
    if column.kind == "number" and not np.isfinite(numbers).all():
        raise ValueError(f"{column.name} is not finite")
    return numbers
