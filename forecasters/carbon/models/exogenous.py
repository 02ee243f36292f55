"""Values of the future known in advance, laid on the steps of the readings as they were known at midnight, days before.

A weather forecast for tomorrow is surer than the same for the day after: each gets coefficients of its own. So there is one
table a day ahead: of each step, what was known at 00 UTC of its own day, of the day before, and so on.
Names that tell generation by fuel also give the intensity of that mix, by the same factors as everywhere.
"""

from bisect import bisect_right
from collections.abc import Sequence
from copy import copy
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from carbonq.domain.carbon import Scope
from carbonq.forecasters.carbon.generation import Fuel, factors
from carbonq.forecasters.carbon.models.climate import day_harmonics
from carbonq.forecasters.carbon.models.series import Features, FloatArray, IntArray, Issue, Readings

DAY = timedelta(days=1)
_MOST_DAYS = 7
_MIX_FUELS = 3
"""Fewer fuels than these are no mix."""
_FUELS = {fuel.value.replace(" ", "_"): fuel for fuel in Fuel} | {"nat_gas": Fuel.GAS, "unknown": Fuel.OTHER}
_HELD_H = 3
"""How long a value stands for the hours after it that nobody has forecast yet."""
_EXTREME = 4.0
"""Standard deviations: values beyond are taken for these."""


class Scaling(NamedTuple):
    """Mean and standard deviation of each column, over the history that a model learnt from."""

    mean: FloatArray
    deviation: FloatArray


