"""A typical profile moved to the level of the last day's readings: what is left to do while no model has learnt yet."""

from datetime import datetime, timedelta

import numpy as np

from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.models.series import QUANTILES, FloatArray, Readings
from carbonq.forecasters.carbon.sources.typical import typical_profile, usual_at

LEVEL_S = 86_400
LEAST_SHARE = 0.25
"""Of the last day so much must be known to tell its level."""


def anchored(profile_zone: str, readings: Readings, grid: SlotGrid) -> FloatArray | None:
    """Quantiles for each slot, shape (len(QUANTILES), slots); None where the last day is not known well enough.

    The level is a ratio, so that a band as wide as usual in a dirty week is as wide, relatively, in a clean one.
    """
    profile = typical_profile(profile_zone)
    steps = LEVEL_S // readings.step_s
    recent = readings.values[-steps:]
    known = np.flatnonzero(np.isfinite(recent))
    if len(known) < LEAST_SHARE * steps:
        return None
    first = readings.at(len(readings.values) - len(recent))
    usual = [usual_at(profile, first + timedelta(seconds=readings.step_s * int(step))).mean for step in known]
    level = float(recent[known].sum()) / max(sum(usual), 1e-9)
    if level <= 0:
        return None
    slots = [_middle(start, end) for start, end in grid]
    bands = np.array([[one.p10, one.mean, one.p90] for one in (usual_at(profile, moment) for moment in slots)])
    return _spread(bands.reshape(len(slots), 3) * level)


def _middle(start: datetime, end: datetime) -> datetime:
    return start + (end - start) / 2


def _spread(bands: FloatArray) -> FloatArray:
    """From p10, middle and p90 to all quantiles: by straight lines between, and as straight beyond."""
    below, above = bands[:, 1] - bands[:, 0], bands[:, 2] - bands[:, 1]
    rows = [bands[:, 1] + (q - 0.5) / 0.4 * np.where(q < 0.5, below, above) for q in QUANTILES]
    return np.array(rows)
