"""One feed's model: fitted anew each day, asked at each refresh, watched for drift, and set aside while yesterday's curve does
better."""

import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from carbonq.domain.carbon import Forecast, Origin
from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.foresight.drift import SPAN, Skill, skill, steps_back
from carbonq.forecasters.carbon.foresight.feature_feed import FeatureFeed
from carbonq.forecasters.carbon.foresight.feed import Feed
from carbonq.forecasters.carbon.foresight.memory import Issues, Memory
from carbonq.forecasters.carbon.foresight.slots import on_slots
from carbonq.forecasters.carbon.models.baselines import PUBLISHED, Yesterday
from carbonq.forecasters.carbon.models.series import QUANTILES, CarbonModel, Features, FloatArray, Readings

MakeModel = Callable[[int], CarbonModel]
"""A fresh model for steps of so many seconds."""

LEAST = timedelta(days=2)
"""Of less history a model can tell no day from another."""
FULL = timedelta(days=28)
AHEAD = timedelta(days=9)
"""A week, by the latest readings there are of the slowest sources."""
GROWN = 1.25
"""A model is fitted anew within the day when the history behind it has grown so much."""
OWN_KEPT, PUBLISHED_KEPT = SPAN + timedelta(days=2), timedelta(days=61)

log = logging.getLogger("carbonq.carbon")


class Foretold(NamedTuple):
    """What is given out, and what the model itself says: not the same while it has stepped back."""

    given: Forecast
    own: Forecast


class _Fit(NamedTuple):
    model: CarbonModel
    at: datetime
    steps: int


class Learner:
    """Fits in one thread while it answers in another: the old model answers until the new one is there."""

    def __init__(
        self, feed: Feed, make_model: MakeModel, memory: Memory, features: Sequence[FeatureFeed] = (), *, slot_s: int
    ) -> None:
        self.feed, self._feeds = feed, tuple(features)
        self.own = Issues(memory.by_model, feed.key, slot_s, OWN_KEPT)
        self.published = Issues(memory.by_source, feed.key, slot_s, PUBLISHED_KEPT)
        self._make_model = make_model
        self._asking = threading.Lock()
        self._fit: _Fit | None = None
        self._skill: Skill | None = None
        self._stepped_back = False

    # --- learning

    def is_due(self, now: datetime) -> bool:
        """A new day has begun since the last fit, or much more history is known now."""
        known = _known_steps(self.feed.readings(now))
        if known < math.ceil(LEAST.total_seconds() / self.feed.step_s):
            return False
        return self._fit is None or self._fit.at.date() != now.date() or known > GROWN * self._fit.steps

    def fit(self, now: datetime) -> int:
        """Learn from everything known; takes seconds. What it learns is used from the next forecast on. How many steps it saw."""
        readings = self.feed.readings(now)
        model = self._make_model(self.feed.step_s)
        model.fit(readings, self._features(now))
        self._fit = _Fit(model, now, _known_steps(readings))
        self._judge(readings, now)
        return self._fit.steps

    def _judge(self, readings: Readings, now: datetime) -> None:
        """Look at how the past forecasts did; tell it once when that changes which curve is given out."""
        self._skill = skill(self.own.before(now), self.own.slot_s, readings, now)
        before, self._stepped_back = self._stepped_back, steps_back(self._skill, stepped_back=self._stepped_back)
        if self._skill is not None and self._stepped_back != before:
            what = "did worse than" if self._stepped_back else "does better again than"
            days, value = self._skill.days, self._skill.value
            log.warning(
                "%s: the model %s yesterday's curve over %d days (skill %.2f)", self.feed.name, what, days, value
            )

    # --- answering

    def foretell(self, now: datetime, grid: SlotGrid, *, longest_age: timedelta) -> Foretold | None:
        """None while it has not learnt, or where the last reading is older than that. It may end before the grid does: nine days
        after the last reading nothing is known of the day. Raises ValueError for a model's nonsense."""
        fit, readings = self._fit, self.feed.readings(now)
        if fit is None or not len(readings.values) or now - readings.end > longest_age:
            return None
        grid = _within(grid, readings.end + AHEAD)
        with self._asking:
            quantiles = _ahead(fit.model, readings, grid, self._features(now))
        notes = tuple(self._notes(readings, now))
        value = None if self._skill is None else round(self._skill.value, 3)
        own = forecast_of(self.feed, quantiles, self._name_of(fit.model, readings), readings, now, grid, notes, value)
        own = own.model_copy(update={"attribution": self._credit(now)})
        if not self._stepped_back:
            return Foretold(own, own)
        curve = Yesterday()
        given = forecast_of(self.feed, _ahead(curve, readings, grid, ()), curve.name, readings, now, grid, notes, value)
        return Foretold(given, own)

    def _features(self, now: datetime) -> tuple[Features, ...]:
        """The source's own forecasts, and the weather and the like, for the model to weigh."""
        known = self.published.before(now)
        own = (Features((PUBLISHED,), self.published.slot_s, known),) if known else ()
        return (*own, *(known for feed in self._feeds for known in feed.before(now)))

    # --- words

    def _credit(self, now: datetime) -> str:
        others = (feed.attribution for feed in self._feeds if feed.before(now))
        return "; ".join(dict.fromkeys(filter(None, (self.feed.info.attribution, *others))))

    def _name_of(self, model: CarbonModel, readings: Readings) -> str:
        beside = [
            *(["the source's own forecast"] if self.feed.published else []),
            *(feed.subject for feed in self._feeds if feed.before(readings.end)),
        ]
        return " and ".join([f"{model.name} on {_days(readings):.0f} days of readings", *beside])

    def _notes(self, readings: Readings, now: datetime) -> Iterator[str]:
        if self._stepped_back and self._skill is not None:
            yield f"yesterday's curve, for the model did worse than it over the last {self._skill.days} days"
        if _days(readings) < FULL.days:
            yield f"only {_days(readings):.1f} days of readings are known: with {FULL.days} the forecast gets good"
        if left_out := self.feed.left_out(now):
            yield f"{left_out} readings of the last week look wrong and were left out"