class Exogenous:
    """Of one zone, over the steps of `readings`. Unknown values count as usual ones (zero after scaling)."""

    def __init__(
        self,
        features: Sequence[Features],
        readings: Readings,
        scope: Scope = Scope.LIFECYCLE,
        *,
        days: int | None = None,
    ) -> None:
        """`days` ahead that there are tables for; by default as many as the latest issues reach."""
        self._features, self._readings, self._scope = features, readings, scope
        self._per_day = 86_400 // readings.step_s
        self.days = max((_days_ahead(one) for one in features), default=0) if days is None else days
        self._known = np.stack([self._as_known(day) for day in range(self.days)]) if self.days else np.empty((0, 0, 0))

    def before(self, steps: int) -> "Exogenous":
        """What of it concerns the first so many steps."""
        part = copy(self)
        part._readings = self._readings._replace(values=self._readings.values[:steps])
        part._known = self._known[:, :steps]
        return part

    @property
    def coverage(self) -> float:
        """The share of steps of which something was known on their own day's midnight."""
        return float(np.isfinite(self._known[0]).any(axis=1).mean()) if self.days and self._known.size else 0.0

    def scaled(self) -> Scaling:
        own = self._known[0]
        with np.errstate(all="ignore"):
            counts = np.maximum(np.isfinite(own).sum(axis=0), 1)
            mean = np.nansum(own, axis=0) / counts
            deviation = np.sqrt(np.nansum((own - mean) ** 2, axis=0) / counts)
        return Scaling(mean, np.where(deviation > 1e-9 * (1 + np.abs(mean)), deviation, np.inf))

    def design(self) -> list[FloatArray]:
        """One matrix (steps, columns) for each day ahead."""
        scaling = self.scaled()
        return [
            _columns(known, scaling, self._readings.start, self._readings.step_s) for known in self._known[: self.days]
        ]

    def window(self, first: int, steps: int, scaling: Scaling, day: int) -> FloatArray:
        """The design of some steps, as known on the midnight so many days before; those after the readings are left out."""
        part = self._known[day][first : first + steps]
        return _columns(part, scaling, self._readings.at(first), self._readings.step_s)

    def ahead(self, origin: int, steps: int, scaling: Scaling) -> FloatArray:
        """The design of the steps from an origin on, from all that was known at that moment."""
        moment = self._readings.at(origin)
        known = [
            _latest(one, moment, moment, steps, self._readings.step_s, lookback=_MOST_DAYS * DAY)
            for one in self._features
        ]
        table = _with_mix(np.concatenate(known, axis=1), self._names, self._scope)
        return _columns(table, scaling, moment, self._readings.step_s)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(name for one in self._features for name in one.names)

    def _as_known(self, day: int) -> FloatArray:
        """Shape (steps, columns): each step as it was known at 00 UTC, so many days before its own day."""
        lead = self._readings.step_of_day
        whole = -(-(lead + len(self._readings.values)) // self._per_day)
        first = self._readings.start - timedelta(seconds=lead * self._readings.step_s)
        table = np.concatenate(
            [_by_midnight(one, first, whole, day, self._readings.step_s) for one in self._features], axis=1
        )
        return _with_mix(table, self._names, self._scope)[lead : lead + len(self._readings.values)]


def _by_midnight(features: Features, first: datetime, days: int, ahead: int, step_s: int) -> FloatArray:
    per_day = 86_400 // step_s
    table = np.full((days * per_day, len(features.names)), np.nan)
    issued = [issue.issued_at for issue in features.issues]
    reach = _days_ahead(features) * DAY
    for issue, at in zip(
        features.issues, issued, strict=True
    ):  # the oldest first: later ones replace what they know better
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        midnight += DAY if at > midnight else timedelta()
        while midnight <= at + reach:
            target = midnight + ahead * DAY
            row = (target - first) // DAY
            if 0 <= row < days:
                _lay(table[row * per_day : (row + 1) * per_day], issue, features.step_s, target, step_s)
            midnight += DAY
    return _held(table, _HELD_H * 3600 // step_s)


def _latest(
    features: Features, moment: datetime, start: datetime, steps: int, step_s: int, *, lookback: timedelta
) -> FloatArray:
    """What was known at `moment` of the steps from `start` on."""
    table = np.full((steps, len(features.names)), np.nan)
    first = bisect_right(features.issues, moment - lookback, key=lambda issue: issue.issued_at)
    last = bisect_right(features.issues, moment, key=lambda issue: issue.issued_at)
    for issue in features.issues[first:last]:
        _lay(table, issue, features.step_s, start, step_s)
    return _held(table, _HELD_H * 3600 // step_s)


def _lay(table: FloatArray, issue: Issue, issue_step_s: int, start: datetime, step_s: int) -> None:
    """Put an issue's values onto the steps from `start` on, where it has any: finer ones thinned, coarser ones held."""
    offset_s = int((start - issue.start).total_seconds())
    if issue_step_s == step_s and offset_s % step_s == 0:  # the usual case, quickly
        offset = offset_s // step_s
        first, last = max(0, -offset), min(len(table), len(issue.values) - offset)
        inside: slice | IntArray = slice(first, max(first, last))
        values = issue.values[first + offset : max(first, last) + offset]
    else:
        rows = np.floor((offset_s + step_s * np.arange(len(table))) / issue_step_s).astype(int)
        inside = np.flatnonzero((rows >= 0) & (rows < len(issue.values)))
        values = issue.values[rows[inside]]
    table[inside] = np.where(np.isfinite(values), values, table[inside])


def _held(table: FloatArray, most: int) -> FloatArray:
    """With short gaps filled by the value before."""
    for _ in range(most):
        gap = np.isnan(table[1:]) & np.isfinite(table[:-1])
        if not gap.any():
            break
        table[1:][gap] = table[:-1][gap]
    return table


def _days_ahead(features: Features) -> int:
    """How many days an issue looks ahead from the midnight at or after its making, at most."""
    longest = timedelta()
    for issue in features.issues[-30:]:
        longest = max(longest, issue.start + len(issue.values) * timedelta(seconds=features.step_s) - issue.issued_at)
    return min(_MOST_DAYS, max(1, -(-longest // DAY))) if features.issues else 0


def _with_mix(table: FloatArray, names: Sequence[str], scope: Scope) -> FloatArray:
    """Beside the values as given, what a mix of generation among them emits, and the share of wind and sun in it."""
    fuels = {index: fuel for index, name in enumerate(names) if (fuel := _fuel_of(name)) is not None}
    if len(set(fuels.values())) < _MIX_FUELS:
        return table
    generation = np.maximum(table[:, list(fuels)], 0.0)
    total = generation.sum(axis=1)
    per_kwh = np.array([factors(scope)[fuel].g_per_kwh for fuel in fuels.values()])
    fickle = np.array([fuel in (Fuel.WIND, Fuel.WIND_OFFSHORE, Fuel.SOLAR) for fuel in fuels.values()])
    with np.errstate(all="ignore"):
        intensity = np.where(total > 0, generation @ per_kwh / total, np.nan)
        more = [intensity, np.log(np.maximum(intensity, 1.0)), np.where(total > 0, generation @ fickle / total, np.nan)]
    return np.concatenate([table, np.stack(more, axis=1)], axis=1)


def _fuel_of(name: str) -> Fuel | None:
    """`avg_nat_gas_production_forecast`, `coal_mw`: the fuel whose generation a column foretells; None for any other."""
    plain = name.lower().removeprefix("avg_").removeprefix("forecast_")
    for ending in ("_production_forecast", "_generation_forecast", "_forecast_mw", "_mw"):
        if plain.endswith(ending):
            fuel = _FUELS.get(plain.removesuffix(ending))
            return None if fuel is Fuel.STORAGE else fuel
    return None


def _columns(table: FloatArray, scaling: Scaling, start: datetime, step_s: int) -> FloatArray:
    """Each value and its square, at each time of day: shape (steps, 2 * columns * 5)."""
    scaled = np.clip(np.nan_to_num((table - scaling.mean) / scaling.deviation), -_EXTREME, _EXTREME)
    both = np.concatenate([scaled, scaled**2 - np.where(np.isfinite(table), 1.0, 0.0)], axis=1)
    hours = day_harmonics(start, step_s, len(table), 2)
    return (both[:, :, None] * hours[:, None, :]).reshape(len(table), -1)
