"""What is usual at a time of day, of the week and of the year: the regular part of an intensity, fitted by ridge regression."""

from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonq.forecasters.carbon.models.series import FloatArray

DAY_S, YEAR_S = 86_400, 365.2425 * 86_400
_DAILY, _YEARLY, _WEEKEND = 6, 1, 2
"""Harmonics of the day, of the year, and of a weekend's day. More of the year fits the one year that is known, not the next."""
_ROUNDING = 1e-16
"""Of the longest column's sum of squares: what is smaller comes from angles of some 1e6 turns, known to 1e-10."""
_MARKED_DAYS = (0, 4, 5, 6)
"""Monday, Friday, Saturday and Sunday differ from the days between them."""


def calendar(start: datetime, step_s: int, steps: int, *, season: bool) -> FloatArray:
    """The design matrix of the steps from `start` on: day harmonics, each swelling and fading over the year, and weekdays."""
    seconds = start.timestamp() + step_s * np.arange(steps, dtype=np.float64)
    day = _harmonics(seconds / DAY_S, _DAILY)
    year = _harmonics(seconds / YEAR_S, _YEARLY if season else 0)
    weekday = (seconds // DAY_S + 3) % 7  # 1970 began on a Thursday
    weekend = (weekday >= 5)[:, None] * day[:, : 1 + 2 * _WEEKEND]
    marked = np.stack([weekday == d for d in _MARKED_DAYS], axis=1).astype(float)
    return np.concatenate([(day[:, :, None] * year[:, None, :]).reshape(steps, -1), weekend, marked], axis=1)


def _harmonics(turns: NDArray[np.floating[Any]], count: int) -> FloatArray:
    """1, cos and sin of the first `count` multiples of a phase given in turns; shape (steps, 1 + 2 * count)."""
    angles = 2 * np.pi * turns[:, None] * np.arange(1, count + 1)
    return np.concatenate(
        [np.ones((len(turns), 1)), np.stack([np.cos(angles), np.sin(angles)], axis=2).reshape(len(turns), -1)], axis=1
    )


def day_harmonics(start: datetime, step_s: int, steps: int, count: int) -> FloatArray:
    """Shape (steps, 1 + 2 * count)."""
    return _harmonics((start.timestamp() + step_s * np.arange(steps)) / DAY_S, count)


def ridge(design: FloatArray, target: FloatArray, penalty: float, weights: FloatArray | None = None) -> FloatArray:
    """Coefficients (columns, targets) of a weighted ridge regression, each column penalised in units of its own length."""
    weighted = design if weights is None else design * weights[:, None]
    return solve(weighted.T @ design, weighted.T @ target, penalty)


def solve(gram: FloatArray, moment: FloatArray, penalty: float) -> FloatArray:
    """The ridge solution from X'X and X'Y. A column that is zero but for rounding gets the coefficient zero."""
    square = np.diag(gram)
    length = np.sqrt(np.where(square > _ROUNDING * square.max(), square, np.inf))
    scaled = gram / length[:, None] / length + penalty * np.eye(len(gram))
    found: FloatArray = np.linalg.solve(scaled, moment / length[:, None]) / length[:, None]
    return found
