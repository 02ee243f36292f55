"""The curve of recent days: the usual day, from where the last reading stands."""

import numpy as np
import pytest

from carbonq.forecasters.carbon.models.curve import RecentDays
from carbonq.forecasters.carbon.models.series import FloatArray
from tests.made_up_series import cycle, readings


def ahead(values: FloatArray, horizon: int = 48, otherwise: float = 0.0) -> FloatArray:
    curve: FloatArray = RecentDays(horizon, otherwise).predict(readings(values), np.array([len(values)]))[0]
    return curve


@pytest.mark.parametrize("steps", [24, 31, 48, 200, 400])
def test_a_daily_cycle_goes_on_from_any_hour(steps: int) -> None:
    past, to_come = np.split(cycle(30), [steps])
    assert ahead(past) == pytest.approx(to_come[:48])


def test_later_days_weigh_more_and_those_before_the_last_week_nothing() -> None:
    days = np.repeat([900.0, 100, 100, 100, 100, 100, 100, 200], 24)
    assert ahead(days, 96)[-1] == pytest.approx(125, abs=3)
    assert ahead(days, 96).tolist() == ahead(days[24:], 96).tolist()


def test_the_last_reading_is_met_and_then_forgotten() -> None:
    past = cycle(7)
    past[-1] += 60
    beside = ahead(past) - cycle(9)[-48:]
    assert beside[0] > 30
    assert float(np.abs(beside[24:46]).max()) < 3


def test_gaps_hold_the_same_hour_of_other_days() -> None:
    past = cycle(5)
    past[30:70] = np.nan
    assert ahead(past) == pytest.approx(cycle(7)[-48:])


def test_an_hour_that_is_never_known_takes_the_mean_of_the_day() -> None:
    past = np.where(np.arange(120) % 24 == 5, np.nan, 100.0)
    assert ahead(past).tolist() == [100.0] * 48


@pytest.mark.parametrize("silent_h", [24, 100, 192, 400])
def test_days_without_readings_at_the_end_are_passed_over(silent_h: int) -> None:
    past = cycle(40)
    past[-silent_h:] = np.nan
    assert ahead(past) == pytest.approx(cycle(42)[-48:])


def test_where_nothing_is_known_the_given_value_is_foreseen() -> None:
    assert ahead(np.full(48, np.nan), 3, otherwise=7.0).tolist() == [7.0] * 3
    assert ahead(np.empty(0), 3, otherwise=7.0).tolist() == [7.0] * 3


def test_many_origins_are_each_forecast_from_their_own_past() -> None:
    values = cycle(10) + np.arange(240)
    origins = np.array([24, 77, 240])
    rows = RecentDays(30).predict(readings(values), origins)
    assert rows.tolist() == [ahead(values[:origin], 30).tolist() for origin in origins]
