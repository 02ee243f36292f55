"""Receipts recomputed from raw readings and intensity, in exact fractions, by other means than the accounting's own."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonq.domain.carbon import CarbonIntensity, IntensitySeries, Origin
from carbonq.domain.energy import Component, EnergyReading, Provenance, TraceSegment
from carbonq.domain.job import JobState, Measurement, Outcome
from carbonq.domain.receipt import Receipt
from carbonq.scheduler.accounting import BaselineStart, make_receipt
from carbonq.scheduler.baseline import Claim, first_come
from carbonq.testing import MIDNIGHT, make_job

Trace = list[tuple[int, int, float]]
"""Segments as [first second, last second, joules]."""


def _second(seconds: int) -> timedelta:
    return timedelta(seconds=seconds)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    start, found = draw(st.integers(0, 6000)), []
    for _ in range(draw(st.integers(1, 12))):
        end = start + draw(st.integers(1, 3000))
        found.append((start, end, draw(st.floats(0, 1e6, allow_subnormal=False))))
        start = end + draw(st.integers(0, 100))
    return found


@st.composite
def intensities(draw: st.DrawFn) -> list[tuple[int, int, float]]:
    """Readings of uneven length that cover all that a trace and its baseline may meet."""
    at, found = 0, []
    while at < 60_000:
        end = at + draw(st.sampled_from((300, 900, 1800, 3600, 7200)))
        found.append((at, end, draw(st.floats(-20, 900))))
        at = end
    return found


def _receipt(trace: Trace, readings: list[tuple[int, int, float]], baseline_s: int) -> Receipt:
    segments = tuple(
        TraceSegment(start=MIDNIGHT + _second(first), end=MIDNIGHT + _second(end), energy_j=energy_j)
        for first, end, energy_j in trace
    )
    series = IntensitySeries(
        zone="FR",
        source="meter",
        readings=tuple(
            CarbonIntensity(
                start=MIDNIGHT + _second(first),
                end=MIDNIGHT + _second(end),
                intensity_g_per_kwh=value,
                origin=Origin.MEASURED,
            )
            for first, end, value in readings
        ),
    )
    measurement = Measurement(
        job_id="job-1",
        fence=1,
        attempt=1,
        worker_id="w",
        pool="lab",
        zone="FR",
        outcome=Outcome.SUCCEEDED,
        started_at=segments[0].start,
        ended_at=segments[-1].end,
        real_started_at=segments[0].start,
        real_ended_at=segments[-1].end,
        readings=(
            EnergyReading(
                component=Component.GPU,
                energy_j=sum(segment.energy_j for segment in segments),
                provenance=Provenance.MEASURED,
                method="nvml-counter",
            ),
        ),
        trace=segments,
    )
    job = make_job(state=JobState.SUCCEEDED, attempts=1, finished_at=segments[-1].end)
    start = BaselineStart(MIDNIGHT + _second(baseline_s))
    return make_receipt(job, (measurement,), {"FR": series}, start, issued_at=MIDNIGHT)


def _grams(trace: Trace, readings: list[tuple[int, int, float]], shift_s: int = 0) -> Fraction:
    """Second-exact sums over every pair of segment and reading."""
    total = Fraction(0)
    for first, end, energy_j in trace:
        for start, stop, value in readings:
            overlap = min(end + shift_s, stop) - max(first + shift_s, start)
            if overlap > 0:
                total += Fraction(energy_j) * Fraction(overlap, end - first) / 3_600_000 * Fraction(value)
    return total


@settings(max_examples=150)
@given(traces(), intensities(), st.integers(0, 3000))
def test_grams_and_baseline_agree_with_plain_sums(
    trace: Trace, readings: list[tuple[int, int, float]], baseline_s: int
) -> None:
    found = _receipt(trace, readings, baseline_s)
    own, baseline = _grams(trace, readings), _grams(trace, readings, baseline_s - trace[0][0])

    assert found.emissions_g == pytest.approx(float(own), rel=1e-9, abs=1e-9)
    assert found.baseline is not None
    assert found.baseline.emissions_g == pytest.approx(float(baseline), rel=1e-9, abs=1e-9)
    assert found.avoided_g == pytest.approx(float(baseline - own), rel=1e-9, abs=1e-9)


@settings(max_examples=150)
@given(traces(), intensities())
def test_slots_add_up_to_the_totals(trace: Trace, readings: list[tuple[int, int, float]]) -> None:
    found = _receipt(trace, readings, 0)

    assert sum(slot.energy_j for slot in found.slots) == pytest.approx(found.energy_j, rel=1e-9)
    assert sum(slot.emissions_g or 0 for slot in found.slots) == pytest.approx(found.emissions_g, rel=1e-9, abs=1e-9)
    assert all(earlier.end <= later.start for earlier, later in zip(found.slots, found.slots[1:], strict=False))


claims = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 5), st.integers(1, 10)).map(
        lambda parts: (MIDNIGHT + _second(parts[0]), parts[1], _second(parts[2]))
    ),
    max_size=12,
)


@settings(max_examples=200)
@given(claims, st.integers(1, 4))
def test_first_come_never_overfills_and_never_idles_while_the_first_in_line_fits(
    drawn: list[tuple[object, int, timedelta]], capacity: int
) -> None:
    made = [Claim(arrival, f"{index:02}", units, length) for index, (arrival, units, length) in enumerate(drawn)]  # type: ignore[arg-type]
    starts = first_come(made, capacity)
    small = [claim for claim in made if claim.units <= capacity]

    assert set(starts) == {claim.job_id for claim in made}
    for moment in {starts[claim.job_id] for claim in small} | {claim.arrival for claim in small}:
        running = [c for c in small if starts[c.job_id] <= moment < starts[c.job_id] + c.duration]
        free = capacity - sum(claim.units for claim in running)
        waiting = sorted(claim for claim in small if claim.arrival <= moment < starts[claim.job_id])
        assert free >= 0
        assert [claim for claim in waiting if claim.units <= free] == []
    for claim in made:
        assert starts[claim.job_id] >= claim.arrival
