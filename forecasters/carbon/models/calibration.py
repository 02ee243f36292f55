"""Bands that hold what they promise: quantiles of past errors, widened or narrowed until the past was covered as promised.

Split conformal prediction over the latest errors of the same days ahead and nearly the same hour, with the levels steered by
adaptive conformal inference (Gibbs and Candes, 2021): where the last weeks fell outside more often than promised, the level
moves out. Errors are relative to the forecast.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from carbonq.forecasters.carbon.models.series import MEDIAN, QUANTILES, FloatArray

WINDOW_DAYS = 60
_NEAR_H = 3
_RATE = 0.05
_FIRST_SHIFT = 0.01
_LARGEST_SHIFT = (0.045, 0.08, 0.1)
"""Of each pair's levels, the outermost first: 0.05 - 0.045 leaves a level that a window can still tell."""
_FIRST_DAYS, _LEAST_DAYS = 14, 7
"""Days before the first that is judged, and days that a band is made from, at least."""
_STEERING_DAYS = 4
"""Days ahead that steer: what lies further is known too late to help."""
PAIRS = tuple((low, len(QUANTILES) - 1 - low) for low in range(MEDIAN))
"""Indices of the quantiles that belong together."""


def scale_of(forecast: FloatArray, level: float) -> FloatArray:
    """What an error is measured by: the forecast itself, or a part of the usual level where it is near zero."""
    measure: FloatArray = np.maximum(np.abs(forecast), 0.2 * level)
    return measure


def shifts(errors: FloatArray, per_day: int) -> tuple[float, ...]:
    """How far each pair's levels must move out; from errors (days, horizon) of one origin a day, NaN where not known yet.

    Runs through the days once, as if living through them: each day's band is made from the days before it.
    """
    found = np.full(len(PAIRS), _FIRST_SHIFT)
    promised = np.array([QUANTILES[high] - QUANTILES[low] for low, high in PAIRS])
    least = -np.array(_LARGEST_SHIFT) / 2
    for day in range(max(_FIRST_DAYS, min(WINDOW_DAYS, len(errors) // 2)), len(errors)):
        covered = _covered(errors, day, found, per_day)
        if covered is not None:
            found = np.clip(found + _RATE * (promised - covered) / 2, least, _LARGEST_SHIFT)
    return tuple(float(shift) for shift in found)


def _covered(errors: FloatArray, day: int, moved: FloatArray, per_day: int) -> FloatArray | None:
    """The share of one day's errors inside each pair, by the bands that the days before it gave. None where nothing is known."""
    inside: list[NDArray[np.bool_]] = []
    for ahead in range(min(_STEERING_DAYS, errors.shape[1] // per_day)):
        columns = slice(ahead * per_day, (ahead + 1) * per_day)
        known, came = errors[max(0, day - WINDOW_DAYS) : day - ahead, columns], errors[day, columns]
        if len(known) >= _LEAST_DAYS and np.isfinite(came).any():
            lower, upper = np.split(_quantiles(known, _levels(moved), per_day, coarse=True), 2)
            there = np.isfinite(came) & np.isfinite(lower[0])
            inside.append(((came >= lower) & (came <= upper))[:, there])
    judged = np.concatenate(inside, axis=1) if inside else np.empty((len(PAIRS), 0))
    return judged.mean(axis=1) if judged.size else None


def band(errors: FloatArray, moved: Sequence[float], per_day: int) -> FloatArray:
    """Offsets (len(QUANTILES), horizon) relative to `scale_of` the forecast; from the latest errors (days, horizon), of which
    some must be known on the first day. Hours without any take the band of the nearest hour that has one."""
    offsets = np.zeros((len(QUANTILES), errors.shape[1]))
    rows = [low for low, _ in PAIRS] + [high for _, high in PAIRS]
    for first in range(0, errors.shape[1], per_day):
        columns = slice(first, min(first + per_day, errors.shape[1]))
        latest = errors[-(WINDOW_DAYS + first // per_day) :, columns]
        offsets[rows, columns] = _quantiles(latest, _levels(moved), per_day, coarse=False)
        if not first:
            offsets[:, columns] = _nearest(offsets[:, columns])
        else:  # errors so far ahead may not be known yet: then those of the day before them
            before = offsets[:, columns.start - per_day : columns.stop - per_day]
            offsets[:, columns] = np.where(np.isfinite(offsets[:, columns]), offsets[:, columns], before)
    offsets[:MEDIAN] = np.minimum(offsets[:MEDIAN], 0.0)
    offsets[MEDIAN + 1 :] = np.maximum(offsets[MEDIAN + 1 :], 0.0)
    ordered: FloatArray = np.sort(offsets, axis=0)
    return ordered


def _nearest(offsets: FloatArray) -> FloatArray:
    """With each unknown column replaced by the nearest known one, around the clock."""
    steps = np.arange(offsets.shape[1])
    known = np.flatnonzero(np.isfinite(offsets).all(axis=0))
    apart = np.abs(steps[:, None] - known)
    return offsets[:, known[np.minimum(apart, len(steps) - apart).argmin(axis=1)]]


def _levels(moved: Sequence[float] | FloatArray) -> list[float]:
    """The lower levels of all pairs, then the upper ones."""
    both = list(zip(PAIRS, moved, strict=True))
    return [QUANTILES[low] - by for (low, _), by in both] + [QUANTILES[high] + by for (_, high), by in both]


def _quantiles(errors: FloatArray, levels: Sequence[float], per_day: int, *, coarse: bool) -> FloatArray:
    """Shape (levels, steps of a day): of the errors at hours near each step, or of each three hours together."""
    steps = errors.shape[1]
    near = max(1, _NEAR_H * per_day // 24)
    found = np.empty((len(levels), steps))
    hop = near if coarse else max(1, per_day // 24)
    for first in range(0, steps, hop):
        middle = first + hop // 2
        columns = np.arange(middle - near, middle + near + 1) % steps
        pool = errors[:, columns]
        pool = np.sort(pool[np.isfinite(pool)])
        at = np.interp(np.asarray(levels) * (len(pool) - 1), np.arange(len(pool)), pool) if len(pool) else np.nan
        found[:, first : first + hop] = np.reshape(at, (-1, 1))
    return found
