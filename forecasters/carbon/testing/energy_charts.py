"""The Energy-Charts API: lists of one length, of the present day unless a time is asked for."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.testing.server import Answer, ProviderServer, Request, says

LAG = timedelta(minutes=90)


def midday_sun(start: datetime) -> float:
    """A made-up intensity in g/kWh, another in every quarter of an hour of a day, that dips at noon."""
    return 400.0 - 0.25 * (720 - abs(start.hour * 60 + start.minute - 720))


class EnergyChartsServer(ProviderServer):
    """`now` parts measured from expected; nothing is expected from `until` on."""

    def __init__(
        self, now: datetime, until: datetime, intensity: Callable[[datetime], float] = midday_sun, step_s: int = 900
    ) -> None:
        super().__init__(self.answer)
        self.now, self.until, self._intensity, self._step = now, until, intensity, timedelta(seconds=step_s)

    def answer(self, request: Request) -> Answer:
        if request.path not in ("/co2eq", "/public_power"):
            return says({"detail": "Not Found"}, status=404)
        if len(request.params["country"]) != 2 or request.params["country"] == "xx":
            return Answer(400, b"'xx' is not the code for an available country. Please refer to the API doc")
        midnight = floor_to(self.now + timedelta(hours=2), 86_400) - timedelta(hours=2)  # summer in Central Europe
        start, end = request.params.get("start"), request.params.get("end")
        first = datetime.fromisoformat(start).astimezone(UTC) if start else midnight
        last = datetime.fromisoformat(end).astimezone(UTC) if end else midnight + timedelta(days=2)
        return says(self.lists(first, last) if request.path == "/co2eq" else self.plants(first, last))

    def plants(self, first: datetime, last: datetime) -> dict[str, Any]:
        """The mix: of what is burnt the share that the intensity has, the rest nuclear, and what is beside the plants."""
        moments = [moment for moment in self._moments(first, last) if moment + self._step <= self.now - LAG]
        coal = [self._intensity(moment) for moment in moments]
        mix = {
            "Hydro pumped storage consumption": [-500.0 for _ in coal],
            "Cross border electricity trading": [-3000.0 for _ in coal],
            "Nuclear": [1000 - mw for mw in coal],
            "Fossil brown coal / lignite": coal,
            "Hydro pumped storage": [250.0 for _ in coal],
            "Load": [45_000.0 for _ in coal],
            "Residual load": [20_000.0 for _ in coal],
            "Renewable share of load": [55.5 for _ in coal],
        }
        return {
            "unix_seconds": [int(moment.timestamp()) for moment in moments],
            "production_types": [{"name": name, "data": data} for name, data in mix.items()],
            "deprecated": False,
        }

    def _moments(self, first: datetime, last: datetime) -> list[datetime]:
        return [first + self._step * index for index in range(max(0, -((first - last) // self._step)))]

    def lists(self, first: datetime, last: datetime) -> dict[str, Any]:
        moments = self._moments(first, last)
        measured = [moment + self._step <= self.now - LAG for moment in moments]
        values = [self._intensity(moment) if moment < self.until else None for moment in moments]
        return {
            "unix_seconds": [int(moment.timestamp()) for moment in moments],
            "co2eq": [value if known else None for value, known in zip(values, measured, strict=True)],
            "co2eq_forecast": [None if known else value for value, known in zip(values, measured, strict=True)],
            "deprecated": False,
        }
