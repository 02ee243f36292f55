"""The autoregression: what it learns from deviations, and that it never looks beyond its origin nor before its window."""

from datetime import timedelta

import numpy as np
import pytest

from carbonq.forecasters.carbon.models.autoregression import FULL, PHASES, YOUNG, Autoregression, Shape, phases_of
from carbonq.forecasters.carbon.models.series import FloatArray, Readings
from carbonq.forecasters.carbon.models.transform import Transform
from tests.made_up_series import START, cycle, grid, readings, wandering

DAY = timedelta(days=1)


def fitted(past: Readings, shape: Shape = FULL, horizon: int = 48) -> Autoregression:
    return Autoregression(shape._replace(season=False), Transform.of(past.values), horizon).fit(past)


def test_a_daily_cycle_goes_on() -> None:
    past, to_come = np.split(cycle(62), [60 * 24])
    found = fitted(readings(past)).predict(readings(past), np.array([len(past)]))
    assert found[0] == pytest.approx(to_come, abs=0.5)


def test_a_deviation_fades_as_it_faded_in_the_past() -> None:
    past = 200 + wandering(200 * 24, persistence=0.9, size=10.0)
    past[-24:] = 200 + 40 * 0.9 ** np.arange(23, -1, -1.0)  # has grown to 40
    found = fitted(readings(past), YOUNG).predict(readings(past), np.array([len(past)]))[0] - past[: -24 * 7].mean()
    assert found[0] == pytest.approx(36, abs=6)
    assert found[6] == pytest.approx(40 * 0.9**7, abs=8)
    assert float(np.abs(found[40:]).max()) < 10


@pytest.mark.parametrize("step_s", [900, 1800, 3600, 10_800])
@pytest.mark.parametrize("shape", [FULL, YOUNG])
def test_many_origins_at_once_are_forecast_as_each_alone(step_s: int, shape: Shape) -> None:
    past = readings(grid(60, step_s), step_s)
    model = fitted(past, shape, horizon=86_400 // step_s)
    last = len(past.values)
    origins = last - np.array([86_400 * 5 // step_s, 86_400 // step_s, 3, 0])
    alone = [model.predict(past, np.array([origin]))[0] for origin in origins]
    assert model.predict(past, origins) == pytest.approx(np.stack(alone), rel=1e-6)


@pytest.mark.parametrize("gap", [slice(55 * 24 - 7, 55 * 24 + 9), slice(50 * 24, 57 * 24)])
def test_an_origin_in_a_gap_does_not_know_how_the_gap_will_end(gap: slice) -> None:
    values = grid(60)
    values[gap] = np.nan
    other = values.copy()
    other[gap.stop :] = 900.0
    origins = np.array([54 * 24, 55 * 24, 55 * 24 + 3])
    model = fitted(readings(grid(60)))
    found, unmoved = (model.predict(readings(v), np.append(origins, 59 * 24))[:3] for v in (values, other))
    assert found.tolist() == unmoved.tolist()


def test_nothing_before_its_reach_and_nothing_after_the_origin_is_looked_at() -> None:
    values = grid(90)
    model = fitted(readings(values))
    origin = 80 * 24 + 5
    other = values.copy()
    other[: origin - (FULL.reach_days + 1) * 24] = 999.0
    other[origin:] = 999.0
    one, same = (model.predict(readings(v), np.array([origin])).tolist() for v in (values, other))
    assert one == same


def test_a_week_without_readings_at_the_end_leaves_the_usual_course() -> None:
    past, to_come = np.split(cycle(92), [90 * 24])
    silent = past.copy()
    silent[-30 * 24 :] = np.nan
    found = fitted(readings(past)).predict(readings(silent), np.array([len(past)]))
    assert found[0] == pytest.approx(to_come, abs=3.0)


@pytest.mark.parametrize("shape", [FULL, YOUNG])
def test_the_shortest_history_that_it_takes_gives_numbers(shape: Shape) -> None:
    past = readings(grid(shape.reach_days + 2.5))
    assert np.isfinite(fitted(past, shape).predict(past, np.array([len(past.values)]))).all()


def test_on_the_logarithmic_scale_no_forecast_is_negative() -> None:
    values: FloatArray = np.where(np.random.default_rng(0).random(90 * 24) < 0.5, 0.0, grid(90))
    past = readings(values)
    model = Autoregression(YOUNG, Transform.of(values).as_logarithm(), 48).fit(past)
    assert model.predict(past, np.arange(80 * 24, 90 * 24, 6)).min() >= 0


@pytest.mark.parametrize(("start_h", "expected"), [(0, [0, 0, 0, 1, 1, 2, 3, 0]), (18, [3, 3, 3, 0, 0, 1, 2, 3])])
def test_each_origin_belongs_to_the_nearest_time_of_day(start_h: int, expected: list[int]) -> None:
    past = readings(np.zeros(48), start=START + timedelta(hours=start_h))
    assert phases_of(past, np.array([0, 1, 2, 3, 8, 12, 20, 24])).tolist() == expected
    assert max(expected) < PHASES
