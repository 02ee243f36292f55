"""Energy counters of a job's GPUs, read by the shim itself, so that they are known also of the time without a worker.

NVIDIA's binding is one file that needs the standard library alone; it is loaded from that file, for a shim has no
site-packages. All of it happens in a thread of its own, once the job runs: starting the driver may take seconds, and a
driver that hangs takes its thread along and nothing else.
"""

from __future__ import annotations

import sys
import threading

from . import proc
from .thinned import LONGEST_S, Thinned

TYPE_CHECKING = False
if TYPE_CHECKING:  # the typing module takes milliseconds to load
    from typing import Any

    from .thinned import Row

COLUMNS = ("at_s", "uuid", "counter_j")


class GpuJournal(threading.Thread):
    """A row a GPU every 10 s and at the end; `counter_j` is None where it cannot be read (before Volta, a MIG slice)."""

    def __init__(self, path: str, binding: str, uuids: list[str], points: int) -> None:
        super().__init__(daemon=True)
        self.path, self.binding, self.uuids = path, binding, uuids
        self.most = max(2, points // len(uuids))
        self.latest: list[Row] = []
        self.ending, self.done = threading.Event(), threading.Event()

    def run(self) -> None:
        try:
            self._watch(_load(self.binding))
        except Exception as error:  # noqa: BLE001  # whatever a driver does, the job and its record go on
            print(f"no energy of the GPUs: {error}", file=sys.stderr, flush=True)
        finally:
            self.done.set()

    def finish(self, timeout_s: float = 1.0) -> list[Row]:
        """A last reading, or the one before where the driver takes longer than that."""
        self.ending.set()
        self.done.wait(timeout_s)
        return self.latest

    def _watch(self, nvml: Any) -> None:
        nvml.nvmlInit()
        driver = nvml.nvmlSystemGetDriverVersion()
        rows = Thinned(self.path, [*COLUMNS, {"boot_id": proc.boot_id(), "driver": driver}], LONGEST_S, self.most)
        handles = {uuid: _handle(nvml, uuid) for uuid in self.uuids}
        is_last = False
        while not is_last:
            is_last = self.ending.is_set()
            self.latest = [_row(nvml, uuid, handle) for uuid, handle in handles.items()]
            rows.add(proc.now_s(), self.latest, keep=is_last)
            self.ending.wait(LONGEST_S)


def _load(path: str) -> Any:
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader

    spec = spec_from_loader("pynvml", SourceFileLoader("pynvml", path))
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = sys.modules["pynvml"] = module_from_spec(spec)  # it looks itself up there
    spec.loader.exec_module(module)
    return module


def _handle(nvml: Any, uuid: str) -> Any | None:
    try:
        return nvml.nvmlDeviceGetHandleByUUID(uuid)
    except nvml.NVMLError:
        return None


def _row(nvml: Any, uuid: str, handle: Any | None) -> tuple[float, str, float | None]:
    at_s = proc.now_s()
    try:
        counter_j = None if handle is None else nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
    except nvml.NVMLError:
        counter_j = None
    return at_s, uuid, counter_j
