"""The archive: every reading that a source gave, as Parquet on this machine, with its revisions.

    <folder>/readings/source=uk/zone=GB/signal=average/scope=lifecycle/2026.parquet

A value that comes again and differs is kept beside the former: the newest counts, `revisions` tells the change. Any number of
processes may read; writers take turns by a lock file, for milliseconds each. Other tools read the folder as a Hive-partitioned
data set.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from carbonq.domain.carbon import CarbonIntensity, IntensitySeries, Origin, Scope, SignalKind, Zone
from carbonq.domain.errors import StorageFailed
from carbonq.forecasters.carbon.archive import names
from carbonq.forecasters.carbon.archive.files import locked
from carbonq.forecasters.carbon.archive.moments import from_us, to_us
from carbonq.forecasters.carbon.archive.rows import ORIGINS, Rows, newest, on_steps, spans
from carbonq.forecasters.carbon.archive.shelf import FOREVER, Column, Columns, Layout, Shelf
from carbonq.forecasters.carbon.archive.spans import Span
from carbonq.forecasters.carbon.models.series import Readings

FUTURE = timedelta(hours=1)
"""A reading that begins later than this after now is a clock's error, the provider's or ours."""
LONGEST = timedelta(days=1)
"""A longer interval is no reading of a grid; it also bounds how far back to look for what overlaps a moment."""
_OBSERVED = frozenset({Origin.MEASURED, Origin.ESTIMATED, Origin.REPLAYED})
_LAYOUT = Layout(
    (
        Column("start", "moment"),
        Column("seen_at", "moment"),
        Column("end", "moment"),
        Column("intensity_g_per_kwh", "number"),
        Column("origin", "word", ORIGINS),
    )
)


class SeriesKey(NamedTuple):
    """What is never mixed within one series."""

    source: str
    zone: Zone
    signal: SignalKind = SignalKind.AVERAGE
    scope: Scope = Scope.LIFECYCLE

    @classmethod
    def of(cls, series: IntensitySeries) -> Self:
        return cls(series.source, series.zone, series.signal, series.scope)


class Added(NamedTuple):
    """What became of readings. Refused are those from the future, longer than a day, or foreseen instead of observed."""

    new: int = 0
    revised: int = 0
    refused: int = 0


class Revision(NamedTuple):
    """At `seen_at` a reading was seen to have changed."""

    before: CarbonIntensity
    after: CarbonIntensity
    seen_at: datetime


class Compacted(NamedTuple):
    series: int
    rows: int


class Archive:
    """The readings below one folder. Errors: StorageFailed, and CarbonqError where pyarrow is not installed."""

    def __init__(self, folder: Path, *, wait_s: float = 5.0) -> None:
        self._folder, self._wait_s = folder / "readings", wait_s

    def add(self, series: IntensitySeries, seen_at: datetime) -> Added:
        """Keep what is new or has changed. A revision counts as seen after what it revises, whatever the clock says."""
        offered = Rows.of([reading for reading in series.readings if _acceptable(reading, seen_at)], seen_at)
        refused = len(series.readings) - offered.size
        if not offered.size:
            return Added(refused=refused)
        added = Added()

        def fresh(there: Columns) -> Columns:
            nonlocal added
            rows, added = _changed(offered, _latest(Rows(**there)))
            return rows._asdict()

        with self._writing():
            self._shelf(SeriesKey.of(series)).add(int(offered.start[0]), int(offered.start[-1]) + 1, fresh)
        return added._replace(refused=refused)

    def series(self, key: SeriesKey, start: datetime, end: datetime, *, attribution: str = "") -> IntensitySeries:
        """The newest value of each reading that overlaps `[start, end)`, uncut."""
        rows = newest(self._between(key, start, end))
        overlapping = rows.where((rows.end > to_us(start)) & (rows.start < to_us(end)))
        return IntensitySeries(
            zone=key.zone,
            source=key.source,
            signal=key.signal,
            scope=key.scope,
            attribution=attribution,
            readings=tuple(overlapping.readings()),
        )

    def readings(self, key: SeriesKey, step_s: int, start: datetime, end: datetime) -> Readings:
        """The newest values on a regular grid of whole steps since 1970 around `[start, end)`; NaN for a gap. Coarser readings
        are held, finer ones averaged."""
        return on_steps(self._between(key, start, end), step_s, start, end)

    def revisions(self, key: SeriesKey, start: datetime, end: datetime) -> tuple[Revision, ...]:
        """Every change of a reading that begins within `[start, end)`, by its start, then by when it was seen."""
        rows = _rows(self._shelf(key), to_us(start), to_us(end))
        again = np.flatnonzero(rows.start[1:] == rows.start[:-1])
        before, after = rows.where(again), rows.where(again + 1)
        seen_at = (from_us(moment) for moment in after.seen_at.tolist())
        return tuple(map(Revision, before.readings(), after.readings(), seen_at))

    def coverage(self, key: SeriesKey, since: datetime | None = None) -> tuple[Span, ...]:
        """The stretches that readings cover, in order, adjoining ones as one; of all time, or of readings that begin at
        `since` or later, which is quicker told."""
        return spans(_rows(self._shelf(key), FOREVER[0] if since is None else to_us(since)))

    def keys(self) -> tuple[SeriesKey, ...]:
        """Of every series kept, in order."""
        return tuple(sorted(key for key, _ in self._shelves()))

    def compact(self) -> Compacted:
        """Fold what came since the last time into the years' files, set damaged ones aside, clear up after killed writers.

        Takes the lock for one series at a time, so that additions go on. What fails for one is raised after all others.
        """
        series = rows = 0
        failed: StorageFailed | None = None
        for _, shelf in self._shelves():
            try:
                with self._writing():
                    rows += shelf.fold()
                series += 1
            except StorageFailed as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return Compacted(series, rows)

    def _writing(self) -> AbstractContextManager[None]:
        return locked(self._folder / ".lock", self._wait_s)

    def _between(self, key: SeriesKey, start: datetime, end: datetime) -> Rows:
        """Rows that may overlap the span: a reading is at most a day long."""
        return _rows(self._shelf(key), to_us(start - LONGEST), to_us(end))

    def _shelf(self, key: SeriesKey) -> Shelf:
        return Shelf(self._folder.joinpath(*names.parts(key._asdict())), _LAYOUT, key._asdict())

    def _shelves(self) -> Iterator[tuple[SeriesKey, Shelf]]:
        for folder in sorted(self._folder.glob("source=*/zone=*/signal=*/scope=*")):
            shelf = Shelf(folder, _LAYOUT, {})
            about = names.about(folder.relative_to(self._folder).parts, shelf.abouts())
            if about is not None and shelf.exists():
                with suppress(ValueError):  # a signal or scope of another version
                    key = SeriesKey(about["source"], about["zone"], SignalKind(about["signal"]), Scope(about["scope"]))
                    yield key, self._shelf(key)


def _acceptable(reading: CarbonIntensity, seen_at: datetime) -> bool:
    return reading.start <= seen_at + FUTURE and reading.end - reading.start <= LONGEST and reading.origin in _OBSERVED


def _rows(shelf: Shelf, first_us: int = FOREVER[0], last_us: int = FOREVER[1]) -> Rows:
    return Rows(**shelf.read(first_us, last_us))


def _latest(rows: Rows) -> Rows:
    """Of each start the row seen last, as it came."""
    return rows.where(np.append(rows.start[1:] != rows.start[:-1], True)[: rows.size])


def _changed(offered: Rows, known: Rows) -> tuple[Rows, Added]:
    """What of the offered is new or differs from what is known, and how much of it is which."""
    if not known.size:
        return offered, Added(new=offered.size)
    former = known.where(np.minimum(np.searchsorted(known.start, offered.start), known.size - 1))
    seen_before = former.start == offered.start
    same = seen_before & _equal(former, offered)
    seen_at = np.where(seen_before, np.maximum(offered.seen_at, former.seen_at + 1), offered.seen_at)
    revised = int(np.count_nonzero(seen_before & ~same))
    rows = offered._replace(seen_at=seen_at).where(~same)
    return rows, Added(rows.size - revised, revised)


def _equal(one: Rows, other: Rows) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return np.asarray(
        (one.end == other.end) & (one.intensity_g_per_kwh == other.intensity_g_per_kwh) & (one.origin == other.origin)
    )
