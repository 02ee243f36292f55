"""How numbers, times and names look to a person: base units in, text out; the unknown is said, never shown as 0."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from carbonq.domain.units import format_duration

UNKNOWN = "unknown"


class Unit(NamedTuple):
    """A unit of presentation: one of it is `size` base units."""

    size: float
    name: str


ENERGY = (Unit(3.6, "mWh"), Unit(3.6e3, "Wh"), Unit(3.6e6, "kWh"), Unit(3.6e9, "MWh"), Unit(3.6e12, "GWh"))
MASS = (Unit(1e-6, "µg"), Unit(1e-3, "mg"), Unit(1.0, "g"), Unit(1e3, "kg"), Unit(1e6, "t"), Unit(1e9, "kt"))


def energy(joules: float | None) -> str:
    """`1.20 kWh` for 4,320,000 J."""
    return _scaled(joules, ENERGY)


def mass(grams: float | None) -> str:
    """`340 g`, `-12.0 g`, `1.20 kg`. The heading beside it says CO2e."""
    return _scaled(grams, MASS)


def co2e(grams: float | None) -> str:
    """`340 gCO2e`."""
    return UNKNOWN if grams is None else f"{mass(grams)}CO2e"


def percent(share: float | None) -> str:
    """`31 %` for 0.31; one decimal below 10 %; beyond 999 % only that much is said."""
    if share is None:
        return UNKNOWN
    hundredths = share * 100
    if abs(hundredths) >= 999.5:
        return ">999 %" if share > 0 else "<-999 %"
    return f"{_minus_free_zero(hundredths, 1 if 0 < abs(hundredths) < 9.95 else 0)} %"


def span(seconds: float | None) -> str:
    """`2h30m`."""
    return UNKNOWN if seconds is None else format_duration(seconds)


def count(number: int, one: str, many: str = "") -> str:
    """`1 job`, `1,200 jobs`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def moment(time: datetime | None, zone: tzinfo) -> str:
    """`2026-01-05 18:00`, in a zone that the page states once."""
    return UNKNOWN if time is None else time.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def day(time: datetime, zone: tzinfo) -> str:
    """`5 January 2026`."""
    local = time.astimezone(zone)
    return f"{local.day} {local:%B %Y}"


def zone_name(time: datetime, zone: tzinfo) -> str:
    """`UTC`, `CET` or an offset: which clock the times beside it are of."""
    return time.astimezone(zone).tzname() or "UTC"


def unit_for(largest: float, units: Sequence[Unit]) -> Unit:
    """The largest unit that shows `largest` as at least 1.00; else the smallest."""
    return next((unit for unit in reversed(units) if abs(largest) >= 0.9995 * unit.size), units[0])


def number(value: float) -> str:
    """Three significant digits, with thousands set off: `0.051`, `1.23`, `12.3`, `1,234`; `~0` below a thousandth."""
    size = abs(value)
    if value == 0:
        return "0"
    if size < 0.0005:
        return "~0"
    if size < 0.995:
        return f"{value:.2g}" if size >= 0.01 else f"{value:.3f}"
    return f"{value:,.{2 if size < 9.995 else 1 if size < 99.95 else 0}f}"


def printable(text: str) -> str:
    """`text` with nothing in it that moves a cursor, turns the writing direction or ends a line."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def columns(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return len(text) if text.isascii() else sum(_letter_columns(letter) for letter in text)


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` columns, its loss shown by an ellipsis."""
    if columns(text) <= width:
        return text
    kept, used = "", 0
    for letter in text:
        used += _letter_columns(letter)
        if used > width - 1:
            break
        kept += letter
    return kept + "…"


def _letter_columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _scaled(value: float | None, units: Sequence[Unit]) -> str:
    if value is None:
        return UNKNOWN
    unit = unit_for(value, units) if value else next(unit for unit in units if unit.name in ("Wh", "g"))
    return f"{number(value / unit.size)} {unit.name}"


def _minus_free_zero(value: float, decimals: int) -> str:
    text = f"{value:,.{decimals}f}"
    return text.lstrip("-") if not float(text.replace(",", "")) else text
