"""`carbonq`: the model that forecasts each zone. An ensemble of autoregressions, with bands from its own past errors.

Members see the same history on two scales (level, logarithm), and once more with the values known in advance, where there are
any. How far to trust each is read off forecasts they would have made in the last months: at fixed dates the members are fitted
on what was known then, and what they say of the weeks after it is compared with what came. From the same errors come the bands.

All of it follows from the readings alone, so that a forecast can be made again later, exactly.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

import numpy as np

from carbonq.forecasters.carbon.models import calibration, weighing
from carbonq.forecasters.carbon.models.autoregression import FULL, PHASES, YOUNG, Autoregression, phases_of
from carbonq.forecasters.carbon.models.curve import RecentDays
from carbonq.forecasters.carbon.models.exogenous import Exogenous
from carbonq.forecasters.carbon.models.series import QUANTILES, Features, FloatArray, IntArray, Readings
from carbonq.forecasters.carbon.models.transform import Transform

HORIZON = timedelta(days=7)
PUBLISHED = ("published",)
"""The names of a feature that is a provider's own forecast of this very signal."""
DAY = timedelta(days=1)
_LONGEST, _TRIMMED_EVERY = timedelta(days=3 * 365), timedelta(days=28)
_FULL_AFTER, _YOUNG_AFTER, _SEASON_AFTER = timedelta(days=150), timedelta(days=28), timedelta(days=300)
"""What history the autoregressions need: for all their inputs, at all, and to tell summer from winter. With 70 days a full one
errs twice as much as a young one; with 150 they are even."""
_EXOGENOUS_AFTER = timedelta(days=70)
_RECENT = timedelta(days=40)
"""As much as a forecast looks back on."""
_LEAST_COVERAGE = 0.3
"""Of the history, by values known in advance: with less there is too little to learn from."""
_FEWEST_ERRORS = 3
"""Days of errors at each hour, below which no band is made of them."""
_PLAIN_BAND = np.array([-0.25, -0.2, -0.1, 0.0, 0.1, 0.2, 0.25])
"""Relative errors while none are known."""
_REHEARSALS = (
    (timedelta(days=300), timedelta(days=28), 5, _FULL_AFTER),
    (timedelta(days=70), timedelta(days=7), 8, _YOUNG_AFTER),
    (timedelta(), timedelta(days=1), 26, DAY),
)
"""For histories of at least so long: days between rehearsals, how many, and what history each must have had."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TooShort(ValueError):
    """Not a single day of readings is known."""


class Member(Protocol):
    def predict(self, readings: Readings, origins: IntArray, exogenous: Exogenous | None = None) -> FloatArray: ...


class _Rehearsal(NamedTuple):
    """What each member, fitted on nothing later than the first origin, says at `origins` (indices): (origins, horizon)."""

    origins: IntArray
    said: Mapping[str, FloatArray]


class ZoneModel:
    """A `CarbonModel`. With `remember`, fitting day after day on a growing history costs one fit a day, in exchange for memory."""

    name = "carbonq"

    def __init__(self, step_s: int = 3600, *, remember: bool = False) -> None:
        if 86_400 % step_s:
            raise ValueError(f"steps of {step_s} s do not fill a day")
        self._step_s, self._per_day = step_s, 86_400 // step_s
        self._horizon = HORIZON // timedelta(seconds=step_s)
        self._remember = remember
        self._past: dict[tuple[datetime, datetime], tuple[Mapping[str, Member], _Rehearsal | None]] = {}
        self._past_basis: object = None
        self._members: Mapping[str, Member] = {}

    # --- learning

    def fit(self, readings: Readings, features: Sequence[Features] = ()) -> None:
        """As the protocol. Raises TooShort."""
        known = int(np.isfinite(readings.values).sum())
        if known < self._per_day:
            raise TooShort(f"{known} readings of {self._step_s} s are no day")
        readings = _trimmed(readings)
        published, others = _parted(features)
        others = [one for one in others if _reaches(one, readings.end)]
        exogenous = _learnable(others, readings)
        self._learnt = [] if exogenous is None else [one._replace(issues=()) for one in others]
        self._days = 0 if exogenous is None else exogenous.days
        self._forget_unless((readings.start, [one.names for one in self._learnt], self._days))
        transform = Transform.of(readings.values)
        self._level, self._floor = transform.level, 0.0 if transform.lowest >= 0 else -np.inf
        self._members = self._fitted(readings, exogenous)
        rehearsals = [self._rehearsed(at, until, readings, exogenous) for at, until in _rehearsal_dates(readings)]
        origins = np.concatenate([np.empty(0, int), *(one.origins for one in rehearsals)])
        said = {
            name: np.concatenate([np.empty((0, self._horizon)), *(_said(one, name) for one in rehearsals)])
            for name in self._members
        }
        actual = weighing.targets(readings, origins, self._horizon)
        self._weights = weighing.member_weights(said, actual, self._level, self._per_day)
        own = self._combined(said)
        self._published = weighing.Published.learnt(published, readings, origins, own, self._level)
        if self._published is not None and len(origins):
            theirs = [weighing.published_at(published, readings, int(at), self._horizon) for at in origins]
            own = self._published.mixed(own, np.stack(theirs))
        self._calibrate(readings, origins, weighing.relative_errors(own, actual, self._level))
        if not self._remember:
            self._past.clear()

    def _forget_unless(self, basis: object) -> None:
        """What was remembered counts only while the same history and the same kinds of values known in advance go on."""
        if basis != self._past_basis:
            self._past.clear()
        self._past_basis = basis

    def _fitted(self, readings: Readings, exogenous: Exogenous | None) -> dict[str, Member]:
        """The members that this length of history allows."""
        span = readings.end - readings.start
        curve = RecentDays(self._horizon, otherwise=float(np.nanmean(readings.values)))
        if span < _YOUNG_AFTER:
            return {"curve": curve}
        shape = FULL if span >= _FULL_AFTER else YOUNG
        shape = shape._replace(season=span >= _SEASON_AFTER)
        level = Transform.of(readings.values)
        members: dict[str, Member] = {"level": Autoregression(shape, level, self._horizon).fit(readings)}
        if level.allows_logarithm:
            members["logarithm"] = Autoregression(shape, level.as_logarithm(), self._horizon).fit(readings)
        if exogenous is not None and span >= _EXOGENOUS_AFTER:
            members["exogenous"] = Autoregression(shape, level, self._horizon).fit(readings, exogenous)
        if span < _FULL_AFTER:
            members["curve"] = curve
        return members

    def _rehearsed(self, at: datetime, until: datetime, readings: Readings, exogenous: Exogenous | None) -> _Rehearsal:
        """What the members fitted at `at` say at each phase of the days up to `until`."""
        members, kept = self._past.get((at, until), ({}, None))
        if kept is not None:
            return kept._replace(origins=kept.origins + readings.step_of(at))
        if not members:
            then = readings.before(at)
            members = self._fitted(then, None if exogenous is None else exogenous.before(len(then.values)))
        first, last = readings.step_of(at), readings.step_of(min(until, readings.end))
        origins = np.arange(first, last, max(1, self._per_day // PHASES))
        said = {name: member.predict(readings, origins, exogenous) for name, member in members.items()}
        settled = until if exogenous is None else until + HORIZON  # the last days' own values are known only then
        finished = _Rehearsal(origins - first, said) if settled <= readings.end else None
        self._past[at, until] = (members, finished)
        return _Rehearsal(origins, said)

    def _calibrate(self, readings: Readings, origins: IntArray, errors: FloatArray) -> None:
        phases = phases_of(readings, origins)
        of_midnight = errors[phases == 0]
        moved = calibration.shifts(of_midnight, self._per_day)
        self._bands, self._paths = [], []
        for phase in range(PHASES):
            mine = errors[phases == phase]
            counts = np.isfinite(mine[:, : self._per_day]).sum(axis=0)
            few = not counts.any() or counts[counts > 0].min() < _FEWEST_ERRORS  # some hours may never be reported
            plain = np.repeat(_PLAIN_BAND[:, None], self._horizon, axis=1)
            self._bands.append(plain if few else calibration.band(mine, moved, self._per_day))
            whole = mine[np.isfinite(mine).all(axis=1)]
            self._paths.append(whole[-calibration.WINDOW_DAYS :].astype(np.float32))

    # --- forecasting

    def predict(self, readings: Readings, horizon: int, features: Sequence[Features] = ()) -> FloatArray:
        """As the protocol; beyond seven days the last day repeats."""
        readings = readings.since(readings.end - _RECENT)
        published, others = _parted(features)
        learnt = _alike([one for one in others if _reaches(one, readings.end)], self._learnt)
        exogenous = Exogenous(learnt, readings, days=self._days) if learnt else None
        origins = np.array([len(readings.values)])
        said = {name: member.predict(readings, origins, exogenous) for name, member in self._members.items()}
        median = self._combined(said)[0]
        if self._published is not None:
            theirs = weighing.published_at(published, readings, len(readings.values), self._horizon)
            median = self._published.mixed(median, theirs)
        quantiles = median + self._bands[_phase(readings)] * calibration.scale_of(median, self._level)
        return _stretched(np.maximum(quantiles, self._floor), horizon, self._per_day)

    def scenarios(self, quantiles: FloatArray, readings: Readings, count: int, seed: int = 0) -> FloatArray:
        """Joint paths (count, horizon) whose values at each step spread as the quantiles do, and which err over time as past
        forecasts did: each follows the ranks of one past forecast's errors (empirical copula coupling, Schefzik et al., 2013).

        `quantiles` as `predict` gave them from these readings.
        """
        horizon = quantiles.shape[1]
        paths = self._paths[_phase(readings)]
        draw = np.random.default_rng(seed)
        if not len(paths):
            levels = np.repeat(draw.random(count)[:, None], horizon, axis=1)
        else:
            ranks = (paths.argsort(axis=0).argsort(axis=0) + 0.5) / len(paths)
            levels = _stretched(ranks[draw.integers(0, len(ranks), count)], horizon, self._per_day)
        return np.stack([np.interp(levels[:, step], QUANTILES, quantiles[:, step]) for step in range(horizon)], axis=1)

    def _combined(self, said: Mapping[str, FloatArray]) -> FloatArray:
        """The weighted mean of the members that say something; (origins, horizon)."""
        total = weight = np.zeros((1, self._horizon))
        for name, one in said.items():
            there = np.isfinite(one) * self._weights[name]
            total, weight = total + np.nan_to_num(one) * there, weight + there
        combined: FloatArray = total / weight
        return combined


def _parted(features: Sequence[Features]) -> tuple[list[Features], list[Features]]:
    """Providers' own forecasts of the signal, and everything else."""
    return [one for one in features if one.names == PUBLISHED], [one for one in features if one.names != PUBLISHED]


