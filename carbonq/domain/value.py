"""The base of every value that crosses a border: immutable, validated, with its units in its field names."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import VERSION, AfterValidator, AwareDatetime, BaseModel, ConfigDict

DEFERS = tuple(map(int, VERSION.split(".")[:2])) >= (2, 14)
"""Build a model at its first use: a command starts 100 ms sooner. Older pydantics are not safe when threads do so at once."""


class Value(BaseModel):
    """An immutable value. Unknown fields are ignored, so that an older reader understands a newer writer's JSON."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, defer_build=DEFERS)


class StrictValue(BaseModel):
    """An immutable value that a person writes: an unknown field is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=DEFERS)


def to_utc(moment: datetime) -> datetime:
    """The same moment in UTC. Raises ValueError for a time without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone, such as 2026-01-05T18:00:00Z")
    return moment.astimezone(UTC)


UtcTime = Annotated[AwareDatetime, AfterValidator(to_utc)]
"""An aware time, kept in UTC whatever zone it was written in."""
