"""What was expected of one zone, now and on past days, for a model to learn from: weather, or tomorrow's wind and sun in MW.

Kept in memory: a restart asks for the past again, a few questions a zone.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Protocol, TypeVar

from carbonq.domain.carbon import Zone
from carbonq.domain.errors import NotFound
from carbonq.forecasters.carbon.foresight.outages import Outages
from carbonq.forecasters.carbon.models.series import Features

Answer = TypeVar("Answer")

ASK_EVERY = timedelta(hours=3)
"""Weather models run four times a day."""
CHUNK = timedelta(days=60)
"""So much of the past is asked for in one round."""
REACH = timedelta(days=365)
"""A year has all seasons; more would only fill memory."""
DAY = timedelta(days=1)


class FeatureSource(Protocol):
    """A provider of values known in advance. Errors: NotFound for a zone it does not know, SourceUnreachable, SourceNonsense."""

    @property
    def attribution(self) -> str: ...

    @property
    def subject(self) -> str:
        """What the values are about, as a forecast names it: `weather`."""
        ...

    def current(self, zone: Zone, now: datetime) -> Features:
        """What is expected now: nothing in it was issued later."""
        ...

    def past(self, zone: Zone, start: datetime, end: datetime) -> Features:
        """What was expected on the days within `[start, end)`, an issue a day, as far as that is known."""
        ...


class FeatureFeed:
    """One source's values for one zone. What goes wrong is told once; the carbon forecast goes on without them."""

    def __init__(self, source: FeatureSource, zone: Zone, outages: Outages) -> None:
        self.attribution, self.subject = source.attribution, source.subject
        self._source, self._zone, self._outages = source, zone, outages
        self._known: Features | None = None
        self._asked_at: datetime | None = None
        self._past_from: datetime | None = None
        self._knows_zone = True

    def pull(self, now: datetime) -> None:
        """What is expected now, where that is some hours old, and one more stretch of the past behind it."""
        if self._asked_at is None or abs(now - self._asked_at) >= ASK_EVERY:
            current = self._ask(lambda: self._source.current(self._zone, now))
            if current is None:
                return
            self._asked_at = now
            self._take(current, now)
        until = self._past_from or now
        since = max(until - CHUNK, now - REACH)
        if since < until - DAY and (past := self._ask(lambda: self._source.past(self._zone, since, until))):
            self._past_from = since
            self._take(past, now)

    def before(self, now: datetime) -> tuple[Features, ...]:
        """What was known at `now`; nothing where nothing could be asked."""
        return () if self._known is None else (self._known.before(now),)

    def _take(self, more: Features, now: datetime) -> None:
        """The first issue of each day, and the newest."""
        before = self._known.issues if self._known else ()
        by_moment = {
            issue.issued_at: issue for issue in (*before, *more.issues) if issue.issued_at >= now - REACH - DAY
        }
        first_of_day: dict[date, datetime] = {}
        for moment in sorted(by_moment):
            first_of_day.setdefault(moment.date(), moment)
        kept = sorted({*first_of_day.values(), *sorted(by_moment)[-1:]})
        self._known = Features(more.names, more.step_s, tuple(by_moment[moment] for moment in kept))

    def _ask(self, question: Callable[[], Answer]) -> Answer | None:
        name = f"the {self.subject} of {self._zone}"
        if not self._knows_zone or self._outages.rests(name):
            return None
        try:
            answer = question()
        except NotFound:
            self._knows_zone = False
            return None
        except Exception as error:  # noqa: BLE001  # it is told, and the forecast goes on without
            self._outages.failed(name, error)
            return None
        self._outages.answered(name)
        return answer
