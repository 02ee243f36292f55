"""The weather that was expected over one zone, now and on past days, for a model to learn from. Kept in memory: a restart asks
for the past again, a few questions a zone."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from carbonq.domain.carbon import Zone
from carbonq.domain.errors import NotFound
from carbonq.forecasters.carbon.foresight.outages import Outages
from carbonq.forecasters.carbon.models.series import Features, Issue
from carbonq.forecasters.carbon.weather import CHUNK, OpenMeteo

Answer = TypeVar("Answer")

ASK_EVERY = timedelta(hours=3)
"""Weather models run four times a day."""
REACH = timedelta(days=365)
"""A year has all seasons; more would only fill memory."""
DAY = timedelta(days=1)


class WeatherFeed:
    """One zone's expected weather. What goes wrong is told once; the carbon forecast goes on without it."""

    def __init__(self, weather: OpenMeteo, zone: Zone, outages: Outages) -> None:
        self.attribution = weather.info.attribution
        self._weather, self._zone, self._outages = weather, zone, outages
        self._known: Features | None = None
        self._asked_at: datetime | None = None
        self._past_from: datetime | None = None
        self._has_places = True

    def pull(self, now: datetime) -> None:
        """What is expected now, where that is some hours old, and one more stretch of the past behind it."""
        if self._asked_at is None or now - self._asked_at >= ASK_EVERY:
            current = self._ask(lambda: self._weather.current(self._zone, now))
            if current is None:
                return
            self._asked_at = now
            self._take(current, now)
        until = self._past_from or now
        since = max(until - CHUNK, now - REACH)
        if since < until - DAY and (past := self._ask(lambda: self._weather.past(self._zone, since, until))):
            self._past_from = since
            self._take(past, now)

    def before(self, now: datetime) -> tuple[Features, ...]:
        """What was known at `now`; nothing where nothing could be asked."""
        return () if self._known is None else (self._known.before(now),)

    def _take(self, more: Features, now: datetime) -> None:
        """One issue a day, and the newest."""
        before = self._known.issues if self._known else ()
        ordered = sorted((*before, *more.issues), key=lambda issue: issue.issued_at)
        first_of_day: dict[object, Issue] = {}
        for issue in ordered:
            if issue.issued_at >= now - REACH - DAY:
                first_of_day.setdefault(issue.issued_at.date(), issue)
        kept = [
            *first_of_day.values(),
            *(issue for issue in ordered[-1:] if all(issue is not one for one in first_of_day.values())),
        ]
        self._known = Features(more.names, more.step_s, tuple(kept))

    def _ask(self, question: Callable[[], Answer]) -> Answer | None:
        name = f"the weather of {self._zone}"
        if not self._has_places or self._outages.rests(name):
            return None
        try:
            answer = question()
        except NotFound:
            self._has_places = False
            return None
        except Exception as error:  # noqa: BLE001  # it is told, and the forecast goes on without weather
            self._outages.failed(name, error)
            return None
        self._outages.answered(name)
        return answer
