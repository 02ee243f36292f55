"""One GPU meter, as its users call it, over windows that are asked for on stdin.

    LD_LIBRARY_PATH=... python gpu_meters.py carbonq | zeus | codecarbon | poll

Each imports only what it is made of, by name, so that it runs where that is installed. A line of stdin is `<start_s> <length_s>`
on CLOCK_BOOTTIME; an answer is a line of JSON: the moments between which the work ran (after the meter's begin had
returned, before its end was called), the energy, what a second way read, and what the meter has to say about it.
"""

import importlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TextIO


def now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def sleep_until(at_s: float) -> None:
    time.sleep(max(0.0, at_s - now_s()))


class Answer(NamedTuple):
    begin_s: float
    end_s: float
    energy_j: float | None
    cross_check_j: float | None = None
    flags: tuple[str, ...] = ()


class Carbonq:
    """The worker's way: GpuTrack over NvmlMeter's polls, in bursts around the window's edges."""

    def __init__(self) -> None:
        sys.path.insert(0, str(Path(__file__).parents[2]))
        from tests.gpu_watch import Watch

        self._make: Callable[[], Any] = Watch.of_first_gpu
        self._watch = self._make()

    def begin(self) -> None:
        self._watch.poll()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch.run, args=(self._stop,))
        self._thread.start()

    def end(self, begin_s: float, end_s: float) -> Answer:
        self._stop.set()
        self._thread.join()
        energy = self._watch.between(begin_s, end_s)
        self._watch.close()
        self._watch = self._make()
        return Answer(begin_s, end_s, energy.energy_j, energy.integral_j, energy.flags)


class Zeus:
    def __init__(self) -> None:
        zeus: Any = importlib.import_module("zeus.monitor")
        self._monitor = zeus.ZeusMonitor(gpu_indices=[0], cpu_indices=[])

    def begin(self) -> None:
        self._monitor.begin_window("window", sync_execution=False)

    def end(self, begin_s: float, end_s: float) -> Answer:
        energies_j = self._monitor.end_window("window", sync_execution=False).gpu_energy
        return Answer(begin_s, end_s, sum(energies_j.values()))


class Codecarbon:
    def __init__(self) -> None:
        codecarbon: Any = importlib.import_module("codecarbon")
        logging.disable(logging.CRITICAL)
        self._make: Callable[[], Any] = lambda: codecarbon.OfflineEmissionsTracker(
            country_iso_code="FRA", gpu_ids=[0], measure_power_secs=1, save_to_file=False, allow_multiple_runs=True
        )
        self._tracker = self._make()

    def begin(self) -> None:
        self._tracker.start()

    def end(self, begin_s: float, end_s: float) -> Answer:
        self._tracker.stop()
        energy_kwh = self._tracker.final_emissions_data.gpu_energy
        self._tracker = self._make()
        return Answer(begin_s, end_s, energy_kwh * 3.6e6)


class Poll:
    """What a script around `nvidia-smi` does: the power once a second, each time the second before it."""

    def __init__(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        self._power_w: Callable[[], float] = lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000

    def begin(self) -> None:
        self._energy_j, self._last_s, self._stop = 0.0, now_s(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            self._add()

    def _add(self) -> None:
        at_s = now_s()
        self._energy_j += self._power_w() * (at_s - self._last_s)
        self._last_s = at_s

    def end(self, begin_s: float, end_s: float) -> Answer:
        self._stop.set()
        self._thread.join()
        self._add()
        return Answer(begin_s, end_s, self._energy_j)


METERS: dict[str, Callable[[], Any]] = {"carbonq": Carbonq, "zeus": Zeus, "codecarbon": Codecarbon, "poll": Poll}


def answers() -> TextIO:
    """What stdout was: from now on all else that is printed, as some rivals do, goes to stderr."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(kept, "w")


def main() -> None:
    answer = answers()
    meter = METERS[sys.argv[1]]()
    print("ready", file=answer, flush=True)
    for line in sys.stdin:
        start_s, length_s = map(float, line.split())
        sleep_until(start_s)
        meter.begin()
        begin_s = now_s()
        sleep_until(begin_s + length_s)
        end_s = now_s()
        print(json.dumps(meter.end(begin_s, end_s)._asdict()), file=answer, flush=True)


if __name__ == "__main__":
    main()
