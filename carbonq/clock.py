"""The two clocks: grid time as the wall shows it, and grid time as a replay runs it."""

from datetime import UTC, datetime

from carbonq.domain.time import Clock, TimeMapping


def real_now() -> datetime:
    """The machine's own wall time, for readings and for the mapping of a replay."""
    return datetime.now(UTC)


class SystemClock:
    """Grid time is real time."""

    def now(self) -> datetime:
        return real_now()

    def to_grid(self, real: datetime) -> datetime:
        return real

    def seconds_until(self, grid: datetime) -> float:
        return (grid - real_now()).total_seconds()


class ReplayClock:
    """Grid time runs as a `TimeMapping` says: from another day, and faster."""

    def __init__(self, mapping: TimeMapping) -> None:
        self.mapping = mapping

    def now(self) -> datetime:
        return self.mapping.to_grid(real_now())

    def to_grid(self, real: datetime) -> datetime:
        return self.mapping.to_grid(real)

    def seconds_until(self, grid: datetime) -> float:
        return (self.mapping.to_real(grid) - real_now()).total_seconds()


def clock_for(mapping: TimeMapping | None) -> Clock:
    return ReplayClock(mapping) if mapping else SystemClock()
