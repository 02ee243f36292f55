"""`uk`: the Carbon Intensity API of the National Energy System Operator for Great Britain, zone `GB`. No key.

Half-hours with a forecast and, once they have passed, an estimate from metered generation that the API calls actual
(https://carbon-intensity.github.io/api-definitions/). Licence CC BY 4.0.

What its users met and is allowed for here: at most 14 days in one question, answers that stop short at the end of a year,
half-hours given twice with different values, half-hours left out, and the interval before the first one asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, Scope, SourceInfo, Zone
from carbonq.domain.errors import NotFound, SourceNonsense
from carbonq.domain.time import DEFAULT_SLOT_S, SlotGrid, floor_to
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.readings import (
    Row,
    checked_intensity,
    forecast_of,
    known_stretch,
    overlapping,
    series_of,
    tidy,
)

ZONE = "GB"
DEFAULT_URL = "https://api.carbonintensity.org.uk"
ATTRIBUTION = "Carbon Intensity API, National Energy System Operator (CC BY 4.0)"
INFO = SourceInfo(
    name="uk",
    title="Carbon Intensity API of the National Energy System Operator",
    scope=Scope.DIRECT,
    resolution_s=1800,
    horizon_s=48 * 3600,
    lag_s=1800,
    licence="CC BY 4.0",
    attribution=ATTRIBUTION,
    terms_url="https://carbonintensity.org.uk",
)
MAX_SPAN = timedelta(days=14)
_LONGEST = timedelta(hours=1)


class UkSource:
    """Zone `GB`: 48 hours ahead, and years back."""

    name = "uk"

    def __init__(self, client: JsonClient | None = None, *, slot_s: int = DEFAULT_SLOT_S) -> None:
        self._client = client or JsonClient(DEFAULT_URL)
        self._slot_s = slot_s
        self.info = INFO

    def zones(self) -> Sequence[Zone]:
        return (ZONE,)

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        _check(zone)
        rows: list[Row] = []
        for first, last in _questions(start, end):
            rows += self._ask(f"/intensity/{_minute(first)}/{_minute(last)}", "actual")
        wanted = overlapping(tidy(rows, self._client.base_url), start, end)
        return series_of(zone, wanted, Origin.MEASURED, self.info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        _check(zone)
        grid = SlotGrid.covering(now, end, self._slot_s)
        rows = tidy(self._ask(f"/intensity/{_minute(grid.start)}/fw48h", "forecast"), self._client.base_url)
        median = known_stretch(series_of(zone, rows, Origin.FORECAST, self.info), grid)
        if grid.slots and not median:
            raise SourceNonsense(
                f"no value for {grid.start:%Y-%m-%d %H:%M} UTC, the time asked for", where=self._client.base_url
            )
        return forecast_of(
            zone,
            grid,
            {"0.5": median},
            model="fw48h",
            origin=Origin.FORECAST,
            info=self.info,
            now=now,
        )

    def _ask(self, path: str, which: str) -> Iterator[Row]:
        """The half-hours of an answer that have a value of that kind (`forecast` or `actual`), as they come."""
        where = self._client.base_url + path
        answer = self._client.get(path)
        entries = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(entries, list):
            raise SourceNonsense('the answer has no list "data"', where=where)
        for entry in entries:
            row = _row(entry, which, where)
            if row is not None:
                yield row


def _check(zone: Zone) -> None:
    if zone != ZONE:
        raise NotFound(f"the source uk has no zone {zone!r}", hint=f"it has {ZONE}")


def _row(entry: object, which: str, where: str) -> Row | None:
    if not isinstance(entry, dict) or not isinstance(intensity := entry.get("intensity"), dict):
        raise SourceNonsense(f"an entry without intensity: {entry!r:.80}", where=where)
    start, end = _moment(entry, "from", where), _moment(entry, "to", where)
    if not start < end <= start + _LONGEST:
        raise SourceNonsense(f"an interval from {start} to {end}", where=where)
    value = intensity.get(which)
    return None if value is None else Row(start, end, checked_intensity(value, where))


def _moment(entry: Mapping[str, object], field: str, where: str) -> datetime:
    text = entry.get(field)
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise SourceNonsense(f'"{field}" is no time with a zone: {text!r:.80}', where=where)
    return moment.astimezone(UTC)


def _minute(moment: datetime) -> str:
    """How the API writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def _questions(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """`[start, end)` in spans that the API answers wholly: none longer than 14 days, none across a new year."""
    first = floor_to(start, DEFAULT_SLOT_S)
    while first < end:
        new_year = datetime(first.year + 1, 1, 1, tzinfo=UTC)
        last = min(end, first + MAX_SPAN, new_year)
        yield first, last
        first = last
