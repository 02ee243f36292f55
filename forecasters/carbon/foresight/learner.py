"""One feed's model: fitted anew each day, asked at each refresh, watched for drift, and set aside while yesterday's curve does
better."""

import logging
import math
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from carbonq.domain.carbon import Forecast
from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.foresight.drift import SPAN, Skill, skill, steps_back
from carbonq.forecasters.carbon.foresight.feed import Feed
from carbonq.forecasters.carbon.foresight.slots import on_slots
from carbonq.forecasters.carbon.models.baselines import PUBLISHED, Yesterday
from carbonq.forecasters.carbon.models.series import MEDIAN, CarbonModel, Features, FloatArray, Issue, Readings

MakeModel = Callable[[int], CarbonModel]
"""A fresh model for steps of so many seconds."""

LEAST = timedelta(days=2)
"""Of less history a model can tell no day from another."""
FULL = timedelta(days=28)
LONGEST_AGE = timedelta(days=31)
"""Readings that ended longer ago say nothing about the days ahead."""
GROWN = 1.25
"""A model is fitted anew within the day when the history behind it has grown so much."""
KEEP_EVERY = timedelta(hours=6)
PUBLISHED_KEPT = timedelta(days=61)

log = logging.getLogger("carbonq.carbon")


class Prediction(NamedTuple):
    """Quantiles (len(QUANTILES), slots), with what they rest on."""

    quantiles: FloatArray
    model: str
    readings_until: datetime
    skill: float | None
    notes: tuple[str, ...]


class _Fit(NamedTuple):
    model: CarbonModel
    at: datetime
    steps: int


class Learner:
    """Fits in one thread while it answers in another: the old model answers until the new one is there."""

    def __init__(self, feed: Feed, make_model: MakeModel) -> None:
        self.feed = feed
        self._make_model = make_model
        self._predicting = threading.Lock()
        self._fit: _Fit | None = None
        self._skill: Skill | None = None
        self._stepped_back = False
        self._issued: list[Issue] = []
        self._published: list[Issue] = []
        self._published_s = feed.step_s

    # --- learning

    def is_due(self, now: datetime) -> bool:
        """A new day has begun since the last fit, or much more history is known now."""
        known = _known_steps(self.feed.readings(now))
        if known < self._least:
            return False
        return self._fit is None or self._fit.at.date() != now.date() or known > GROWN * self._fit.steps

    @property
    def has_learnt(self) -> bool:
        return self._fit is not None

    def fit(self, now: datetime) -> int:
        """Learn from everything known; takes seconds. What it learns is used from the next forecast on. How many steps it saw."""
        readings = self.feed.readings(now)
        model = self._make_model(self.feed.step_s)
        model.fit(readings, self._features())
        self._fit = _Fit(model, now, _known_steps(readings))
        self._judge(readings, now)
        return self._fit.steps

    def _judge(self, readings: Readings, now: datetime) -> None:
        """Look at how the past forecasts did; tell it once when that changes which curve is used."""
        self._skill = skill(self._issued, readings, now)
        before, self._stepped_back = self._stepped_back, steps_back(self._skill, stepped_back=self._stepped_back)
        if self._skill is not None and self._stepped_back != before:
            what = "did worse than" if self._stepped_back else "does better again than"
            log.warning(
                "%s: the model %s yesterday's curve over %d days (skill %.2f)",
                self.feed.name, what, self._skill.days, self._skill.value,
            )  # fmt: skip

    # --- answering

    def predict(self, now: datetime, grid: SlotGrid, *, longest_age: timedelta) -> Prediction | None:
        """None while it has not learnt, or where the last reading is older than that."""
        fit, readings = self._fit, self.feed.readings(now)
        if fit is None or not len(readings.values) or now - readings.end > longest_age:
            return None
        with self._predicting:
            own = _ahead(fit.model, readings, grid, self._features())
        self._keep(now, grid, own[MEDIAN])
        notes = tuple(self._notes(readings, now))
        if not self._stepped_back:
            return Prediction(own, self._named(fit.model.name, readings), readings.end, self._skill_value, notes)
        curve = Yesterday()
        return Prediction(_ahead(curve, readings, grid, ()), curve.name, readings.end, self._skill_value, notes)

    def keep_published(self, forecast: Forecast) -> None:
        """The source's own forecast, for the model to weigh."""
        self._published = _with(self._published, forecast.issued_at, forecast.grid.start,
                                np.array(forecast.median_g_per_kwh), PUBLISHED_KEPT)  # fmt: skip
        self._published_s = forecast.grid.slot_s

    def _features(self) -> tuple[Features, ...]:
        if not self._published:
            return ()
        return (Features((PUBLISHED,), self._published_s, tuple(self._published)),)

    def _keep(self, now: datetime, grid: SlotGrid, median: FloatArray) -> None:
        """What it said, in the feed's own steps, to be judged by later."""
        steps = SlotGrid.covering(grid.start, grid.end, self.feed.step_s)
        whole = SlotGrid(
            start=steps.at(int(steps.start < grid.start)), slot_s=steps.slot_s, slots=86_400 // steps.slot_s
        )
        if whole.end <= grid.end:
            values = on_slots(median[None, :], grid.start, grid.slot_s, whole)[0]
            self._issued = _with(self._issued, now, whole.start, values, SPAN + timedelta(days=2))

    # --- words

    @property
    def _skill_value(self) -> float | None:
        return None if self._skill is None else round(self._skill.value, 3)

    def _named(self, name: str, readings: Readings) -> str:
        return f"{name} on {_days(readings):.0f} days of readings" + (
            " and the source's own forecast" if self._published else ""
        )

    def _notes(self, readings: Readings, now: datetime) -> Sequence[str]:
        notes: list[str] = []
        if self._stepped_back and self._skill is not None:
            notes.append(f"yesterday's curve, for the model did worse than it over the last {self._skill.days} days")
        if _days(readings) < FULL.days:
            notes.append(
                f"only {_days(readings):.1f} days of readings are known: with {FULL.days} the forecast gets good"
            )
        if left_out := self.feed.left_out(now):
            notes.append(f"{left_out} readings of the last week look wrong and were left out")
        return notes

    @property
    def _least(self) -> int:
        return math.ceil(LEAST.total_seconds() / self.feed.step_s)


