"""What the stand-in's GPUs do, written into the memory that the library maps, and the truth about it."""

import ctypes
import mmap
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Self

from carbonq.workers.shim import proc

from .layout import NEVER_S, Call, GpuLayout, ProcessLayout, SegmentLayout, SensorLayout, SliceLayout, StateLayout
from .traces import Trace

NOT_SUPPORTED, FUNCTION_NOT_FOUND = 3, 13  # NVML's codes


class Sensor(NamedTuple):
    """Updates every `period_s` (0: always), at `phase_s` and whole periods from it, and shows the mean of the
    `window_s` before the update times `gain`. A counter counts all energy; one with a window, what that shows."""

    period_s: float = 0.1
    phase_s: float = 0.0
    window_s: float = 0.0
    gain: float = 1.0


class Process(NamedTuple):
    """One that computes on the GPU during `[start_s, end_s)` with a share of its streaming multiprocessors' time."""

    pid: int
    sm_pct: int = 100
    start_s: float = -NEVER_S
    end_s: float = NEVER_S
    memory_b: int = 1 << 30
    gpu_instance: int = 0xFFFFFFFF  # NVML's word for none
    compute_instance: int = 0xFFFFFFFF


class Slice(NamedTuple):
    """A MIG device."""

    uuid: str
    gpu_instance: int
    compute_instance: int = 0
    gpu_slices: int = 1
    sm_count: int = 16
    memory_b: int = 10 << 30


COUNTER, INSTANT, AVERAGE = Sensor(), Sensor(window_s=0.025), Sensor(window_s=1.0)  # as on an H100


@dataclass(frozen=True)
class Gpu:
    """One GPU: its true power, and how its sensors show it."""

    uuid: str = "GPU-aaaa"
    trace: Trace = field(default_factory=lambda: Trace.constant(300.0))
    counter: Sensor = COUNTER
    instant: Sensor = INSTANT
    average: Sensor = AVERAGE
    name: str = "NVIDIA Stand-In"
    memory_b: int = 1024
    counter_base_j: float = 1_000_000.0
    reset_s: float = NEVER_S
    lost_s: float = NEVER_S
    found_s: float = NEVER_S
    limit_w: float = 700.0
    limits_w: tuple[float, float] = (100.0, 700.0)
    power_is_average: bool = True
    sm_count: int = 128
    sm_period_s: float = 1 / 6
    processes: Sequence[Process] = ()
    slices: Sequence[Slice] | None = None  # None: MIG is off
    errors: tuple[tuple[Call, int], ...] = ()

    def true_energy_j(self, start_s: float, end_s: float) -> float:
        """What it drew over `[start_s, end_s)`."""
        return self.trace.energy_j(start_s, end_s)

    def counted_energy_j(self, start_s: float, end_s: float) -> float:
        """What a perfect reader of its counter finds: the true energy with the counter's gain. Not for one with a window."""
        return self.counter.gain * self.true_energy_j(start_s, end_s)

    def failing(self, *calls: Call, code: int = NOT_SUPPORTED) -> Self:
        return replace(self, errors=(*self.errors, *((call, code) for call in calls)))


class StandIn:
    """The library's state in `path`, open for as long as this lives. Close it, or use it as a context.

    `now_s` makes the clock virtual and starts it there; without it, time is the machine's own.
    """

    def __init__(self, path: Path, gpus: Iterable[Gpu], *, now_s: float | None = None, driver: str = "535.1") -> None:
        self.path = path
        with path.open("w+b") as file:
            file.truncate(ctypes.sizeof(StateLayout))
            self._memory = mmap.mmap(file.fileno(), 0)
        self._state = StateLayout.from_buffer(self._memory)
        self._state.size = ctypes.sizeof(StateLayout)
        self._state.unix_minus_boot_s = time.time() - proc.now_s()
        self._state.driver = driver.encode()
        self._state.is_virtual = now_s is not None
        self._state.now_s = now_s or 0.0
        self.set(gpus)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        del self._state  # it points into the mapping, which cannot be closed under it
        self._memory.close()

    @property
    def environment(self) -> dict[str, str]:
        """Names this state to a library that lies elsewhere."""
        return {"NVML_STAND_IN": os.fspath(self.path)}

    @property
    def calls(self) -> int:
        """How many calls its GPUs have had."""
        return int(self._state.calls)

    def now_s(self) -> float:
        return float(self._state.now_s) if self._state.is_virtual else proc.now_s()

    def advance(self, seconds: float) -> None:
        """Lets virtual time pass."""
        self._state.now_s += seconds

    def stamp_updates(self) -> None:
        """From now on a field's timestamp is its sensor's last update, not the moment of the call."""
        self._state.timestamps_of_update = 1

    def fail_init(self, code: int) -> None:
        self._state.init_error = code

    def reset_at(self, at_s: float) -> None:
        """Sets every counter anew at that moment."""
        for at in range(len(self.gpus)):
            self._state.gpu[at].reset_s = at_s

    def set(self, gpus: Iterable[Gpu]) -> None:
        """Replaces the GPUs; their counters start now from their bases. Not while another process reads them."""
        self.gpus = tuple(gpus)
        self._state.gpus = len(self.gpus)
        self._state.version += 1
        self.zero_s = self.now_s()
        for at, gpu in enumerate(self.gpus):
            self._state.gpu[at] = _laid_out(gpu, self.zero_s)


def _laid_out(gpu: Gpu, zero_s: float) -> GpuLayout:
    before_j = gpu.trace.before_j
    low_w, high_w = gpu.limits_w
    laid = GpuLayout(
        uuid=gpu.uuid.encode(),
        name=gpu.name.encode(),
        memory_b=gpu.memory_b,
        origin_s=gpu.trace.origin_s,
        length_s=gpu.trace.length_s,
        total_j=before_j[-1] if gpu.trace.length_s else 0.0,
        counter=SensorLayout(*gpu.counter),
        instant=SensorLayout(*gpu.instant),
        average=SensorLayout(*gpu.average),
        counter_zero_s=zero_s,
        counter_base_j=gpu.counter_base_j,
        reset_s=gpu.reset_s,
        lost_s=gpu.lost_s,
        found_s=gpu.found_s,
        sm_period_s=gpu.sm_period_s,
        limit_mw=round(gpu.limit_w * 1000),
        limit_min_mw=round(low_w * 1000),
        limit_max_mw=round(high_w * 1000),
        limit_default_mw=round(high_w * 1000),
        sm_count=gpu.sm_count,
        power_is_average=gpu.power_is_average,
        mig_mode=gpu.slices is not None,
        segments=len(gpu.trace.segments),
        processes=len(gpu.processes),
        slices=len(gpu.slices or ()),
    )
    for call, code in gpu.errors:
        laid.errors[call] = code
    for at, (segment, energy_j) in enumerate(zip(gpu.trace.segments, before_j, strict=False)):
        laid.segment[at] = SegmentLayout(*segment, energy_j)
    for at, process in enumerate(gpu.processes):
        laid.process[at] = ProcessLayout(**process._asdict())
    for at, one in enumerate(gpu.slices or ()):
        laid.slice[at] = SliceLayout(**one._asdict() | {"uuid": one.uuid.encode()})
    return laid