def forecast_of(
    feed: Feed,
    quantiles: FloatArray,
    model: str,
    readings: Readings,
    now: datetime,
    grid: SlotGrid,
    notes: tuple[str, ...] = (),
    skill: float | None = None,
    origin: Origin = Origin.FORECAST,
) -> Forecast:
    """Quantiles (len(QUANTILES), slots) made now from the feed's readings."""
    return Forecast(
        zone=feed.zone,
        source=feed.info.name,
        model=model,
        signal=feed.info.signal,
        scope=feed.info.scope,
        origin=origin,
        attribution=feed.info.attribution,
        issued_at=now,
        fetched_at=now,
        grid=grid,
        quantiles_g_per_kwh={
            f"{q:g}": tuple(values) for q, values in zip(QUANTILES, quantiles.round(3).tolist(), strict=True)
        },
        readings_until=readings.end,
        skill=skill,
        notes=notes,
    )


def _ahead(model: CarbonModel, readings: Readings, grid: SlotGrid, features: Sequence[Features]) -> FloatArray:
    """The model's quantiles on the grid; slots that begin before the readings end hold these. Raises ValueError for nonsense."""
    horizon = max(1, math.ceil((grid.end - readings.end).total_seconds() / readings.step_s))
    ahead = model.predict(readings, horizon, features)
    if not (np.isfinite(ahead).all() and (np.diff(ahead, axis=0) >= -1e-6).all()):
        raise ValueError(f"the model {model.name} gives quantiles that are not finite or not in order")
    behind = max(0, len(readings.values) - max(0, readings.step_of(grid.start)))
    tail = readings.values[len(readings.values) - behind :]
    past = np.broadcast_to(np.where(np.isfinite(tail), tail, readings.values[-1]), (len(ahead), behind))
    start = readings.at(len(readings.values) - behind)
    return on_slots(np.concatenate([past, ahead], axis=1), start, readings.step_s, grid)


def _within(grid: SlotGrid, end: datetime) -> SlotGrid:
    """Its slots that end by then."""
    return grid.model_copy(update={"slots": max(0, min(grid.slots, grid.index(end)))})


def _known_steps(readings: Readings) -> int:
    return int(np.count_nonzero(np.isfinite(readings.values)))


def _days(readings: Readings) -> float:
    return _known_steps(readings) * readings.step_s / 86_400
