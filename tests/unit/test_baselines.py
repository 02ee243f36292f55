"""The simple curves: what they foresee, how wide their bands are, and that they always answer."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from carbonq.forecasters.carbon.models.baselines import LastWeek, Published, Typical, WeekMean, Yesterday
from carbonq.forecasters.carbon.models.series import (
    MEDIAN,
    QUANTILES,
    CarbonModel,
    Features,
    FloatArray,
    Issue,
    Readings,
)

START = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
CURVES = (Yesterday, LastWeek, WeekMean, Typical)


def hourly(values: FloatArray) -> Readings:
    return Readings(START, 3600, np.asarray(values, dtype=float))


def point(model: CarbonModel, readings: Readings, horizon: int = 48) -> list[float]:
    model.fit(readings)
    return [float(value) for value in model.predict(readings, horizon)[MEDIAN]]


def test_yesterday_comes_again_each_day() -> None:
    readings = hourly(np.arange(72.0))
    assert list(range(48, 72)) * 2 == point(Yesterday(), readings)


def test_last_week_comes_again() -> None:
    readings = hourly(np.arange(400.0))
    assert list(range(400 - 168, 400)) + list(range(400 - 168, 400 - 144)) == point(LastWeek(), readings, 192)


def test_the_mean_of_a_week_is_of_each_hour() -> None:
    days = np.repeat(np.arange(10.0), 24) * 100 + np.tile(np.arange(24.0), 10)
    assert [600 + hour for hour in range(24)] * 2 == point(WeekMean(), hourly(days))


def test_the_typical_day_stands_at_the_level_of_the_last_24_hours() -> None:
    shape = np.tile(np.arange(24.0), 60)
    level = np.concatenate([np.zeros(59 * 24), np.full(24, 300.0)])
    model = Typical()
    model.fit(hourly(shape))
    found = model.predict(hourly(shape + level), 24)[MEDIAN]
    assert np.arange(24.0) - np.arange(24.0).mean() == pytest.approx(found - found.mean())
    assert shape[:24].mean() + 300 == pytest.approx(found.mean())


def test_the_typical_profile_knows_weekends_and_months() -> None:
    times = [START + timedelta(hours=hour) for hour in range(24 * 366)]
    usual = np.array([100.0 * time.month + 7 * (time.weekday() >= 5) + time.hour for time in times])
    model = Typical()
    model.fit(hourly(usual))
    found = model.predict(hourly(usual[: 24 * 29]), 96)[MEDIAN]  # Tuesday, 30 January: into February
    assert usual[24 * 29 : 24 * 33].tolist() == pytest.approx(found.tolist())


def test_the_band_is_that_of_past_errors_at_the_same_lead() -> None:
    """Days go up by one each, so that yesterday's curve errs by 1 on the first day, by 2 on the second."""
    days = np.repeat(np.arange(40.0), 24)
    found = Yesterday().predict(hourly(days), 48)
    assert [found[-1, 0], found[-1, 24]] == [40.0, 41.0]
    assert found[0].tolist() == found[MEDIAN].tolist() == [39.0] * 48


def test_bands_cover_what_they_say_on_a_noisy_series() -> None:
    noise = np.random.default_rng(3).normal(200, 30, 24 * 500)
    inside = []
    for day in range(100, 480, 2):
        found = Yesterday().predict(hourly(noise[: day * 24]), 24)
        truth = noise[day * 24 : day * 24 + 24]
        inside.append((found[QUANTILES.index(0.1)] <= truth) & (truth <= found[QUANTILES.index(0.9)]))
    assert float(np.mean(inside)) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("make", CURVES)
@settings(max_examples=60, deadline=None)
@given(
    values=st.integers(0, 400).flatmap(
        lambda length: arrays(np.float64, length, elements=st.floats(-100, 900) | st.just(float("nan")))
    ),
    horizon=st.integers(1, 200),
)
def test_a_curve_always_comes_and_its_quantiles_ascend(
    make: type[Yesterday | LastWeek | WeekMean | Typical], values: FloatArray, horizon: int
) -> None:
    model = make()
    model.fit(hourly(values))
    found = model.predict(hourly(values), horizon)
    assert found.shape == (len(QUANTILES), horizon)
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=0) >= -1e-9).all()


@pytest.mark.parametrize("make", CURVES)
def test_other_steps_than_an_hour_work(make: type[Yesterday | LastWeek | WeekMean | Typical]) -> None:
    values = np.tile(np.arange(96.0), 30)
    readings = Readings(START, 900, values)
    model = make()
    model.fit(readings)
    assert values[:96].tolist() == pytest.approx(model.predict(readings, 96)[MEDIAN].tolist())


# --- published forecasts


def published(*issues: tuple[int, list[float]], step_s: int = 3600) -> Features:
    """Issues by the day they were made at 00 UTC."""
    made = [
        Issue(START + timedelta(days=day), START + timedelta(days=day), np.array(values)[:, None])
        for day, values in issues
    ]
    return Features(("published",), step_s, tuple(made))


def test_the_published_forecast_is_the_latest_one_known() -> None:
    given_out = published((1, [1.0] * 48), (2, [2.0] * 48), (3, [3.0] * 48))
    found = Published().predict(hourly(np.zeros(48)), 24, [given_out])
    assert found[MEDIAN].tolist() == [2.0] * 24


def test_a_published_band_comes_from_its_past_errors_alone() -> None:
    given_out = published((1, [1.0] * 48), (2, [1.0] * 48))
    readings = hourly(np.concatenate([np.zeros(24), np.full(24, 11.0)]))
    found = Published().predict(readings, 24, [given_out])
    assert (found[0].tolist(), found[-1].tolist()) == ([1.0] * 24, [11.0] * 24)
    assert np.ptp(Published().predict(readings.before(START + timedelta(days=1)), 24, [given_out]), axis=0).max() == 0


def test_a_published_forecast_that_does_not_reach_is_none() -> None:
    readings = hourly(np.zeros(48))
    assert np.isnan(Published().predict(readings, 96, [published((2, [1.0] * 48))])).all()
    assert np.isnan(Published().predict(readings, 24, [published((5, [1.0] * 48))])).all()
    assert np.isnan(Published().predict(readings, 24)).all()


def test_hourly_published_values_hold_for_finer_readings() -> None:
    readings = Readings(START, 1800, np.zeros(96))
    found = Published().predict(readings, 4, [published((2, [5.0, 7.0]))])
    assert found[MEDIAN].tolist() == [5.0, 5.0, 7.0, 7.0]
