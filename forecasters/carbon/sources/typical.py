"""`typical`: what a grid usually looks like at this hour of this month. Offline and without a key, always labelled modelled.

The bundled table holds mean, 10 % and 90 % quantile of 40 zones by month, weekend and UTC hour, over 2020-2022: averages
made for this project from generation by fuel as published by the EIA (public domain) and by ENTSO-E.
"""

import zlib
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, SourceInfo, Zone
from carbonq.domain.errors import NotFound
from carbonq.domain.time import DEFAULT_SLOT_S, SlotGrid
from carbonq.forecasters.carbon.readings import Row, forecast_of, overlapping, series_of

ATTRIBUTION = "typical profiles 2020-2022, derived from EIA (public domain) and ENTSO-E data"
INFO = SourceInfo(
    name="typical",
    title="Typical profiles by month, weekend and hour, bundled",
    resolution_s=3600,
    horizon_s=366 * 86_400,
    licence="derived figures; EIA data in the public domain, ENTSO-E under its transparency terms",
    attribution=ATTRIBUTION,
)
_TABLE = Path(__file__).parents[1] / "data" / "typical_profiles.csv.gz"
_GZIP_FORMAT = 31  # zlib's wbits for a gzip member: spares importing gzip on the way of `carbonq submit`
_OTHER_NAMES = {"AU-QLD": "AUS_QLD", "NYISO": "NYIS"}
_COUNTRIES = frozenset({"AT", "CH", "DE", "DK", "ES", "FR", "NL", "PL", "PT", "RO", "SE"})


class Usual(NamedTuple):
    """Usual intensity in g/kWh. The band always holds the mean, which in skewed hours lies outside the quantiles."""

    mean: float
    p10: float
    p90: float


Profile = dict[tuple[int, int, int], Usual]
"""By month (1-12), weekend (0 or 1) and UTC hour."""


class TypicalSource:
    """The bundled typical profiles as a source. Knows no particular day; forecasts as far ahead as asked."""

    name = "typical"

    def __init__(self, *, slot_s: int = DEFAULT_SLOT_S) -> None:
        self._slot_s = slot_s
        self.info = INFO

    def zones(self) -> Sequence[Zone]:
        return profile_zones()

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        """The usual intensity hour by hour: modelled, for no measurement is kept here."""
        profile = typical_profile(profile_zone(zone))
        hours = SlotGrid.covering(start, end, slot_s=3600)
        rows = (Row(first, last, usual_at(profile, first).mean) for first, last in hours)
        return series_of(zone, overlapping(rows, start, end), Origin.MODELLED, self.info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        known_as = profile_zone(zone)
        profile = typical_profile(known_as)
        grid = SlotGrid.covering(now, end, self._slot_s)
        slots = [_usual_over(profile, first, last) for first, last in grid]
        return forecast_of(
            zone,
            grid,
            {
                "0.1": tuple(usual.p10 for usual in slots),
                "0.5": tuple(usual.mean for usual in slots),
                "0.9": tuple(usual.p90 for usual in slots),
            },
            model=f"typical profile of {known_as}, 2020-2022",
            origin=Origin.MODELLED,
            info=self.info,
            now=now,
        )


def usual_at(profile: Profile, moment: datetime) -> Usual:
    """What is usual in the UTC hour that holds `moment`."""
    return profile[moment.month, int(moment.weekday() >= 5), moment.hour]


def profile_zone(zone: Zone) -> Zone:
    """The name under which the table has this grid: a US balancing authority (`US-CAL-CISO`) by its own code, a part of
    a country (`SE-SE3`) by the country's. Raises NotFound."""
    name = _OTHER_NAMES.get(zone, zone)
    country, *parts = name.split("-")
    if country == "US" and len(parts) == 2:
        name = parts[1]
    elif country in _COUNTRIES:
        name = country
    if not name or "," in name or f"\n{name},".encode() not in _table():
        raise NotFound(
            f"no typical profile of zone {zone!r}",
            where=f"known: {', '.join(profile_zones())}",
            hint="name one of these, or add a source that knows the zone, such as csv:FOLDER",
        )
    return name


@cache
def profile_zones() -> tuple[Zone, ...]:
    return tuple(sorted({line.partition(b",")[0].decode() for line in _table().splitlines()[1:]}))


@cache
def typical_profile(zone: Zone) -> Profile:
    """The table's part for one of `profile_zones()`. Only its lines are read as numbers."""
    table, head = _table(), f"\n{zone},".encode()
    profile: Profile = {}
    at = table.find(head)
    while at >= 0:
        line = table[at + 1 : table.find(b"\n", at + 1)]
        _, month, weekend, hour, mean, p10, p90 = line.split(b",")
        low, middle, high = float(p10), float(mean), float(p90)
        profile[int(month), int(weekend), int(hour)] = Usual(middle, min(low, middle), max(high, middle))
        at = table.find(head, at + 1)
    return profile


def _usual_over(profile: Profile, start: datetime, end: datetime) -> Usual:
    """The mean over a slot, which may be shorter or longer than an hour."""
    hours = [usual_at(profile, first) for first, _ in SlotGrid.covering(start, end, slot_s=3600)]
    if len(hours) == 1:
        return hours[0]
    return Usual(*(sum(values) / len(values) for values in zip(*hours, strict=True)))


@cache
def _table() -> bytes:
    return zlib.decompress(_TABLE.read_bytes(), _GZIP_FORMAT)
