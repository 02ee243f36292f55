"""A harmonic autoregression: what is usual, plus what the last week's deviations from it say about each step ahead.

One linear regression a step ahead (a direct forecast), all with the same inputs, so that one matrix serves them all:
the last 168 hourly deviations, the mean deviation of 28 days at each hour, and the time of day. Regressions for four times of
day weigh the origins near theirs more, because a deviation at dawn tells other things than one at dusk.

Weather and other values known in advance enter the regular part, by days ahead, since they are less sure the further they look.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from carbonq.forecasters.carbon.models.climate import calendar, day_harmonics, ridge, solve
from carbonq.forecasters.carbon.models.exogenous import Exogenous, Scaling
from carbonq.forecasters.carbon.models.series import FloatArray, IntArray, Readings
from carbonq.forecasters.carbon.models.transform import Transform

PHASES = 4
"""Times of day that have regressions of their own, equally spaced from 00 UTC."""
_NEARNESS_H, _FLOOR = 2.0, 0.2
"""How the weight of an origin falls with the hours between it and the phase, and the weight that all keep."""
_CLIMATE_PENALTY, _PENALTY = 1e-3, 1e-3
_HALF_LIFE_DAYS = 180.0
"""Of the regular part: a grid is rebuilt year by year."""


class Shape(NamedTuple):
    """How much a regression looks at, in days: what fits the length of history."""

    lag_days: int = 7
    profile_days: int = 28
    season: bool = True

    @property
    def reach_days(self) -> int:
        return max(self.lag_days, self.profile_days) + 1


FULL, YOUNG = Shape(), Shape(lag_days=1, profile_days=0, season=False)


class Autoregression:
    """Fitted once; then forecasts from any readings that go on where those ended. Coefficients are kept in single precision."""

    def __init__(self, shape: Shape, transform: Transform, horizon: int) -> None:
        self._shape, self._transform, self._horizon = shape, transform, horizon

    def fit(self, readings: Readings, exogenous: Exogenous | None = None) -> "Autoregression":
        """`readings` must hold more than `shape.reach_days` and the horizon. `exogenous` covers the same steps."""
        self._step_s = readings.step_s
        self._exogenous = None if exogenous is None else exogenous.scaled()
        values = self._transform.forward(readings.values)
        known = np.isfinite(values)
        age_days = np.arange(len(values), 0, -1) * readings.step_s / 86_400
        weights = (0.5 ** (age_days / _HALF_LIFE_DAYS))[known]
        plain = calendar(readings.start, readings.step_s, len(values), season=self._shape.season)
        designs = [plain]
        if exogenous is not None:
            designs = [np.concatenate([plain, part], axis=1) for part in exogenous.design()] + designs
        self._regular = [ridge(d[known], values[known, None], _CLIMATE_PENALTY, weights)[:, 0] for d in designs]
        deviations = [
            _bridged(values - d @ b, known) for d, b in zip(designs, self._regular, strict=True)
        ]  # by days ahead
        self._regress(readings, deviations)
        return self

    def _regress(self, readings: Readings, deviations: list[FloatArray]) -> None:
        per_day = 86_400 // readings.step_s
        steps, horizon = len(readings.values), self._horizon
        hourly = max(1, per_day // 24)  # of finer steps one origin an hour is enough to learn from
        origins = np.arange(self._shape.reach_days * per_day, steps - horizon + 1, hourly)
        inputs = self._inputs(readings, deviations[0], origins)
        since_midnight = (origins + readings.step_of_day) % per_day
        grams, moments = [], []
        for hour in range(24):
            rows = since_midnight * 24 // per_day == hour
            grams.append(inputs[rows].T @ inputs[rows])
            targets = _ahead(deviations, origins[rows], since_midnight[rows], per_day, horizon)
            moments.append(inputs[rows].T @ targets)
        gram, moment = np.stack(grams), np.stack(moments)
        self._coefficients = np.empty((PHASES, inputs.shape[1], horizon), np.float32)
        for phase in range(PHASES):
            weights = _nearness(phase)
            self._coefficients[phase] = solve(
                np.tensordot(weights, gram, 1), np.tensordot(weights, moment, 1), _PENALTY
            )

    def predict(self, readings: Readings, origins: IntArray, exogenous: Exogenous | None = None) -> FloatArray:
        """Shape (len(origins), horizon): from each origin (an index into `readings`, at most their length) on.

        `exogenous` must cover the readings; what is known of the days ahead is taken from it as of each origin. Of days that
        it should reach and does not, nothing is said: NaN.
        """
        if self._exogenous is not None and exogenous is None:
            return np.full((len(origins), self._horizon), np.nan)
        per_day = 86_400 // self._step_s
        first = max(0, int(origins.min()) - self._shape.reach_days * per_day - per_day)
        recent = Readings(readings.at(first), readings.step_s, readings.values[first : int(origins.max())])
        values = self._transform.forward(recent.values)
        steps = len(values) + self._horizon
        plain = calendar(recent.start, self._step_s, steps, season=self._shape.season)
        usual = plain @ self._regular[-1]
        near = usual
        if exogenous is not None and self._exogenous is not None:
            near = plain @ self._regular[0][: plain.shape[1]]
            part = exogenous.window(first, len(values), self._exogenous, 0)
            near[: len(values)] += part @ self._regular[0][plain.shape[1] :]
        deviation = _bridged(values - near[: len(values)], np.isfinite(values))
        local = origins.astype(int) - first
        inputs = self._inputs(recent, deviation, local)
        for row in np.flatnonzero(~np.isfinite(values[local - 1])):  # in a gap, whose other side is not known yet
            past = (values - near[: len(values)])[: local[row]]
            inputs[row] = self._inputs(recent, _bridged(past, np.isfinite(past)), local[row : row + 1])[0]
        phases = phases_of(recent, local)
        ahead = np.empty((len(local), self._horizon))
        for phase in np.unique(phases):
            rows = phases == phase
            ahead[rows] = inputs[rows] @ self._coefficients[phase]
        targets = local[:, None] + np.arange(self._horizon)
        ahead += usual[targets]
        if exogenous is not None and self._exogenous is not None:
            ahead += self._foreseen(recent, plain, usual, local, first, exogenous, self._exogenous)
        return self._transform.back(ahead)

    def _foreseen(
        self,
        recent: Readings,
        plain: FloatArray,
        usual: FloatArray,
        origins: IntArray,
        first: int,
        exogenous: Exogenous,
        scaling: Scaling,
    ) -> FloatArray:
        """What the regular part gains from the values known in advance, (origins, horizon); zero for days they never reach.

        A single origin uses all that was known at its moment, many of them what was known at the midnight before each.
        """
        per_day = 86_400 // self._step_s
        targets = origins[:, None] + np.arange(self._horizon)
        days = (targets + recent.step_of_day) // per_day - ((origins + recent.step_of_day) // per_day)[:, None]
        within: NDArray[np.bool_] = np.less(days, len(self._regular) - 1)
        gain, told = np.zeros(targets.shape), ~within
        for day, beta in enumerate(self._regular[:-1]):
            curve = plain @ beta[: plain.shape[1]] - usual
            there: NDArray[np.bool_] = np.equal(days, day)
            gain[there] = curve[targets[there]]
            weather = beta[plain.shape[1] :]
            if len(origins) == 1:
                part = exogenous.ahead(first + int(origins[0]), self._horizon, scaling)
                gain[there] += (part @ weather)[there[0]]
                told[there] = _is_known(part)[there[0]]
            else:
                part = exogenous.window(first, len(plain), scaling, day)
                known, is_known = np.zeros(len(plain)), np.zeros(len(plain), bool)
                known[: len(part)], is_known[: len(part)] = part @ weather, _is_known(part)
                gain[there] += known[targets[there]]
                told[there] = is_known[targets[there]]
        return np.where(told & (np.count_nonzero(told & within, axis=1)[:, None] > 0), gain, np.nan)

    def _inputs(self, readings: Readings, deviation: FloatArray, origins: IntArray) -> FloatArray:
        """Shape (origins, columns): hourly lags, the usual deviation by hour of late, and the time of day."""
        per_day = 86_400 // readings.step_s
        wide = max(1, per_day // 24)  # steps a lag spans
        total = np.concatenate([[0.0], np.cumsum(deviation)])
        columns = [np.ones(len(origins))]
        ends = origins[:, None] - wide * np.arange(self._shape.lag_days * per_day // wide)
        columns += list(((total[ends] - total[ends - wide]) / wide).T)
        if wide > 1:
            columns.append(deviation[origins - 1])
        if self._shape.profile_days:
            daily = _every(total, per_day, wide)
            ends = origins[:, None] - wide * np.arange(per_day // wide)
            back = self._shape.profile_days * per_day
            columns += list(((daily[ends] - daily[ends - back]) / (self._shape.profile_days * wide)).T)
        columns += list(day_harmonics(readings.start, readings.step_s, len(deviation) + 1, 3)[origins, 1:].T)
        return np.stack(columns, axis=1)


def phases_of(readings: Readings, origins: IntArray) -> IntArray:
    """The nearest of the `PHASES` times of day, by number, for each index into the readings."""
    per_day = 86_400 // readings.step_s
    of_day = (origins + readings.step_of_day) % per_day / per_day
    phases: IntArray = np.floor(of_day * PHASES + 0.5).astype(int) % PHASES
    return phases


def _every(total: FloatArray, per_day: int, wide: int) -> FloatArray:
    """Running sums over the stretch of `wide` steps that ends at each step, and the same stretch of every day before."""
    stretch = np.concatenate([np.zeros(wide), total[wide:] - total[:-wide]])
    padded = np.concatenate([stretch, np.zeros(-len(stretch) % per_day)]).reshape(-1, per_day)
    return np.cumsum(padded, axis=0).ravel()[: len(stretch)]


def _ahead(
    deviations: list[FloatArray], origins: IntArray, since_midnight: IntArray, per_day: int, horizon: int
) -> FloatArray:
    """Shape (origins, horizon): the deviations to be foretold, from the regular part as known so many days ahead."""
    if len(deviations) == 1:
        found: FloatArray = sliding_window_view(deviations[0], horizon)[origins]
        return found
    days = np.minimum((since_midnight[:, None] + np.arange(horizon)) // per_day, len(deviations) - 1)
    picked: FloatArray = np.stack(deviations)[days, origins[:, None] + np.arange(horizon)]
    return picked


def _is_known(columns: FloatArray) -> NDArray[np.bool_]:
    """By step: where nothing is known, all columns of an `Exogenous` are zero."""
    found: NDArray[np.bool_] = np.count_nonzero(columns, axis=1) > 0
    return found


def _nearness(phase: int) -> FloatArray:
    """The weight of each hour of origin, shape (24,)."""
    apart = np.abs((np.arange(24) + 0.5 - phase * 24 / PHASES + 12) % 24 - 12)
    weights: FloatArray = _FLOOR + np.exp(-0.5 * (apart / _NEARNESS_H) ** 2)
    return weights


def _bridged(deviation: FloatArray, known: FloatArray) -> FloatArray:
    """With gaps drawn straight from the deviation before to the one after."""
    if known.all() or not known.any():
        return np.nan_to_num(deviation)
    at = np.flatnonzero(known)
    bridged: FloatArray = np.interp(np.arange(len(deviation)), at, deviation[at])
    return bridged
