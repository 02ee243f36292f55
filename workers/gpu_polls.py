"""A GPU's polls -> the few points worth keeping of them. Pure.

The energy counter moves in ticks, every 20 to 100 ms, and is exact at a tick alone: a tick is located by the poll before
it and the poll after it. The power integral goes on between ticks: each sample stands for the time before it.
"""

from typing import NamedTuple

FINE_S = 0.005
"""Polls this close are a burst: it locates a tick well enough to pin the curve to it, and is worth a point every so often."""
COARSE_POINT_S = 1.0
"""How far apart points are kept outside of bursts."""
STEP_REL = 0.2
"""A step of power this large, within a burst, is worth a point before and after it."""
LONGEST_STAND_S = 30.0
"""A sample stands for no more of the time before it; after a longer silence the track begins anew."""
TICK_S = 0.1
"""The longest update period of a GPU's counter and power (Yang et al., SC24, arXiv:2312.02741, table of sensors)."""


PERIOD_MOST_S = 1.05 * TICK_S
"""An A100 whose counter ticks every 104 ms is among those measured there."""


class Sighting(NamedTuple):
    """One poll. What could not be read is None."""

    at_s: float
    counter_j: float | None
    power_w: float | None


class GpuPoint(NamedTuple):
    """What is kept of a GPU at one moment.

    `counter_j` is the counter's value, true at `at_s` give or take `error_s`; None where no tick is known at this moment.
    `integral_j` is the power's integral since its track began; a track whose integral stands still says nothing of power.
    """

    at_s: float
    counter_j: float | None
    integral_j: float
    error_s: float
    track: str


def raw_point(at_s: float, counter_j: float, track: str = "") -> GpuPoint:
    """A counter read alone, without its power: what it shows was true at its last tick, up to `TICK_S` ago."""
    return GpuPoint(at_s - TICK_S / 2, counter_j, 0.0, TICK_S / 2, track)


