"""How far a running job is, as it tells by itself, and the pace that follows from it. Grid time throughout."""

from datetime import datetime, timedelta
from typing import Annotated, NamedTuple

from pydantic import Field

from carbonq.domain.energy import Quantity
from carbonq.domain.value import UtcTime, Value

MOST_POINTS = 32
"""Kept of one attempt: enough to see a rate and its scatter, small enough to be told often."""

MOST_WORK, LEAST_WORK = 1e15, 1e-9
"""Counts are exact up to about here, and finer ones are noise; what lies beyond is no amount of work."""
Amount = Annotated[float, Field(ge=0, le=MOST_WORK)]


class Told(NamedTuple):
    """So many units of work were done at that moment."""

    at: UtcTime
    done: Amount


class Progress(Value):
    """What one attempt has told of itself so far. The last point is its last report; earlier ones are thinned out."""

    schema_version: int = 1
    job_id: str
    fence: int
    total: Amount | None = Field(
        default=None, ge=LEAST_WORK, description="units of work in all; None where nobody said"
    )
    unit: str | None = Field(default=None, description="what is counted, such as `epoch`")
    points: tuple[Told, ...] = Field(min_length=1, max_length=MOST_POINTS, description="oldest first")

    @property
    def done(self) -> float:
        return self.points[-1].done


class Pace(Value):
    """A running job's measured rate, and what is left to do by it."""

    at: UtcTime = Field(description="as of when")
    done: float = Field(ge=0)
    total: float = Field(gt=0)
    unit: str | None = None
    rate_per_s: float = Field(gt=0, description="units a second of grid time")
    steps: int = Field(ge=1, description="steps of work that the rate rests on")
    remaining_s: Quantity = Field(description="from `at` on")

    def end(self, now: datetime) -> datetime:
        """When the job is expected to be done: never in the past."""
        return max(now, self.at + timedelta(seconds=self.remaining_s.p50))


class Underway(NamedTuple):
    """A running job: what it told, and its pace once enough is known."""

    progress: Progress
    pace: Pace | None
