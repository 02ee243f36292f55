"""What a GPU's meter must get right: windows over a known truth, each with its aim. The tests and the benchmark share them."""

import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from carbonq.workers.gpu_energy import GpuEnergy
from tests.gpu_watch import Watch, poll_moments
from tests.nvml_stand_in import Gpu, Sensor, StandIn, Trace


class Case(NamedTuple):
    """`aim_rel` is the most that a window's energy may be off what a perfect reader of the counter finds."""

    name: str
    length_s: float
    trace: Trace
    aim_rel: float
    power_gain: float = 1.0
    is_reset: bool = False

    def gpu(self) -> Gpu:
        """Its sensors are an A100's: all that it shows of its power is the mean of 25 of each 100 ms."""
        return Gpu(
            power_is_average=False,
            trace=self.trace,
            instant=Sensor(window_s=0.025, gain=self.power_gain),
            average=Sensor(window_s=1.0, gain=self.power_gain),
        )

    def gpu_at(self, chance: random.Random, now_s: float) -> Gpu:
        """The same GPU with its trace, its counter and its sensors each at a phase of their own."""
        gpu, trace = self.gpu(), replace(self.trace, origin_s=now_s - chance.uniform(0.0, self.trace.length_s))
        counter, instant = (sensor._replace(phase_s=chance.uniform(0.0, 0.1)) for sensor in (gpu.counter, gpu.instant))
        return replace(gpu, trace=trace, counter=counter, instant=instant)


STEADY, WAVE, RAMP = Trace.constant(300.0), Trace.square(100.0, 700.0, 0.5), Trace.ramp(100.0, 700.0, 3.0)
CASES = (
    Case("50 ms at 300 W", 0.05, STEADY, 0.02),
    Case("250 ms at 300 W", 0.25, STEADY, 0.005),
    Case("1 s at 300 W", 1.0, STEADY, 0.002),
    Case("counter reset in mid-window, 2 s at 300 W", 2.0, STEADY, 0.01, is_reset=True),
    Case("square wave 100/700 W of 0.5 s, 5.3 s, power's gain 5 % lower", 5.3, WAVE, 0.01, power_gain=0.95),
    Case("the same wave, 31.3 s", 31.3, WAVE, 0.01, power_gain=0.95),
    Case("ramps 100-700 W of 3 s, 5.3 s, power's gain 5 % lower", 5.3, RAMP, 0.01, power_gain=0.95),
)


class Seen(NamedTuple):
    """What carbonq made of one window, and the counter's truth."""

    energy: GpuEnergy
    truth_j: float

    @property
    def error_rel(self) -> float:
        """Infinite where nothing was read."""
        return float("inf") if self.energy.energy_j is None else self.energy.energy_j / self.truth_j - 1


def measure(case: Case, stand_in: StandIn, seed: int) -> Seen:
    """One window of the case on the virtual clock, with phases that chance decides."""
    chance = random.Random(seed)
    gpu = case.gpu_at(chance, stand_in.now_s())
    start_s = stand_in.now_s() + chance.uniform(0.2, 0.3)
    end_s = start_s + case.length_s
    stand_in.set([replace(gpu, reset_s=(start_s + end_s) / 2) if case.is_reset else gpu])
    energy = watch_window(stand_in, start_s, end_s)
    return Seen(energy, gpu.counted_energy_j(start_s, end_s))


def watch_window(stand_in: StandIn, start_s: float, end_s: float) -> GpuEnergy:
    with contextlib.closing(Watch.of_first_gpu(stand_in.now_s)) as watch:
        follow(stand_in, list(poll_moments(start_s, end_s)), watch.poll)
        return watch.between(start_s, end_s)


def follow(stand_in: StandIn, moments_s: Sequence[float], poll: Callable[[], object]) -> None:
    """Lets virtual time go from moment to moment, and polls at each."""
    for moment_s in moments_s:
        stand_in.advance(moment_s - stand_in.now_s())
        poll()
