"""A GPU's true power over time, piecewise linear, so that its energy over any window is exact."""

import bisect
import csv
import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self


class Segment(NamedTuple):
    """From `start_s` of the trace to the next segment's start: power that goes in a straight line."""

    start_s: float
    from_w: float
    to_w: float


@dataclass(frozen=True)
class Trace:
    """Power from `origin_s` on. With a length it repeats, before its origin too; else its first and last power hold."""

    segments: tuple[Segment, ...]
    length_s: float = 0.0
    origin_s: float = 0.0

    @classmethod
    def constant(cls, power_w: float) -> Self:
        return cls((Segment(0.0, power_w, power_w),))

    @classmethod
    def square(cls, low_w: float, high_w: float, period_s: float, *, duty: float = 0.5, origin_s: float = 0.0) -> Self:
        """High for the first `duty` of each period, then low."""
        return cls((Segment(0.0, high_w, high_w), Segment(duty * period_s, low_w, low_w)), period_s, origin_s)

    @classmethod
    def ramp(cls, low_w: float, high_w: float, period_s: float, *, origin_s: float = 0.0) -> Self:
        """Up in a straight line for the first half of each period, and down again."""
        return cls((Segment(0.0, low_w, high_w), Segment(period_s / 2, high_w, low_w)), period_s, origin_s)

    @classmethod
    def table(cls, rows: Sequence[tuple[float, float]], *, length_s: float = 0.0, origin_s: float = 0.0) -> Self:
        """Rows of (second, watt), each power held until the next row."""
        return cls(tuple(Segment(at_s, power_w, power_w) for at_s, power_w in rows), length_s, origin_s)

    @classmethod
    def replay(cls, path: Path, *, step_s: float, origin_s: float = 0.0) -> Self:
        """A recording with the columns `t_ms` and `true_board_w`, each power the mean of the step after it; repeats."""
        with path.open(newline="") as file:
            rows = [(float(row["t_ms"]) / 1000, float(row["true_board_w"])) for row in csv.DictReader(file)]
        return cls.table(rows, length_s=rows[-1][0] + step_s, origin_s=origin_s)

    @functools.cached_property
    def before_j(self) -> tuple[float, ...]:
        """The energy from the origin to each segment's start, and at last, where the trace repeats, to its end."""
        starts = [segment.start_s for segment in self.segments]
        ends = [*starts[1:], self.length_s] if self.length_s else starts[1:]
        energies = (
            (end - one.start_s) * (one.from_w + one.to_w) / 2 for one, end in zip(self.segments, ends, strict=False)
        )
        return (0.0, *itertools.accumulate(energies))

    def energy_j(self, start_s: float, end_s: float) -> float:
        """The true energy over `[start_s, end_s)`."""
        return self._since_origin_j(end_s) - self._since_origin_j(start_s)

    def _since_origin_j(self, at_s: float) -> float:
        into_s, before_j, rounds = at_s - self.origin_s, self.before_j, 0.0
        if self.length_s:
            rounds, into_s = divmod(into_s, self.length_s)
        index = max(0, bisect.bisect_right(self.segments, into_s, key=lambda segment: segment.start_s) - 1)
        segment = self.segments[index]
        last = index + 1 == len(self.segments)
        end_s = self.length_s if last else self.segments[index + 1].start_s
        since_s = into_s - segment.start_s
        slope = (segment.to_w - segment.from_w) / (end_s - segment.start_s) if segment.to_w != segment.from_w else 0.0
        return rounds * before_j[-1] + before_j[index] + since_s * (segment.from_w + slope * since_s / 2)
