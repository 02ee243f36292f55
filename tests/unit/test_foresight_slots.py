"""From a source's steps to the planner's slots."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.foresight.slots import on_slots, step_of

START = datetime(2026, 7, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("resolution_s", "slot_s", "step_s"),
    [(3600, 1800, 3600), (900, 1800, 1800), (300, 300, 300), (None, 1800, 1800), (7200, 1800, 3600), (900, 1020, 1800)],
)
def test_a_series_is_laid_out_no_finer_than_it_is_planned_by(
    resolution_s: int | None, slot_s: int, step_s: int
) -> None:
    assert step_of(resolution_s, slot_s) == step_s


def test_hours_are_held_over_their_half_hours() -> None:
    found = on_slots(np.array([[100.0, 200.0]]), START, 3600, SlotGrid(start=START, slots=4))
    assert found.tolist() == [[100, 100, 200, 200]]


def test_finer_steps_are_averaged() -> None:
    found = on_slots(np.array([[100.0, 200.0, 300.0, 500.0]]), START, 900, SlotGrid(start=START, slots=2))
    assert found.tolist() == [[150, 400]]


def test_slots_that_straddle_steps_take_each_by_its_time() -> None:
    grid = SlotGrid(start=START + timedelta(minutes=40), slot_s=1200 * 2, slots=2)  # 40 minutes from 00:40
    found = on_slots(np.array([[100.0, 200.0], [0.0, 60.0]]), START, 3600, grid)
    assert found == pytest.approx(np.array([[150.0, 200.0], [30.0, 60.0]]))
