"""Between a source's steps and the planner's slots. Pure."""

from datetime import datetime

import numpy as np

from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.models.series import FloatArray

STEPS_S = (300, 600, 900, 1800, 3600)
"""Steps that models work in: they divide the hour."""


def step_of(resolution_s: int | None, slot_s: int) -> int:
    """The step of a source's series: no finer than what is planned by, which would cost time and show nothing."""
    wanted = max(resolution_s or 0, min(slot_s, 1800))
    return next((step_s for step_s in STEPS_S if step_s >= wanted), STEPS_S[-1])


def on_slots(values: FloatArray, start: datetime, step_s: int, grid: SlotGrid) -> FloatArray:
    """Each slot's mean over time: coarser steps are held, finer ones averaged. `values` has shape (rows, steps) from `start`
    on and covers the grid; the result has (rows, slots)."""
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    edges = ((grid.start - start).total_seconds() + np.arange(grid.slots + 1) * grid.slot_s) / step_s
    whole = np.clip(np.floor(edges).astype(np.int64), 0, values.shape[1])
    held = values[:, np.minimum(whole, values.shape[1] - 1)]
    return np.diff(sums[:, whole] + (edges - whole) * held, axis=1) * (step_s / grid.slot_s)
