"""`csv:PATH`: intensity from a file, or from a folder with one `ZONE.csv` or `ZONE.csv.gz` for each zone.

Columns `timestamp` (RFC 3339 with a zone: the start of the interval) and `carbon_intensity_gco2_per_kwh`; an optional
`zone` column lets one file hold several zones; others are ignored. What rows mean is told in `files`.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from carbonq.domain.errors import SourceNonsense
from carbonq.domain.time import DEFAULT_SLOT_S
from carbonq.forecasters.carbon.readings import checked_intensity, sound
from carbonq.forecasters.carbon.sources.files import (
    TIME_COLUMN,
    VALUE_COLUMN,
    ZONE_COLUMN,
    FileSource,
    Point,
    written_moment,
)

MAX_FILE_B = 64 * 2**20
"""Unpacked: several years of 5-minute rows. More is a mistake, or a bomb."""


class CsvSource(FileSource):
    """CSV text, plain or packed by gzip. Of `FR.csv` and `FR.csv.gz` in one folder the plain one is read."""

    def __init__(self, path: Path, *, slot_s: int = DEFAULT_SLOT_S, max_file_b: int = MAX_FILE_B) -> None:
        super().__init__("csv", path, (".csv", ".csv.gz"), slot_s=slot_s)
        self._max_file_b = max_file_b

    def points(self, file: Path) -> Sequence[Point]:
        try:
            rows = csv.DictReader(io.StringIO(self._unpacked(file).decode("utf-8-sig"), newline=""))
            _check_columns(rows, file)
            return sound(rows, lambda row: self._point(row, file, rows.line_num), str(file))
        except (csv.Error, UnicodeDecodeError) as error:
            raise SourceNonsense(f"{file} is no CSV text in UTF-8: {error}", where=self.name) from error

    def _point(self, row: Mapping[str, str | None], file: Path, line: int) -> Point:
        where = f"{file}:{line}"
        zone = row.get(ZONE_COLUMN) or self.zone_of(file)
        start = written_moment((row[TIME_COLUMN] or "").strip(), where)
        return Point(zone.upper(), start, _value(row[VALUE_COLUMN], where))

    def _unpacked(self, file: Path) -> bytes:
        with _opened(file) as stream:
            data = stream.read(self._max_file_b + 1)
        if len(data) > self._max_file_b:
            raise SourceNonsense(
                f"{file} holds more than {self._max_file_b // 2**20} MiB", where=self.name, hint="split it by zone"
            )
        return data


def _opened(file: Path) -> BinaryIO:
    if file.suffix == ".gz":
        import gzip

        return cast("BinaryIO", gzip.open(file))  # it reads like one, which typeshed does not know
    return file.open("rb")


def _check_columns(rows: "csv.DictReader[str]", file: Path) -> None:
    for column in (TIME_COLUMN, VALUE_COLUMN):
        if column not in (rows.fieldnames or ()):
            raise SourceNonsense(
                f"no column {column!r}",
                where=f"{file}:1",
                hint=f"the first line names {TIME_COLUMN} and {VALUE_COLUMN}",
            )


def _value(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        raise SourceNonsense(f"{text!r:.80} is no carbon intensity", where=where, hint="a number in g/kWh") from None
    return checked_intensity(value, where)
