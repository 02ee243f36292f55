"""A GPU's energy among those that use it: all of it, and to nobody more than there was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonq.workers.gpu_sharing import mean_percent, shares_j, slice_share


def test_active_power_goes_by_sm_time_and_idle_power_evenly_to_the_residents() -> None:
    assert shares_j(1000.0, 400.0, {1: 60.0, 2: 20.0, 3: 0.0, 4: 0.0}) == {1: 550.0, 2: 250.0, 3: 100.0, 4: 100.0}


def test_where_nobody_worked_the_energy_is_idle_energy() -> None:
    assert shares_j(90.0, 60.0, {1: 0.0, 2: 0.0, 3: 0.0}) == {1: 30.0, 2: 30.0, 3: 30.0}


def test_nobody_there_is_given_nothing() -> None:
    assert shares_j(90.0, 60.0, {}) == {}


@given(st.floats(0, 1e9), st.floats(-1, 1e9), st.dictionaries(st.integers(1, 9), st.floats(0, 100), min_size=1))
def test_shares_are_never_negative_and_make_up_the_whole(energy_j: float, idle_j: float, sm: dict[int, float]) -> None:
    shares = shares_j(energy_j, idle_j, sm)
    assert sum(shares.values()) == pytest.approx(energy_j)
    assert min(shares.values()) >= 0


def test_a_process_absent_from_a_sample_did_nothing_in_it() -> None:
    assert mean_percent([(1, 100, 50.0), (2, 100, 30.0), (1, 200, 70.0)]) == {1: 60.0, 2: 15.0}


def test_slices_share_by_their_multiprocessors_and_none_has_more_than_the_gpu() -> None:
    assert [slice_share(42, 98), slice_share(14, 98), slice_share(98, 14), slice_share(14, 0)] == [
        3 / 7,
        1 / 7,
        1.0,
        1.0,
    ]
