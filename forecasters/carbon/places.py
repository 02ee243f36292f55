"""Where a zone's weather is asked for: a few places each, near its wind and sun. Plain geography, to half a degree or so."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from carbonq.domain.carbon import Zone
from carbonq.domain.errors import NotFound
from carbonq.forecasters.carbon.sources.typical import profile_zone


class Place(NamedTuple):
    latitude: float
    longitude: float


def places_of(zone: Zone, own: Mapping[Zone, Sequence[Place]] | None = None) -> Sequence[Place]:
    """The user's places of a zone, else those of the table, by any name that the typical profiles know it by.

    Raises NotFound.
    """
    for table in (own or {}, PLACES):
        if found := table.get(zone):
            return found
    try:
        return PLACES[profile_zone(zone)]
    except (NotFound, KeyError):
        raise NotFound(
            f"no place is known for the weather of zone {zone!r}", hint=f"known are {', '.join(sorted(PLACES))}"
        ) from None


def _at(*pairs: tuple[float, float]) -> tuple[Place, ...]:
    return tuple(Place(*pair) for pair in pairs)


PLACES: Mapping[Zone, Sequence[Place]] = {
    "AECI": _at((38.5, -92.5), (40.2, -94.8)),
    "AT": _at((48.0, 16.8), (47.5, 14.0)),
    "AUS_QLD": _at((-27.0, 151.5), (-23.5, 149.5), (-17.5, 145.0)),
    "AZPS": _at((33.2, -112.9), (34.8, -111.8)),
    "BE": _at((51.4, 2.9), (50.6, 4.8)),
    "BG": _at((43.5, 28.2), (42.4, 25.0)),
    "BPAT": _at((45.7, -120.3), (47.3, -120.0)),
    "CH": _at((46.9, 7.3), (47.2, 9.0)),
    "CISO": _at((35.0, -118.3), (38.1, -121.8), (33.9, -116.5), (36.6, -119.8)),
    "CZ": _at((49.9, 14.5), (49.2, 16.8)),
    "DE": _at((54.3, 9.3), (52.9, 8.0), (52.4, 13.6), (48.6, 11.6)),
    "DK": _at((56.2, 8.8), (55.4, 11.5)),
    "DUK": _at((35.6, -80.8), (35.0, -82.3)),
    "EPE": _at((31.8, -106.4), (32.3, -107.0)),
    "ERCO": _at((32.3, -100.4), (35.2, -101.8), (27.5, -97.9), (31.4, -102.8)),
    "ES": _at((42.5, -4.0), (41.5, -1.0), (38.9, -3.5), (37.5, -5.5)),
    "FI": _at((64.2, 25.0), (61.8, 22.5)),
    "FPC": _at((28.6, -82.0), (30.2, -83.4)),
    "FPL": _at((26.8, -80.8), (27.5, -81.8)),
    "FR": _at((49.8, 2.8), (48.2, -2.5), (43.6, 2.5), (44.4, -0.5)),
    "GB": _at((57.3, -3.5), (53.6, 0.5), (51.8, -0.8), (54.8, -3.2)),
    "GR": _at((38.5, 22.5), (40.6, 22.0)),
    "HU": _at((47.4, 17.3), (46.9, 20.0)),
    "IE": _at((53.3, -8.5), (52.1, -9.0)),
    "IPCO": _at((43.0, -114.8), (43.6, -116.4)),
    "ISNE": _at((45.2, -69.5), (42.3, -72.0)),
    "IT": _at((45.2, 10.0), (41.3, 15.3), (37.6, 14.0)),
    "LDWP": _at((34.2, -118.4), (35.2, -118.1)),
    "MISO": _at((43.5, -95.5), (41.8, -93.5), (40.0, -89.0), (46.5, -98.5)),
    "NEVP": _at((36.2, -115.2), (39.5, -119.0)),
    "NL": _at((52.8, 5.3), (51.7, 4.4)),
    "NO": _at((60.5, 8.0), (63.6, 10.8)),
    "NWMT": _at((46.5, -109.5), (47.5, -111.5)),
    "NYIS": _at((43.9, -75.6), (42.7, -78.2), (41.7, -74.0)),
    "PACE": _at((42.8, -106.5), (40.5, -111.8), (38.3, -113.0)),
    "PACW": _at((44.0, -122.5), (45.6, -120.8)),
    "PJM": _at((40.3, -88.5), (39.9, -84.0), (40.4, -79.0), (37.5, -78.0)),
    "PL": _at((54.0, 17.5), (52.2, 19.2), (50.8, 21.5)),
    "PSCO": _at((40.5, -103.8), (38.5, -104.3)),
    "PSEI": _at((47.6, -122.2), (46.9, -120.4)),
    "PT": _at((41.2, -7.8), (39.5, -8.6), (37.6, -8.0)),
    "RO": _at((44.5, 28.3), (46.0, 24.5), (44.2, 25.5)),
    "SC": _at((33.4, -80.0), (33.8, -79.0)),
    "SCEG": _at((34.0, -81.0), (32.9, -80.2)),
    "SE": _at((64.5, 18.0), (60.5, 15.5), (57.5, 14.0)),
    "SOCO": _at((32.8, -83.8), (32.5, -87.0), (31.0, -89.3)),
    "SRP": _at((33.4, -111.8), (32.9, -111.6)),
    "SWPP": _at((37.7, -99.5), (36.3, -98.8), (41.5, -99.0), (46.8, -101.5)),
    "TVA": _at((35.5, -87.0), (36.0, -84.5), (34.5, -88.5)),
    "WACM": _at((41.5, -105.5), (39.5, -105.0)),
    "WALC": _at((34.5, -114.0), (33.4, -112.5)),
}
