"""One source's readings of one zone: asked for what is new and for the past behind it, kept in the archive, laid out in steps."""

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

import numpy as np

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, SignalKind, Zone
from carbonq.domain.errors import NotFound, SourceNonsense, SourceRefused, SourceUnreachable
from carbonq.domain.ports import IntensitySource
from carbonq.domain.units import format_duration
from carbonq.forecasters.carbon.archive import Archive, SeriesKey, Span
from carbonq.forecasters.carbon.archive.filling import filled_series
from carbonq.forecasters.carbon.archive.readings import FUTURE
from carbonq.forecasters.carbon.archive.spans import LATE, REACH, backfill, merged, missing, refresh
from carbonq.forecasters.carbon.archive.suspects import BoolArray, suspects
from carbonq.forecasters.carbon.foresight.outages import Outages
from carbonq.forecasters.carbon.foresight.slots import step_of
from carbonq.forecasters.carbon.models.series import Readings

Answer = TypeVar("Answer")

THOROUGH_EVERY = timedelta(days=1)
UNKNOWN_FOR = timedelta(days=1)
"""A source that does not know the zone is asked again so much later: it may learn it, or have renamed it for good."""
STALE_AFTER = timedelta(hours=6)
"""Readings this much later than the source's usual lag are old: another source is asked too."""
SHORT_PAST = LATE + THOROUGH_EVERY
"""What is read from the archive anew after each question; the rest only where the past behind it has grown."""


FILL_AFTER = timedelta(days=1)
AROUND = timedelta(days=14)
"""What lies this close to a gap tells how to fill it."""
FOLLOWED, FAR = timedelta(days=31), timedelta(days=366)
"""Corrections of readings that began so long before the moment asked from are told, and of any since."""
WEEK = timedelta(days=7)
TOO_MANY = 429
ARCHIVE = "the archive of readings"


class _LaidOut(NamedTuple):
    raw: Readings
    suspicious: BoolArray


