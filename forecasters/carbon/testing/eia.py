"""The EIA's API v2: hourly generation by fuel, with its pages, its strings and nulls, and its hour-ending periods."""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from carbonq.forecasters.carbon.testing.server import Answer, ProviderServer, Request, says

HOUR = timedelta(hours=1)
MAX_ROWS = 5000
PERIOD = "%Y-%m-%dT%H"

Generation = Callable[[datetime], dict[str, float | None]]


def sunny_grid(hour: datetime) -> dict[str, float | None]:
    """A made-up grid in MWh, by the start of its hour: gas gives way to the sun, and a battery charges at noon."""
    sun = max(0.0, math.cos((hour.hour - 20) / 24 * math.tau))
    return {
        "NUC": 2000.0,
        "NG": round(9000 - 6000 * sun),
        "SUN": round(8000 * sun),
        "COL": None,
        "BAT": round(500 - 1500 * sun),
    }


class EiaServer(ProviderServer):
    """Knows every respondent. `published_until` is the end of the newest hour; `key` is the one that it accepts."""

    def __init__(self, published_until: datetime, generation: Generation = sunny_grid, key: str = "a-good-key") -> None:
        super().__init__(self.answer)
        self.published_until, self._generation, self._key = published_until, generation, key

    def answer(self, request: Request) -> Answer:
        asked = request.params
        if not asked.get("api_key"):
            return error(403, "API_KEY_MISSING", "No api_key was supplied. Please register for one at eia.gov/opendata")
        if asked["api_key"] != self._key:
            return error(403, "API_KEY_INVALID", "An invalid api_key was supplied.")
        if request.path.rstrip("/") != "/v2/electricity/rto/fuel-type-data/data":
            return says({"error": "Not found.", "code": 404}, status=404)
        try:
            first, last = _parse(asked["start"]), _parse(asked["end"])
        except ValueError:
            return says({"error": "Invalid date.", "code": 400}, status=400)
        rows = list(self.rows(asked["facets[respondent][]"], first, last))
        offset, length = int(asked["offset"]), min(MAX_ROWS, int(asked["length"]))
        return data(rows[offset : offset + length], total=len(rows))

    def rows(self, respondent: str, first: datetime, last: datetime) -> Iterator[dict[str, object]]:
        """The rows of the periods from `first` to `last`, both included: each is the end of its hour."""
        period = first
        while period <= min(last, self.published_until):
            for fuel, value in self._generation(period - HOUR).items():
                yield row(period, respondent, fuel, None if value is None else f"{value:g}")
            period += HOUR


def row(period: datetime, respondent: str, fuel: str, value: str | float | None) -> dict[str, object]:
    return {
        "period": period.strftime(PERIOD),
        "respondent": respondent,
        "respondent-name": "An authority",
        "fueltype": fuel,
        "type-name": "A fuel",
        "value": value,
        "value-units": "megawatthours",
    }


def data(rows: object, *, total: int = 0) -> Answer:
    inner = {"total": str(total), "dateFormat": 'YYYY-MM-DD"T"HH24', "frequency": "hourly", "data": rows}
    return says({"response": inner, "apiVersion": "2.1.8"})


def error(status: int, code: str, message: str) -> Answer:
    return says({"error": {"code": code, "message": message}}, status=status)


def _parse(period: str) -> datetime:
    return datetime.strptime(period, PERIOD).replace(tzinfo=UTC)
