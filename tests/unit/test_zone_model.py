"""The model of a zone: that it always answers, learns what is regular, and gives the same numbers for the same past."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from carbonq.forecasters.carbon.models.series import MEDIAN, QUANTILES, Features, FloatArray, Readings
from carbonq.forecasters.carbon.models.zone_model import TooShort, ZoneModel
from tests.made_up_series import START, cycle, grid, readings, wandering

DAY = timedelta(days=1)


def fitted(past: Readings, features: tuple[Features, ...] = ()) -> ZoneModel:
    model = ZoneModel(past.step_s)
    model.fit(past, features)
    return model


def ahead(past: Readings, days: float = 4, features: tuple[Features, ...] = ()) -> FloatArray:
    return fitted(past, features).predict(past, int(days * 86_400 // past.step_s), features)


def check(past: Readings) -> None:
    """Whatever is asked of it is answered: one step, a week, more than a week."""
    model = fitted(past)
    for horizon in (1, 86_400 // past.step_s, 14 * 86_400 // past.step_s):
        quantiles = model.predict(past, horizon)
        assert quantiles.shape == (len(QUANTILES), horizon)
        assert np.isfinite(quantiles).all()
        assert (np.diff(quantiles, axis=0) >= 0).all()
        assert np.nanmin(past.values) < 0 or quantiles.min() >= 0
        paths = model.scenarios(quantiles, past, 3)
        assert paths.shape == (3, horizon)
        assert ((paths >= quantiles[0] - 1e-9) & (paths <= quantiles[-1] + 1e-9)).all()


# --- any history


@pytest.mark.parametrize("days", [1, 1.5, 2, 5, 8, 20, 28, *range(35, 41), 69, 70, 71, 120, 150, 300, 400])
def test_any_length_of_history_from_a_day_on_gives_a_forecast(days: float) -> None:
    check(readings(grid(days)))


@pytest.mark.parametrize("step_s", [900, 1800, 7200, 10_800, 21_600, 86_400])
@pytest.mark.parametrize("days", [1, 8, 30, 36, 72])
def test_any_step_that_fills_a_day_gives_a_forecast(step_s: int, days: int) -> None:
    check(readings(grid(days, step_s), step_s))


def test_a_step_that_fills_no_day_is_refused() -> None:
    with pytest.raises(ValueError, match="steps of 5000 s do not fill a day"):
        ZoneModel(5000)


@pytest.mark.parametrize(
    "values", [np.empty(0), np.full(90, np.nan), grid(23 / 24), np.where(np.arange(200) % 10, np.nan, grid(200 / 24))]
)
def test_less_than_a_day_of_readings_is_too_short(values: FloatArray) -> None:
    with pytest.raises(TooShort):
        ZoneModel().fit(readings(values))


GAPS: dict[str, Callable[[FloatArray, int], NDArray[np.bool_]]] = {
    "a whole week": lambda hours, _: (hours >= 48) & (hours < 216),
    "every second value": lambda hours, _: hours % 2 == 0,
    "days": lambda hours, _: hours % 24 >= 6,
    "one hour of each day": lambda hours, _: hours % 24 == 12,
    "the last three days": lambda hours, steps: hours >= steps - 72,
    "the last eight days": lambda hours, steps: hours >= steps - 192,
    "the first days": lambda hours, _: hours < 60,
    "all but the last day": lambda hours, steps: hours < steps - 24,
    "all but the first day": lambda hours, _: hours >= 24,
}


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("days", [12, 31, 50, 80])
def test_gaps_of_any_shape_are_bridged_at_the_level_of_what_is_known(days: int, gap: str) -> None:
    values = grid(days)
    lowest, highest = values.min(), values.max()
    values[GAPS[gap](np.arange(len(values), dtype=float), len(values))] = np.nan
    check(readings(values))
    median = ahead(readings(values), 2)[MEDIAN]
    assert lowest - 50 < median.min() <= median.max() < highest + 50


@pytest.mark.parametrize("gap", ["every second value", "one hour of each day"])
def test_a_band_is_learnt_also_where_some_hours_are_never_reported(gap: str) -> None:
    whole, holey = grid(40), grid(40)
    holey[GAPS[gap](np.arange(len(holey), dtype=float), len(holey))] = np.nan
    width, known = (np.ptp(ahead(readings(values), 1), axis=0).mean() for values in (holey, whole))
    assert known / 2 < width < known * 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: v - 200,
        lambda v: v - 1000,
        lambda v: v * 1e-6,
        lambda v: np.where(np.arange(len(v)) == len(v) - 30, 10 * v, v),
        lambda v: np.where(np.arange(len(v)) >= len(v) - 24, v[-25], v),
        lambda v: np.where(np.arange(len(v)) % 50, 0.0, v),
    ],
    ids=["both signs", "negative", "tiny", "one hour at ten times", "a stale day", "mostly zeros"],
)
@pytest.mark.parametrize("days", [2, 12, 31, 80])
def test_odd_values_give_a_forecast(days: int, spoil: Callable[[FloatArray], FloatArray]) -> None:
    check(readings(spoil(grid(days))))


def test_one_hour_at_ten_times_the_value_moves_tomorrow_little() -> None:
    usual, spoilt = grid(90), grid(90)
    spoilt[-30] *= 10
    before, after = (ahead(readings(values), 1)[MEDIAN] for values in (usual, spoilt))
    assert float(np.abs(after / before - 1).mean()) < 0.25


# --- what is regular


@pytest.mark.parametrize("value", [0.0, 42.0, -5.0])
@pytest.mark.parametrize("days", [5, 30, 50, 80])
def test_a_constant_series_is_forecast_exactly(days: int, value: float) -> None:
    quantiles = ahead(readings(np.full(days * 24, value)), 14)
    assert quantiles == pytest.approx(np.full(quantiles.shape, value), abs=1e-3)


@pytest.mark.parametrize(("days", "within_g"), [(8, 1.0), (30, 1.0), (50, 1.0), (90, 1.0), (330, 1.0)])
def test_a_daily_cycle_without_noise_is_forecast_nearly_exactly(days: int, within_g: float) -> None:
    past, to_come = np.split(cycle(days + 7), [days * 24])
    quantiles = ahead(readings(past), 7)
    assert quantiles[MEDIAN] == pytest.approx(to_come, abs=within_g)
    assert float(np.ptp(quantiles, axis=0).max()) < 8


@pytest.mark.parametrize("hour", range(0, 24, 5))
def test_an_origin_at_any_hour_of_the_day_goes_on_where_the_readings_end(hour: int) -> None:
    steps = 80 * 24 + hour
    past, to_come = np.split(cycle(90), [steps])
    assert ahead(readings(past), 2)[MEDIAN] == pytest.approx(to_come[:48], abs=1.0)


@pytest.mark.parametrize(
    "start", [datetime(2023, 12, 20, tzinfo=UTC), datetime(2024, 1, 15, tzinfo=UTC), datetime(2024, 8, 17, tzinfo=UTC)]
)
def test_leap_days_and_clock_changes_make_no_jump(start: datetime) -> None:
    past, to_come = np.split(cycle(77), [70 * 24 + 12])  # the days ahead hold the turn of February or of October
    assert ahead(readings(past, start=start), 4)[MEDIAN] == pytest.approx(to_come[:96], abs=1.0)


def test_beyond_a_week_the_last_day_is_repeated() -> None:
    quantiles = ahead(readings(grid(80)), 9)
    assert quantiles[:, 168:192].tolist() == quantiles[:, 144:168].tolist()
    assert quantiles[:, 192:].tolist() == quantiles[:, 144:168].tolist()


def test_a_series_in_other_units_is_forecast_in_those() -> None:
    values = grid(80)
    plain, scaled = ahead(readings(values)), ahead(readings(values * 1000))
    assert scaled / 1000 == pytest.approx(plain, rel=1e-4)


def test_the_forecast_beats_yesterdays_curve_where_deviations_fade() -> None:
    errors = []
    for seed in range(4):
        past, to_come = np.split(grid(95, seed=seed), [91 * 24])
        median = ahead(readings(past))[MEDIAN]
        errors.append((np.abs(median - to_come).mean(), np.abs(np.tile(past[-24:], 4) - to_come).mean()))
    ours, yesterdays = np.mean(errors, axis=0)
    assert ours < 0.9 * yesterdays


@pytest.mark.parametrize("days", [30, 36, 40, 75])
def test_four_of_five_hours_lie_in_the_band_at_any_age_of_the_zone(days: int) -> None:
    inside = []
    for seed in range(10):
        past, to_come = np.split(grid(days + 4, seed=seed), [days * 24])
        quantiles = ahead(readings(past, start=START + seed * DAY))
        inside.append(((to_come >= quantiles[1]) & (to_come <= quantiles[5])).mean())
    assert np.mean(inside) == pytest.approx(0.8, abs=0.14)


# --- the same numbers


def test_the_same_past_gives_the_same_numbers() -> None:
    past = readings(grid(90))
    model = fitted(past)
    first = model.predict(past, 96)
    assert first.tolist() == model.predict(past, 96).tolist()
    model.fit(past)
    assert first.tolist() == model.predict(past, 96).tolist()
    assert first.tolist() == ahead(past).tolist()


@pytest.mark.parametrize("days_known", [(27, 28, 29, 36), (66, 67, 69, 70, 71, 78), (149, 150), (299, 300, 301)])
def test_remembering_from_day_to_day_equals_a_fresh_fit_to_the_last_bit(days_known: tuple[int, ...]) -> None:
    values = grid(days_known[-1])
    values[(days_known[0] - 2) * 24 : (days_known[0] - 1) * 24] = np.nan
    remembering = ZoneModel(remember=True)
    for days in days_known:
        past = readings(values[: days * 24])
        remembering.fit(past)
        assert ahead(past).tolist() == remembering.predict(past, 96).tolist()


def test_remembering_forgets_when_the_history_grows_at_its_beginning() -> None:
    whole = readings(grid(80))
    remembering = ZoneModel(remember=True)
    remembering.fit(whole.since(START + 5 * DAY))
    remembering.fit(whole)
    assert ahead(whole).tolist() == remembering.predict(whole, 96).tolist()


@pytest.mark.parametrize("days", [20, 50, 90])
def test_a_forecast_looks_back_on_forty_days_alone(days: int) -> None:
    past = readings(grid(days))
    model = fitted(past)
    part = past.since(past.end - 40 * DAY)
    assert model.predict(past, 96).tolist() == model.predict(part, 96).tolist()


def test_readings_that_came_since_the_fit_are_gone_on_from() -> None:
    past = readings(cycle(80) + 40 * (np.arange(80 * 24) >= 80 * 24 - 12))  # the level has risen since
    median = fitted(past.before(past.end - DAY)).predict(past, 6)[MEDIAN]
    assert float((median - cycle(81)[80 * 24 : 80 * 24 + 6]).mean()) >= 0
    assert median.shape == (6,)


def test_with_one_day_of_history_the_day_is_repeated_in_a_plain_band() -> None:
    quantiles = ahead(readings(cycle(1)), 1)
    assert quantiles[MEDIAN] == pytest.approx(cycle(1), abs=1.0)
    assert quantiles[0] == pytest.approx(0.75 * quantiles[MEDIAN])


# --- scenarios


def test_scenarios_spread_as_the_quantiles_do() -> None:
    past = readings(grid(120))
    model = fitted(past)
    quantiles = model.predict(past, 96)
    paths = model.scenarios(quantiles, past, 4000)
    for level in (0.25, 0.5, 0.75):
        row = QUANTILES.index(level)
        assert (paths <= quantiles[row]).mean(axis=0) == pytest.approx(np.full(96, level), abs=0.06)


def test_scenarios_err_over_time_as_forecasts_do_and_not_each_hour_anew() -> None:
    past = readings(grid(120))
    model = fitted(past)
    quantiles = model.predict(past, 96)
    paths = model.scenarios(quantiles, past, 500) - quantiles[MEDIAN]
    assert np.corrcoef(paths[:, 10:80].ravel(), paths[:, 11:81].ravel())[0, 1] > 0.8
    assert np.corrcoef(paths[:, 3], paths[:, 90])[0, 1] < 0.6


@pytest.mark.parametrize("count", [0, 1, 7])
def test_scenarios_of_one_seed_are_the_same_and_of_another_are_not(count: int) -> None:
    past = readings(grid(80))
    model = fitted(past)
    quantiles = model.predict(past, 10 * 24)
    paths = model.scenarios(quantiles, past, count, seed=3)
    assert (count, 240) == paths.shape
    assert paths.tolist() == model.scenarios(quantiles, past, count, seed=3).tolist()
    assert not count or paths.tolist() != model.scenarios(quantiles, past, count, seed=4).tolist()


def test_wandering_is_what_the_model_cannot_know_a_week_ahead() -> None:
    past = readings(200 + wandering(90 * 24))
    quantiles = ahead(past, 7)
    near, far = np.ptp(quantiles[:, :3], axis=0).mean(), np.ptp(quantiles[:, -24:], axis=0).mean()
    assert near < 0.9 * far
