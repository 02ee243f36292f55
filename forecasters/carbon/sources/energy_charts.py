"""`energy-charts`: the Energy-Charts API of Fraunhofer ISE, for the countries of Europe. No key.

`/co2eq` has gCO2eq per kWh of a country's generation by the quarter of an hour (https://api.energy-charts.info): what was
measured in `co2eq`, what is expected in `co2eq_forecast`, null where there is none. Asked without a time it answers from this
day's begin (in Central Europe) to where its forecast ends: the end of the day, from the evening on that of the next.

The documentation does not say which factors it uses. By their name as CO2 equivalents, and by the level of grids without
stacks (France at night 65 g/kWh), they are of the whole life cycle, and so they are declared here.

Licence CC BY 4.0. Two questions a minute are free, four at once; beyond, it answers 429.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, Scope, SourceInfo, Zone
from carbonq.domain.errors import NotFound, SourceNonsense, SourceRefused
from carbonq.domain.time import DEFAULT_SLOT_S, SlotGrid, floor_to
from carbonq.forecasters.carbon.http import JsonClient, Params
from carbonq.forecasters.carbon.readings import (
    Row,
    checked_intensity,
    forecast_from,
    held,
    moment_of,
    overlapping,
    series_of,
    sound,
    spans,
    tidy,
    usual_step,
)

DEFAULT_URL = "https://api.energy-charts.info"
INFO = SourceInfo(
    name="energy-charts",
    title="Energy-Charts of the Fraunhofer Institute for Solar Energy Systems",
    scope=Scope.LIFECYCLE,
    resolution_s=900,
    horizon_s=29 * 3600,  # at most: from 19:00, when the next day's forecast comes, to that day's end
    lag_s=2 * 3600,
    licence="CC BY 4.0",
    attribution="Energy-Charts.info, Fraunhofer ISE (CC BY 4.0)",
    terms_url="https://api.energy-charts.info",
)
COUNTRIES = tuple(
    "AT BE BG CH CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV NL NO PL PT RO RS SE SI SK".split()  # noqa: SIM905  # reads better
)
LONGEST = timedelta(days=366)
PATIENCE_S = 65.0
"""At two questions a minute, the next free one may be half a minute away, and behind another's."""

_Point = tuple[object, object, object]
"""Seconds since 1970, measured, expected: the n-th of each of an answer's lists."""


def energy_charts_client(url: str = DEFAULT_URL) -> JsonClient:
    return JsonClient(url, patience_s=PATIENCE_S)


class EnergyChartsSource:
    """The countries of Europe: to the end of this day or the next, and years back."""

    name = "energy-charts"

    def __init__(self, client: JsonClient | None = None, *, slot_s: int = DEFAULT_SLOT_S) -> None:
        self._client = client or energy_charts_client()
        self._slot_s = slot_s
        self.info = INFO

    def zones(self) -> Sequence[Zone]:
        return COUNTRIES

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        country = country_of(zone)
        rows: list[Row] = []
        for first, last in spans(floor_to(start, 3600), end, LONGEST):
            rows += self._ask({"country": country, "start": minute(first), "end": minute(last)}, _measured)
        return series_of(zone, overlapping(tidy(rows, self._where), start, end), Origin.MEASURED, self.info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        """Its own forecast; what has been measured of the present slot already counts too."""
        grid = SlotGrid.covering(now, end, self._slot_s)
        rows = self._ask({"country": country_of(zone)}, _expected)
        return forecast_from(rows, zone, grid, model="co2eq_forecast", info=self.info, now=now, where=self._where)

    @property
    def _where(self) -> str:
        return f"{self._client.base_url}/co2eq"

    def _ask(self, params: Params, value: Callable[[_Point], object]) -> list[Row]:
        return _rows(ask(self._client, "/co2eq", params), value, self._where)


def ask(client: JsonClient, path: str, params: Params) -> object:
    """Raises NotFound for a country that the API does not have, which it says with 400, in plain words."""
    try:
        return client.get(path, params)
    except SourceRefused as refused:
        if refused.status != 400:
            raise
        raise NotFound(
            f"Energy-Charts has no data of {params['country']!r}", where=refused.where, hint="name another source too"
        ) from None


def _rows(answer: object, value: Callable[[_Point], object], where: str) -> list[Row]:
    names = ("unix_seconds", "co2eq", "co2eq_forecast")
    found = [answer.get(name) for name in names] if isinstance(answer, dict) else []
    lists = [values for values in found if isinstance(values, list)]
    if len(lists) < len(names) or len({len(values) for values in lists}) > 1:
        raise SourceNonsense(f"the answer has no lists {', '.join(names)} of one length", where=where)
    points = sound(zip(*lists, strict=True), lambda point: _read(point, value(point), where), where)
    step = usual_step(moment for moment, _ in points)
    return held({moment: known for moment, known in points if known is not None}, step)


def country_of(zone: Zone) -> str:
    if zone not in COUNTRIES:
        raise NotFound(f"the source energy-charts has no zone {zone!r}", hint=f"it has {', '.join(COUNTRIES)}")
    return zone.lower()


def _measured(point: _Point) -> object:
    return point[1]


def _expected(point: _Point) -> object:
    return point[1] if point[2] is None else point[2]


def _read(point: _Point, value: object, where: str) -> tuple[datetime, float | None]:
    return moment_of(point[0], where), None if value is None else checked_intensity(value, where)


def minute(moment: datetime) -> str:
    """How the API is asked for a time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")
