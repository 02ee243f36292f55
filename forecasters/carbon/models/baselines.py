"""The simple curves that every model is measured by: yesterday, last week, the week's mean, a typical profile, a published forecast.

Each has a band from its own past errors alone, at the same time of day and lead, so that band and curve can be scored alike.
p50 is the curve itself: the other quantiles never cross it.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from carbonq.forecasters.carbon.models.series import MEDIAN, QUANTILES, Features, FloatArray, Issue, Readings

DAY_S = 86_400
ERROR_DAYS = 60
"""Past origins whose errors make the band: one a day."""
PUBLISHED = "published"
"""The one feature name of a provider's own forecast of the signal."""

IntArray = NDArray[np.int64]


class Recurring:
    """What the last `days` were, again and again. Gaps hold the same time of the day before."""

    name: str
    days: ClassVar[int]

    def fit(self, readings: Readings, features: Sequence[Features] = ()) -> None:
        """Nothing is learnt."""

    def predict(self, readings: Readings, horizon: int, features: Sequence[Features] = ()) -> FloatArray:  # noqa: ARG002  # the interface
        day = DAY_S // readings.step_s
        tail = readings.values[-(ERROR_DAYS + self.days + 1) * day :]
        known = _filled(tail, day, at_least=self.days * day)
        missing = len(known) - len(tail)
        actual = np.concatenate([np.full(missing, np.nan), tail])
        origins = _past_origins(len(known), day, first=missing + self.days * day)
        past = self._curves(known, origins, day, horizon)
        curve = self._curves(known, np.array([len(known)]), day, horizon)[0]
        return banded(curve, _ahead(actual, origins, horizon) - past)

    def _curves(self, known: FloatArray, origins: IntArray, day: int, horizon: int) -> FloatArray:
        """What was foreseen at each origin, shape (origins, horizon)."""
        windows = known[origins[:, None] + np.arange(-self.days * day, 0)]
        season = self._season(windows.reshape(len(origins), self.days, day))
        curves: FloatArray = season[:, np.arange(horizon) % season.shape[1]]
        return curves

    def _season(self, days: FloatArray) -> FloatArray:
        """From (origins, days, steps of a day) to the steps that recur."""
        return days.reshape(len(days), days.shape[1] * days.shape[2])


class Yesterday(Recurring):
    """The last 24 hours again."""

    name, days = "yesterday", 1


class LastWeek(Recurring):
    """The last seven days again."""

    name, days = "last-week", 7


class WeekMean(Recurring):
    """The mean of each time of day over the last seven days."""

    name, days = "mean-7d", 7

    def _season(self, days: FloatArray) -> FloatArray:
        mean: FloatArray = days.mean(axis=1)
        return mean


class Typical:
    """The usual curve by month, weekend and time of day of the readings fitted, moved to the level of the last 24 hours."""

    name = "typical"

    def __init__(self) -> None:
        self._profile: FloatArray = np.zeros((12, 2, 1))

    def fit(self, readings: Readings, features: Sequence[Features] = ()) -> None:  # noqa: ARG002  # the interface
        day = DAY_S // readings.step_s
        known = np.isfinite(readings.values)
        cells = _cell(readings, 0, len(readings.values), day)[:, known]
        values = readings.values[known]
        # From coarse to fine: a cell that was never seen takes the year's, the day's or the overall mean.
        profile = np.full((12, 2, day), values.mean() if len(values) else 0.0)
        for axes in ((2,), (1, 2), (0, 1, 2)):
            shape = tuple(size if axis in axes else 1 for axis, size in enumerate(profile.shape))
            index = np.ravel_multi_index(tuple(cells[axis] for axis in axes), tuple(shape[axis] for axis in axes))
            count = np.bincount(index, minlength=int(np.prod(shape)))
            total = np.bincount(index, weights=values, minlength=int(np.prod(shape)))
            mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0).reshape(shape)
            profile = np.where(np.isfinite(mean), mean, profile)
        self._profile = profile

    def predict(self, readings: Readings, horizon: int, features: Sequence[Features] = ()) -> FloatArray:  # noqa: ARG002  # the interface
        day = DAY_S // readings.step_s
        end = len(readings.values)
        first = max(0, end - (ERROR_DAYS + 1) * day)
        usual = self._profile[tuple(_cell(readings, first, end + horizon, day))]
        beside = readings.values[first:] - usual[: end - first]
        origins = _past_origins(end - first, day, first=min(day, end - first))
        errors = _ahead(beside, origins, horizon) - _levels(beside, origins, day)[:, None]
        curve = usual[end - first :] + _levels(beside, np.array([end - first]), day)[0]
        return banded(curve, errors)


class Published:
    """A provider's own forecast as it was published: the latest one known. NaN where it has none for all of the horizon."""

    name = PUBLISHED

    def fit(self, readings: Readings, features: Sequence[Features] = ()) -> None:
        """Nothing is learnt."""

    def predict(self, readings: Readings, horizon: int, features: Sequence[Features] = ()) -> FloatArray:
        found = next((one.before(readings.end) for one in features if one.names == (PUBLISHED,)), None)
        if found is None or not found.issues:
            return np.full((len(QUANTILES), horizon), np.nan)
        *past, latest = found.issues
        lead = _lead(readings, latest)
        curve = _held(latest, found.step_s, readings.step_s, lead, horizon)
        if not np.isfinite(curve).all():
            return np.full((len(QUANTILES), horizon), np.nan)
        errors = [
            _from(readings, _lead(readings, issue) - lead, horizon)
            - _held(issue, found.step_s, readings.step_s, lead, horizon)
            for issue in past[-ERROR_DAYS:]
        ]
        return banded(curve, np.reshape(errors, (len(errors), horizon)))


