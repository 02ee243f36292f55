"""What is remembered of forecasts over a restart: those that were given out, the model's own, and the sources' own."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from carbonq.domain.carbon import Forecast
from carbonq.forecasters.carbon.archive import SeriesKey
from carbonq.forecasters.carbon.models.series import MEDIAN, Issue
from carbonq.forecasters.carbon.record import EVERY, Issued, Record


class Memory(NamedTuple):
    """One record each, for the model goes on being judged while yesterday's curve is given out."""

    given: Record
    by_model: Record
    by_source: Record

    @classmethod
    def below(cls, folder: Path) -> Self:
        return cls(Record(folder), Record(folder / "by-model"), Record(folder / "by-source"))

    def compact(self, now: datetime) -> None:
        for record in self:
            record.compact(now)


class Issues:
    """The medians of one feed's forecasts over the last `span`: one every six hours, and the newest."""

    def __init__(self, record: Record, key: SeriesKey, slot_s: int, span: timedelta) -> None:
        self.slot_s = slot_s
        self._record, self._key, self._span = record, key, span
        self._known: tuple[Issue, ...] | None = None

    def before(self, now: datetime) -> tuple[Issue, ...]:
        """Oldest first. Read from disk at the first call."""
        if self._known is None:
            found = self._record.issued(
                self._key.zone, now - self._span, now, signal=self._key.signal, scope=self._key.scope
            )
            self._known = tuple(
                _issue(one) for one in found if (one.source, one.step_s) == (self._key.source, self.slot_s)
            )
        return self._known

    def keep(self, forecast: Forecast) -> bool:
        """Whether it was written, too. Raises StorageFailed; then it is known in memory all the same."""
        known = self.before(forecast.issued_at)
        if len(known) > 1 and known[-1].issued_at - known[-2].issued_at < EVERY:
            known = known[:-1]
        recent = tuple(issue for issue in known if issue.issued_at > forecast.issued_at - self._span)
        values = np.array(forecast.median_g_per_kwh)[:, None]
        self._known = (*recent, Issue(forecast.issued_at, forecast.grid.start, values))
        return self._record.keep(forecast)


def _issue(issued: Issued) -> Issue:
    return Issue(issued.issued_at, issued.start, issued.quantiles[MEDIAN][:, None])
