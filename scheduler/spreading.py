"""Energy over time meets intensity over time: plain sums that anybody can redo. Pure; grid time.

Every trace segment's energy is spread evenly over its time and cut where the intensity changes.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from carbonq.domain.carbon import CarbonIntensity, IntensitySeries
from carbonq.domain.energy import EnergyReading, TraceSegment
from carbonq.domain.job import Measurement
from carbonq.domain.receipt import EmissionsSlot
from carbonq.domain.units import energy_g

INSTANT = timedelta(milliseconds=1)
"""The length given to what began and ended at the same moment."""


def spread(segments: Sequence[TraceSegment], actual: IntensitySeries | None) -> list[EmissionsSlot]:
    """One slot a reading (or gap) that the segments meet, with their energy in it; parts without energy included."""
    if not segments:
        return []
    start, end = min(s.start for s in segments), max(s.end for s in segments)
    pieces = list(_pieces(start, end, actual))
    starts = [piece.start for piece in pieces]
    energy_j = [0.0] * len(pieces)
    for segment in segments:
        length_s = (segment.end - segment.start).total_seconds()
        index = bisect_right(starts, segment.start) - 1
        while index < len(pieces) and pieces[index].start < segment.end:
            overlap = min(segment.end, pieces[index].end) - max(segment.start, pieces[index].start)
            energy_j[index] += segment.energy_j * (overlap.total_seconds() / length_s)
            index += 1
    return [piece.with_energy(share_j) for piece, share_j in zip(pieces, energy_j, strict=True)]


def covers(series: IntensitySeries | None, start: datetime, end: datetime) -> bool:
    """Whether the series has a reading for all of `[start, end)`."""
    return series is not None and series.mean(start, end) is not None


def segments_of(measurement: Measurement) -> tuple[TraceSegment, ...]:
    """The attempt's trace, or its energy as one even segment; scaled to the known readings' sum where the two differ."""
    energy_j = measurement.energy_j
    if energy_j is None:
        return ()
    traced_j = sum(segment.energy_j for segment in measurement.trace)
    if not traced_j:
        start = measurement.started_at
        return (TraceSegment(start=start, end=start + length_of(measurement), energy_j=energy_j),)
    scale = energy_j / traced_j
    return tuple(
        TraceSegment(start=s.start, end=max(s.end, s.start + INSTANT), energy_j=s.energy_j * scale)
        for s in measurement.trace
    )


def length_of(measurement: Measurement) -> timedelta:
    """How long the attempt ran; never nothing, also where a clock jumped back under it."""
    return max(measurement.ended_at - measurement.started_at, INSTANT)


def combined(measurements: Iterable[Measurement]) -> tuple[EnergyReading, ...]:
    """Readings of all attempts, those of one component and method added up. Their errors are taken to go together."""
    found: dict[tuple[str, str, str], EnergyReading] = {}
    for reading in (reading for m in measurements for reading in m.readings):
        key = (reading.component.value, reading.provenance.value, reading.method)
        found[key] = _added(found[key], reading) if key in found else reading
    return tuple(found.values())


class _Piece(NamedTuple):
    start: datetime
    end: datetime
    reading: CarbonIntensity | None

    def with_energy(self, energy_j: float) -> EmissionsSlot:
        intensity = self.reading.intensity_g_per_kwh if self.reading else None
        grams = energy_g(energy_j, intensity) if intensity is not None else None if energy_j else 0.0
        origin = self.reading.origin if self.reading else None
        return EmissionsSlot(
            start=self.start,
            end=self.end,
            energy_j=energy_j,
            intensity_g_per_kwh=intensity,
            origin=origin,
            emissions_g=grams,
        )


def _pieces(start: datetime, end: datetime, actual: IntensitySeries | None) -> Iterator[_Piece]:
    """`[start, end)` cut at the edges of the readings; a gap is a piece without one."""
    at = start
    for reading in actual.within(start, end) if actual else ():
        if reading.start > at:
            yield _Piece(at, reading.start, None)
        yield _Piece(max(at, reading.start), min(reading.end, end), reading)
        at = min(reading.end, end)
    if at < end:
        yield _Piece(at, end, None)


def back_to_back(measurements: Sequence[Measurement], start: datetime) -> tuple[list[TraceSegment], datetime]:
    """The measurements' traces one after another from `start` on, and the moment at which the last one ends."""
    moved: list[TraceSegment] = []
    for measurement in measurements:
        shift = start - measurement.started_at
        moved += (
            TraceSegment(start=s.start + shift, end=s.end + shift, energy_j=s.energy_j)
            for s in segments_of(measurement)
        )
        start += length_of(measurement)
    return moved, start


def _added(one: EnergyReading, other: EnergyReading) -> EnergyReading:
    if one.energy_j is None or other.energy_j is None:
        return one
    energy_j = one.energy_j + other.energy_j
    errors = (one.uncertainty_rel, other.uncertainty_rel)
    error_j = (
        None
        if None in errors
        else sum(
            r.energy_j * r.uncertainty_rel
            for r in (one, other)
            if r.energy_j is not None and r.uncertainty_rel is not None
        )
    )
    uncertainty = error_j / energy_j if error_j is not None and energy_j else one.uncertainty_rel
    return one.model_copy(update={"energy_j": energy_j, "uncertainty_rel": uncertainty})
