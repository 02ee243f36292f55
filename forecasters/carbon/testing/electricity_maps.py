"""The Electricity Maps API, versions 3 and 4: zones with what the key may ask, latest, history, past range and forecast."""

import math
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.testing.server import Answer, ProviderServer, Request, says

HOUR = timedelta(hours=1)
PAID = (
    "carbon-intensity/latest",
    "carbon-intensity/history",
    "carbon-intensity/past-range",
    "carbon-intensity/forecast",
)
FREE = PAID[:2]
HORIZONS_H = ("6", "24", "48", "72")
CALLERS_ZONE = "IE"
"""Where the API finds its caller by IP address, unless told not to look."""


def windy_grid(hour: datetime) -> float | None:
    """A made-up intensity in g/kWh."""
    return round(300 + 100 * math.sin(hour.timestamp() / 3600 / 17 * math.tau))


class ElectricityMapsServer(ProviderServer):
    """Knows `zones`; `now` parts past from future; a key may ask for what is in `access`.

    `lists` says whether the zones are listed with that access, `reach_h` how far ahead it forecasts for the key. Direct intensity is 50 g/kWh below lifecycle.
    """

    def __init__(
        self,
        now: datetime,
        *,
        zones: Collection[str] = ("DE", "FR"),
        access: Collection[str] = PAID,
        lists: bool = True,
        intensity: Callable[[datetime], float | None] = windy_grid,
        is_estimated: Callable[[datetime], bool] = lambda _hour: False,
        reach_h: int = 72,
        key: str = "a-good-key",
    ) -> None:
        super().__init__(self.answer)
        self.now, self.access = now, access
        self._zones, self._lists, self._key, self._reach_h = zones, lists, key, reach_h
        self._intensity, self._is_estimated = intensity, is_estimated

    def answer(self, request: Request) -> Answer:
        version, _, endpoint = urlsplit(request.target).path.strip("/").partition("/")
        if request.headers.get("auth-token") != self._key:
            return error(401, "Invalid auth-token")
        if endpoint == "zones":
            listed = {"access": list(self.access)} if self._lists else {}
            return says({zone: {"zoneName": zone, **listed} for zone in self._zones})
        if endpoint not in self.access:
            return error(401, f"Request unauthorized for zoneKey={request.params.get('zone')}")
        zone = self._zone(request)
        if zone is None:
            return error(404, f"Zone {request.params.get('zone')!r} does not exist.")
        return self._carbon_intensity(version, endpoint.removeprefix("carbon-intensity/"), zone, request)

    def _zone(self, request: Request) -> str | None:
        """The zone asked for; of one that is not known the API makes the caller's own."""
        asked = request.params.get("zone", "")
        looks_up = request.params.get("disableCallerLookup") != "true"
        return asked if asked in self._zones else CALLERS_ZONE if looks_up else None

    def _carbon_intensity(self, version: str, endpoint: str, zone: str, request: Request) -> Answer:
        kind = request.params.get("emissionFactorType", "lifecycle")
        newest = floor_to(self.now, 3600)
        match endpoint:
            case "latest":
                return says(self.row(zone, newest, kind))
            case "history":
                rows = [self.row(zone, newest - hours * HOUR, kind) for hours in range(24, 0, -1)]
                return says({"zone": zone, "history" if version == "v3" else "data": rows})
            case "past-range":
                start, end = _parse(request.params["start"]), _parse(request.params["end"])
                if end - start > timedelta(days=10):
                    return error(400, "The time range is limited to 10 days.")
                return says({"zone": zone, "data": list(self._past(zone, start, min(end, newest), kind))})
            case _:
                horizon_h = request.params.get("horizonHours", "24")
                if horizon_h not in HORIZONS_H:
                    return error(400, '"horizonHours" must be one of [6, 24, 48, 72]')
                if int(horizon_h) > self._reach_h:
                    return error(403, f"your plan reaches {self._reach_h} hours")
                hours = [newest + ahead * HOUR for ahead in range(int(horizon_h) + 1)]
                return says({"zone": zone, "forecast": [self.point(hour, kind) for hour in hours]})

    def _past(self, zone: str, start: datetime, end: datetime, kind: str) -> Iterator[dict[str, object]]:
        hour = floor_to(start + HOUR - timedelta.resolution, 3600)
        while hour < end:
            yield self.row(zone, hour, kind)
            hour += HOUR

    def point(self, hour: datetime, kind: str = "lifecycle") -> dict[str, object]:
        value = self._intensity(hour)
        lower = 50 if kind == "direct" else 0
        return {"carbonIntensity": None if value is None else value - lower, "datetime": _format(hour)}

    def row(self, zone: str, hour: datetime, kind: str = "lifecycle") -> dict[str, object]:
        estimated = self._is_estimated(hour)
        return {
            "zone": zone,
            **self.point(hour, kind),
            "updatedAt": _format(hour + HOUR),
            "createdAt": _format(hour + HOUR),
            "emissionFactorType": kind,
            "isEstimated": estimated,
            "estimationMethod": "TIME_SLICER_AVERAGE" if estimated else None,
            "temporalGranularity": "hourly",
        }


def error(status: int, message: str) -> Answer:
    return says({"error": message}, status=status)


def data(zone: str, rows: object, key: str = "data") -> Answer:
    """An answer with these rows, for tests that spoil them."""
    return says({"zone": zone, key: rows})


def _parse(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _format(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
