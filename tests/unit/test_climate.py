"""The regular part: what the calendar's columns can tell, and a ridge regression that stands any of them."""

from datetime import UTC, datetime

import numpy as np
import pytest

from carbonq.forecasters.carbon.models.climate import calendar, day_harmonics, ridge, solve
from tests.made_up_series import START, cycle


def test_a_daily_cycle_is_found_and_goes_on_for_ever() -> None:
    design = calendar(START, 3600, 60 * 24, season=False)
    found = ridge(design[: 30 * 24], cycle(30)[:, None], 1e-6)
    assert (design @ found)[:, 0] == pytest.approx(cycle(60), abs=0.1)


def test_the_same_moment_has_the_same_row_wherever_the_series_begins() -> None:
    whole = calendar(START, 3600, 500, season=True)
    part = calendar(datetime(2024, 1, 13, tzinfo=UTC), 3600, 260, season=True)
    assert whole[240:] == pytest.approx(part, abs=1e-6)


def test_steps_of_any_size_agree_on_the_moments_they_share() -> None:
    fine, coarse = (calendar(START, step_s, 86_400 * 9 // step_s, season=True) for step_s in (900, 7200))
    assert fine[::8] == pytest.approx(coarse, abs=1e-6)


def test_weekends_differ_from_working_days_by_utc() -> None:
    values = np.repeat([1.0, 1, 1, 5, 5, 1, 1], 24)  # START is a Wednesday
    found = ridge(calendar(START, 3600, 8 * 168, season=False), np.tile(values, 8)[:, None], 1e-6)
    ahead = calendar(START, 3600, 9 * 168, season=False)[8 * 168 :] @ found
    assert ahead[:, 0] == pytest.approx(values, abs=0.05)


def test_the_season_goes_round_with_the_year_over_a_leap_day() -> None:
    one, next_year = (
        calendar(datetime(year, 12, 31, tzinfo=UTC), 3600, 1, season=True)[0, :30] for year in (2023, 2024)
    )
    assert one == pytest.approx(next_year, abs=0.03)


def test_the_first_column_is_one_and_the_others_swing_around_zero() -> None:
    columns = day_harmonics(START, 3600, 24, 3)
    assert columns.shape == (24, 7)
    assert columns[:, 0].tolist() == [1.0] * 24
    assert columns[:, 1:].sum(axis=0) == pytest.approx(np.zeros(6), abs=1e-6)


def test_a_ridge_without_penalty_is_least_squares() -> None:
    draw = np.random.default_rng(0)
    design, target = draw.normal(size=(50, 4)), draw.normal(size=(50, 2))
    assert ridge(design, target, 0.0) == pytest.approx(np.linalg.lstsq(design, target, rcond=None)[0])


def test_weights_are_worth_as_many_rows() -> None:
    draw = np.random.default_rng(1)
    design, target = draw.normal(size=(20, 3)), draw.normal(size=(20, 1))
    weights = draw.integers(0, 3, 20)
    assert ridge(design, target, 0.0, weights.astype(float)) == pytest.approx(
        ridge(np.repeat(design, weights, axis=0), np.repeat(target, weights, axis=0), 0.0)
    )


@pytest.mark.parametrize("size", [0.0, 1e-10])
def test_a_column_that_is_zero_but_for_rounding_has_no_say(size: float) -> None:
    design = np.stack([np.ones(100), np.full(100, size)], axis=1)
    assert ridge(design, np.full((100, 1), 200.0), 1e-3)[1].tolist() == [0.0]


def test_two_columns_that_are_the_same_share_the_coefficient() -> None:
    found = ridge(np.ones((100, 2)), np.full((100, 1), 10.0), 1e-6)
    assert found[:, 0] == pytest.approx([5, 5], rel=1e-4)


def test_nothing_known_gives_zero_coefficients() -> None:
    assert solve(np.zeros((3, 3)), np.zeros((3, 2)), 1e-3).tolist() == [[0.0, 0.0]] * 3
