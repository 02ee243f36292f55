"""The scales of the models: there and back, and never far from what was seen."""

import numpy as np
import pytest

from carbonq.forecasters.carbon.models.transform import Transform
from tests.made_up_series import grid


@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_value_comes_back_as_it_went(logarithmic: bool) -> None:
    values = grid(10)
    transform = Transform.of(values)._replace(logarithmic=logarithmic)
    assert transform.back(transform.forward(values)) == pytest.approx(values)


def test_the_level_is_that_of_the_known_values() -> None:
    assert Transform.of(np.array([np.nan, 10, 20, 30])).level == 20
    assert Transform.of(np.array([-10.0, -20, -30])).level == 20


def test_a_level_of_zeros_is_made_of_the_rest_and_of_nothing_else_one() -> None:
    assert Transform.of(np.array([0.0, 0, 0, 8])).level == 2
    assert Transform.of(np.zeros(5)).level == 1


def test_what_comes_back_stays_within_half_the_range_seen() -> None:
    transform = Transform.of(np.array([100.0, 200]))
    assert transform.back(np.array([-9.0, 9])).tolist() == [50, 250]


def test_what_was_never_negative_comes_back_so_and_what_was_may() -> None:
    assert Transform.of(np.array([10.0, 200])).back(np.array([-9.0])).tolist() == [0]
    assert Transform.of(np.array([-10.0, 90])).back(np.array([-9.0])).tolist() == [-60]


def test_no_exponent_is_too_large_to_come_back() -> None:
    transform = Transform.of(np.array([100.0, 200])).as_logarithm()
    assert transform.back(np.array([1e9])).tolist() == [250]


@pytest.mark.parametrize(("values", "allowed"), [([0.0, 5], True), ([0.0, 0], False), ([-1.0, 5], False)])
def test_a_logarithm_needs_values_that_are_never_negative_and_not_all_zero(values: list[float], allowed: bool) -> None:
    assert Transform.of(np.array(values)).allows_logarithm == allowed
