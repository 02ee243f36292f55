"""Open-Meteo: the current forecast, and what previous runs said, for one place (an object) or several (a list)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.testing.server import Answer, ProviderServer, Request, says

HOUR, DAY, RUNS_EVERY_S = timedelta(hours=1), timedelta(days=1), 6 * 3600
UNITS = {"wind_speed_100m": "m/s", "shortwave_radiation": "W/m²", "temperature_2m": "°C"}

Says = Callable[[str, float, datetime, datetime], float | None]
"""By variable, latitude, the hour that the value is labelled with, and the start of the run that gave it."""


class OpenMeteoServer(ProviderServer):
    """`/v1/forecast` of both hosts. Runs start every six hours; `…_previous_dayN` is of the last one N days before."""

    def __init__(self, now: datetime, value: Says) -> None:
        super().__init__(self.answer)
        self.now, self._value = now, value

    def answer(self, request: Request) -> Answer:
        if request.path != "/v1/forecast":
            return says({"error": True, "reason": "Not Found"}, status=404)
        asked = request.params
        latitudes, longitudes = asked["latitude"].split(","), asked["longitude"].split(",")
        if len(latitudes) != len(longitudes):
            return refuses("Parameter 'latitude' and 'longitude' must have the same number of elements")
        if not all(-90 <= float(latitude) <= 90 for latitude in latitudes):
            return refuses("Latitude must be in range of -90 to 90°.")
        if unknown := [name for name in asked["hourly"].split(",") if _variable(name) not in UNITS]:
            return refuses(f"Data corrupted at path ''. Cannot initialize ForecastVariable from {unknown[0]}.")
        first, last = self._span(asked)
        parts = [self._part(float(latitude), asked["hourly"].split(","), first, last) for latitude in latitudes]
        return says(parts[0] if len(parts) == 1 else parts)

    def _span(self, asked: Any) -> tuple[datetime, datetime]:
        if "start_date" in asked:
            first, last = (
                datetime.fromisoformat(asked[name]).replace(tzinfo=UTC) for name in ("start_date", "end_date")
            )
            return first, last + DAY
        today = floor_to(self.now, 86_400)
        return today, today + int(asked.get("forecast_days", "7")) * DAY

    def _part(self, latitude: float, names: list[str], first: datetime, last: datetime) -> dict[str, Any]:
        labels = [first + index * HOUR for index in range((last - first) // HOUR)]
        return {
            "latitude": latitude,
            "longitude": 2.25,
            "generationtime_ms": 0.07,
            "utc_offset_seconds": 0,
            "timezone": "GMT",
            "timezone_abbreviation": "GMT",
            "elevation": 38.0,
            "hourly_units": {"time": "unixtime", **{name: UNITS[_variable(name)] for name in names}},
            "hourly": {
                "time": [int(label.timestamp()) for label in labels],
                **{name: [self._said(name, latitude, label) for label in labels] for name in names},
            },
        }

    def _said(self, name: str, latitude: float, label: datetime) -> float | None:
        days = int(name.partition("_previous_day")[2] or 0)
        run = floor_to(min(self.now, label - days * DAY), RUNS_EVERY_S)
        return self._value(_variable(name), latitude, label, run)


def refuses(reason: str, status: int = 400) -> Answer:
    return says({"error": True, "reason": reason}, status=status)


def _variable(name: str) -> str:
    return name.partition("_previous_day")[0]