def _reaches(features: Features, moment: datetime) -> bool:
    """Whether the latest issue tells something of what comes after a moment."""
    latest = features.issues[-1] if features.issues else None
    return latest is not None and latest.start + len(latest.values) * timedelta(seconds=features.step_s) > moment


def _alike(features: Sequence[Features], learnt: Sequence[Features]) -> list[Features]:
    """Those of the names that were learnt from, in that order; none where any is not given any more."""
    given = {one.names: one for one in features}
    found = [given[one.names] for one in learnt if one.names in given]
    return found if len(found) == len(learnt) else []


def _learnable(features: Sequence[Features], readings: Readings) -> Exogenous | None:
    exogenous = Exogenous(features, readings) if features else None
    return exogenous if exogenous is not None and exogenous.coverage >= _LEAST_COVERAGE else None


def _trimmed(readings: Readings) -> Readings:
    """From the first known reading on, some three years at most: from a date that stays the same for weeks."""
    longest = _EPOCH + (readings.end - _LONGEST - _EPOCH) // _TRIMMED_EVERY * _TRIMMED_EVERY
    readings = readings.since(longest)
    return readings.since(readings.at(int(np.isfinite(readings.values).argmax())))


def _rehearsal_dates(readings: Readings) -> list[tuple[datetime, datetime]]:
    """When the members are fitted as of then, and until when that fit is asked: fixed dates, whatever day it is today."""
    span = readings.end - readings.start
    spacing, count, least = next(row for row in _REHEARSALS if span >= row[0])[1:]
    last = _EPOCH + (readings.end - _EPOCH) // spacing * spacing
    dates = [last - k * spacing for k in reversed(range(count))]
    return [(at, at + spacing) for at in dates if readings.start + least <= at < readings.end]


def _said(rehearsal: _Rehearsal, name: str) -> FloatArray:
    """NaN of a member that was not there yet."""
    other = next(iter(rehearsal.said.values()))
    return rehearsal.said.get(name, np.full_like(other, np.nan))


def _phase(readings: Readings) -> int:
    return int(phases_of(readings, np.array([len(readings.values)]))[0])


def _stretched(values: FloatArray, horizon: int, per_day: int) -> FloatArray:
    """(…, horizon): cut, or with the last day said again and again."""
    missing = horizon - values.shape[-1]
    if missing <= 0:
        return values[..., :horizon]
    more = np.tile(values[..., -per_day:], -(-missing // per_day))[..., :missing]
    longer: FloatArray = np.concatenate([values, more], axis=-1)
    return longer
