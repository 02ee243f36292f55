"""`csv:PATH`: intensity from a file, or from a folder with one `ZONE.csv` or `ZONE.csv.gz` for each zone.

Columns `timestamp` (RFC 3339 with a zone: the start of the interval) and `carbon_intensity_gco2_per_kwh`; an optional
`zone` column lets one file hold several zones; others are ignored. A row holds until the next one, at most as long as the
file's usual step: longer gaps stay gaps. Of rows with the same start the last one counts.

Rows are history up to now and the forecast from now on. A file has no band and no issue time: its forecast is the median alone.
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, SourceInfo, Zone
from carbonq.domain.errors import NotFound, SourceNonsense, SourceUnreachable
from carbonq.domain.time import DEFAULT_SLOT_S, SlotGrid
from carbonq.forecasters.carbon.readings import (
    Row,
    checked_intensity,
    forecast_of,
    known_stretch,
    overlapping,
    series_of,
)

TIME_COLUMN, VALUE_COLUMN, ZONE_COLUMN = "timestamp", "carbon_intensity_gco2_per_kwh", "zone"
MAX_FILE_B = 64 * 2**20
"""Unpacked: several years of 5-minute rows. More is a mistake, or a bomb."""
_ENDINGS = (".csv", ".csv.gz")


class _Table(NamedTuple):
    """A file as read, and by what it is known to be the same file still."""

    stamp: tuple[int, int]
    rows: Mapping[Zone, Sequence[Row]]


class CsvSource:
    """A file or a folder as a source. A file is read again when it has changed."""

    def __init__(self, path: Path, *, slot_s: int = DEFAULT_SLOT_S, max_file_b: int = MAX_FILE_B) -> None:
        self.path = path
        self.name = f"csv:{path}"
        self._slot_s, self._max_file_b = slot_s, max_file_b
        self.info = SourceInfo(
            name=self.name,
            title=f"Rows of {path}",
            horizon_s=366 * 86_400,
            licence="the file's own",
            attribution=f"from {path}",
        )
        self._tables: dict[Path, _Table] = {}

    def zones(self) -> Sequence[Zone]:
        if self.path.is_dir():
            return tuple(self._files())
        return sorted(self._read(self.path))

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        return series_of(zone, overlapping(self._rows(zone), start, end), Origin.MEASURED, self.info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        grid = SlotGrid.covering(now, end, self._slot_s)
        ahead = overlapping(self._rows(zone), grid.start, grid.end)
        median = known_stretch(series_of(zone, ahead, Origin.FORECAST, self.info), grid)
        if grid.slots and not median:
            raise SourceUnreachable(
                f"no row of {zone} for {grid.start:%Y-%m-%d %H:%M} UTC",
                where=self.name,
                hint="the file has a gap there, or ends before; bring it up to date",
            )
        return forecast_of(
            zone,
            grid,
            {"0.5": median},
            model="rows of the file",
            origin=Origin.FORECAST,
            info=self.info,
            now=now,
        )

    def _rows(self, zone: Zone) -> Sequence[Row]:
        tables = self._read(self._file_of(zone))
        if zone not in tables:
            raise _unknown(zone, self.name, tables)
        return tables[zone]

    def _file_of(self, zone: Zone) -> Path:
        if not self.path.is_dir():
            return self.path
        files = self._files()
        if zone not in files:
            raise _unknown(zone, self.name, files)
        return files[zone]

    def _files(self) -> Mapping[Zone, Path]:
        """The folder's files by zone; of `FR.csv` and `FR.csv.gz` the plain one."""
        try:
            found = sorted((file for file in self.path.iterdir() if file.name.endswith(_ENDINGS)), reverse=True)
        except OSError as error:
            raise _unreadable(self.path, self.name, error) from error
        by_zone = {_zone_of(file): file for file in found}
        return {zone: by_zone[zone] for zone in sorted(by_zone)}

    def _read(self, file: Path) -> Mapping[Zone, Sequence[Row]]:
        try:
            status = file.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if file not in self._tables or self._tables[file].stamp != stamp:
                self._tables[file] = _Table(stamp, self._parse(file))
        except (OSError, EOFError) as error:
            raise _unreadable(file, self.name, error) from error
        return self._tables[file].rows

    def _parse(self, file: Path) -> Mapping[Zone, Sequence[Row]]:
        points: dict[Zone, dict[datetime, float]] = defaultdict(dict)
        try:
            text = io.StringIO(self._unpacked(file).decode("utf-8-sig"), newline="")
            for zone, start, value in _points(csv.DictReader(text), file):
                points[zone][start] = value
        except (csv.Error, UnicodeDecodeError) as error:
            raise SourceNonsense(f"{file} is no CSV text in UTF-8: {error}", where=self.name) from error
        return {zone: _intervals(sorted(known.items())) for zone, known in points.items()}

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


def _zone_of(file: Path) -> Zone:
    return file.name.partition(".csv")[0].upper()


def _unreadable(path: Path, name: str, error: Exception) -> SourceUnreachable:
    return SourceUnreachable(f"cannot read {path}: {error}", where=name, hint="name a readable file or folder")


def _unknown(zone: Zone, name: str, known: Iterable[Zone]) -> NotFound:
    return NotFound(f"no zone {zone!r} in {name}", hint=f"it has {', '.join(known) or 'none'}")


def _points(rows: "csv.DictReader[str]", file: Path) -> Iterator[tuple[Zone, datetime, float]]:
    for column in (TIME_COLUMN, VALUE_COLUMN):
        if column not in (rows.fieldnames or ()):
            raise SourceNonsense(
                f"no column {column!r}",
                where=f"{file}:1",
                hint=f"the first line names {TIME_COLUMN} and {VALUE_COLUMN}",
            )
    for row in rows:
        where = f"{file}:{rows.line_num}"
        yield (row.get(ZONE_COLUMN) or _zone_of(file)).upper(), _moment(row[TIME_COLUMN], where), _value(row, where)


def _moment(text: str | None, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        raise SourceNonsense(
            f"{text!r:.80} is no time", where=where, hint="write RFC 3339, such as 2026-01-05T18:00:00Z"
        ) from None
    if moment.tzinfo is None:
        raise SourceNonsense(
            f"{text!r:.80} has no zone", where=where, hint="write Z for UTC, or an offset such as +02:00"
        )
    return moment.astimezone(UTC)


def _value(row: Mapping[str, str | None], where: str) -> float:
    text = row[VALUE_COLUMN]
    try:
        value = float(text or "")
    except ValueError:
        raise SourceNonsense(f"{text!r:.80} is no carbon intensity", where=where, hint="a number in g/kWh") from None
    return checked_intensity(value, where)


def _intervals(points: Sequence[tuple[datetime, float]]) -> list[Row]:
    """Each row holds until the next, at most for the usual step: the most frequent distance, an hour for a single row."""
    steps = Counter(later - earlier for (earlier, _), (later, _) in pairwise(points))
    usual = max(steps, key=lambda step: (steps[step], -step)) if steps else timedelta(hours=1)
    starts = [start for start, _ in points]
    ends = [min(start + usual, follower) for start, follower in pairwise(starts)] + [
        start + usual for start in starts[-1:]
    ]
    return [Row(start, end, value) for (start, value), end in zip(points, ends, strict=True)]
