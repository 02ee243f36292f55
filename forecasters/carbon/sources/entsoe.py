"""`entsoe`: generation per type of European zones from the ENTSO-E Transparency Platform, turned into lifecycle intensity.
A free security token, given on request by e-mail.

Questions and area codes are those of entsoe-py (`pip install "carbonq[entsoe]"`, which brings pandas). The requests
themselves go through carbonq's own client, which bounds time and size and keeps the token to itself: entsoe-py would log it,
and quote it in errors. The documents are read here: strictly, so that what is cut off is refused, and some ten times as fast.

Production-based: what plants in the zone generate, imports not counted. What plants consume, pumping included, is left out,
and pumped storage counts on neither side, its natural inflow included. Types are published within an hour or so, some later:
an interval counts once all types that run are there. No forecast of the mix is published, but one of load, wind and solar for
the next day (`day_ahead`), which helps the models. Not every zone publishes every series.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, Scope, SourceInfo, Zone
from carbonq.domain.errors import InvalidInput, NotFound, SourceRefused
from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.credentials import Credentials
from carbonq.forecasters.carbon.entsoe_xml import NO_DATA, Curve, curves_in, on_one_grid
from carbonq.forecasters.carbon.generation import DAY, Fuel, intensity_rows
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.readings import Row, overlapping, series_of, spans, tidy

if TYPE_CHECKING:
    from entsoe.entsoe import EntsoeRawClient
    from entsoe.mappings import Area

    from carbonq.forecasters.carbon.models.series import Features, Issue

INFO = SourceInfo(
    name="entsoe",
    title="ENTSO-E Transparency Platform, generation per type",
    scope=Scope.LIFECYCLE,
    resolution_s=900,
    lag_s=2 * 3600,
    licence="terms of the Transparency Platform; most data under CC BY 4.0",
    attribution="ENTSO-E Transparency Platform; intensity by IPCC AR5 factors, production-based",
    terms_url="https://transparency.entsoe.eu",
    key_setting="entsoe_key",
)
PLANTS = {
    "B01": Fuel.BIOMASS,
    "B02": Fuel.COAL,  # lignite
    "B03": Fuel.COAL,  # gas made from coal: its carbon comes from coal
    "B04": Fuel.GAS,
    "B05": Fuel.COAL,
    "B06": Fuel.OIL,
    "B07": Fuel.COAL,  # oil shale, which burns like lignite
    "B08": Fuel.COAL,  # peat, which burns like lignite
    "B09": Fuel.GEOTHERMAL,
    "B10": Fuel.STORAGE,
    "B11": Fuel.HYDRO,
    "B12": Fuel.HYDRO,
    "B13": Fuel.MARINE,
    "B14": Fuel.NUCLEAR,
    "B15": Fuel.BIOMASS,  # other renewable: mostly gas from waste dumps and sewage
    "B16": Fuel.SOLAR,
    "B17": Fuel.OTHER,  # waste, of which about half is plastics
    "B18": Fuel.WIND_OFFSHORE,
    "B19": Fuel.WIND,
    "B20": Fuel.OTHER,
    "B25": Fuel.STORAGE,
}
_COUNTRIES = "AT BA BE BG CH CY CZ DE DK EE ES FI FR GR HR HU IT LT LU LV MD ME MK NL NO PL PT RO RS SE SI SK XK"
AREAS: Mapping[Zone, str] = {
    **{country: country for country in _COUNTRIES.split()},
    "IE": "IE_SEM",  # the whole island, one market
    "DK-DK1": "DK_1",
    "DK-DK2": "DK_2",
    **{f"NO-NO{number}": f"NO_{number}" for number in range(1, 6)},
    **{f"SE-SE{number}": f"SE_{number}" for number in range(1, 5)},
    "IT-NO": "IT_NORD",
    "IT-CNO": "IT_CNOR",
    "IT-CSO": "IT_CSUD",
    "IT-SO": "IT_SUD",
    "IT-SAR": "IT_SARD",
    "IT-SIC": "IT_SICI",
}
"""By zone code, as Electricity Maps writes them, the area's name in entsoe-py."""

