"""Values known in advance: laid on the readings' steps as they were known, and used by the model as far as they reach."""

from datetime import timedelta

import numpy as np
import pytest

from carbonq.forecasters.carbon.models.exogenous import Exogenous
from carbonq.forecasters.carbon.models.series import MEDIAN, Features, FloatArray, Issue, Readings
from carbonq.forecasters.carbon.models.zone_model import ZoneModel
from tests.made_up_series import START, grid, readings

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DAYS = 90
LEVEL = grid(DAYS + 8)


def issues(
    values: FloatArray, days: range, hours: int = 96, step_s: int = 3600, late: timedelta = timedelta()
) -> Features:
    """One issue a day, so late after midnight, of the hours from that midnight on. `values` are on the issues' step."""
    table = values.reshape(len(values), -1)
    per_day, steps = 86_400 // step_s, hours * 3600 // step_s
    told = [
        Issue(START + d * DAY + late, START + d * DAY, table[d * per_day : d * per_day + steps].copy()) for d in days
    ]
    return Features(tuple(f"value_{i}" for i in range(table.shape[1])), step_s, tuple(told))


PAST, TO_COME = readings(LEVEL[: DAYS * 24]), LEVEL[DAYS * 24 :]
SEEN = range(DAYS + 1)
RANDOM = np.random.default_rng(5).normal(size=len(LEVEL))


def ahead(features: tuple[Features, ...], past: Readings = PAST, horizon: int = 96) -> FloatArray:
    model = ZoneModel()
    model.fit(past, features)
    quantiles = model.predict(past, horizon, features)
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=0) >= 0).all()
    median: FloatArray = quantiles[MEDIAN]
    return median


def error(features: tuple[Features, ...]) -> float:
    return float(np.abs(ahead(features) - TO_COME[:96]).mean())


# --- how they are laid


