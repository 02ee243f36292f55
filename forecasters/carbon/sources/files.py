"""Intensity from a person's own files: one with rows for some zones, or a folder with a file named after each zone.

Each row names the start of an interval and holds until the next one, at most as long as the zone's usual step: longer gaps stay
gaps. Of rows with the same start the last one counts; for rows that cannot be right the rule of `readings` holds. Rows are
history up to now and the forecast from now on. A file has no band and no issue time: its forecast is the median alone.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, SourceInfo, Zone
from carbonq.domain.errors import NotFound, SourceNonsense, SourceUnreachable
from carbonq.domain.time import DEFAULT_SLOT_S, SlotGrid
from carbonq.forecasters.carbon.readings import (
    Row,
    forecast_of,
    held,
    known_stretch,
    moment_in,
    moment_of,
    overlapping,
    series_of,
    usual_step,
)

TIME_COLUMN, VALUE_COLUMN, ZONE_COLUMN = "timestamp", "carbon_intensity_gco2_per_kwh", "zone"


class Point(NamedTuple):
    """One row of a file."""

    zone: Zone
    start: datetime
    intensity_g_per_kwh: float


class _Table(NamedTuple):
    """A file as read, and by what it is known to be the same file still."""

    stamp: tuple[int, int]
    rows: Mapping[Zone, Sequence[Row]]


class FileSource(ABC):
    """A file or a folder as a source. A file is read again when it has changed."""

    def __init__(self, kind: str, path: Path, endings: Sequence[str], *, slot_s: int = DEFAULT_SLOT_S) -> None:
        self.path = path
        self.name = f"{kind}:{path}"
        self._endings, self._slot_s = tuple(endings), slot_s
        self.info = SourceInfo(
            name=self.name,
            title=f"Rows of {path}",
            horizon_s=366 * 86_400,
            licence="the file's own",
            attribution=f"from {path}",
        )
        self._tables: dict[Path, _Table] = {}

    @abstractmethod
    def points(self, file: Path) -> Iterable[Point]:
        """The rows of a file, as they come. Raises SourceNonsense; OSError and EOFError where it can't be read."""

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
            raise NotFound(
                f"no row of {zone} for {grid.start:%Y-%m-%d %H:%M} UTC",
                where=self.name,
                hint="the file has a gap there, or holds the past alone: then a model forecasts from that",
            )
        return forecast_of(
            zone, grid, {"0.5": median}, model="rows of the file", origin=Origin.FORECAST, info=self.info, now=now
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
        """The folder's files by zone; of several for one zone that with the first of the endings."""
        try:
            found = [file for file in self.path.iterdir() if file.name.endswith(self._endings)]
        except OSError as error:
            raise _unreadable(self.path, self.name, error) from error
        by_zone = {self.zone_of(file): file for file in sorted(found, reverse=True)}
        return {zone: by_zone[zone] for zone in sorted(by_zone)}

    def zone_of(self, file: Path) -> Zone:
        """The zone that a file's name says."""
        return file.name.partition(self._endings[0])[0].upper()

    def _read(self, file: Path) -> Mapping[Zone, Sequence[Row]]:
        try:
            status = file.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if file not in self._tables or self._tables[file].stamp != stamp:
                self._tables[file] = _Table(stamp, _intervals(self.points(file)))
        except (OSError, EOFError) as error:
            raise _unreadable(file, self.name, error) from error
        return self._tables[file].rows


def written_moment(value: object, where: str) -> datetime:
    """RFC 3339 text, or seconds since 1970. Raises SourceNonsense, and says how to write it."""
    try:
        return moment_of(value, where) if isinstance(value, int | float) else moment_in(value, where)
    except SourceNonsense as error:
        hint = "write the zone too: 2026-01-05T18:00:00Z for UTC, or an offset such as +02:00"
        raise SourceNonsense(error.what, where=where, hint=hint) from None


def _intervals(points: Iterable[Point]) -> Mapping[Zone, Sequence[Row]]:
    by_zone: dict[Zone, dict[datetime, float]] = defaultdict(dict)
    for zone, start, value in points:
        by_zone[zone][start] = value
    return {zone: held(known, usual_step(known)) for zone, known in by_zone.items()}


def _unreadable(path: Path, name: str, error: Exception) -> SourceUnreachable:
    return SourceUnreachable(f"cannot read {path}: {error}", where=name, hint="name a readable file or folder")


def _unknown(zone: Zone, name: str, known: Iterable[Zone]) -> NotFound:
    return NotFound(f"no zone {zone!r} in {name}", hint=f"it has {', '.join(known) or 'none'}")
