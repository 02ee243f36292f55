"""Grid time and real time.

Grid time (the `Clock` port): planned starts, deadlines, durations, intensity. Real time: leases, heartbeats, timeouts,
grace, backoff, energy. They are one in production; a replay maps the one onto the other.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol, Self

from pydantic import Field

from carbonq.domain.value import UtcTime, Value

DEFAULT_SLOT_S = 1800


class Clock(Protocol):
    """Tells grid time. The one door to wall time."""

    def now(self) -> datetime:
        """The grid's present moment, aware, in UTC."""
        ...

    def to_grid(self, real: datetime) -> datetime:
        """The grid time of a real moment."""
        ...

    def seconds_until(self, grid: datetime) -> float:
        """Real seconds until that grid time; negative once it has passed."""
        ...


class TimeMapping(Value):
    """How a replay's grid time runs: at `real_epoch` it is `grid_epoch`, and `speed` grid seconds pass a real second."""

    real_epoch: UtcTime
    grid_epoch: UtcTime
    speed: float = Field(default=1.0, gt=0)

    def to_grid(self, real: datetime) -> datetime:
        return self.grid_epoch + (real - self.real_epoch) * self.speed

    def to_real(self, grid: datetime) -> datetime:
        return self.real_epoch + (grid - self.grid_epoch) / self.speed


class SlotGrid(Value):
    """Equal half-open slots `[start + i * slot_s, start + (i + 1) * slot_s)` for i in 0..slots-1."""

    start: UtcTime
    slot_s: int = Field(default=DEFAULT_SLOT_S, gt=0)
    slots: int = Field(ge=0)

    @classmethod
    def covering(cls, start: datetime, end: datetime, slot_s: int = DEFAULT_SLOT_S) -> Self:
        """The fewest whole slots, aligned to the clock, that hold `[start, end)`."""
        first = floor_to(start, slot_s)
        return cls(start=first, slot_s=slot_s, slots=max(0, -((first - end) // timedelta(seconds=slot_s))))

    @property
    def end(self) -> datetime:
        return self.at(self.slots)

    def at(self, index: int) -> datetime:
        """The start of slot `index`; `at(slots)` is the grid's end."""
        return self.start + timedelta(seconds=index * self.slot_s)

    def index(self, moment: datetime) -> int:
        """The slot that holds `moment`; may lie outside `0..slots-1`."""
        return int((moment - self.start).total_seconds() // self.slot_s)

    def __iter__(self) -> Iterator[tuple[datetime, datetime]]:  # type: ignore[override]  # slots, not pydantic's fields
        return ((self.at(i), self.at(i + 1)) for i in range(self.slots))


def floor_to(moment: datetime, step_s: int) -> datetime:
    """The last whole multiple of `step_s` since 1970 at or before `moment`."""
    return from_ms(to_ms(moment) // (step_s * 1000) * step_s * 1000)


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970, rounded down: how times are kept in Redis."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def from_ms(milliseconds: float) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC with seconds, such as `2026-01-05T18:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
