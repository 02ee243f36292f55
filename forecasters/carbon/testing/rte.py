"""ODRÉ's Explore API as far as éCO2mix needs it: two data sets, exported whole for a span of time."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.testing.server import Answer, ProviderServer, Request, says

_PATH = re.compile(r"/api/explore/v2\.1/catalog/datasets/(eco2mix-national-(?:tr|cons-def))/exports/json")
_WHERE = re.compile(r"date_heure >= date'([^']+)' and date_heure < date'([^']+)' and taux_co2 is not null")
QUARTER = timedelta(minutes=15)
REAL_TIME_REACH = timedelta(days=35)


def nuclear_night(start: datetime) -> int:
    """A made-up intensity in g/kWh that rises with the hour."""
    return 15 + start.hour


class RteServer(ProviderServer):
    """The real-time set reaches 35 days back from `now`, the consolidated one from 2012 to `consolidated`."""

    def __init__(
        self, now: datetime, intensity: Callable[[datetime], int] = nuclear_night, consolidated: datetime | None = None
    ) -> None:
        super().__init__(self.answer)
        self.now, self._intensity = now, intensity
        self.consolidated = consolidated or now - REAL_TIME_REACH

    def answer(self, request: Request) -> Answer:
        found = _PATH.fullmatch(request.path)
        if found is None:
            return says({"error_code": "NotFoundError", "message": "Not found."}, status=404)
        asked = _WHERE.fullmatch(request.params.get("where", ""))
        if asked is None or request.params.get("select") != "date_heure,taux_co2":
            return says({"error_code": "ODSQLError", "message": "ODSQL query is malformed."}, status=400)
        start, end = (datetime.fromisoformat(moment).astimezone(UTC) for moment in asked.groups())
        return says(list(self.records(found[1], start, end)))

    def records(self, dataset: str, start: datetime, end: datetime) -> Iterator[dict[str, Any]]:
        """Those with a value, numbers as texts now and then, as the API gives them."""
        live = dataset.endswith("-tr")
        step = QUARTER if live else 2 * QUARTER
        first = max(start, self.now - REAL_TIME_REACH if live else datetime(2012, 1, 1, tzinfo=UTC))
        last = min(end, self.now - 2 * QUARTER if live else self.consolidated)
        moment = floor_to(first + step - timedelta(seconds=1), int(step.total_seconds()))
        while moment < last:
            value = self._intensity(moment)
            yield {"date_heure": moment.isoformat(), "taux_co2": f"{value}" if moment.minute == 15 else value}
            moment += step
