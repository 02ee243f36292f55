"""What a person may ask of the grid, with a queue or without one: the intensity ahead and behind, the zones, the sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from carbonq.client import Catalogue, SourceUse, ZoneInfo
from carbonq.domain.carbon import Forecast, IntensitySeries, Zone
from carbonq.domain.ports import Board, CarbonOutlook
from carbonq.domain.time import Clock


@dataclass(frozen=True)
class GridSettings:
    """`fresh_s`: how old the scheduler's forecast may be before the source is asked."""

    zone: Zone
    fresh_s: float


class GridClient:
    """See `carbonq.client.Grid`. Without a board it goes by the sources alone. `catalogue` asks them which zones they list."""

    def __init__(
        self,
        settings: GridSettings,
        *,
        clock: Clock,
        outlook: CarbonOutlook,
        catalogue: Callable[[], Catalogue],
        board: Board | None = None,
    ) -> None:
        self._place, self._known = settings, board
        self._clock, self._outlook, self._catalogue = clock, outlook, catalogue

    def now(self) -> datetime:
        return self._clock.now()

    def forecast(self, zone: Zone | None, hours: float) -> Forecast:
        """The scheduler's own while it is fresh, else the sources'.

        The scheduler looks as far ahead as the settings say from when it asked: what is fresh may end that much sooner.
        """
        zone, now = zone or self._place.zone, self._clock.now()
        end = now + timedelta(hours=hours)
        kept = self._known.forecast(zone) if self._known else None
        age_s = (now - kept.fetched_at).total_seconds() if kept is not None else 0.0
        if kept is not None and age_s < self._place.fresh_s and kept.grid.end >= end - timedelta(seconds=age_s):
            return kept.cut(now, end)
        return self._outlook.forecast(zone, now, end)

    def actual(self, zone: Zone | None, start: datetime, end: datetime) -> IntensitySeries:
        zone = zone or self._place.zone
        kept = self._known.actual(zone) if self._known else None
        if kept is not None and kept.mean(start, end) is not None:
            return kept.model_copy(update={"readings": tuple(kept.within(start, end))})
        return self._outlook.history(zone, start, end)

    def sources(self) -> list[SourceUse]:
        return list(self._catalogue().sources)

    def zones(self) -> list[ZoneInfo]:
        known = self._catalogue().zones
        return [
            ZoneInfo(zone, sources, _zone_note(zone == self._place.zone, sources)) for zone, sources in known.items()
        ]


def _zone_note(is_ours: bool, sources: Sequence[str]) -> str:
    notes = ("this machine's zone" if is_ours else "", "a typical profile only" if sources == ("typical",) else "")
    return ", ".join(filter(None, notes))
