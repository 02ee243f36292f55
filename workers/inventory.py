"""What this machine has to offer, and what of it is free."""

import contextlib
import fcntl
import os
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from carbonq.domain.job import Capacity, Requirement


@dataclass(frozen=True)
class Gpu:
    uuid: str
    model: str
    memory_b: int


class Holding(NamedTuple):
    """What one attempt holds."""

    cpus: int
    memory_b: int
    gpu_uuids: tuple[str, ...]


def usable_cpus() -> int:
    """Hardware threads that this process may use: a container's or a cpuset's share, not the whole machine."""
    return len(os.sched_getaffinity(0))


def memory_b(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    try:
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def find_gpus(nvml: Any, visible: str | None = None) -> tuple[Gpu, ...]:
    """The GPUs that NVML shows, of one model: the most frequent. `visible` limits them as CUDA_VISIBLE_DEVICES does.

    A GPU in MIG mode is offered as its slices, of which a CUDA program sees one at a time. A lost one is not offered.
    """
    gpus: list[Gpu] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        with contextlib.suppress(nvml.NVMLError):
            gpus += _offered(nvml, index, visible)
    if not gpus:
        return ()
    model = Counter(gpu.model for gpu in gpus).most_common(1)[0][0]
    return tuple(gpu for gpu in gpus if gpu.model == model)


def _offered(nvml: Any, index: int, visible: str | None) -> list[Gpu]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    whole, slices = _gpu(nvml, handle), [_gpu(nvml, each) for each in mig_slices(nvml, handle)]
    if visible is None or _is_visible(whole.uuid, index, visible):
        return slices or [whole]
    return [each for each in slices if _is_visible(each.uuid, None, visible)]


def mig_slices(nvml: Any, handle: object) -> list[object]:
    """The handles of a GPU's MIG devices; none where it is not in MIG mode, or where its driver has never heard of it."""
    try:
        is_on = nvml.nvmlDeviceGetMigMode(handle)[0] == 1
        count = int(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)) if is_on else 0
    except nvml.NVMLError:
        return []
    found = []
    for index in range(count):
        with contextlib.suppress(nvml.NVMLError):  # no slice at this place
            found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))
    return found


def _gpu(nvml: Any, handle: object) -> Gpu:
    memory = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
    return Gpu(_text(nvml.nvmlDeviceGetUUID(handle)), _text(nvml.nvmlDeviceGetName(handle)), memory)


def _is_visible(uuid: str, index: int | None, visible: str) -> bool:
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return any(name == str(index) or (not name.isdigit() and uuid.startswith(name)) for name in names)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


class GpuLocks:
    """One lock file a GPU, so that no two workers of a machine hand out the same one.

    A job's shim holds its GPUs' locks too, and so keeps them while the worker is away.
    """

    def __init__(self, folder: Path, fallback: Path) -> None:
        self.folder = folder if os.access(folder, os.W_OK) else fallback
        self._fds: dict[str, int] = {}

    def take(self, uuid: str) -> bool:
        if uuid in self._fds:
            return True
        try:
            fd = self._open(uuid)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        self._fds[uuid] = fd
        return True

    def fds(self, uuids: Sequence[str]) -> list[int]:
        return [self._fds[uuid] for uuid in uuids if uuid in self._fds]

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.popitem()[1])

    def _open(self, uuid: str) -> int:
        path = self.folder / f"carbonq-{uuid}.lock"
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW  # everybody's folder: no planted pipe or link stops us
        try:
            return os.open(path, flags)  # another user's file: in a sticky folder it cannot be created again
        except FileNotFoundError:
            return os.open(path, flags | os.O_CREAT, 0o644)


class Inventory:
    """Capacity and what is free of it. Safe to use from several threads."""

    def __init__(self, cpus: int, memory_b: int | None = None, gpus: Sequence[Gpu] = ()) -> None:
        first = gpus[0] if gpus else None
        self.capacity = Capacity(
            gpus=len(gpus),
            gpu_model=first.model if first else None,
            gpu_memory_b=min(gpu.memory_b for gpu in gpus) if gpus else None,
            cpus=cpus,
            memory_b=memory_b,
        )
        self.gpu_uuids = tuple(gpu.uuid for gpu in gpus)
        self._free_gpus, self._free_cpus, self._free_memory_b = list(self.gpu_uuids), cpus, memory_b or 0
        self._lock, self._changed = threading.Lock(), threading.Event()

    @property
    def free(self) -> Capacity:
        with self._lock:
            return self.capacity.model_copy(
                update={
                    "gpus": len(self._free_gpus),
                    "cpus": max(0, self._free_cpus),
                    "memory_b": None if self.capacity.memory_b is None else max(0, self._free_memory_b),
                }
            )

    def take(self, need: Requirement) -> Holding | None:
        """What the task needs, or None where it is not free."""
        with self._lock:
            short_of_memory = need.memory_b is not None and need.memory_b > self._free_memory_b
            if need.gpus > len(self._free_gpus) or need.cpus > self._free_cpus or short_of_memory:
                return None
            return self._hold(need, tuple(self._free_gpus[: need.gpus]))

    def adopt(self, need: Requirement, gpu_uuids: Sequence[str]) -> Holding:
        """What an attempt found running already holds; more may be held than there is, until it ends."""
        with self._lock:
            return self._hold(need, tuple(gpu_uuids))

    def give_back(self, holding: Holding) -> None:
        with self._lock:
            self._free_gpus += [uuid for uuid in holding.gpu_uuids if uuid in self.gpu_uuids]
            self._free_cpus += holding.cpus
            self._free_memory_b += holding.memory_b
        self._changed.set()

    def wait_for_room(self, timeout_s: float) -> None:
        """Until something is given back, or the time is over."""
        self._changed.wait(timeout_s)
        self._changed.clear()

    def wake(self) -> None:
        self._changed.set()

    def _hold(self, need: Requirement, gpu_uuids: tuple[str, ...]) -> Holding:
        self._free_gpus = [uuid for uuid in self._free_gpus if uuid not in gpu_uuids]
        self._free_cpus -= need.cpus
        self._free_memory_b -= need.memory_b or 0
        return Holding(need.cpus, need.memory_b or 0, gpu_uuids)
