"""`rte`: éCO2mix of the French grid operator RTE, through the open data of the energy networks (ODRÉ). Zone `FR`. No key.

`taux_co2` is gCO2 per kWh generated in continental France, from the fuel that is burnt alone: direct
(https://www.rte-france.com/eco2mix/les-emissions-de-co2-par-kwh-produit-en-france). No forecast of it is published.

Two data sets make one history: the real-time one by the quarter of an hour, of the present and the last month, and the
consolidated one by the half-hour, from 2012 on. What the first does not have yet or no more, the second is asked for.
Both are asked through `exports/json`, which answers a year at once; `records` gives pages of 100.

What its users met and is allowed for here: numbers as texts, rows of the future without a value, quarters of an hour without
one in the consolidated set, rows given twice when the clocks change, and 0 for a value that is missing: there is no hour
without a stack in France.

Licence Ouverte 2.0 (Etalab). 50,000 questions a month are free.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, Scope, SourceInfo, Zone
from carbonq.domain.errors import NotFound, SourceNonsense
from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.readings import (
    Row,
    checked_intensity,
    held,
    moment_in,
    overlapping,
    series_of,
    sound,
    spans,
)

ZONE = "FR"
DEFAULT_URL = "https://odre.opendatasoft.com"
REAL_TIME, CONSOLIDATED = "eco2mix-national-tr", "eco2mix-national-cons-def"
INFO = SourceInfo(
    name="rte",
    title="éCO2mix of RTE, the French grid operator",
    scope=Scope.DIRECT,
    resolution_s=900,
    lag_s=3600,
    licence="Licence Ouverte 2.0",
    attribution="RTE éCO2mix, by ODRÉ (Licence Ouverte 2.0)",
    terms_url="https://odre.opendatasoft.com/explore/dataset/eco2mix-national-tr/",
)
STEP_S = {REAL_TIME: 900, CONSOLIDATED: 1800}
LONGEST = timedelta(days=366)


class RteSource:
    """France: from 2012 to within the hour, no forecast."""

    name = "rte"

    def __init__(self, client: JsonClient | None = None) -> None:
        self._client = client or JsonClient(DEFAULT_URL)
        self.info = INFO

    def zones(self) -> Sequence[Zone]:
        return (ZONE,)

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        _check(zone)
        first = floor_to(start, STEP_S[CONSOLIDATED])  # a row that begins before `start` may reach into it
        recent = self._read(REAL_TIME, first, end)
        begin = recent[0].start if recent else end
        older = self._read(CONSOLIDATED, first, begin) if begin > start else []
        if recent and older:
            older[-1] = older[-1]._replace(end=min(older[-1].end, begin))
        return series_of(zone, overlapping([*older, *recent], start, end), Origin.MEASURED, self.info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        _check(zone)
        raise NotFound(
            "rte publishes no forecast of the intensity",
            where=f"{zone}, {now:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC",
            hint="carbonq forecasts it from its past; the source energy-charts has a forecast of France of its own",
        )

    def _read(self, dataset: str, start: datetime, end: datetime) -> list[Row]:
        """What a data set says of that time, in order."""
        points: dict[datetime, float] = {}
        for first, last in spans(start, end, LONGEST):
            points |= self._ask(f"/api/explore/v2.1/catalog/datasets/{dataset}/exports/json", first, last)
        return held(points, timedelta(seconds=STEP_S[dataset]))

    def _ask(self, path: str, start: datetime, end: datetime) -> dict[datetime, float]:
        where = self._client.base_url + path
        wanted = f"date_heure >= date'{_iso(start)}' and date_heure < date'{_iso(end)}' and taux_co2 is not null"
        answer = self._client.get(path, {"select": "date_heure,taux_co2", "where": wanted, "order_by": "date_heure"})
        if not isinstance(answer, list):
            raise SourceNonsense("the answer is no list of records", where=where)
        return dict(sound(answer, lambda record: _point(record, where), where))


def _check(zone: Zone) -> None:
    if zone != ZONE:
        raise NotFound(f"the source rte has no zone {zone!r}", hint=f"it has {ZONE}")


def _point(record: object, where: str) -> tuple[datetime, float] | None:
    if not isinstance(record, dict):
        raise SourceNonsense(f"{record!r:.80} is no record", where=where)
    value = record.get("taux_co2")
    intensity = None if value is None else checked_intensity(_number(value), where)
    return (moment_in(record.get("date_heure"), where), intensity) if intensity else None


def _number(value: object) -> object:
    """A number that came as text as one; anything else as it is."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