class GpuTrack:
    """The points of one running of the sampler, of one GPU. Remembers the last poll and the last tick alone."""

    def __init__(self, name: str) -> None:
        self._name, self._part = name, 0
        self._begin()

    def see(self, poll: Sighting) -> list[GpuPoint]:
        """The points that this poll, later than the ones before it, makes worth keeping.

        A lost GPU, or a silence longer than `LONGEST_STAND_S`, ends the track: a later poll begins another.
        """
        is_silent = poll.counter_j is None and poll.power_w is None
        if self._last is None:
            return [] if is_silent else self._keep(self._first(poll))
        if is_silent or poll.at_s - self._last.at_s > LONGEST_STAND_S:
            ended = self.latest()
            self._begin()
            return ended + self.see(poll)
        return self._next(self._last, poll) if poll.at_s > self._last.at_s else []

    def latest(self) -> list[GpuPoint]:
        """The last tick and the last poll, where they were not kept: they make the points complete until now."""
        if self._last is None:
            return []
        return [*self._before_burst(), *self._unkept([*self._last_tick(), self._point(self._last.at_s)])]

    def _begin(self) -> None:
        self._part += 1
        self._track = self._name if self._part == 1 else f"{self._name}.{self._part}"
        self._last: Sighting | None = None
        self._tick: GpuPoint | None = None
        self._integral_j = self._integrated_s = 0.0
        self._kept_s = self._kept_tick_s = float("-inf")
        self._was_fine = False
        self._quiet_from_s = float("inf")
        self._period_least_s, self._period_most_s = 0.0, PERIOD_MOST_S
        self._first_of_burst: tuple[GpuPoint, GpuPoint] | None = None

    def _first(self, poll: Sighting) -> list[GpuPoint]:
        """What the counter shows was true at its last tick, up to `TICK_S` ago; the power is taken to have stood since."""
        begin_s = self._integrated_s = poll.at_s - PERIOD_MOST_S
        begin = self._point(begin_s)
        half_s = PERIOD_MOST_S / 2
        self._integrate(poll)
        self._last = poll
        self._tick = GpuPoint(begin_s + half_s, poll.counter_j, self._integral_j / 2, half_s, self._track)
        return [begin, self._tick, self._point(poll.at_s)]

    def _next(self, last: Sighting, poll: Sighting) -> list[GpuPoint]:
        is_fine = poll.at_s - last.at_s <= FINE_S
        told, points = self._turn(last, is_fine) if is_fine != self._was_fine else ([], [])
        steps = is_fine and _stepped(last, poll)
        if steps:
            points.append(self._point(last.at_s))
        begin_j = self._integral_j
        self._integrate(poll)
        tick = self._moved(last, poll, (begin_j + self._integral_j) / 2)
        if _fell(last, poll) and tick is not None:
            points += [*self._last_tick(), tick]
            self._tick = None  # what it shows now is not what it had counted at its last tick
        else:
            points += self._ticked(poll, tick, is_fine)
        longest_s = FINE_S if is_fine else 1.5 * COARSE_POINT_S  # coarse ones wait for a tick
        if steps or poll.at_s - self._kept_s >= longest_s:
            points.append(self._point(poll.at_s))
        self._last, self._was_fine = poll, is_fine
        return told + self._keep(points)

    def _turn(self, last: Sighting, is_fine: bool) -> tuple[list[GpuPoint], list[GpuPoint]]:
        """A burst begins or ends: what it told of the time before it, and what is known at its edge."""
        told, edge = self._before_burst(), [*self._last_tick(), self._point(last.at_s)]
        self._first_of_burst, self._quiet_from_s = None, last.at_s if is_fine else float("inf")
        return told, edge

    def _ticked(self, poll: Sighting, tick: GpuPoint | None, is_fine: bool) -> list[GpuPoint]:
        if is_fine:
            self._learn_period(poll, tick)
        if tick is None:
            return []
        self._tick = tick
        since_s = poll.at_s - (self._kept_tick_s if is_fine else self._kept_s)
        return [tick] if since_s >= (FINE_S if is_fine else COARSE_POINT_S) else []

    def _learn_period(self, poll: Sighting, tick: GpuPoint | None) -> None:
        """The counter's period is no shorter than a burst saw it stand still, and no longer than two ticks are apart."""
        until_s = poll.at_s if tick is None else tick.at_s - tick.error_s
        self._period_least_s = max(self._period_least_s, until_s - self._quiet_from_s)
        if tick is None:
            return
        self._quiet_from_s = tick.at_s + tick.error_s
        if self._tick is None:
            return
        gap_s, error_s = tick.at_s - self._tick.at_s, tick.error_s + self._tick.error_s
        if error_s <= FINE_S:
            self._period_most_s = min(self._period_most_s, gap_s + error_s)
        elif self._first_of_burst is None:
            self._first_of_burst = (self._tick, tick)

    def _before_burst(self) -> list[GpuPoint]:
        """The last tick before a burst, located by the first one in it: one period earlier, and where it was seen."""
        if self._first_of_burst is None:
            return []
        seen, first = self._first_of_burst
        least_s = max(seen.at_s - seen.error_s, first.at_s - first.error_s - self._period_most_s)
        most_s = min(seen.at_s + seen.error_s, first.at_s + first.error_s - self._period_least_s)
        if most_s <= least_s:  # a tick went by unseen, or its period is another one
            return []
        error_s = max((most_s - least_s) / 2, FINE_S)  # periods vary: never as sharp as a tick that was seen
        return [GpuPoint((least_s + most_s) / 2, seen.counter_j, 0.0, error_s, self._track + "~")]

    def _moved(self, last: Sighting, poll: Sighting, integral_j: float) -> GpuPoint | None:
        if poll.counter_j is None or last.counter_j is None or poll.counter_j == last.counter_j:
            return None
        half_s = (poll.at_s - last.at_s) / 2
        error_s = max(half_s, TICK_S / 2) if _fell(last, poll) else half_s  # a new count need not start at a tick
        return GpuPoint(poll.at_s - half_s, poll.counter_j, integral_j, error_s, self._track)

    def _integrate(self, poll: Sighting) -> None:
        if poll.power_w is not None:
            self._integral_j += max(0.0, poll.power_w) * (poll.at_s - self._integrated_s)
            self._integrated_s = poll.at_s

    def _point(self, at_s: float) -> GpuPoint:
        return GpuPoint(at_s, None, self._integral_j, 0.0, self._track)

    def _last_tick(self) -> list[GpuPoint]:
        return [] if self._tick is None or self._tick.at_s <= self._kept_tick_s else [self._tick]

    def _unkept(self, points: list[GpuPoint]) -> list[GpuPoint]:
        return [p for p in points if p.at_s > (self._kept_s if p.counter_j is None else self._kept_tick_s)]

    def _keep(self, points: list[GpuPoint]) -> list[GpuPoint]:
        kept = self._unkept(points)
        for point in kept:
            self._kept_s = max(self._kept_s, point.at_s)
            if point.counter_j is not None:
                self._kept_tick_s = max(self._kept_tick_s, point.at_s)
        return kept


def _fell(last: Sighting, poll: Sighting) -> bool:
    return last.counter_j is not None and poll.counter_j is not None and poll.counter_j < last.counter_j


def _stepped(last: Sighting, poll: Sighting) -> bool:
    """The power moved so far that drawing a line across would misplace it."""
    if last.power_w is None or poll.power_w is None:
        return False
    return abs(poll.power_w - last.power_w) > STEP_REL * max(poll.power_w, last.power_w)