FEATURES = ("load_da_forecast_mw", "solar_da_forecast_mw", "wind_da_forecast_mw")
PUBLISHED_AT = time(18)
"""By Regulation (EU) 543/2013, article 14, forecasts of wind and solar are out by 18:00 of the day before."""

SPAN = timedelta(days=14)
HOUR = timedelta(hours=1)
SOLAR, WIND = "B16", ("B18", "B19")


class DayAhead:
    """Tomorrow's load, sun and wind as the operators expect them, for a model of any source's readings to learn from."""

    subject, attribution = "day-ahead load, wind and sun", INFO.attribution

    def __init__(self, source: "EntsoeSource") -> None:
        self._source = source

    def current(self, zone: Zone, now: datetime) -> "Features":
        return self._source.day_ahead(zone, now, now + 2 * DAY).before(now)

    def past(self, zone: Zone, start: datetime, end: datetime) -> "Features":
        return self._source.day_ahead(zone, start, end)


class EntsoeSource:
    """Years back, an hour or two late. Raises InvalidInput where entsoe-py is not installed."""

    name = INFO.name

    def __init__(self, client: JsonClient) -> None:
        if find_spec("entsoe") is None:
            raise InvalidInput("the source entsoe needs entsoe-py", hint='pip install "carbonq[entsoe]"')
        self._client = client
        self._asking: EntsoeRawClient | None = None
        self.info = INFO

    def zones(self) -> Sequence[Zone]:
        return tuple(AREAS)

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        area = area_of(zone)
        rows = [row for first, last in spans(floor_to(start, 3600), end, SPAN) for row in self._rows(area, first, last)]
        wanted = overlapping(tidy(rows, self._client.base_url), start, end)
        return series_of(zone, wanted, Origin.MEASURED, self.info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:  # noqa: ARG002  # the port's arguments
        area_of(zone)
        raise NotFound("the source entsoe publishes no forecast of the mix", hint="its history serves carbonq's model")

    def day_ahead(self, zone: Zone, start: datetime, end: datetime) -> "Features":
        """Forecasts of load, solar and wind for the local days that overlap `[start, end)`, hour by hour, in MW.

        Each day is one issue, known from 18:00 local time of the day before; what a zone does not publish is NaN, and days
        of which nothing is known are left out. The platform gives the values as they stand now, revisions included.
        """
        from carbonq.forecasters.carbon.models.series import Features

        area = area_of(zone)
        local = ZoneInfo(area.tz)
        first = _midnight(start, local)
        last = _midnight(end - timedelta.resolution, local, days=1) if start < end else first
        columns: list[dict[datetime, float]] = [{} for _ in FEATURES]
        for since, until in spans(first, last, SPAN):
            load = self._ask(lambda asking, **span: asking.query_load_forecast(area, **span), since, until)
            power = self._ask(lambda asking, **span: asking.query_wind_and_solar_forecast(area, **span), since, until)
            sun = [curve for curve in power if curve.psr_type == SOLAR and not curve.outward]
            wind = [curve for curve in power if curve.psr_type in WIND and not curve.outward]
            for column, curves in zip(columns, (load, sun, wind), strict=True):
                column.update(hourly_mw(curves))
        return Features(FEATURES, 3600, tuple(_issues(columns, first, last, local)))

    def _rows(self, area: "Area", start: datetime, end: datetime) -> Iterator[Row]:
        """A day more is asked for, to know which plants run."""
        curves = self._ask(lambda asking, **span: asking.query_generation(area, **span), start - DAY, end)
        step, by_moment = on_one_grid([curve for curve in curves if not curve.outward])
        rows = intensity_rows(by_moment, PLANTS, step, self.info.scope, whose=f"entsoe for {area.name}")
        return overlapping(rows, start, end)

    def _ask(self, query: Callable[..., str], start: datetime, end: datetime) -> list[Curve]:
        """What entsoe-py's question is answered with. It takes whole hours."""
        import pandas as pd

        span = {
            "start": pd.Timestamp(floor_to(start, 3600)),
            "end": pd.Timestamp(floor_to(end + HOUR - timedelta.resolution, 3600)),
        }
        try:
            document = query(self._asked_through(), **span)
        except SourceRefused as refused:
            if refused.status == 400 and NO_DATA in refused.what:  # as the platform said it until 2024
                return []
            raise
        return curves_in(document.encode(), self._client.base_url)

    def _asked_through(self) -> "EntsoeRawClient":
        if self._asking is None:
            from entsoe.entsoe import EntsoeRawClient

            session: Any = _Session(self._client)
            self._asking = EntsoeRawClient(api_key="held by carbonq", session=session, retry_count=1)
        return self._asking


def entsoe_client(url: str, token: str) -> JsonClient:
    """For the endpoint `url`. The platform is slow, and a fortnight of quarter-hours of all types is some megabytes."""
    return JsonClient(
        url,
        headers={"Accept": "application/xml"},
        credentials=Credentials(params={"securityToken": token}),
        read_timeout_s=60.0,
        answer_timeout_s=120.0,
        max_answer_b=32 * 2**20,
    )


def area_of(zone: Zone) -> "Area":
    """The zone's area, with its code and its local time. Raises NotFound."""
    if zone not in AREAS:
        raise NotFound(f"the source entsoe has no zone {zone!r}", hint=f"it has {', '.join(AREAS)}")
    from entsoe.mappings import Area

    return Area[AREAS[zone]]


class _Session:
    """What entsoe-py takes for a session of requests: its questions, without their token, go to carbonq's client."""

    def __init__(self, client: JsonClient) -> None:
        self._client = client
        self.headers: dict[str, str] = {}

    def get(self, *, params: Mapping[str, str], **_ours: object) -> "_Answer":
        asked = {name: value for name, value in params.items() if name != "securityToken"}
        return _Answer(self._client.get_bytes("", asked).decode(errors="replace"))


class _Answer:
    """An answer that was no refusal: of those the client tells."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.headers: dict[str, str] = {}

    def raise_for_status(self) -> None:
        pass


def _midnight(moment: datetime, local: ZoneInfo, *, days: int = 0) -> datetime:
    """The begin of the local day that holds the moment, or of one `days` later, in UTC."""
    day = moment.astimezone(local).date() + timedelta(days=days)
    return datetime.combine(day, time(), local).astimezone(UTC)


def hourly_mw(curves: Sequence[Curve]) -> dict[datetime, float]:
    """The sum of the curves, averaged over each hour of which every step of every curve is known."""
    step, by_moment = on_one_grid(curves)
    types = {curve.psr_type for curve in curves}
    sums: dict[datetime, list[float]] = {}
    for moment, by_type in by_moment.items():
        if len(by_type) == len(types):
            sums.setdefault(floor_to(moment, 3600), []).append(math.fsum(by_type.values()))
    return {hour: math.fsum(parts) / len(parts) for hour, parts in sums.items() if len(parts) == HOUR // step}


def _issues(
    columns: Sequence[Mapping[datetime, float]], first: datetime, last: datetime, local: ZoneInfo
) -> "Iterator[Issue]":
    """One for each local day of which anything is known."""
    import numpy as np

    from carbonq.forecasters.carbon.models.series import Issue

    while first < last:
        following = _midnight(first, local, days=1)
        hours = [first + hour * HOUR for hour in range((following - first) // HOUR)]
        values = np.array([[column.get(hour, np.nan) for column in columns] for hour in hours])
        if not np.isnan(values).all():
            day_before = first.astimezone(local).date() - DAY
            issued_at = datetime.combine(day_before, PUBLISHED_AT, local).astimezone(UTC)
            yield Issue(issued_at, first, values)
        first = following
