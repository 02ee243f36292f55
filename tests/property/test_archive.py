"""What holds for any readings that are added in any order, and for any gaps in them."""

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from carbonq.domain.carbon import CarbonIntensity, IntensitySeries, Origin
from carbonq.forecasters.carbon.archive.filling import KNOWN, filled
from carbonq.forecasters.carbon.archive.rows import Rows, newest, on_steps, spans
from carbonq.forecasters.carbon.archive.suspects import suspects
from carbonq.forecasters.carbon.models.series import Readings

START = datetime(2026, 3, 28, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
intensities = st.floats(-1000, 5000)


def reading(start: int, length: int, value: float) -> CarbonIntensity:
    return CarbonIntensity(
        start=START + start * MINUTE,
        end=START + (start + length) * MINUTE,
        intensity_g_per_kwh=value,
        origin=Origin.MEASURED,
    )


readings = st.builds(reading, st.integers(0, 2000), st.integers(1, 180), intensities)
lengths = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 90), intensities), max_size=30)


def rows_of(seen: list[CarbonIntensity]) -> Rows:
    """Each reading seen a minute after the one before, in the order that files have them."""
    each = [Rows.of([one], START + number * MINUTE) for number, one in enumerate(seen)]
    rows = Rows(*(np.concatenate(columns) for columns in zip(*each, strict=True)))
    return rows.where(np.lexsort((rows.seen_at, rows.start)))


@given(seen=st.lists(readings, min_size=1, max_size=20))
def test_the_newest_values_never_overlap_and_the_last_one_seen_is_whole(seen: list[CarbonIntensity]) -> None:
    kept = newest(rows_of(seen)).readings()
    series = IntensitySeries(zone="XX", source="x", readings=tuple(kept))
    last = seen[-1]
    assert series.mean(last.start, last.end) is not None
    assert {one.intensity_g_per_kwh for one in series.within(last.start, last.end)} == {last.intensity_g_per_kwh}
    for span in spans(rows_of(seen)):
        assert series.mean(span.start, span.end) is not None


@given(parts=lengths, step_min=st.sampled_from([5, 15, 30, 60, 120]), offset=st.integers(-300, 3000))
def test_a_grid_has_the_mean_of_every_step_that_is_wholly_known(
    parts: list[tuple[int, int, float]], step_min: int, offset: int
) -> None:
    at, made = 0, []
    for gap, length, value in parts:
        made.append(reading(at + gap, length, value))
        at += gap + length
    series = IntensitySeries(zone="XX", source="x", readings=tuple(made))
    first, last = START + offset * MINUTE, START + (offset + 600) * MINUTE
    grid = on_steps(Rows.of(made, START), step_min * 60, first, last)
    assert grid.start <= first
    assert last <= grid.end
    for value, (begin, end) in zip(grid.values, pairwise(map(grid.at, range(len(grid.values) + 1))), strict=True):
        mean = series.mean(begin, end)
        known = sum((min(one.end, end) - max(one.start, begin)) / (end - begin) for one in series.within(begin, end))
        assert math.isnan(value) == (known < 0.5 - 1e-9) or abs(known - 0.5) < 1e-9
        if mean is not None:
            assert math.isclose(value, mean, rel_tol=1e-9, abs_tol=1e-9)


gappy = st.lists(st.none() | st.floats(-50, 2000), max_size=400).map(
    lambda values: Readings(START, 3600, np.array([math.nan if value is None else value for value in values], float))
)


@given(readings=gappy)
def test_filling_leaves_what_is_known_and_fills_all_if_anything_is(readings: Readings) -> None:
    result = filled(readings)
    known = np.isfinite(readings.values)
    np.testing.assert_array_equal(result.readings.values[known], readings.values[known])
    np.testing.assert_array_equal(result.how == KNOWN, known | ~known.any())
    assert np.isfinite(result.readings.values).all() or not known.any()


@given(readings=gappy)
def test_any_readings_are_judged_and_only_readings_are_suspects(readings: Readings) -> None:
    mask = suspects(readings)
    assert mask.shape == readings.values.shape
    assert np.isfinite(readings.values[mask]).all()
