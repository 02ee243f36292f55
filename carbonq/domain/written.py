"""Values as a person writes them: spans, sizes, moments, names. In a file each carries its unit; inside, the base unit.

Errors read `what; how to mend it`. Python callers may hand over the value itself: seconds, bytes, a datetime.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema

from carbonq.domain.units import DURATION_PATTERN, SIZE_PATTERN, parse_duration, parse_size, write_duration
from carbonq.domain.value import UtcTime

AS_WRITTEN = {"as_written": True}
"""The validation context of what was read from a file, a flag or the environment: there a bare number is a mistake."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
ENV_NAME_PATTERN = r"^(?!CARBONQ_)[A-Za-z_][A-Za-z0-9_]{0,127}$"
ZONE_PATTERN = r"^[A-Z][A-Z0-9]{1,19}([_-][A-Z0-9]{1,9}){0,3}$"
RESERVED_ENV_PREFIX = "CARBONQ_"
_MOMENT_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)


def _quantity(parse: Callable[[str], float], example: str) -> Callable[[object, ValidationInfo], object]:
    """A validator that reads text with its unit. A bare number passes only where nothing was written."""

    def validate(value: object, info: ValidationInfo) -> object:
        if isinstance(value, str):
            return parse(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"needs a number with its unit; write it like {example}")  # noqa: TRY004  # pydantic places only ValueError
        if _as_written(info) or not value > 0:
            raise ValueError(f"{value} has no unit; write it like {example}")
        return value

    return validate


def _as_written(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get("as_written"))


Duration = Annotated[
    float,
    BeforeValidator(_quantity(parse_duration, "2h30m")),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["2h30m", "90s"]}),
]
"""Seconds; written like `2h30m`."""

Size = Annotated[
    int,
    BeforeValidator(_quantity(parse_size, "16GiB")),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["16GiB", "512MB"]}),
]
"""Bytes; written like `16GiB`."""


Span = Annotated[Duration, PlainSerializer(write_duration, return_type=str, when_used="json-unless-none")]
"""A Duration whose JSON is text again, for values that stand in JSON as a person wrote them."""

Bytes = Annotated[Size, PlainSerializer(lambda size_b: f"{size_b}B", return_type=str, when_used="json-unless-none")]
"""A Size whose JSON is text again."""


# --- moments

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ZONELESS = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?"


def parse_moment(text: str) -> datetime:
    """An RFC 3339 time with its zone, in UTC; seconds may be left out. Raises ValueError."""
    if re.fullmatch(_DATE, text):
        raise ValueError(f'"{text}" is a day without a time and a zone; write {text}T18:00:00Z for 18:00 UTC')
    if re.fullmatch(_ZONELESS, text):
        raise ValueError(f'"{text}" has no zone; write {text}Z for UTC or add an offset such as {text}+02:00')
    if not re.fullmatch(_MOMENT_PATTERN, text):
        raise ValueError(f'"{text[:40]}" is no time; write it like 2026-01-05T18:00:00Z')
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f'"{text}" does not exist in the calendar; write it like 2026-01-05T18:00:00Z') from None


def _read_moment(value: object, info: ValidationInfo) -> object:
    """A span in seconds, or a moment. Text that begins like a date is a moment and needs its zone."""
    if isinstance(value, datetime) and not _as_written(info):
        return value
    if isinstance(value, str):
        return parse_moment(value) if re.match(_DATE, value) else _read_span(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("needs a span or a time; write it like 18h or 2026-01-05T18:00:00Z")  # noqa: TRY004  # as above
    if _as_written(info) or not value > 0:
        raise ValueError(f"{value} has no unit; write it like 18h or 2026-01-05T18:00:00Z")
    return float(value)


def _read_span(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        what = str(error).partition("; ")[0].replace("is no duration", "is neither a span nor a time")
        raise ValueError(f"{what}; write it like 18h or 2026-01-05T18:00:00Z") from None


def _write_moment(moment: float | datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z") if isinstance(moment, datetime) else write_duration(moment)


Moment = Annotated[
    float | UtcTime,
    BeforeValidator(_read_moment),
    PlainSerializer(_write_moment, return_type=str, when_used="json-unless-none"),
    WithJsonSchema(
        {
            "type": "string",
            "anyOf": [{"pattern": DURATION_PATTERN}, {"pattern": _MOMENT_PATTERN}],
            "examples": ["18h", "2026-01-05T18:00:00Z"],
        }
    ),
]
"""A span from submission in seconds, or a moment."""


# --- words


def _fits(pattern: str, rule: str, mend: Callable[[str], str] = str) -> AfterValidator:
    """A check of a pattern whose error offers the mended text, where that fits, or else says the rule in words."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text):
            return text
        better = mend(text)
        hint = f"did you mean `{better}`?" if re.fullmatch(pattern, better) else rule
        shown = text if len(text) <= 40 else text[:37] + "..."
        raise ValueError(f'"{shown}" is not allowed; {hint}')

    return AfterValidator(check)


def _hyphenate(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")[:63]


_NAME_RULE = "use letters, digits, `.`, `-` and `_`, at most 63, a letter or a digit first"
_ENV_RULE = (
    f"use letters, digits and `_`, no digit first; names that begin with {RESERVED_ENV_PREFIX} are carbonq's own"
)
_ZONE_RULE = "use a grid's code such as FR, DE or US-CAL-CISO (`carbonq zones` lists them)"

Name = Annotated[
    str, _fits(NAME_PATTERN, _NAME_RULE, _hyphenate), WithJsonSchema({"type": "string", "pattern": NAME_PATTERN})
]
EnvName = Annotated[
    str, _fits(ENV_NAME_PATTERN, _ENV_RULE), WithJsonSchema({"type": "string", "pattern": ENV_NAME_PATTERN})
]
ZoneCode = Annotated[
    str, _fits(ZONE_PATTERN, _ZONE_RULE, str.upper), WithJsonSchema({"type": "string", "pattern": ZONE_PATTERN})
]
