"""`uk`: the Carbon Intensity API of the National Energy System Operator for Great Britain. No key.

Half-hours with a forecast and, once they have passed, an estimate from metered generation that the API calls actual
(https://carbon-intensity.github.io/api-definitions/). Licence CC BY 4.0.

Zone `GB`, its 14 distribution regions and its three countries. The API knows no actual intensity of a region: the past of
one is what was last forecast of it, so it counts as estimated.

What its users met and is allowed for here: at most 14 days in one question, answers that stop short at the end of a year,
half-hours given twice with different values, half-hours left out, the interval before the first one asked for, and a
region's answer wrapped in a list or not.
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
    forecast_from,
    moment_in,
    overlapping,
    series_of,
    sound,
    tidy,
)

ZONE = "GB"
REGIONS: Mapping[Zone, int] = {
    "GB-NORTH-SCOTLAND": 1,
    "GB-SOUTH-SCOTLAND": 2,
    "GB-NORTH-WEST": 3,
    "GB-NORTH-EAST": 4,
    "GB-YORKSHIRE": 5,
    "GB-NORTH-WALES": 6,  # with Merseyside and Cheshire
    "GB-SOUTH-WALES": 7,
    "GB-WEST-MIDLANDS": 8,
    "GB-EAST-MIDLANDS": 9,
    "GB-EAST-ENGLAND": 10,
    "GB-SOUTH-WEST": 11,
    "GB-SOUTH-ENGLAND": 12,
    "GB-LONDON": 13,
    "GB-SOUTH-EAST": 14,
    "GB-ENG": 15,
    "GB-SCT": 16,
    "GB-WLS": 17,
}
"""By our code (the countries' is that of ISO 3166-2), the API's region id."""
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
    """Great Britain and its regions: 48 hours ahead, and years back."""

    name = "uk"

    def __init__(self, client: JsonClient | None = None, *, slot_s: int = DEFAULT_SLOT_S) -> None:
        self._client = client or JsonClient(DEFAULT_URL)
        self._slot_s = slot_s
        self.info = INFO

    def zones(self) -> Sequence[Zone]:
        return (ZONE, *REGIONS)

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        _check(zone)
        which, origin = ("actual", Origin.MEASURED) if zone == ZONE else ("forecast", Origin.ESTIMATED)
        rows = [
            row
            for first, last in _questions(start, end)
            for row in self._ask(_path(zone, _minute(first), _minute(last)), which)
        ]
        return series_of(zone, overlapping(tidy(rows, self._client.base_url), start, end), origin, self.info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        _check(zone)
        grid = SlotGrid.covering(now, end, self._slot_s)
        rows = tidy(self._ask(_path(zone, _minute(grid.start), "fw48h"), "forecast"), self._client.base_url)
        return forecast_from(rows, zone, grid, model="fw48h", info=self.info, now=now, where=self._client.base_url)

    def _ask(self, path: str, which: str) -> list[Row]:
        """The half-hours of an answer that have a value of that kind (`forecast` or `actual`), as they come."""
        where = self._client.base_url + path
        entries = _entries(self._client.get(path))
        if entries is None:
            raise SourceNonsense('the answer has no list "data"', where=where)
        return sound(entries, lambda entry: _row(entry, which, where), where)


def _check(zone: Zone) -> None:
    if zone != ZONE and zone not in REGIONS:
        raise NotFound(f"the source uk has no zone {zone!r}", hint=f"it has {ZONE}, {', '.join(REGIONS)}")


def _path(zone: Zone, start: str, end: str) -> str:
    """Where the API speaks of that zone and time."""
    if zone == ZONE:
        return f"/intensity/{start}/{end}"
    return f"/regional/intensity/{start}/{end}/regionid/{REGIONS[zone]}"


def _entries(answer: object) -> list[object] | None:
    """The half-hours: in `data`, of a region in the `data` of that, which some versions wrap in a list."""
    data = answer.get("data") if isinstance(answer, dict) else None
    if isinstance(data, list) and len(data) == 1 and isinstance(data[0], dict) and "regionid" in data[0]:
        data = data[0]
    if isinstance(data, dict):
        data = data.get("data")
    return data if isinstance(data, list) else None


def _row(entry: object, which: str, where: str) -> Row | None:
    if not isinstance(entry, dict) or not isinstance(intensity := entry.get("intensity"), dict):
        raise SourceNonsense(f"an entry without intensity: {entry!r:.80}", where=where)
    start, end = moment_in(entry.get("from"), where), moment_in(entry.get("to"), where)
    if not start < end <= start + _LONGEST:
        raise SourceNonsense(f"an interval from {start} to {end}", where=where)
    value = intensity.get(which)
    return None if value is None else Row(start, end, checked_intensity(value, where))


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
