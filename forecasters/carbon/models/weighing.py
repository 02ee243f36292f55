"""How far to trust each forecast, learnt from how it did lately: by days ahead, and never from anything but the past."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np

from carbonq.forecasters.carbon.models.calibration import scale_of
from carbonq.forecasters.carbon.models.series import Features, FloatArray, IntArray, Readings

_SHARPNESS = 6.0
"""Weights go as the inverse of the mean error to this power: twice the error leaves 1/64 of the weight."""
_PRIOR_DAYS = 5.0
"""So many days of evidence it takes to move half-way from an even mean of ours and the provider's forecast."""
_LOOKBACK_DAYS, _HALF_LIFE_DAYS = 60, 20.0
_GROSS = 3.0
"""Whoever says so many times what comes, or so small a part of it, speaks of something else and gets no weight."""
_MIXES = np.linspace(0.0, 1.0, 21)
_LOOKBACK = timedelta(days=8)


def relative_errors(said: FloatArray, actual: FloatArray, level: float) -> FloatArray:
    return (actual - said) / scale_of(said, level)


def member_weights(
    said: Mapping[str, FloatArray], actual: FloatArray, level: float, per_day: int
) -> dict[str, FloatArray]:
    """One weight a member and step ahead, adding up to 1; each array (horizon,). Even where nothing is known yet."""
    horizon = actual.shape[1]
    losses: dict[str, FloatArray] = {}
    for name, one in said.items():
        off = np.abs(relative_errors(one, actual, level))
        off = np.concatenate([off, np.full((len(off), -horizon % per_day), np.nan)], axis=1)
        by_day = off.reshape(len(off), off.shape[1] // per_day, per_day)
        known = np.isfinite(by_day)
        counts = known.sum(axis=(0, 2))
        mean = np.where(known, by_day, 0.0).sum(axis=(0, 2)) / np.maximum(counts, 1)
        losses[name] = np.repeat(np.where(counts > 0, np.maximum(mean, 1e-6), 1.0), per_day)[:horizon]
    trust = {name: loss**-_SHARPNESS for name, loss in losses.items()}
    total = sum(trust.values(), np.zeros(horizon))
    return {name: one / total for name, one in trust.items()}


class Published(NamedTuple):
    """How a provider's own forecast is weighed against ours: `weights[day]` of each day ahead, after `factor` meets its level."""

    weights: FloatArray
    factor: float
    per_day: int

    @classmethod
    def learnt(
        cls, published: Sequence[Features], readings: Readings, origins: IntArray, own: FloatArray, level: float
    ) -> "Published | None":
        """From our own forecasts (origins, horizon) made in the past beside the provider's. None where it has published nothing."""
        if not any(one.issues for one in published):
            return None
        per_day = 86_400 // readings.step_s
        days = -(-own.shape[1] // per_day)
        lately = origins >= len(readings.values) - _LOOKBACK_DAYS * per_day
        origins, own = origins[lately], own[lately]
        theirs = (
            np.stack([published_at(published, readings, int(o), own.shape[1]) for o in origins])
            if len(origins)
            else own
        )
        actual = targets(readings, origins, own.shape[1])
        both = np.isfinite(theirs) & np.isfinite(actual)
        if both.any() and not _is_alike(theirs[both], actual[both]):
            return cls(np.zeros(days), 1.0, per_day)
        factor = _level_factor(theirs[both], actual[both], per_day)
        age_days = (len(readings.values) - origins) / per_day
        weight = 0.5 ** (age_days / _HALF_LIFE_DAYS)
        evenly = np.full(days, 0.5)
        for day in range(days):
            part = slice(day * per_day, (day + 1) * per_day)
            evenly[day] = _best_mix(
                own[:, part],
                theirs[:, part] * factor,
                actual[:, part],
                weight,
                level,
                len(origins) / _days(origins, per_day),
            )
        return cls(evenly, factor, per_day)

    def mixed(self, own: FloatArray, theirs: FloatArray) -> FloatArray:
        """Both (…, horizon); ours alone where theirs is unknown."""
        weight = np.repeat(self.weights, self.per_day)[: own.shape[-1]]
        return np.where(np.isfinite(theirs), (1 - weight) * own + weight * self.factor * np.nan_to_num(theirs), own)


def published_at(published: Sequence[Features], readings: Readings, origin: int, horizon: int) -> FloatArray:
    """What the provider had last said by then about the steps from an origin on; NaN where nothing."""
    moment, found = readings.at(origin), np.full(horizon, np.nan)
    for one in published:
        first = bisect_right(one.issues, moment - _LOOKBACK, key=lambda issue: issue.issued_at)
        last = bisect_right(one.issues, moment, key=lambda issue: issue.issued_at)
        for issue in one.issues[first:last]:
            at_s = (moment - issue.start).total_seconds() + readings.step_s * np.arange(horizon)
            rows = np.floor(at_s / one.step_s).astype(int)
            inside = np.flatnonzero((rows >= 0) & (rows < len(issue.values)))
            values = issue.values[rows[inside], 0]
            found[inside] = np.where(np.isfinite(values), values, found[inside])
    return found


def targets(readings: Readings, origins: IntArray, horizon: int) -> FloatArray:
    """What came, shape (origins, horizon); NaN for what is not known yet."""
    padded = np.concatenate([readings.values, np.full(horizon, np.nan)])
    came: FloatArray = padded[origins.astype(int)[:, None] + np.arange(horizon)]
    return came


def _days(origins: IntArray, per_day: int) -> float:
    return max(1.0, len(np.unique(origins // per_day)))


def _is_alike(theirs: FloatArray, actual: FloatArray) -> bool:
    """Whether it can be a forecast of this signal at all, in these units."""
    said, came = float(np.abs(theirs).sum()), float(np.abs(actual).sum())
    return said < _GROSS * came and came < _GROSS * said


def _level_factor(theirs: FloatArray, actual: FloatArray, per_day: int) -> float:
    """By which their level must be multiplied; trusted as days of it are seen."""
    said, came = float(np.abs(theirs).sum()), float(np.abs(actual).sum())
    if said <= 0 or came <= 0:
        return 1.0
    days = len(theirs) / (per_day * 4 * 4)  # four origins a day, each some four days long
    return float((came / said) ** (days / (days + 3 * _PRIOR_DAYS)))


def _best_mix(
    own: FloatArray, theirs: FloatArray, actual: FloatArray, weight: FloatArray, level: float, a_day: float
) -> float:
    """The share of theirs that would have erred least, drawn towards one half while there is little evidence."""
    there = np.isfinite(theirs) & np.isfinite(actual)
    if not there.any():
        return 0.5
    scale = scale_of(own, level)
    heavy = np.where(there, weight[:, None], 0.0)
    evidence_days = heavy.sum() / (own.shape[1] * a_day)
    loss = np.array(
        [(heavy * np.abs(np.nan_to_num(actual - own - mix * (theirs - own))) / scale).sum() for mix in _MIXES]
    )
    best = float(_MIXES[int(loss.argmin())])
    return float((evidence_days * best + _PRIOR_DAYS * 0.5) / (evidence_days + _PRIOR_DAYS))
