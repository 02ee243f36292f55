"""The ENTSO-E Transparency Platform: documents of generation, load and their forecasts, curves with repeated points left out,
and refusals as acknowledgements."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.testing.server import Answer, ProviderServer, Request

QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
NAMESPACE = "urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0"
XML = ("Content-Type", "text/xml")


class Plant(NamedTuple):
    """One time series: MW by the start of a step; None where there is no point."""

    psr_type: str
    power_mw: Callable[[datetime], float | None]
    step: timedelta = HOUR
    curve_type: str = "A03"
    outward: bool = False


def sun(moment: datetime) -> float:
    return round(max(0.0, 20_000 * math.sin((moment.hour + moment.minute / 60 - 5) / 14 * math.pi)))


GRID = (
    Plant("B14", lambda _moment: 5000),
    Plant("B04", lambda moment: round(24_000 - sun(moment))),
    Plant("B16", sun, QUARTER, "A01"),
    Plant("B10", lambda moment: 1500 if moment.hour in (18, 19) else 0),
    Plant("B10", lambda moment: 1500 if moment.hour in (11, 12) else 0, outward=True),
)
"""A made-up grid: gas gives way to the sun, and a pumped storage fills at noon and gives in the evening."""

FORECASTS = {
    "A65": (Plant("", lambda moment: 30_000 + 1000 * moment.hour, QUARTER, outward=True),),
    "A69": (
        Plant("B16", lambda moment: sun(moment) + 100, QUARTER),
        Plant("B18", lambda _moment: 300, HOUR),
        Plant("B19", lambda moment: 1000 + 10 * moment.hour, HOUR),
    ),
}


class EntsoeServer(ProviderServer):
    """Knows the `areas` (None: all). What is generated is published up to `now`, forecasts to the end of the next day."""

    def __init__(
        self,
        now: datetime,
        *,
        grid: Sequence[Plant] = GRID,
        forecasts: Mapping[str, Sequence[Plant]] = FORECASTS,
        areas: Sequence[str] | None = None,
        token: str = "a-good-token",  # noqa: S107  # of a local server
    ) -> None:
        super().__init__(self.answer)
        self.now, self._grid, self._forecasts, self._areas, self._token = now, grid, forecasts, areas, token

    def answer(self, request: Request) -> Answer:
        asked = request.params
        if asked.get("securityToken") != self._token:
            return acknowledgement("Unauthorized. Missing or invalid security token", status=401)
        area = asked.get("in_Domain") or asked.get("outBiddingZone_Domain") or ""
        start, end = _parse(asked["periodStart"]), _parse(asked["periodEnd"])
        if asked["documentType"] == "A75":
            plants, known_until = self._grid, floor_to(self.now, 900)
        else:
            plants = self._forecasts.get(asked["documentType"], ())
            known_until = floor_to(self.now, 86_400) + timedelta(days=2)
        end = min(end, known_until)
        if start >= end or not plants or (self._areas is not None and area not in self._areas):
            return acknowledgement(f"No matching data found for Data item with area {area}")
        return document("".join(time_series(plant, start, end, area) for plant in plants))


def time_series(plant: Plant, start: datetime, end: datetime, area: str = "10Y1001A1001A83F") -> str:
    """One time series over `[start, end)`, as far as whole steps go."""
    domain = "outBiddingZone_Domain.mRID" if plant.outward else "inBiddingZone_Domain.mRID"
    last = floor_to(end, int(plant.step.total_seconds()))
    kind = f"<MktPSRType><psrType>{plant.psr_type}</psrType></MktPSRType>" if plant.psr_type else ""
    points = "".join(_points(plant, start, last))
    return (
        f'<TimeSeries><mRID>1</mRID><{domain} codingScheme="A01">{area}</{domain}>'
        f"<quantity_Measure_Unit.name>MAW</quantity_Measure_Unit.name><curveType>{plant.curve_type}</curveType>{kind}"
        f"<Period><timeInterval><start>{start:%Y-%m-%dT%H:%MZ}</start><end>{last:%Y-%m-%dT%H:%MZ}</end></timeInterval>"
        f"<resolution>PT{int(plant.step.total_seconds()) // 60}M</resolution>{points}</Period></TimeSeries>"
    )


def document(content: str) -> Answer:
    return _xml(f'<GL_MarketDocument xmlns="{NAMESPACE}"><mRID>1</mRID><type>A75</type>{content}</GL_MarketDocument>')


def acknowledgement(text: str, *, status: int = 200) -> Answer:
    reason = f"<Reason><code>999</code><text>{text}</text></Reason>"
    name = "Acknowledgement_MarketDocument"
    return _xml(
        f'<{name} xmlns="urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:8:1">{reason}</{name}>', status
    )


def _points(plant: Plant, start: datetime, end: datetime) -> Iterator[str]:
    """In a curve of type A03, a point that repeats the one before it is left out."""
    before: float | None = None
    for index in range((end - start) // plant.step):
        value = plant.power_mw(start + index * plant.step)
        if value is not None and not (plant.curve_type == "A03" and value == before):
            yield f"<Point><position>{index + 1}</position><quantity>{value:g}</quantity></Point>"
        before = value


def _xml(body: str, status: int = 200) -> Answer:
    return Answer(status, f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode(), (XML,))


def _parse(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d%H%M").replace(tzinfo=UTC)
