"""Readings that are more likely a provider's fault than the grid's doing: stale for a day, or off by a factor for hours. Pure.

A reading is only suspicious against its own grid's habits. Where a habit is to stand still (hydro), standing still is not; and
whatever happens often is how this grid is.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from carbonq.forecasters.carbon.models.series import FloatArray, Readings

BoolArray = NDArray[np.bool_]

STALE_S = 24 * 3600
"""The same value over this long, night and day, is a meter that hangs."""
JUMP_S = 3 * 3600
"""What lasts longer is weather, or a plant that tripped."""
FACTOR = 4.0
"""How far a jump must lie from both neighbours. The steepest hours of solar grids have a factor of 2 to 3."""
UNUSUAL = 4.0
"""... and from what is usual at its hour, in robust standard deviations of the logarithm."""
RARE = 0.05
"""A share of readings beyond which it is no fault but a habit."""
_TRACE_G_PER_KWH = 1.0  # below this a ratio says nothing
_DAY_S = 86_400


def suspects(readings: Readings, *, jumps: bool = True) -> BoolArray:
    """True for readings to treat as gaps, shape (steps,). `jumps=False` for marginal signals, which jump by nature."""
    mask = stale(readings)
    return mask | jumped(readings) if jumps else mask


def stale(readings: Readings) -> BoolArray:
    """Runs of one value for a day or more, where days otherwise always show some movement."""
    values, steps = readings.values, STALE_S // readings.step_s
    if len(values) < 2 * steps:
        return np.zeros(len(values), bool)
    lengths = _run_lengths(values)
    mask = (lengths >= steps) & np.isfinite(values)
    return mask if mask.any() and _is_rare(mask, values) and _always_moves(values, mask, steps) else np.zeros_like(mask)


def jumped(readings: Readings) -> BoolArray:
    """Up to three hours that lie by a factor above or below both neighbours, and far from what their hour usually has.

    At the end of the readings the neighbour before must do.
    """
    values = _held(readings.values)
    found = np.zeros(len(values), bool)
    if len(values) < 3:
        return found
    unusual = _unusual(values, readings)
    for length in range(1, min(JUMP_S // readings.step_s, len(values) - 2) + 1):
        for start in _stretches_off(values, length):
            inside = slice(start, start + length)
            found[inside] |= unusual[inside].all()
    found &= np.isfinite(readings.values)
    return found if _is_rare(found, readings.values) else np.zeros_like(found)


def _run_lengths(values: FloatArray) -> NDArray[np.int64]:
    """For each reading, how many equal ones stand together with it."""
    changes = np.append(True, values[1:] != values[:-1])
    run = np.cumsum(changes) - 1
    return np.asarray(np.bincount(run)[run])


def _is_rare(mask: BoolArray, values: FloatArray) -> bool:
    """A day is always allowed for: of a short history it is a large share."""
    return bool(np.count_nonzero(mask) <= max(RARE * np.count_nonzero(np.isfinite(values)), 1)) or _single_run(mask)


def _single_run(mask: BoolArray) -> bool:
    return int(np.count_nonzero(np.diff(mask.astype(np.int8)) == 1)) + int(mask[0]) <= 1


def _always_moves(values: FloatArray, still: BoolArray, steps: int) -> bool:
    """Whether even the calmest twentieth of the other days spans several times the smallest change there is."""
    others = np.where(still, np.nan, values)
    windows = sliding_window_view(others, steps)[:: max(1, steps // 4)]
    whole = windows[np.isfinite(windows).all(axis=1)]
    if len(whole) < 4:
        return False
    changes = np.abs(np.diff(others))
    smallest = np.min(changes[changes > 0], initial=np.inf)
    return bool(np.quantile(np.ptp(whole, axis=1), 0.05) > 5 * smallest)


def _held(values: FloatArray) -> FloatArray:
    """Gaps take the value before them, so that neighbours are those of time."""
    known = np.isfinite(values)
    index = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.where(index >= 0, values[np.maximum(index, 0)], np.nan)


def _stretches_off(values: FloatArray, length: int) -> NDArray[np.int64]:
    """Where a stretch of that length begins whose every value lies by the factor above or below the values beside it."""
    inside = sliding_window_view(values[1:], length)
    before = values[: len(inside)]
    after = np.append(values[length + 1 :], before[-1])  # the last stretch has none: the one before stands in
    low, high = np.minimum(before, after), np.maximum(before, after)
    above = (inside.min(axis=1) > FACTOR * high) & (high > _TRACE_G_PER_KWH)
    below = (FACTOR * inside.max(axis=1) < low) & (low > FACTOR * _TRACE_G_PER_KWH)
    return np.flatnonzero(above | below) + 1


def _unusual(values: FloatArray, readings: Readings) -> BoolArray:
    """Whether each value's logarithm lies far from the median of its hour of the day."""
    logs = np.log(np.maximum(values, _TRACE_G_PER_KWH))
    seconds = int(readings.start.timestamp()) + np.arange(len(values)) * readings.step_s
    hours = seconds % _DAY_S // 3600
    mask = np.zeros(len(values), bool)
    for hour in np.unique(hours[np.isfinite(logs)]):
        chosen = (hours == hour) & np.isfinite(logs)
        away = np.abs(logs[chosen] - np.median(logs[chosen]))
        spread = 1.4826 * np.median(away)
        mask[chosen] = away > UNUSUAL * spread
    return mask