def _ahead(model: CarbonModel, readings: Readings, grid: SlotGrid, features: Sequence[Features]) -> FloatArray:
    """The model's quantiles on the grid; slots that begin before the readings end hold these. Raises ValueError for nonsense."""
    horizon = max(1, math.ceil((grid.end - readings.end).total_seconds() / readings.step_s))
    ahead = model.predict(readings, horizon, features)
    if not (np.isfinite(ahead).all() and (np.diff(ahead, axis=0) >= -1e-6).all()):
        raise ValueError(f"the model {model.name} gives quantiles that are not finite or not in order")
    behind = max(0, len(readings.values) - max(0, readings.index(grid.start)))
    tail = readings.values[len(readings.values) - behind :]
    past = np.broadcast_to(np.where(np.isfinite(tail), tail, readings.values[-1]), (len(ahead), behind))
    return on_slots(
        np.concatenate([past, ahead], axis=1), readings.at(len(readings.values) - behind), readings.step_s, grid
    )


def _with(
    issues: list[Issue], issued_at: datetime, start: datetime, values: FloatArray, kept: timedelta
) -> list[Issue]:
    """With the newest in place of the one before it, unless that is to be kept: one every six hours is."""
    earlier = issues[:-1] if len(issues) > 1 and issues[-1].issued_at - issues[-2].issued_at < KEEP_EVERY else issues
    recent = [issue for issue in earlier if issue.issued_at > issued_at - kept]
    return [*recent, Issue(issued_at, start, values[:, None])]


def _known_steps(readings: Readings) -> int:
    return int(np.count_nonzero(np.isfinite(readings.values)))


def _days(readings: Readings) -> float:
    return _known_steps(readings) * readings.step_s / 86_400
