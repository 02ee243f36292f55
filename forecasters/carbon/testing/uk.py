"""The Carbon Intensity API: its documented JSON, its limits and its quirks."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.testing.server import Answer, ProviderServer, Request, says

Entry = dict[str, Any]
HALF_HOUR = timedelta(minutes=30)


def solar_day(start: datetime) -> int:
    """A made-up intensity in g/kWh that dips at noon."""
    return 250 - 12 * max(0, 6 - abs(start.hour - 12))


class UkServer(ProviderServer):
    """`now` parts past from future."""

    def __init__(self, now: datetime, forecast: Callable[[datetime], int] = solar_day, actual_differs: int = 7) -> None:
        super().__init__(self.answer)
        self.now, self._forecast, self._differs = now, forecast, actual_differs

    def answer(self, request: Request) -> Answer:
        """What the API says at that path."""
        match request.path.strip("/").split("/"):
            case ["intensity", start, end]:
                return self._between(start, end, data)
            case ["regional", "intensity", start, end, "regionid", region] if 1 <= int(region) <= 17:
                return self._between(start, end, lambda entries: data(regional(int(region), entries)))
            case _:
                return error(404, "Requested resource not found.")

    def _between(self, start: str, end: str, tell: Callable[[list[Entry]], Answer]) -> Answer:
        first = _parse(start)
        if end == "fw48h":
            return tell(self.entries(first, first + timedelta(hours=48)))
        last = _parse(end)
        if last - first > timedelta(days=14):
            return error(400, "The maximum date range is limited to 14 days.")
        return tell(self.entries(first, min(last, datetime(first.year, 12, 31, 23, 30, tzinfo=UTC))))

    def entries(self, start: datetime, end: datetime) -> list[Entry]:
        """Half-hours from the one that ends at or holds `start`, as the API gives them."""
        return list(self._entries(floor_to(start - timedelta(seconds=1), 1800), end))

    def _entries(self, moment: datetime, end: datetime) -> Iterator[Entry]:
        while moment < end:
            expected = self._forecast(moment)
            actual = expected + self._differs if moment + HALF_HOUR <= self.now else None
            intensity = {"forecast": expected, "actual": actual, "index": "moderate"}
            yield {"from": _format(moment), "to": _format(moment + HALF_HOUR), "intensity": intensity}
            moment += HALF_HOUR


def regional(region: int, entries: list[Entry]) -> dict[str, object]:
    """The half-hours as of a region: a forecast without actual, dirtier by the region's number."""
    told = [
        {
            "from": entry["from"],
            "to": entry["to"],
            "intensity": {"forecast": entry["intensity"]["forecast"] + region, "index": "moderate"},
            "generationmix": [{"fuel": "gas", "perc": 43.6}, {"fuel": "wind", "perc": 56.4}],
        }
        for entry in entries
    ]
    return {"regionid": region, "dnoregion": "a network operator", "shortname": f"region {region}", "data": told}


def error(status: int, message: str, *headers: tuple[str, str]) -> Answer:
    return says({"error": {"code": f"{status}", "message": message}}, *headers, status=status)


def data(entries: object) -> Answer:
    """An answer with these entries, for tests that spoil them."""
    return says({"data": entries})


def _parse(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _format(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")
