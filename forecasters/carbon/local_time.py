"""The local time of a grid zone: when its market publishes what the next day will bring."""

from datetime import UTC, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_PLACES = {
    "AU-NSW AU-TAS AU-VIC": "Australia/Sydney",
    "AU-QLD AUS-QLD": "Australia/Brisbane",
    "AU-SA": "Australia/Adelaide",
    "AU-WA": "Australia/Perth",
    "AT": "Europe/Vienna",
    "BE": "Europe/Brussels",
    "BG": "Europe/Sofia",
    "BPAT CISO CAISO CA-BC": "America/Los_Angeles",
    "CH": "Europe/Zurich",
    "CZ": "Europe/Prague",
    "DE": "Europe/Berlin",
    "DK": "Europe/Copenhagen",
    "EE": "Europe/Tallinn",
    "ERCO ERCOT MISO SOCO SPP SWPP": "America/Chicago",
    "ES": "Europe/Madrid",
    "FI": "Europe/Helsinki",
    "FPC FPL ISNE NYISO NYIS PJM DUK": "America/New_York",
    "FR": "Europe/Paris",
    "GB": "Europe/London",
    "GR": "Europe/Athens",
    "HR": "Europe/Zagreb",
    "HU": "Europe/Budapest",
    "IE": "Europe/Dublin",
    "IT": "Europe/Rome",
    "JP": "Asia/Tokyo",
    "LT": "Europe/Vilnius",
    "LV": "Europe/Riga",
    "NL": "Europe/Amsterdam",
    "NO": "Europe/Oslo",
    "PL": "Europe/Warsaw",
    "PT": "Europe/Lisbon",
    "RO": "Europe/Bucharest",
    "SE": "Europe/Stockholm",
    "SI": "Europe/Ljubljana",
    "SK": "Europe/Bratislava",
}
_NAMES = {zone: place for zones, place in _PLACES.items() for zone in zones.split()}


class LocalTime(NamedTuple):
    """`is_assumed`: the zone's place is not known, and UTC stands in."""

    name: str
    zone: tzinfo
    is_assumed: bool


def local_time(zone: str) -> LocalTime:
    """By the zone's whole code, its last part (`US-CAL-CISO`), its first two (`AU-QLD-1`), or its country."""
    parts = zone.upper().replace("_", "-").split("-")
    for code in ("-".join(parts), parts[-1], "-".join(parts[:2]), parts[0]):
        if name := _NAMES.get(code):
            try:
                return LocalTime(name, ZoneInfo(name), is_assumed=False)
            except ZoneInfoNotFoundError:  # this machine has no time zone database
                break
    return LocalTime("UTC", UTC, is_assumed=True)
