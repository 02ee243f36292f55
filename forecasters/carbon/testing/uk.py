"""The Carbon Intensity API: its documented JSON, its limits and its quirks."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.testing.server import Answer, ProviderServer, Request, says

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
            case ["intensity", start, "fw48h"]:
                first = _parse(start)
                return data(self.entries(first, first + timedelta(hours=48)))
            case ["intensity", start, end]:
                first, last = _parse(start), _parse(end)
                if last - first > timedelta(days=14):
                    return error(400, "The maximum date range is limited to 14 days.")
                year_end = datetime(first.year, 12, 31, 23, 30, tzinfo=UTC)
                return data(self.entries(first, min(last, year_end)))
            case _:
                return error(404, "Requested resource not found.")

    def entries(self, start: datetime, end: datetime) -> list[dict[str, object]]:
        """Half-hours from the one that ends at or holds `start`, as the API gives them."""
        return list(self._entries(floor_to(start - timedelta(seconds=1), 1800), end))

    def _entries(self, moment: datetime, end: datetime) -> Iterator[dict[str, object]]:
        while moment < end:
            expected = self._forecast(moment)
            actual = expected + self._differs if moment + HALF_HOUR <= self.now else None
            intensity = {"forecast": expected, "actual": actual, "index": "moderate"}
            yield {"from": _format(moment), "to": _format(moment + HALF_HOUR), "intensity": intensity}
            moment += HALF_HOUR


def error(status: int, message: str, *headers: tuple[str, str]) -> Answer:
    return says({"error": {"code": f"{status}", "message": message}}, *headers, status=status)


def data(entries: object) -> Answer:
    """An answer with these entries, for tests that spoil them."""
    return says({"data": entries})


def _parse(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _format(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")
