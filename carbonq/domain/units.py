"""Durations, sizes, unit factors, and sums in which a part may be unknown.

Base units inside: seconds, bytes, joules, watts, grams.
"""

import re
from collections.abc import Iterable

JOULES_PER_KWH = 3_600_000.0

_NUMBER = r"[0-9]{1,15}(\.[0-9]{1,9})?"
_SPAN = "".join(f"({_NUMBER}{unit})?" for unit in "wdhms")
_NOT_ZERO = "(?=.*[1-9])"
DURATION_PATTERN = f"^{_NOT_ZERO}{_SPAN}$"
SIZE_PATTERN = f"^{_NOT_ZERO}{_NUMBER} ?([kKMGTP]i?B?|B)$"

_DURATION_PART = rf"({_NUMBER})([wdhms])"
_UNIT_S = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_SIZE = rf"(?P<number>{_NUMBER}) ?(?:(?P<prefix>[kKMGTP])(?P<binary>i?)B?|B)"
_POWERS = "kMGTP"
MAX_DURATION_S = 366 * 86_400.0
MAX_SIZE_B = 2**60


def parse_duration(text: str) -> float:
    """Seconds in a span like `2h30m`, `90s`, `1d12h` or `1w`.

    Raises ValueError for anything else, for zero and for more than a year: a bare number has no unit and is refused.
    """
    if re.fullmatch(_NUMBER, text):
        raise ValueError(f'"{text}" has no unit; write it like {text}h, {text}m or {text}s')
    if not text or not re.fullmatch(_SPAN, text):
        raise ValueError(f'"{text[:40]}" is no duration; write it like 2h30m, 45m, 90s or 1d12h')
    seconds = sum(float(part[0]) * _UNIT_S[part[-1]] for part in re.findall(_DURATION_PART, text))
    if not 0 < seconds <= MAX_DURATION_S:
        raise ValueError(f'"{text}" is out of range; give more than zero and at most 366d')
    return seconds


def format_duration(seconds: float) -> str:
    """`2h30m` for 9000; at most the two largest units; `0s` below half a second."""
    sign, left = ("-" if seconds < 0 else ""), round(abs(seconds))
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts[:2]) if parts else "0s"


def write_duration(seconds: float) -> str:
    """The same span as `parse_duration` reads it, to the microsecond: `2h30m` for 9000.0, `0.5s` for 0.5."""
    whole, parts = int(seconds), ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        count, whole = divmod(whole, size)
        parts += f"{count}{unit}" if count else ""
    rest_s = round(whole + seconds % 1, 6)
    return parts + (f"{rest_s:.6f}".rstrip("0").rstrip(".") + "s" if rest_s or not parts else "")


def parse_size(text: str) -> int:
    """Bytes in a size like `16GiB`, `512MB` or `80G`: decimal without the `i`, binary with it. Raises ValueError."""
    if re.fullmatch(_NUMBER, text):
        raise ValueError(f'"{text}" has no unit; write it like {text}GiB or {text}MB')
    match = re.fullmatch(_SIZE, text)
    if match is None:
        raise ValueError(f'"{text[:40]}" is no size; write it like 16GiB, 512MB or 80G')
    base = 1024 if match["binary"] else 1000
    exponent = _POWERS.index(match["prefix"].replace("K", "k")) + 1 if match["prefix"] else 0
    size_b: int = round(float(match["number"]) * float(base**exponent))
    if not 0 < size_b < MAX_SIZE_B:
        raise ValueError(f'"{text}" is out of range; give at least 1B and less than 1 EiB')
    return size_b


def format_size(size_b: int) -> str:
    """`16GiB` for 17179869184; the largest binary unit that leaves a number of at least 1."""
    value, unit = float(size_b), ""
    for prefix in ("Ki", "Mi", "Gi", "Ti", "Pi"):
        if value < 1024:
            break
        value, unit = value / 1024, prefix
    return f"{value:.4g}{unit}B"


def known_sum(values: Iterable[float | None]) -> float | None:
    """The sum, or None where any part is unknown; 0 of nothing."""
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def energy_g(energy_j: float, intensity_g_per_kwh: float) -> float:
    """Grams of CO2-equivalent that `energy_j` joules stand for at that intensity."""
    return energy_j / JOULES_PER_KWH * intensity_g_per_kwh