def test_each_step_is_as_known_on_the_midnights_before_it() -> None:
    told = issues(np.arange(10.0 * 24), range(6), hours=48)
    for issue, more in zip(told.issues, range(6), strict=True):
        issue.values[:] += 1000 * more  # to tell which issue a value comes from
    table = Exogenous([told], readings(np.zeros(120)))
    assert table.days == 2
    own, before = table._known[:, :, 0]
    assert (own // 1000).tolist() == np.repeat(np.arange(5.0), 24).tolist()
    assert (before[24:] // 1000).tolist() == np.repeat(np.arange(4.0), 24).tolist()
    assert np.isnan(before[:24]).all()


def test_an_issue_made_during_the_day_is_known_from_the_next_midnight_on() -> None:
    told = issues(np.arange(240.0), range(6), hours=48, late=5 * HOUR)
    known = Exogenous([told], readings(np.zeros(120)))._known[0, :, 0]
    assert np.isnan(known[:24]).all()
    assert known[24:].tolist() == np.arange(24.0, 120).tolist()


def test_a_forecast_uses_what_was_issued_up_to_its_origin_and_nothing_later() -> None:
    told = issues(np.arange(240.0), range(6), hours=48, late=5 * HOUR)
    table = Exogenous([told], readings(np.zeros(120)))
    scaling = table.scaled()
    reach = [int(np.any(table.ahead(origin, 72, scaling)[:, :1] != 0, axis=1).sum()) for origin in (48, 48 + 4, 48 + 5)]
    assert reach == [24 + 3, 20 + 3, 43 + 3]  # each held for three hours more


@pytest.mark.parametrize("step_s", [900, 1800, 7200, 10_800])
def test_values_of_another_step_are_held_or_thinned(step_s: int) -> None:
    told = issues(np.arange(4.0 * 86_400 / step_s), range(3), hours=24, step_s=step_s)
    known = Exogenous([told], readings(np.zeros(72)))._known[0, :, 0]
    assert known.tolist() == np.floor(np.arange(72.0) * 3600 / step_s).tolist()


def test_readings_that_begin_at_any_hour_have_the_same_values_at_the_same_moments() -> None:
    told = issues(np.arange(240.0), range(8))
    whole, part = (
        Exogenous([told], past)._known
        for past in (readings(np.zeros(150)), readings(np.zeros(143), start=START + 7 * HOUR))
    )
    assert np.array_equal(whole[:, 7:], part, equal_nan=True)


def test_a_mix_of_generation_tells_its_intensity_as_well() -> None:
    names = ("coal_mw", "wind_mw", "solar_mw")
    told = issues(np.tile([100.0, 300.0, 0.0], (96, 1)), range(2))._replace(names=names)
    known = Exogenous([told], readings(np.zeros(48)))._known[0]
    assert known.shape == (48, 6)
    assert 150 < known[0, 3] < 300
    assert known[0, 5] == pytest.approx(0.75)


# --- what the model makes of them


def test_a_value_that_is_the_future_itself_makes_the_forecast_nearly_perfect() -> None:
    assert error((issues(LEVEL, SEEN),)) < 0.25 * error(())


def test_where_it_reaches_one_day_alone_the_others_are_left_as_they_were() -> None:
    plain, helped = ahead(()), ahead((issues(LEVEL, SEEN, hours=24),))
    off = np.abs(helped - TO_COME[:96])
    assert off[:24].mean() < 0.3 * np.abs(plain - TO_COME[:96])[:24].mean()
    assert off[48:].mean() < 1.4 * np.abs(plain - TO_COME[:96])[48:].mean()


def test_a_useless_value_does_little_harm() -> None:
    assert error((issues(RANDOM, SEEN),)) < 1.25 * error(())


def test_a_value_that_is_no_longer_issued_leaves_the_forecast_as_it_is_without() -> None:
    told = issues(LEVEL, range(DAYS - 7))
    assert error((told,)) < 1.6 * error(())


@pytest.mark.parametrize(
    "spoilt",
    [
        np.full(len(LEVEL), np.nan),
        np.full(len(LEVEL), 7.0),
        np.zeros(len(LEVEL)),
        np.where(np.arange(len(LEVEL)) % 5, np.nan, LEVEL),
        np.stack([LEVEL, np.full(len(LEVEL), np.nan), np.full(len(LEVEL), 3.0)], axis=1),
        np.where(np.arange(len(LEVEL)) == 300, 1e30, LEVEL),
    ],
    ids=["unknown", "constant", "zero", "mostly unknown", "beside others", "one absurd"],
)
def test_columns_of_any_kind_give_a_forecast(spoilt: FloatArray) -> None:
    assert error((issues(spoilt, SEEN),)) < 1.5 * error(())


@pytest.mark.parametrize("step_s", [1800, 10_800])
def test_values_of_another_step_than_the_readings_help_as_well(step_s: int) -> None:
    at = np.arange(0, len(LEVEL), step_s / 3600)
    assert error((issues(np.interp(at, np.arange(len(LEVEL)), LEVEL), SEEN, step_s=step_s),)) < 0.8 * error(())


def test_issues_at_odd_times_of_the_day_help_as_well() -> None:
    told = issues(LEVEL, range(DAYS), hours=120, late=timedelta(hours=17, minutes=23))
    assert error((told,)) < 0.5 * error(())


def test_values_are_never_used_before_they_are_issued() -> None:
    past = PAST.before(PAST.end - 7 * HOUR)
    told = issues(LEVEL, range(DAYS + 8), late=3 * HOUR)
    known = told.before(past.end)
    assert ahead((told,), past).tolist() == ahead((known,), past).tolist()


def test_values_that_are_not_given_any_more_or_no_longer_all_do_not_stop_a_fitted_model() -> None:
    first, second = issues(LEVEL, SEEN), issues(RANDOM, SEEN)._replace(names=("other",))
    model = ZoneModel()
    model.fit(PAST, (first, second))
    plain = float(np.abs(ahead(()) - TO_COME[:96]).mean())
    cases = (
        (),
        (first,),
        (second,),
        (second, first),
        (first._replace(issues=()), second),
        (first, issues(RANDOM, SEEN)),
    )
    for given in cases:
        quantiles = model.predict(PAST, 96, given)
        assert np.isfinite(quantiles).all()
        assert float(np.abs(quantiles[MEDIAN] - TO_COME[:96]).mean()) < 1.6 * plain


def test_the_order_in_which_values_are_given_does_not_matter_to_a_fitted_model() -> None:
    first, second = issues(LEVEL, SEEN), issues(RANDOM, SEEN)._replace(names=("other",))
    model = ZoneModel()
    model.fit(PAST, (first, second))
    assert model.predict(PAST, 9, (first, second)).tolist() == model.predict(PAST, 9, (second, first)).tolist()


def test_features_without_any_issue_are_as_none() -> None:
    assert ahead((Features(("a", "b"), 3600, ()),)).tolist() == ahead(()).tolist()


def test_remembering_equals_a_fresh_fit_also_with_values_that_begin_and_end() -> None:
    remembering = ZoneModel(remember=True)
    told = issues(LEVEL, range(40, DAYS + 1))
    for day, given in ((86, ()), (87, (told,)), (88, (told,)), (90, (told,)), (90, ())):
        past = PAST.before(START + day * DAY)
        now = tuple(one.before(past.end) for one in given)
        remembering.fit(past, now)
        assert ahead(now, past).tolist() == remembering.predict(past, 96, now)[MEDIAN].tolist()