class Feed:
    """What the source does wrong never leaves it: that is told once and rested on. StorageFailed does."""

    def __init__(self, source: IntensitySource, zone: Zone, archive: Archive, outages: Outages, *, slot_s: int) -> None:
        self.source, self.zone, self.info = source, zone, source.info
        self.key = SeriesKey(self.info.name, zone, self.info.signal, self.info.scope)
        self.step_s = step_of(self.info.resolution_s, slot_s)
        self.published: Forecast | None = None
        self._archive, self._outages = archive, outages
        self._lock = threading.Lock()
        self._covered: tuple[Span, ...] | None = None
        self._in_vain: tuple[Span, ...] = ()
        self._readings: _LaidOut | None = None
        self._estimated: dict[Span, datetime | None] = {}  # with when the readings came after all
        self._pulled_at: datetime | None = None
        self._thorough_at: datetime | None = None
        self._unknown_until: datetime | None = None

    @property
    def name(self) -> str:
        return f"{self.source.name} for {self.zone}"

    # --- asking

    def knows_the_zone(self, now: datetime) -> bool:
        """As far as it has said: a source that once did not know it is believed for a day."""
        return self._unknown_until is None or not self._unknown_until - UNKNOWN_FOR <= now < self._unknown_until

    def pull(self, now: datetime) -> bool:
        """Ask for what is new. Whether the readings are fresh then."""
        thorough = self._thorough_at is None or abs(now - self._thorough_at) >= THOROUGH_EVERY  # a clock may go back
        if thorough:
            self._covered = None  # what is no longer on the disk is asked for again
        if self._take(refresh(self.covered, now, self.info, thorough=thorough), now) is not None:
            self._pulled_at = now
            self._thorough_at = now if thorough else self._thorough_at
            self._lay_out(now, anew=False)
        return self.is_fresh(now)

    def backfill(self, now: datetime) -> bool:
        """Ask for one more stretch of the past, the newest that is missing. Whether it had something."""
        wanted = backfill(self.covered, now, self.info, questions=1, in_vain=self._in_vain)
        grown = [self._take(span, now) for span in wanted]
        if not any(grown):
            return False
        self._lay_out(now, anew=True)
        return True

    def ask_forecast(self, now: datetime, check: Callable[[], Forecast]) -> Forecast | None:
        """The source's own forecast, as `check` gets and judges it, kept as `published`; None where there is no new one.

        A source may have none for this zone, such as by the plan of its key: that says nothing of its past.
        """
        if not self.info.forecasts or self._rests(self.source.name, self.name):
            return None
        found = self._ask(now, lambda: _unless_not_found(check), "the forecasts of ")
        self.published = found or self.published
        return found

    def _take(self, span: Span, now: datetime) -> int | None:
        """How many readings were new or revised; None where the source does not answer."""
        series = self._ask(now, lambda: self.source.history(self.zone, span.start, span.end))
        if series is None:
            return None
        added = self._archive.add(series, now)
        if added.new or added.revised:
            self._outages.answered(ARCHIVE)
        self._tell_of_clocks(series, now)
        self._covered = tuple(merged((*self.covered, *_spans(series, now))))
        old = Span(span.start, min(span.end, now - LATE))
        if old.start < old.end:
            self._in_vain = tuple(merged((*self._in_vain, *missing(old, self.covered))))
        return added.new + added.revised

    def _tell_of_clocks(self, series: IntensitySeries, now: datetime) -> None:
        clock = f"the clock of {self.name}"
        ahead = series.readings[-1].start - now if series.readings else timedelta()
        if ahead > FUTURE:
            early = format_duration(ahead.total_seconds())
            self._outages.failed(clock, SourceNonsense(f"it gives readings of {early} ahead: they are not kept",
                                                       hint="its clock is wrong, or this machine's"))  # fmt: skip
        elif series.readings:
            self._outages.answered(clock)

    def _ask(self, now: datetime, question: Callable[[], Answer], what: str = "") -> Answer | None:
        """The answer; None where the source, or this feed of it, rests or fails. `what` of them: by default the readings, which
        go on where only forecasts fail."""
        whole, part = what + self.source.name, what + self.name
        if not self.knows_the_zone(now) or self._rests(whole, part):
            return None
        try:
            answer = question()
        except NotFound as error:
            self._unknown_until = now + UNKNOWN_FOR
            if self._covered:
                self._outages.failed(part, error)
            return None
        except Exception as error:  # noqa: BLE001  # whatever a provider's adapter may raise: it is told, and the next is asked
            if _is_of_all_zones(error):
                self._outages.failed(whole, error)
            else:
                self._outages.part_failed(whole, part, error)
            return None
        self._outages.answered(whole)
        self._outages.answered(part)
        return answer

    def _rests(self, *names: str) -> bool:
        return any(self._outages.rests(name) for name in names)

    # --- what is known

    @property
    def covered(self) -> tuple[Span, ...]:
        if self._covered is None:
            self._covered = self._archive.coverage(self.key)
        return self._covered

    def readings(self, now: datetime) -> Readings:
        """In steps, from the first kept to the last known one that has begun by `now`; empty where there is none.

        Suspicious values, such as one that has not moved for a day, are gaps.
        """
        raw, suspicious = self._laid_out(now)
        until = max(0, raw.step_of(now) + 1)
        return _without_tail(raw._replace(values=np.where(suspicious[:until], np.nan, raw.values[:until])))

    def left_out(self, now: datetime) -> int:
        """How many steps of the last week were left out as suspicious."""
        raw, suspicious = self._laid_out(now)
        return int(np.count_nonzero(suspicious[max(0, raw.step_of(now - WEEK)) :]))

    def _laid_out(self, now: datetime) -> _LaidOut:
        if self._readings is None:
            self._lay_out(now, anew=True)
        assert self._readings is not None  # noqa: S101  # laid out above
        return self._readings

    def is_fresh(self, now: datetime) -> bool:
        end = self.readings(now).end
        return now - end <= STALE_AFTER + timedelta(seconds=1.5 * self.info.lag_s)

    def history(self, start: datetime, end: datetime) -> IntensitySeries:
        """As archived, with estimates in its gaps once the source has gone on for a day without filling them."""
        series = self._archive.series(self.key, start, end, attribution=self.info.attribution)
        fill_until = min(end, self.covered[-1].end - FILL_AFTER) if self.covered else start
        if not any(missing(Span(start, fill_until), self.covered)):
            return series
        around = self._archive.series(self.key, start - AROUND, end + AROUND, attribution=self.info.attribution)
        return self._with_estimates(series, filled_series(around, self.step_s, start, fill_until))

    def _with_estimates(self, series: IntensitySeries, filled: IntensitySeries) -> IntensitySeries:
        """Without what is only modelled: after so long a gap the grid may still report."""
        own = {reading.start for reading in series.readings}
        made = [one for one in filled.readings if one.start not in own and one.origin is Origin.ESTIMATED]
        with self._lock:
            for span in merged(Span(one.start, one.end) for one in made):
                self._estimated.setdefault(span, None)
        readings = sorted((*series.readings, *made), key=lambda reading: reading.start)
        return series.model_copy(update={"readings": tuple(readings)})

    def revised(self, since: datetime) -> list[Span]:
        """Spans whose values were found to have changed at `since` or later, or came where an estimate had stood in."""
        corrected = self._archive.revisions(self.key, since - FOLLOWED, since + FAR)
        with self._lock:
            for span, arrived_at in self._estimated.items():
                if arrived_at is None and not any(missing(span, self.covered)):
                    self._estimated[span] = self._pulled_at
            arrived = [span for span, at in self._estimated.items() if at is not None and at >= since]
        return [*arrived, *(Span(one.after.start, one.after.end) for one in corrected if one.seen_at >= since)]

    def _lay_out(self, now: datetime, *, anew: bool) -> None:
        """Read from the archive what may have changed, and judge it beside the rest."""
        with self._lock:
            before = self._readings
            if before is None or anew:
                first = self.covered[0].start if self.covered else now
                raw = self._archive.readings(self.key, self.step_s, max(first, now - REACH), now)
            else:
                fresh = self._archive.readings(self.key, self.step_s, now - SHORT_PAST, now)
                raw = _continued(before.raw, fresh)
            jumps = self.info.signal is SignalKind.AVERAGE
            self._readings = _LaidOut(raw, suspects(raw, jumps=jumps))


