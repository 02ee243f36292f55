"""One GPU watched over one window as a worker's sampler watches it, on the machine's clock or on a virtual one."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from carbonq.domain.ports import Meter
from carbonq.workers import gpu_energy
from carbonq.workers.gpu_polls import GpuPoint, GpuTrack, Sighting
from carbonq.workers.meters import nvml
from carbonq.workers.shim import proc

BURST_S = 0.12
"""A little longer than the counter's period, so that one of its ticks falls into each burst."""
FINE_S, COARSE_S = 0.0007, 0.1


class Watch:
    """`now_s` is the moment to take a poll for, where time is virtual: a meter stamps what it reads with the real one."""

    def __init__(
        self, meter: Meter, now_s: Callable[[], float] | None = None, close: Callable[[], None] = lambda: None
    ) -> None:
        self._meter, self._now_s, self.close = meter, now_s, close
        self._track = GpuTrack("watch")
        self._points: list[GpuPoint] = []

    @classmethod
    def of_first_gpu(cls, now_s: Callable[[], float] | None = None) -> Self:
        """Close it, or NVIDIA's library stays open. Raises RuntimeError where there is none."""
        library = nvml.start()
        if library is None:
            raise RuntimeError("there is no libnvidia-ml.so.1 to ask")
        uuid = library.nvmlDeviceGetUUID(library.nvmlDeviceGetHandleByIndex(0))
        return cls(nvml.NvmlMeter(library, [uuid]), now_s, library.nvmlShutdown)

    def poll(self) -> None:
        (counter,) = self._meter.read()
        at_s = self._now_s() if self._now_s else counter.monotonic_s
        self._points += self._track.see(Sighting(at_s, counter.energy_j, counter.power_w))

    def points(self) -> Sequence[GpuPoint]:
        return [*self._points, *self._track.latest()]

    def between(self, start_s: float, end_s: float) -> gpu_energy.GpuEnergy:
        return gpu_energy.between(self.points(), start_s, end_s)

    def run(self, stop: threading.Event) -> None:
        """Polls in real time from now until a burst after `stop`."""
        self._burst()
        while not stop.wait(COARSE_S):
            self.poll()
        self._burst()

    def _burst(self) -> None:
        end_s = proc.now_s() + BURST_S
        pause = threading.Event()
        while proc.now_s() < end_s:
            self.poll()
            pause.wait(FINE_S)


def poll_moments(start_s: float, end_s: float) -> Iterator[float]:
    """When `Watch.run` would poll a window `[start_s, end_s)` if polling took no time."""
    yield from _every(FINE_S, start_s, start_s + BURST_S)
    yield from _every(COARSE_S, start_s + BURST_S + COARSE_S, end_s)
    yield from _every(FINE_S, max(end_s, start_s + BURST_S), end_s + BURST_S)


def _every(step_s: float, start_s: float, end_s: float) -> Iterator[float]:
    count = 0
    while start_s + count * step_s < end_s:
        yield start_s + count * step_s
        count += 1
