"""Every zone's intensity from the readings in the archive and the model that learns from them; never nothing, never unlabelled.

The ladder, from best to last: the model on fresh readings, with the source's own forecast where it has one; that forecast
alone; the last good one; the model on old readings; a typical profile at the last day's level; the typical profile; the world's
average. `refresh` asks the sources and may take long; `refit` takes longer; `forecast`, `history` and `revised` answer at once
from what is known.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TypeVar

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, SignalKind, SourceInfo, Zone
from carbonq.domain.errors import NotFound, StorageFailed
from carbonq.domain.ports import IntensitySource, Revised
from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.archive import Archive
from carbonq.forecasters.carbon.foresight.anchored import anchored
from carbonq.forecasters.carbon.foresight.feature_feed import FeatureFeed, FeatureSource
from carbonq.forecasters.carbon.foresight.feed import ARCHIVE, UNKNOWN_FOR, Feed
from carbonq.forecasters.carbon.foresight.learner import Learner, MakeModel, forecast_of
from carbonq.forecasters.carbon.foresight.memory import Memory
from carbonq.forecasters.carbon.foresight.outages import Outages
from carbonq.forecasters.carbon.outlook import Catalogue, Outlook, sensible, still_good
from carbonq.forecasters.carbon.sources.typical import profile_zone

Answer = TypeVar("Answer")

BACKFILL_S = 60.0
"""Of one round of refreshing, all zones together, so much real time may go into the past behind the readings."""
ROUND_S = 300.0
STILL_PUBLISHED = timedelta(days=1)
STILL_GOOD = timedelta(hours=24)
"""The last good forecast counts while it reaches so far ahead."""
LONGEST_AGE = timedelta(days=6)
"""Readings that ended longer ago say nothing about the day ahead."""
ANCHORED_AGE = timedelta(days=3)
"""An older level says nothing any more."""
NOT_YET = "a model takes over once it has learnt from two days of readings"
RECORD = "the record of forecasts"


class Foresight:
    """A `CarbonOutlook`. `refresh` and `refit` may each run in a thread of their own beside those that ask."""

    name = "outlook"

    def __init__(
        self,
        outlook: Outlook,
        folder: Path,
        make_model: MakeModel,
        *,
        features: Sequence[FeatureSource] = (),
        timer: Callable[[], float] = monotonic,
    ) -> None:
        self._outlook, self._make_model, self._timer = outlook, make_model, timer
        self._archive, self._memory = Archive(folder), Memory.below(folder)
        self._outages = Outages(timer)
        self._feature_sources = tuple(features)
        self._features: dict[Zone, tuple[FeatureFeed, ...]] = {}
        self._learners: dict[Zone, tuple[Learner, ...]] = {}
        self._looked_at: dict[Zone, datetime] = {}
        self._round_began_s = self._spent_s = 0.0

    @property
    def info(self) -> SourceInfo:
        return self._outlook.info

    def zones(self) -> Sequence[Zone]:
        return self._outlook.zones()

    def catalogue(self) -> Catalogue:
        return self._outlook.catalogue()

    # --- learning

    def refresh(self, zone: Zone, now: datetime, end: datetime) -> None:
        """Ask the zone's sources, in their order, until one has fresh readings. Whatever fails is told once and left out."""
        self._look_for_sources(zone, now)
        for features in self._features.get(zone, ()):
            features.pull(now)
        for learner in self._learners[zone]:
            is_fresh = self._tried(_readings_of(learner), partial(learner.feed.pull, now))
            self._ask_forecast(learner, now, end)
            if self._may_backfill():
                began_s = self._timer()
                self._tried(_readings_of(learner), partial(learner.feed.backfill, now))
                self._spent_s += self._timer() - began_s
            if is_fresh:
                return

    def _ask_forecast(self, learner: Learner, now: datetime, end: datetime) -> None:
        feed, grid = learner.feed, SlotGrid.covering(now, end, self._outlook.slot_s)
        found = feed.ask_forecast(now, lambda: sensible(feed.source.forecast(feed.zone, now, end), feed.zone, grid))
        if found is not None:
            self._tried(RECORD, partial(learner.published.keep, found))

    def _may_backfill(self) -> bool:
        """Whether this round has time left for the past. What happens within five minutes is one round."""
        if self._timer() - self._round_began_s > ROUND_S:
            self._round_began_s, self._spent_s = self._timer(), 0.0
        return self._spent_s < BACKFILL_S

    def refit(self, now: datetime, *, limit: int) -> int:
        fitted = 0
        for learner in self._all():
            what = f"the model of {learner.feed.name}"
            if fitted >= limit or self._outages.rests(what):
                continue
            if self._tried(_readings_of(learner), partial(learner.is_due, now)):
                fitted += self._tried(what, partial(learner.fit, now)) is not None
        return fitted

    def keep_up(self, now: datetime) -> None:
        """Fold what was added into larger files, and drop what is too old."""
        self._tried(ARCHIVE, self._archive.compact)
        self._tried(RECORD, partial(self._memory.compact, now))

    def _tried(self, what: str, step: Callable[[], Answer]) -> Answer | None:
        """What the step gives. What goes wrong is told once until it goes well again, and stops nothing.

        The disk is well again when something was written to it: the feeds tell that of the archive, and a `keep` by its True.
        """
        try:
            answer = step()
        except Exception as error:  # noqa: BLE001  # nothing here may stop the service's loop
            self._outages.failed(ARCHIVE if isinstance(error, StorageFailed) and what != RECORD else what, error)
            return None
        if what not in (ARCHIVE, RECORD) or (isinstance(answer, bool) and answer):
            self._outages.answered(what)
        return answer

    # --- answering

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        grid = SlotGrid.covering(now, end, self._outlook.slot_s)
        for rung in (self._by_model, self._published, self._last_good, self._by_old_readings, self._anchored):
            found = self._tried(f"{rung.__name__.strip('_')} of {zone}", partial(rung, zone, now, grid))
            if found is not None:
                whole = self._outlook.extended(found, grid)
                self._tried(RECORD, partial(self._memory.given.keep, whole))
                return whole
        return self._outlook.modelled(zone, now, end)

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        """As archived, of the one source that covers most of it; nothing yet before the sources were asked for the first time.
        Where no source measures the zone, a typical profile stands in."""
        if zone not in self._learners:
            return IntensitySeries(zone=zone, source=self.name)
        found = [learner.feed.history(start, end) for learner in self._learners[zone]]
        best = max(found, key=lambda series: _covered_s(series, start, end), default=None)
        return best or self._outlook.modelled_past(zone, start, end)

    def revised(self, since: datetime) -> Sequence[Revised]:
        feeds = [learner.feed for learner in self._all()]
        return [Revised(feed.zone, span.start, span.end) for feed in feeds for span in feed.revised(since)]

    # --- the rungs

    def _by_model(self, zone: Zone, now: datetime, grid: SlotGrid) -> Forecast | None:
        fresh = (learner for learner in self._of(zone) if learner.feed.is_fresh(now))
        return next(filter(None, (self._foretold(learner, now, grid) for learner in fresh)), None)

    def _foretold(self, learner: Learner, now: datetime, grid: SlotGrid) -> Forecast | None:
        foretold = learner.foretell(now, grid, longest_age=LONGEST_AGE)
        if foretold is None:
            return None
        self._tried(RECORD, partial(learner.own.keep, foretold.own))
        return foretold.given

    def _published(self, zone: Zone, now: datetime, grid: SlotGrid) -> Forecast | None:
        for learner in self._of(zone):
            own = still_good(learner.feed.published, zone, grid)
            if own is not None and now - own.issued_at <= STILL_PUBLISHED:
                return own
        return None

    def _last_good(self, zone: Zone, now: datetime, grid: SlotGrid) -> Forecast | None:
        kept = still_good(self._outlook.last_good(zone), zone, grid)
        return kept if kept is not None and kept.grid.end >= min(grid.end, now + STILL_GOOD) else None

    def _by_old_readings(self, zone: Zone, now: datetime, grid: SlotGrid) -> Forecast | None:
        for learner in self._of(zone):
            found = self._foretold(learner, now, grid)
            if found is not None:
                since = f"{found.source} has given no reading since {found.readings_until:%Y-%m-%d %H:%M} UTC"
                return found.model_copy(update={"notes": (since, *found.notes)})
        return None

    def _anchored(self, zone: Zone, now: datetime, grid: SlotGrid) -> Forecast | None:
        try:
            profile = profile_zone(zone)
        except NotFound:
            return None
        model = f"typical profile of {profile}, 2020-2022, at the level of the last readings"
        for learner in self._of(zone):
            if learner.feed.info.signal is SignalKind.MARGINAL:
                continue  # the profile is an average's
            readings = learner.feed.readings(now)
            values = anchored(profile, readings, grid) if now - readings.end <= ANCHORED_AGE else None
            if values is not None:
                return forecast_of(learner.feed, values, model, readings, now, grid, (NOT_YET,), origin=Origin.MODELLED)
        return None

    # --- who knows a zone

    def _of(self, zone: Zone) -> tuple[Learner, ...]:
        """In the order of the sources; none before the first `refresh`, which alone asks who knows the zone."""
        return self._learners.get(zone, ())

    def _look_for_sources(self, zone: Zone, now: datetime) -> None:
        """Once a day: sources come to know zones, and forget them."""
        if zone in self._learners and abs(now - self._looked_at[zone]) < UNKNOWN_FOR:
            return
        known = {learner.feed.source.name: learner for learner in self._of(zone)}
        self._learners[zone] = tuple(
            known.get(source.name) or self._learner(source, zone) for source in self._measuring(zone)
        )
        self._looked_at[zone] = now

    def _learner(self, source: IntensitySource, zone: Zone) -> Learner:
        feed = Feed(source, zone, self._archive, self._outages, slot_s=self._outlook.slot_s)
        if zone not in self._features:
            self._features[zone] = tuple(FeatureFeed(one, zone, self._outages) for one in self._feature_sources)
        return Learner(feed, self._make_model, self._memory, self._features[zone], slot_s=self._outlook.slot_s)

    def _measuring(self, zone: Zone) -> Iterator[IntensitySource]:
        """The sources that may have readings of the zone. Whose list cannot be had is asked all the same."""
        for source in self._outlook.measuring:
            listed = self._tried(f"the zones of {source.name}", source.zones)
            if listed is None or zone in listed:
                yield source

    def _all(self) -> list[Learner]:
        return [learner for learners in list(self._learners.values()) for learner in learners]


def _readings_of(learner: Learner) -> str:
    return f"the readings of {learner.feed.name}"


def _covered_s(series: IntensitySeries, start: datetime, end: datetime) -> float:
    return sum(
        (min(reading.end, end) - max(reading.start, start)).total_seconds() for reading in series.within(start, end)
    )
