"""How far each forecast is trusted: by its past errors, by days ahead, and half and half while nothing is known."""

from datetime import timedelta

import numpy as np
import pytest

from carbonq.forecasters.carbon.models.series import MEDIAN, Features, FloatArray, Issue, Readings
from carbonq.forecasters.carbon.models.weighing import Published, member_weights, published_at, targets
from carbonq.forecasters.carbon.models.zone_model import ZoneModel
from tests.made_up_series import START, grid, readings, wandering

DAY = timedelta(days=1)


def published(values: FloatArray, days: range, hours: int = 96, step_s: int = 3600) -> Features:
    """An issue each midnight, which holds the next hours of these values."""
    per_day = 86_400 // step_s
    issues = [
        Issue(START + d * DAY, START + d * DAY, values[d * per_day : d * per_day + hours * 3600 // step_s, None])
        for d in days
    ]
    return Features(("published",), step_s, tuple(issues))


def weights_for(theirs: FloatArray, own: FloatArray, actual: FloatArray, days: int) -> Published:
    """After so many days of both, of which ours is `own`; four origins a day."""
    origins = np.arange(0, days * 24, 6)
    horizon = 96
    ahead = np.stack([own[o : o + horizon] for o in origins])
    found = Published.learnt(
        [published(theirs, range(days))], readings(actual[: days * 24]), origins, ahead, level=float(np.median(actual))
    )
    assert found is not None
    return found


ACTUAL = grid(80)
NOISY = ACTUAL + wandering(len(ACTUAL), seed=7, size=6.0)


def test_members_are_weighed_by_the_inverse_of_their_errors_on_each_day_ahead() -> None:
    actual = np.full((9, 48), 100.0)
    good, bad = np.full((9, 48), 99.0), np.full((9, 48), 102.0)
    swapped = np.concatenate([bad[:, :24], good[:, 24:]], axis=1)
    found = member_weights({"a": good, "b": swapped}, actual, 100.0, 24)
    assert found["a"][:24] == pytest.approx(np.full(24, 1.0), abs=0.02)
    assert found["a"][24:] == pytest.approx(np.full(24, 0.5))
    assert found["a"] + found["b"] == pytest.approx(np.ones(48))


@pytest.mark.parametrize("rows", [0, 3])
def test_members_of_which_nothing_is_known_are_weighed_evenly(rows: int) -> None:
    unknown = np.full((rows, 48), np.nan)
    assert member_weights({"a": unknown, "b": unknown}, unknown, 1.0, 24)["a"].tolist() == [0.5] * 48


def test_a_part_of_a_day_is_weighed_as_well() -> None:
    assert member_weights({"a": np.ones((2, 30))}, np.ones((2, 30)), 1.0, 24)["a"].tolist() == [1.0] * 30


def test_a_perfect_published_forecast_gets_nearly_all_the_weight_within_weeks() -> None:
    after = [weights_for(ACTUAL, NOISY, ACTUAL, days).weights[0] for days in (4, 14, 42)]
    assert after == sorted(after)
    assert after[0] < 0.75
    assert after[2] > 0.85


def test_a_bad_published_forecast_gets_little_weight() -> None:
    bad = 400 - ACTUAL
    assert weights_for(bad, NOISY, ACTUAL, 42).weights.max() < 0.15


def test_a_published_forecast_on_another_level_is_brought_to_level() -> None:
    found = weights_for(1.4 * ACTUAL, NOISY, ACTUAL, 60)
    assert found.factor == pytest.approx(1 / 1.4, rel=0.1)
    assert found.weights[0] > 0.6


@pytest.mark.parametrize("times", [100.0, 0.0, 0.1, -100.0])
def test_whoever_speaks_of_something_else_is_not_listened_to(times: float) -> None:
    found = weights_for(times * ACTUAL, NOISY, ACTUAL, 26)
    assert found.mixed(NOISY[:96], times * ACTUAL[:96]) == pytest.approx(NOISY[:96])


def test_with_none_in_the_past_it_is_half_and_half() -> None:
    future = Features(("published",), 3600, (Issue(START + 60 * DAY, START + 60 * DAY, ACTUAL[:96, None]),))
    own = np.full((40, 96), 200.0)
    found = Published.learnt([future], readings(ACTUAL[: 60 * 24]), np.arange(40) * 24, own, 200.0)
    assert found is not None
    assert (found.factor, found.weights.tolist()) == (1.0, [0.5] * 4)
    assert Published.learnt([Features(("published",), 3600, ())], readings(ACTUAL), np.arange(0), own[:0], 1.0) is None


def test_half_and_half_also_before_anything_of_ours_is_known() -> None:
    none = np.empty((0, 96))
    found = Published.learnt([published(ACTUAL, range(5))], readings(ACTUAL[:48]), np.empty(0, int), none, 200.0)
    assert found is not None
    assert found.weights.tolist() == [0.5] * 4


def test_steps_that_they_leave_open_are_ours_alone() -> None:
    mix = Published(np.array([0.5]), 2.0, 24)
    assert mix.mixed(np.array([10.0, 10.0]), np.array([np.nan, 10.0])).tolist() == [10.0, 15.0]


def test_what_was_published_later_is_not_known_yet() -> None:
    past = readings(ACTUAL)
    told = [published(ACTUAL, range(10), hours=48)]
    assert published_at(told, past, 5 * 24 - 1, 2).tolist() == ACTUAL[5 * 24 - 1 : 5 * 24 + 1].tolist()
    ahead = published_at(told, past, 5 * 24 + 6, 60)
    assert int(np.isfinite(ahead).sum()) == 42
    assert ahead[:42].tolist() == ACTUAL[126:168].tolist()


def test_the_latest_issue_counts_and_its_gaps_are_filled_by_the_one_before() -> None:
    first = Issue(START, START, np.full((48, 1), 1.0))
    second = Issue(START + DAY, START + DAY, np.array([[2.0], [np.nan], [2.0]]))
    told = [Features(("published",), 3600, (first, second))]
    assert published_at(told, readings(ACTUAL), 24, 4).tolist() == [2.0, 1.0, 2.0, 1.0]


def test_a_published_step_of_another_length_is_held_or_thinned() -> None:
    for step_s, expected in ((7200, [0, 0, 1, 1]), (1800, [0, 2, 4, 6])):
        issue = Issue(START, START, np.arange(9.0)[:, None])
        found = published_at([Features(("published",), step_s, (issue,))], readings(ACTUAL), 0, 4)
        assert found.tolist() == expected


def test_what_has_not_come_yet_is_unknown() -> None:
    came = targets(Readings(START, 3600, np.arange(5.0)), np.array([0, 4]), 3)
    assert came[0].tolist() == [0.0, 1.0, 2.0]
    assert np.isnan(came[1]).tolist() == [False, True, True]


def test_the_model_follows_a_provider_that_is_always_right_and_ignores_one_that_is_not() -> None:
    values = grid(94)
    past, to_come = readings(values[: 90 * 24]), values[90 * 24 :]
    errors = {}
    for name, theirs in {"none": None, "right": values, "wrong": 400 - values}.items():
        told = () if theirs is None else (published(theirs, range(91)),)
        model = ZoneModel()
        model.fit(past, told)
        errors[name] = float(np.abs(model.predict(past, 96, told)[MEDIAN] - to_come).mean())
    assert errors["right"] < 0.35 * errors["none"]
    assert errors["wrong"] < 1.6 * errors["none"]