def banded(curve: FloatArray, errors: FloatArray) -> FloatArray:
    """Quantiles around the curve, shape (len(QUANTILES), horizon), from past errors (origins, horizon) with NaN for unknown.

    A lead without any error takes those of all leads; without any at all the band has no width.
    """
    offsets = _quantiles(errors)
    pooled = _quantiles(errors.reshape(-1, 1))
    offsets = np.where(np.isfinite(offsets), offsets, np.nan_to_num(pooled))
    offsets[:MEDIAN] = np.minimum(offsets[:MEDIAN], 0.0)
    offsets[MEDIAN] = 0.0
    offsets[MEDIAN + 1 :] = np.maximum(offsets[MEDIAN + 1 :], 0.0)
    return curve + offsets


def _quantiles(errors: FloatArray) -> FloatArray:
    """Each column's quantiles at rank p (n + 1), which keeps its coverage for a small n; NaN for a column of unknowns."""
    ordered = np.sort(errors, axis=0)  # NaN last
    count = np.isfinite(errors).sum(axis=0)
    if not len(ordered):
        return np.full((len(QUANTILES), errors.shape[1]), np.nan)
    rank = np.clip(np.array(QUANTILES)[:, None] * (count + 1) - 1, 0, np.maximum(count - 1, 0))
    low = np.floor(rank).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    lower, upper = np.take_along_axis(ordered, low, axis=0), np.take_along_axis(ordered, high, axis=0)
    return np.asarray(lower + (rank - low) * (upper - lower), dtype=np.float64)


def _past_origins(end: int, day: int, *, first: int) -> IntArray:
    """One origin a day at the same time of day, before `end`, from `first` on, latest first."""
    return np.arange(end - day, max(first, 1) - 1, -day, dtype=np.int64)[:ERROR_DAYS]


def _ahead(values: FloatArray, origins: IntArray, horizon: int) -> FloatArray:
    """What followed each origin, as far as it is known, shape (origins, horizon)."""
    padded = np.concatenate([values, np.full(horizon, np.nan)])
    followed: FloatArray = padded[origins[:, None] + np.arange(horizon)]
    return followed


def _levels(beside: FloatArray, origins: IntArray, day: int) -> FloatArray:
    """The mean of the day before each origin; 0 where nothing of it is known."""
    padded = np.concatenate([np.full(day, np.nan), beside])
    windows = padded[origins[:, None] + np.arange(day)]
    known = np.isfinite(windows)
    total = np.where(known, windows, 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(known.sum(axis=1), 1), dtype=np.float64)


def _filled(values: FloatArray, day: int, *, at_least: int) -> FloatArray:
    """Without gaps: the same time of the day before, else of the next known day, else the mean. Whole days, padded in front."""
    length = max(-(-len(values) // day) * day, at_least)
    days = np.concatenate([np.full(length - len(values), np.nan), values]).reshape(-1, day)
    if np.isfinite(days).all():
        return days.reshape(-1)
    for order in (days, days[::-1]):
        seen = np.where(np.isfinite(order), np.arange(len(order))[:, None], 0)
        last = np.maximum.accumulate(seen, axis=0)
        order[:] = np.take_along_axis(order, last, axis=0)
    known = days[np.isfinite(days)]
    full: FloatArray = np.nan_to_num(days, nan=float(known.mean()) if len(known) else 0.0)
    return full.reshape(-1)


def _cell(readings: Readings, first: int, last: int, day: int) -> IntArray:
    """Month (0-11), weekend (0 or 1) and step of the day of the steps `first` to `last`, shape (3, steps)."""
    start = np.datetime64(readings.start.replace(tzinfo=None), "s")
    times = start + np.arange(first, last) * readings.step_s
    days = times.astype("datetime64[D]")
    month = times.astype("datetime64[M]").astype(np.int64) % 12
    weekend = ((days.astype(np.int64) + 3) % 7 >= 5).astype(np.int64)  # 1970 began on a Thursday
    step = (times - days).astype(np.int64) // readings.step_s % day
    return np.stack([month, weekend, step])


def _lead(readings: Readings, issue: Issue) -> int:
    """Steps from an issue's first value to the end of the readings."""
    return len(readings.values) - readings.step_of(issue.start)


def _held(issue: Issue, issue_step_s: int, step_s: int, lead: int, horizon: int) -> FloatArray:
    """An issue's values from `lead` steps after its start; each holds until the next, and outside is NaN."""
    index = (np.arange(lead, lead + horizon) * step_s) // issue_step_s
    inside = (index >= 0) & (index < len(issue.values))
    return np.where(inside, issue.values[np.clip(index, 0, len(issue.values) - 1), 0], np.nan)


def _from(readings: Readings, back: int, horizon: int) -> FloatArray:
    """The readings from `back` steps before their end on; NaN from their end on."""
    index = len(readings.values) - back + np.arange(horizon)
    inside = (index >= 0) & (index < len(readings.values))
    return np.where(inside, readings.values[np.clip(index, 0, len(readings.values) - 1)], np.nan)
