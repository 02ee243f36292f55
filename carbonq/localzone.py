"""A first guess of the grid's zone from the machine's time zone: always told as a guess, and replaced by the setting."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

FALLBACK = "DE"

_ZONES = {
    "AT": "Europe/Vienna",
    "AUS_QLD": "Australia/Brisbane Australia/Lindeman",
    "CH": "Europe/Zurich",
    "US-CAL-CISO": "America/Los_Angeles US/Pacific",
    "DE": "Europe/Berlin Europe/Busingen",
    "DK": "Europe/Copenhagen",
    "ES": "Europe/Madrid Atlantic/Canary",
    "FR": "Europe/Paris",
    "GB": "Europe/London GB",
    "US-MIDW-MISO": "America/Chicago US/Central",
    "NL": "Europe/Amsterdam",
    "US-NY-NYIS": "America/New_York US/Eastern",
    "PL": "Europe/Warsaw Poland",
    "US-NW-PSCO": "America/Denver US/Mountain",
    "PT": "Europe/Lisbon Portugal",
    "RO": "Europe/Bucharest",
    "US-SW-AZPS": "America/Phoenix US/Arizona",
    "SE": "Europe/Stockholm",
}
_BY_TIME_ZONE = {name: zone for zone, names in _ZONES.items() for name in names.split()}
"""IANA time zones that lie, wholly or for the most part, in one zone whose typical profile is known."""


class Guess(NamedTuple):
    zone: str
    why: str


def guess_zone(env: Mapping[str, str], etc: Path = Path("/etc")) -> Guess:
    """The zone that the machine's time zone suggests, and why; `DE` where it suggests none."""
    name = time_zone(env, etc)
    if name in _BY_TIME_ZONE:
        return Guess(_BY_TIME_ZONE[name], f"assumed from the time zone {name}")
    return Guess(FALLBACK, f"assumed: the time zone {name or 'UTC'} tells no grid")


def time_zone(env: Mapping[str, str], etc: Path = Path("/etc")) -> str:
    """The IANA name of the machine's time zone: `TZ`, else /etc/timezone, else where /etc/localtime points; or empty."""
    if env.get("TZ"):
        return env["TZ"].removeprefix(":")
    try:
        return (etc / "timezone").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        pass
    try:
        return str(os.readlink(etc / "localtime")).rpartition("zoneinfo/")[2]  # noqa: PTH115  # not resolved: the name counts
    except OSError:
        return ""
