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
from carbonq.domain.units import energy_g, known_sum

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
    found: dict[tuple[object, ...], EnergyReading] = {}
    seen = tuple(measurements)
    for measurement in seen:
        for reading in measurement.readings:
            key = (reading.component, reading.provenance, reading.method, reading.rung)
            told = _told(reading, measurement.attempt if len(seen) > 1 else None)
            found[key] = _added(found[key], told) if key in found else told
    return tuple(found.values())


def _told(reading: EnergyReading, attempt: int | None) -> EnergyReading:
    """The reading, its flags saying which of several attempts they are about."""
    if attempt is None or not reading.flags:
        return reading
    return reading.model_copy(update={"flags": tuple(f"attempt {attempt}: {flag}" for flag in reading.flags)})


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
    """Two readings by one method as one. The second way is kept where it read both."""
    flags = tuple(dict.fromkeys((*one.flags, *other.flags)))
    if one.energy_j is None or other.energy_j is None:
        return one.model_copy(update={"flags": flags})
    energy_j = one.energy_j + other.energy_j
    error_j = known_sum((_error_j(one), _error_j(other)))
    uncertainty_rel = one.uncertainty_rel if not energy_j else None if error_j is None else error_j / energy_j
    same = one.cross_check_method == other.cross_check_method
    check_j = known_sum((one.cross_check_j, other.cross_check_j)) if same else None
    return one.model_copy(
        update={
            "energy_j": energy_j,
            "uncertainty_rel": uncertainty_rel,
            "cross_check_j": check_j,
            "cross_check_method": one.cross_check_method if check_j is not None else None,
            "flags": flags,
        }
    )


def _error_j(reading: EnergyReading) -> float | None:
    if reading.energy_j is None or reading.uncertainty_rel is None:
        return None
    return reading.energy_j * reading.uncertainty_rel