def _is_of_all_zones(error: Exception) -> bool:
    """No answer at all, or too many questions: another zone would fare no better."""
    if isinstance(error, SourceRefused):
        return error.status == TOO_MANY
    return isinstance(error, SourceUnreachable)


def _unless_not_found(check: Callable[[], Answer]) -> Answer | None:
    try:
        return check()
    except NotFound:
        return None


def _continued(known: Readings, fresh: Readings) -> Readings:
    """The readings with their last days replaced; with a gap where the fresh ones begin later."""
    at = max(0, known.step_of(fresh.start))
    gap = np.full(max(0, at - len(known.values)), np.nan)
    return known._replace(values=np.concatenate([known.values[:at], gap, fresh.values]))


def _without_tail(readings: Readings) -> Readings:
    """Up to the last step that is known."""
    known = np.flatnonzero(np.isfinite(readings.values))
    return readings._replace(values=readings.values[: known[-1] + 1 if len(known) else 0])


def _spans(series: IntensitySeries, now: datetime) -> Iterable[Span]:
    """What the archive kept of it."""
    return _touching((reading.start, reading.end) for reading in series.readings if reading.start <= now + FUTURE)


def _touching(pieces: Iterable[tuple[datetime, datetime]]) -> Iterator[Span]:
    return merged(Span(start, end) for start, end in pieces)
