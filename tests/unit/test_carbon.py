"""Intensity over time: lookups, means and quantiles."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from carbonq.domain.carbon import CarbonIntensity, Forecast, IntensitySeries, Origin, quantile_band
from carbonq.domain.time import SlotGrid
from carbonq.testing import make_forecast

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def reading(first_h: float, last_h: float, intensity_g_per_kwh: float) -> CarbonIntensity:
    return CarbonIntensity(
        start=START + first_h * HOUR,
        end=START + last_h * HOUR,
        intensity_g_per_kwh=intensity_g_per_kwh,
        origin=Origin.MEASURED,
    )


SERIES = IntensitySeries(zone="FR", source="test", readings=(reading(0, 1, 100), reading(1, 2, 300), reading(3, 4, 50)))


def forecast(**quantiles: tuple[float, ...]) -> Forecast:
    grid = SlotGrid(start=START, slots=2)
    return Forecast(
        zone="FR", source="test", model="none", origin=Origin.FORECAST, issued_at=START, fetched_at=START, grid=grid,
        quantiles_g_per_kwh={name.replace("q", "0."): values for name, values in quantiles.items()},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("hour", "expected"), [(0, 100), (0.999, 100), (1, 300), (2, None), (2.5, None), (3, 50), (4, None), (-1, None)]
)
def test_a_reading_holds_its_half_open_time(hour: float, expected: float | None) -> None:
    found = SERIES.at(START + hour * HOUR)

    assert (found and found.intensity_g_per_kwh) == expected


@pytest.mark.parametrize(
    ("first_h", "last_h", "expected"),
    [(0, 2, 200), (0.5, 1.25, 500 / 3), (1, 3, None), (2, 3, None), (3.25, 3.5, 50), (0, 0, None)],
)
def test_a_mean_is_weighted_by_time_and_unknown_over_a_gap(
    first_h: float, last_h: float, expected: float | None
) -> None:
    found = SERIES.mean(START + first_h * HOUR, START + last_h * HOUR)

    assert found == (expected if expected is None else pytest.approx(expected, rel=1e-12))


def test_within_gives_what_overlaps_uncut() -> None:
    assert list(SERIES.within(START + 0.5 * HOUR, START + 3 * HOUR)) == [SERIES.readings[0], SERIES.readings[1]]
    assert list(IntensitySeries(zone="FR", source="test").within(START, START + HOUR)) == []


def test_coarse_readings_are_held_and_fine_ones_averaged() -> None:
    assert SERIES.on(SlotGrid(start=START, slot_s=1800, slots=4)) == [100, 100, 300, 300]
    assert SERIES.on(SlotGrid(start=START, slot_s=7200, slots=2)) == [200, None]


def test_readings_must_not_overlap_or_run_backward() -> None:
    with pytest.raises(ValidationError, match="overlap"):
        IntensitySeries(zone="FR", source="test", readings=(reading(0, 2, 1), reading(1, 3, 1)))
    with pytest.raises(ValidationError, match="after its start"):
        reading(1, 1, 5)
    with pytest.raises(ValidationError):
        reading(0, 1, float("nan"))


def test_a_forecast_needs_its_median_and_a_value_for_each_slot() -> None:
    with pytest.raises(ValidationError, match="median"):
        forecast(q9=(1, 2))
    with pytest.raises(ValidationError, match="1 values for 2 slots"):
        forecast(q5=(1,))


def test_a_forecast_is_looked_up_by_slot_and_ends() -> None:
    made = forecast(q5=(10, 20), q1=(5, 10), q9=(20, 40))

    assert [made.at(START + minutes * HOUR / 60) for minutes in (0, 29, 30, 60, -1)] == [10, 10, 20, None, None]
    assert made.median_g_per_kwh == (10, 20)
    assert quantile_band(made) == ((5, 10), (20, 40))
    assert made.series().mean(START, START + HOUR) == 15
    assert {one.origin for one in made.series().readings} == {Origin.FORECAST}


def test_the_median_alone_is_its_own_band() -> None:
    assert quantile_band(forecast(q5=(1, 2))) == ((1, 2), (1, 2))


def test_a_forecast_is_cut_to_whole_slots() -> None:
    whole = make_forecast(1.0, 2.0, 3.0, 4.0, start=START)
    part = whole.cut(START + timedelta(minutes=40), START + timedelta(minutes=70))
    assert (part.grid.start, part.median_g_per_kwh) == (START + timedelta(minutes=30), (2.0, 3.0))
    assert whole.cut(START - HOUR, START + 24 * HOUR) == whole
    assert whole.cut(START + 5 * HOUR, START + 6 * HOUR).grid.slots == 0
