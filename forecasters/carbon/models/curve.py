"""The simplest curve that any history allows: the usual day of late, met smoothly from where the last reading stands."""

import numpy as np

from carbonq.forecasters.carbon.models.exogenous import Exogenous
from carbonq.forecasters.carbon.models.series import FloatArray, IntArray, Readings

_DAYS, _FADE = 7, 0.8
_MEMORY_H = 6.0
"""How fast the distance between the last reading and the usual day is forgotten."""


class RecentDays:
    """The mean of up to a week's days, later ones weighing more. Days without any reading at the end are passed over."""

    def __init__(self, horizon: int, otherwise: float = 0.0) -> None:
        """`otherwise` is foreseen where no reading is known at all."""
        self._horizon, self._otherwise = horizon, otherwise

    def predict(self, readings: Readings, origins: IntArray, exogenous: Exogenous | None = None) -> FloatArray:  # noqa: ARG002  # the members' common call
        """Shape (len(origins), horizon): from each origin (an index into `readings`, at most their length) on."""
        return np.stack([self._one(readings, int(origin)) for origin in origins])

    def _one(self, readings: Readings, origin: int) -> FloatArray:
        per_day = 86_400 // readings.step_s
        seen = np.flatnonzero(np.isfinite(readings.values[:origin]))
        silent = (origin - 1 - int(seen[-1])) // per_day * per_day if len(seen) else 0
        past = readings.values[max(0, origin - silent - _DAYS * per_day) : origin - silent]
        known = np.isfinite(past)
        mean = float(past[known].mean()) if known.any() else self._otherwise
        days = np.concatenate([np.full(-len(past) % per_day, np.nan), past]).reshape(-1, per_day)
        weights = np.where(np.isfinite(days), _FADE ** np.arange(len(days))[::-1, None], 0.0)
        total = weights.sum(axis=0)
        usual = np.where(total > 0, (weights * np.nan_to_num(days)).sum(axis=0) / np.maximum(total, 1e-12), mean)
        last = float(past[-1] - usual[-1]) if not silent and len(past) and known[-1] else 0.0
        hours = (np.arange(self._horizon) + 1) * readings.step_s / 3600
        curve: FloatArray = np.resize(usual, self._horizon) + last * np.exp(-hours / _MEMORY_H)
        return curve
