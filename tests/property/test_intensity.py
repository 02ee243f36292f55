"""A series' means against a sum over single seconds, and conservation over any cut."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonq.domain.carbon import CarbonIntensity, IntensitySeries, Origin
from carbonq.domain.time import SlotGrid

START = datetime(2026, 1, 5, tzinfo=UTC)
INTENSITY = st.floats(-50, 900, allow_nan=False)


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


@st.composite
def series(draw: st.DrawFn, gaps: bool = True) -> IntensitySeries:
    """Readings of 1 to 40 seconds, with pauses between them where gaps are allowed."""
    lengths = draw(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3 if gaps else 0)), min_size=1, max_size=12))
    readings, second = [], 0
    for length, pause in lengths:
        value = draw(INTENSITY)
        readings.append(
            CarbonIntensity(
                start=at(second), end=at(second + length), intensity_g_per_kwh=value, origin=Origin.MEASURED
            )
        )
        second += length + pause
    return IntensitySeries(zone="FR", source="test", readings=tuple(readings))


@given(series(), st.integers(-5, 200), st.integers(1, 60))
def test_a_mean_is_the_mean_of_its_seconds(one: IntensitySeries, first: int, length: int) -> None:
    seconds = [one.at(at(second)) for second in range(first, first + length)]
    expected = (
        None
        if None in seconds
        else pytest.approx(sum(found.intensity_g_per_kwh for found in seconds if found) / length, abs=1e-9)
    )

    assert one.mean(at(first), at(first + length)) == expected


@given(series(gaps=False), st.data())
def test_the_means_of_two_parts_make_the_mean_of_the_whole(one: IntensitySeries, data: st.DataObject) -> None:
    length = int((one.readings[-1].end - START).total_seconds())
    cut = data.draw(st.integers(0, length))
    parts = [(one.mean(at(first), at(last)) or 0.0) * (last - first) for first, last in ((0, cut), (cut, length))]

    assert one.mean(at(0), at(length)) == pytest.approx(sum(parts) / length, abs=1e-9)


@given(st.integers(-(10**6), 10**6), st.integers(0, 10**5), st.sampled_from([60, 300, 1800, 3600]))
def test_a_grid_is_the_smallest_that_covers(first: int, length: int, slot_s: int) -> None:
    grid = SlotGrid.covering(at(first), at(first + length), slot_s)

    assert grid.start <= at(first)
    assert grid.end >= at(first + length)
    assert at(first) - grid.start < timedelta(seconds=slot_s)
    assert grid.end - at(first + length) < timedelta(seconds=slot_s)
    assert all(
        grid.index(start) == index and grid.index(end) == index + 1
        for index, (start, end) in list(enumerate(grid))[:50]
    )
