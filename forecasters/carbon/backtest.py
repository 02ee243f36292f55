"""Rolling backtest: at each origin a model forecasts from what was known then, and what came of it scores the forecast.

A forecast made at `origin` on day D (UTC) comes from a model that was fitted on everything known at D 00:00 and then sees what
is known at `origin`. That is a rule of the origin alone, since a model keeps nothing from one fit to the next but what saves
it time: `forecast_at` makes the very same numbers for any moment.
Known are readings of steps that have ended, and features issued by then. Nothing here reads a clock: a timer is handed in.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

import numpy as np

from carbonq.domain.errors import InvalidInput
from carbonq.forecasters.carbon.metrics import Scores, score
from carbonq.forecasters.carbon.models.series import (
    QUANTILES,
    CarbonModel,
    Features,
    FloatArray,
    Issue,
    Readings,
)

DAY = timedelta(days=1)
LONGEST_GAP = timedelta(days=31)
"""A forecast is not made from readings that ended longer ago: nothing in them is about the days ahead."""


class History(NamedTuple):
    """A zone's readings, and what else was measured on the same steps, known as late as they are."""

    zone: str
    readings: Readings
    past_names: tuple[str, ...] = ()
    past: FloatArray = np.empty((0, 0))  # (steps, names)

    def since(self, moment: datetime | None) -> "History":
        if moment is None or moment <= self.readings.start:
            return self
        kept = self.readings.since(moment)
        return self._replace(readings=kept, past=self.past[len(self.past) - len(kept.values) :])

    def reaching(self, moment: datetime) -> "History":
        """With gaps up to the last step that has ended by `moment`, where the file ends before."""
        missing = max(0, self.readings.step_of(moment) - len(self.readings.values))
        gap, more = np.full(missing, np.nan), np.full((missing, self.past.shape[1]), np.nan)
        values = np.concatenate([self.readings.values, gap])
        return self._replace(readings=self.readings._replace(values=values), past=np.concatenate([self.past, more]))

    def past_before(self, moment: datetime) -> Features:
        """The other columns as one issue that ends where the readings do: nothing in it is about the future."""
        known = self.readings.before(moment)
        issue = Issue(known.end, known.start, self.past[: len(known.values)])
        return Features(self.past_names, known.step_s, (issue,))


class Contender(NamedTuple):
    """A model under test, and what it is given beside the readings.

    `make` gives a fresh model. `refit` False: it is fitted once, before the first day of the test span.
    `with_past`: it gets the history's other columns too, as features that end with the readings.
    """

    name: str
    make: Callable[[], CarbonModel]
    features: tuple[Features, ...] = ()
    refit: bool = True
    with_past: bool = False


class Span(NamedTuple):
    """Which forecasts are made: origins in `[first, last)`, at these hours (UTC) of every `stride_days`-th day."""

    first: datetime
    last: datetime
    horizon_h: int = 96
    origin_hours: tuple[int, ...] = (0,)
    stride_days: int = 1

    def moments(self) -> Iterator[datetime]:
        day = midnight(self.first)
        while day < self.last:
            for hour in sorted(set(self.origin_hours)):
                if self.first <= (moment := day + timedelta(hours=hour)) < self.last:
                    yield moment
            day += self.stride_days * DAY


class Trial(NamedTuple):
    """One contender's forecasts beside what came: `quantiles` (origins, len(QUANTILES), steps), `actual` (origins, steps).

    `fit_s` and `predict_s` are means over the calls, in the timer's seconds.
    """

    name: str
    step_s: int
    origins: tuple[datetime, ...]
    quantiles: FloatArray
    actual: FloatArray
    fit_s: float
    predict_s: float

    def scores(self, jobs_s: Mapping[str, float]) -> Scores | None:
        """Over the origins for which it gave a forecast; None where there are none."""
        gave = np.isfinite(self.quantiles).all(axis=(1, 2))
        if not gave.any():
            return None
        return score(
            self.name,
            self.actual[gave],
            self.quantiles[gave],
            step_s=self.step_s,
            jobs_s=jobs_s,
            fit_s=self.fit_s,
            predict_s=self.predict_s,
        )


def backtest(
    readings: Readings,
    make: Callable[[], CarbonModel],
    span: Span,
    *,
    jobs_s: Mapping[str, float] | None = None,
    features: Sequence[Features] = (),
    timer: Callable[[], float] = lambda: 0.0,
) -> Scores | None:
    """One model's scores: `backtest(readings, Yesterday, Span(first, last), jobs_s={"4h": 14_400})`. Raises InvalidInput."""
    history = History("", readings)
    contender = Contender(make().name, make, tuple(features))
    return run(history, contender, origins_of(readings, span), span.horizon_h, timer=timer).scores(jobs_s or {})


