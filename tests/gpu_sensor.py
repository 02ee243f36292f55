"""A GPU's sensors as arithmetic: a load's exact integral, shown by a counter that ticks, beside power at each poll."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from carbonq.workers.gpu_energy import GpuPoint, GpuTrack, Sighting


@dataclass(frozen=True)
class Load:
    """`steps` are (from when on, watts); before the first of them the first one's power."""

    steps: tuple[tuple[float, float], ...]

    def power_w(self, at_s: float) -> float:
        return next((watts for begin_s, watts in reversed(self.steps) if begin_s <= at_s), self.steps[0][1])

    def energy_j(self, start_s: float, end_s: float) -> float:
        inner = [begin_s for begin_s, _ in self.steps if start_s < begin_s < end_s]
        edges = [start_s, *inner, end_s]
        return sum(self.power_w(a) * (b - a) for a, b in pairwise(edges))


def steady(power_w: float) -> Load:
    return Load(((0.0, power_w),))


def square(low_w: float, high_w: float, half_s: float, phase_s: float, until_s: float) -> Load:
    steps = [(0.0, low_w)]
    while steps[-1][0] < until_s:
        steps.append((phase_s + half_s * (len(steps) - 1), high_w if len(steps) % 2 else low_w))
    return Load(tuple(steps))


@dataclass
class Gpu:
    """`gain` is the counter's joules for one of the power's; `resets` are the moments it starts from 0 again."""

    load: Load
    phase_s: float = 0.0
    period_s: float = 0.1
    gain: float = 1.0
    begun_j: float = 1e6
    resets: tuple[float, ...] = ()
    lost_from_s: float = float("inf")
    has_counter: bool = True
    has_power: bool = True
    _ticked: tuple[float, float] = field(default=(0.0, 0.0), repr=False)

    def see(self, at_s: float) -> Sighting:
        if at_s >= self.lost_from_s:
            return Sighting(at_s, None, None)
        counter_j = self.counter_j(at_s) if self.has_counter else None
        return Sighting(at_s, counter_j, self.load.power_w(at_s) if self.has_power else None)

    def counter_j(self, at_s: float) -> float:
        tick_s = self.phase_s + (at_s - self.phase_s) // self.period_s * self.period_s
        reset_s = max((moment for moment in self.resets if moment <= at_s), default=None)
        if reset_s is None:
            return self.begun_j + self.gain * self._energy_until_j(tick_s)
        return self.gain * self.load.energy_j(reset_s, max(reset_s, tick_s))

    def _energy_until_j(self, tick_s: float) -> float:
        if tick_s < self._ticked[0]:
            self._ticked = (0.0, 0.0)
        begin_s, energy_j = self._ticked
        self._ticked = (tick_s, energy_j + self.load.energy_j(begin_s, tick_s))
        return self._ticked[1]


def moments(begin_s: float, end_s: float, edges: Iterable[float], *, fine_s: float = 0.001) -> Iterator[float]:
    """Every 100 ms, and every `fine_s` for 60 ms before and after each edge."""
    bursts = [(edge_s - 0.06, edge_s + 0.06) for edge_s in edges]
    now_s = begin_s
    while now_s <= end_s:
        yield now_s
        is_burst = any(a <= now_s < b for a, b in bursts)
        upcoming_s = min((a for a, _ in bursts if a > now_s), default=end_s + 1)
        now_s = now_s + fine_s if is_burst else min(now_s + 0.1, max(upcoming_s, now_s + fine_s))


def polled(gpu: Gpu, at_s: Iterable[float], name: str = "run") -> list[GpuPoint]:
    track = GpuTrack(name)
    points = [point for moment_s in at_s for point in track.see(gpu.see(moment_s))]
    return points + track.latest()
