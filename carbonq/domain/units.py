"""Durations, sizes and unit factors. Base units inside: seconds, bytes, joules, watts, grams."""

import re

JOULES_PER_KWH = 3_600_000.0

_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)w)?(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?"
)
_SECONDS = (604_800.0, 86_400.0, 3_600.0, 60.0, 1.0)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGTP]?i?)B?")
_POWERS = "kMGTP"
MAX_DURATION_S = 366 * 86_400.0


def parse_duration(text: str) -> float:
    """Seconds in a span like `2h30m`, `90s`, `1d12h` or `1w`.

    Raises ValueError for anything else, for zero and for more than a year: a bare number has no unit and is refused.
    """
    match = _DURATION.fullmatch(text.strip()) if text.strip() else None
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write it like 2h30m, 45m, 90s or 1d12h")
    seconds = sum(float(part) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True) if part)
    if not 0 < seconds <= MAX_DURATION_S:
        raise ValueError(f"{text!r} must be more than zero and at most 366d")
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


def parse_size(text: str) -> int:
    """Bytes in a size like `16GiB`, `512MB` or `80G`: decimal without the `i`, binary with it. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2] == "i":
        raise ValueError(f"{text!r} is not a size; write it like 16GiB, 512MB or 80G")
    number, prefix = float(match[1]), match[2]
    base = 1024 if prefix.endswith("i") else 1000
    exponent = _POWERS.index(prefix[0].replace("K", "k")) + 1 if prefix else 0
    size: int = round(number * float(base**exponent))
    if not 0 < size < 2**60:
        raise ValueError(f"{text!r} must be more than zero and below 1 EiB")
    return size


def format_size(size_b: int) -> str:
    """`16GiB` for 17179869184; the largest binary unit that leaves a number of at least 1."""
    value, unit = float(size_b), ""
    for prefix in ("Ki", "Mi", "Gi", "Ti", "Pi"):
        if value < 1024:
            break
        value, unit = value / 1024, prefix
    return f"{value:.4g}{unit}B"


def energy_g(energy_j: float, intensity_g_per_kwh: float) -> float:
    """Grams of CO2-equivalent that `energy_j` joules stand for at that intensity."""
    return energy_j / JOULES_PER_KWH * intensity_g_per_kwh
