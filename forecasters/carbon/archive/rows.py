"""Readings as arrays, with when each value was first seen. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from carbonq.domain.carbon import CarbonIntensity, Origin
from carbonq.forecasters.carbon.archive.moments import from_us, to_us
from carbonq.forecasters.carbon.archive.spans import Span
from carbonq.forecasters.carbon.models.series import Readings

ORIGINS = tuple(Origin)
LEAST_KNOWN = 0.5
"""A step is known if this part of it is: one lost five-minute value must not cost an hour."""
US = 1_000_000

IntArray = NDArray[np.int64]


class Rows(NamedTuple):
    """Equally long arrays; moments in microseconds since 1970, sorted by start, then by when they were seen."""

    start: IntArray
    seen_at: IntArray
    end: IntArray
    intensity_g_per_kwh: NDArray[np.float64]
    origin: NDArray[np.int8]  # indexes of ORIGINS

    @classmethod
    def of(cls, readings: Sequence[CarbonIntensity], seen_at: datetime) -> Self:
        return cls(
            np.array([to_us(reading.start) for reading in readings], np.int64),
            np.full(len(readings), to_us(seen_at), np.int64),
            np.array([to_us(reading.end) for reading in readings], np.int64),
            np.array([reading.intensity_g_per_kwh for reading in readings], np.float64),
            np.array([ORIGINS.index(reading.origin) for reading in readings], np.int8),
        )

    @property
    def size(self) -> int:
        return len(self.start)

    def where(self, chosen: NDArray[np.bool_] | IntArray) -> Self:
        return self._replace(
            start=self.start[chosen],
            seen_at=self.seen_at[chosen],
            end=self.end[chosen],
            intensity_g_per_kwh=self.intensity_g_per_kwh[chosen],
            origin=self.origin[chosen],
        )

    def readings(self) -> list[CarbonIntensity]:
        """As values. They were validated when they came: two years are built in a fraction of the time without it."""
        return [
            CarbonIntensity.model_construct(
                start=from_us(start), end=from_us(end), intensity_g_per_kwh=value, origin=ORIGINS[origin]
            )
            for start, _, end, value, origin in zip(*(values.tolist() for values in self), strict=True)
        ]


def newest(rows: Rows) -> Rows:
    """Of each start the value seen last. Where a source has changed its steps, what was seen later covers what was seen
    earlier: the result never overlaps."""
    last = np.append(rows.start[1:] != rows.start[:-1], True)
    latest = rows.where(last[: rows.size])
    return latest if np.all(latest.end[:-1] <= latest.start[1:]) else _without_overlaps(latest)


def _without_overlaps(rows: Rows) -> Rows:
    kept: list[list[float]] = []  # as columns: start, seen_at, end, value, origin
    for row in zip(*(values.tolist() for values in rows), strict=True):
        start, seen_at, end, *rest = row
        while kept and kept[-1][2] > start and seen_at >= kept[-1][1]:
            kept[-1][2] = start
            if kept[-1][0] < start:
                break
            kept.pop()
        if kept:
            start = max(start, kept[-1][2])
        if start < end:
            kept.append([start, seen_at, end, *rest])
    start_us, seen_us, end_us, values, origins = (np.array(column) for column in zip(*kept, strict=True))
    return Rows(
        start_us.astype(np.int64),
        seen_us.astype(np.int64),
        end_us.astype(np.int64),
        values.astype(np.float64),
        origins.astype(np.int8),
    )


def spans(rows: Rows) -> tuple[Span, ...]:
    """What time the newest values cover, in order, adjoining ones as one."""
    known = newest(rows)
    if not known.size:
        return ()
    breaks = np.flatnonzero(known.start[1:] > known.end[:-1])
    starts = known.start[np.append(0, breaks + 1)]
    ends = known.end[np.append(breaks, known.size - 1)]
    return tuple(Span(from_us(start), from_us(end)) for start, end in zip(starts.tolist(), ends.tolist(), strict=True))


def on_steps(rows: Rows, step_s: int, start: datetime, end: datetime) -> Readings:
    """The newest values on whole steps since 1970 that lie within `[start, end)`, rounded outwards: coarser readings are held,
    finer ones averaged by their time; NaN where less than half of a step is known."""
    step_us = step_s * US
    first, last = to_us(start) // step_us, -(-to_us(end) // step_us)
    count = max(0, last - first)
    known = newest(rows)
    begin, until = known.start - first * step_us, known.end - first * step_us
    from_step, to_step = begin // step_us, (until - 1) // step_us
    pieces = to_step - from_step + 1
    owner = np.repeat(np.arange(known.size), pieces)
    step = from_step[owner] + np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    overlap = np.minimum(until[owner], (step + 1) * step_us) - np.maximum(begin[owner], step * step_us)
    inside = (step >= 0) & (step < count)
    step, weight = step[inside], overlap[inside] / step_us
    total = np.bincount(step, weight * known.intensity_g_per_kwh[owner[inside]], count)
    share = np.bincount(step, weight, count)
    values = np.full(count, np.nan)
    np.divide(total, share, out=values, where=share >= LEAST_KNOWN)
    return Readings(from_us(first * step_us), step_s, values)
