"""A Carbon Aware SDK server: locations, what was emitted there, and the newest forecast."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.testing.server import Answer, ProviderServer, Request, says

FIVE_MINUTES = timedelta(minutes=5)
LOCATIONS = {
    "eastus": {"Latitude": 37.3719, "Longitude": -79.8164, "Name": "eastus"},
    "francecentral": {"Latitude": 46.3772, "Longitude": 2.373, "Name": "francecentral"},
}


def evening_peak(start: datetime) -> float:
    """A made-up intensity in g/kWh, another in every five minutes of a day."""
    return 300.0 + 0.1 * (start.hour * 60 + start.minute)


class CarbonAwareSdkServer(ProviderServer):
    """Its forecast begins with the next five minutes after `now`. `best` is the name its version has for the best windows."""

    def __init__(
        self,
        now: datetime,
        intensity: Callable[[datetime], float] = evening_peak,
        *,
        horizon: timedelta = timedelta(hours=25),
        best: str = "optimalDataPoints",
    ) -> None:
        super().__init__(self.answer)
        self.now, self._intensity, self._horizon, self._best = now, intensity, horizon, best

    def answer(self, request: Request) -> Answer:
        location = request.params.get("location", "")
        if request.path == "/locations":
            return says(LOCATIONS)
        if location not in LOCATIONS:
            return problem(400, "Invalid argument")
        match request.path:
            case "/emissions/forecasts/current":
                return says([self.forecast(location)])
            case "/emissions/bylocation":
                start, end = (
                    datetime.fromisoformat(request.params[name]).astimezone(UTC) for name in ("time", "toTime")
                )
                points = self.observations(location, start, min(end, self.now))
                return says(points) if points else Answer(204, b"")
            case _:
                return problem(404, "Not Found")

    def forecast(self, location: str) -> dict[str, Any]:
        first = floor_to(self.now, 300) + FIVE_MINUTES
        points = [
            {"location": location, "timestamp": at.isoformat(), "duration": 5, "value": self._intensity(at)}
            for at in _every_five_minutes(first, self.now + self._horizon)
        ]
        best = min(points, key=lambda point: float(str(point["value"])))
        return {
            "generatedAt": floor_to(self.now, 300).isoformat(),
            "requestedAt": self.now.isoformat(),
            "location": location,
            "dataStartAt": points[0]["timestamp"],
            "dataEndAt": points[-1]["timestamp"],
            "windowSize": 5,
            self._best: [best] if self._best.endswith("s") else best,
            "forecastData": points,
        }

    def observations(self, location: str, start: datetime, end: datetime) -> list[dict[str, Any]]:
        return [
            {"location": location, "time": at.isoformat(), "rating": self._intensity(at), "duration": "00:05:00"}
            for at in _every_five_minutes(start, end)
        ]


def problem(status: int, title: str) -> Answer:
    """A refusal as RFC 9457 has it."""
    return says({"type": "https://tools.ietf.org/html/rfc9110", "title": title, "status": status}, status=status)


def _every_five_minutes(first: datetime, end: datetime) -> list[datetime]:
    return [first + FIVE_MINUTES * index for index in range(max(0, -((first - end) // FIVE_MINUTES)))]
