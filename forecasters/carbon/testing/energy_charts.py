"""The Energy-Charts API: three lists of one length, of the present day unless a time is asked for."""

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
        if request.path != "/co2eq":
            return says({"detail": "Not Found"}, status=404)
        if len(request.params["country"]) != 2 or request.params["country"] == "xx":
            return Answer(400, b"'xx' is not the code for an available country. Please refer to the API doc")
        midnight = floor_to(self.now + timedelta(hours=2), 86_400) - timedelta(hours=2)  # summer in Central Europe
        start, end = request.params.get("start"), request.params.get("end")
        first = datetime.fromisoformat(start).astimezone(UTC) if start else midnight
        last = datetime.fromisoformat(end).astimezone(UTC) if end else midnight + timedelta(days=2)
        return says(self.lists(first, last))

    def lists(self, first: datetime, last: datetime) -> dict[str, Any]:
        moments = []
        while first < last:
            moments.append(first)
            first += self._step
        measured = [moment + self._step <= self.now - LAG for moment in moments]
        values = [self._intensity(moment) if moment < self.until else None for moment in moments]
        return {
            "unix_seconds": [int(moment.timestamp()) for moment in moments],
            "co2eq": [value if known else None for value, known in zip(values, measured, strict=True)],
            "co2eq_forecast": [None if known else value for value, known in zip(values, measured, strict=True)],
            "deprecated": False,
        }