def origins_of(readings: Readings, span: Span) -> list[datetime]:
    """The origins whose whole horizon is known and before whose day something is. Raises InvalidInput where there is none."""
    steps = steps_of(span.horizon_h, readings.step_s)
    known = np.isfinite(readings.values)
    first = readings.at(int(known.argmax())) if known.any() else readings.end
    complete = np.concatenate([[0], np.cumsum(known)])

    def counts(origin: datetime) -> bool:
        index = readings.step_of(origin)
        return (
            midnight(origin) > first
            and index + steps <= len(known)
            and int(complete[index + steps] - complete[index]) == steps
        )

    found = [origin for origin in span.moments() if counts(origin)]
    if not found:
        raise InvalidInput(
            f"no forecast can be tested: no origin from {span.first:%Y-%m-%d %H:%M} to {span.last:%Y-%m-%d %H:%M} UTC has "
            f"readings before its day and actuals for all {span.horizon_h} h after it",
            hint=f"the readings span {first:%Y-%m-%d %H:%M} to {readings.end:%Y-%m-%d %H:%M} UTC; test within them",
        )
    return found


def run(
    history: History,
    contender: Contender,
    origins: Sequence[datetime],
    horizon_h: int,
    *,
    timer: Callable[[], float] = lambda: 0.0,
    on_origin: Callable[[datetime], None] = lambda _origin: None,
) -> Trial:
    """The contender's forecast at each origin."""
    readings = history.readings
    steps = steps_of(horizon_h, readings.step_s)
    quantiles = np.empty((len(origins), len(QUANTILES), steps))
    fits_s: list[float] = []
    predicts_s: list[float] = []
    row = 0
    model = None
    for day, of_day in groupby(origins, key=midnight):
        if model is None or contender.refit:
            model, fit_s = fitted(history, contender, day, timer, model)
            fits_s.append(fit_s)
        for origin in of_day:
            known, features = _known(history, contender, origin)
            started_s = timer()
            quantiles[row] = model.predict(known, steps, features)
            predicts_s.append(timer() - started_s)
            row += 1
            on_origin(origin)
    actual = np.stack([readings.values[(at := readings.step_of(origin)) : at + steps] for origin in origins])
    return Trial(
        contender.name,
        readings.step_s,
        tuple(origins),
        quantiles,
        actual,
        float(np.mean(fits_s)),
        float(np.mean(predicts_s)),
    )


def forecast_at(history: History, contender: Contender, moment: datetime, horizon_h: float) -> FloatArray:
    """The forecast made at `moment`, shape (len(QUANTILES), steps): what `run` gives for the same origin. Raises InvalidInput.

    For a contender that is fitted once, the test span is taken to begin on this day.
    """
    readings = history.readings
    known = np.isfinite(readings.before(midnight(moment)).values)
    if not known.any():
        raise InvalidInput(
            f"nothing is known before the day of {moment:%Y-%m-%d %H:%M} UTC",
            hint=f"the readings begin at {readings.start:%Y-%m-%d %H:%M} UTC; name a later moment",
        )
    if moment - readings.end > LONGEST_GAP:
        raise InvalidInput(
            f"the readings end at {readings.end:%Y-%m-%d %H:%M} UTC, more than {LONGEST_GAP.days} days before "
            f"{moment:%Y-%m-%d %H:%M} UTC",
            hint="bring the file up to date, or name an earlier moment",
        )
    full = history.reaching(moment)
    model, _ = fitted(full, contender, midnight(moment), lambda: 0.0)
    now, features = _known(full, contender, moment)
    return model.predict(now, steps_of(horizon_h, readings.step_s), features)


def fitted(
    history: History,
    contender: Contender,
    day: datetime,
    timer: Callable[[], float],
    model: CarbonModel | None = None,
) -> tuple[CarbonModel, float]:
    """A model (that of an earlier day, or a fresh one) fitted on what was known at the beginning of `day`, and how long that took."""
    known, features = _known(history, contender, day)
    model = model or contender.make()
    started_s = timer()
    model.fit(known, features)
    return model, timer() - started_s


def _known(history: History, contender: Contender, moment: datetime) -> tuple[Readings, list[Features]]:
    """What a contender may see at `moment`."""
    features = [one.before(moment) for one in contender.features]
    if contender.with_past and history.past_names:
        features.append(history.past_before(moment))
    return history.readings.before(moment), features


def midnight(moment: datetime) -> datetime:
    """The beginning of its UTC day."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def steps_of(hours: float, step_s: int) -> int:
    """Whole steps that cover so many hours."""
    return -int(-hours * 3600 // step_s)
