"""What this worker works with: its name, its inventory, its meters, as found on the machine."""

import logging
import os
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from carbonq.domain.ports import Meter
from carbonq.workers import inventory
from carbonq.workers.folder import replace_bytes
from carbonq.workers.inventory import Gpu, GpuLocks, Inventory
from carbonq.workers.meters import cpu_model, nvml
from carbonq.workers.meters.rapl import RaplMeter
from carbonq.workers.settings import WorkerSettings

log = logging.getLogger("carbonq.worker")


@dataclass(frozen=True)
class Equipment:
    """`meters` are those that the worker itself reads; RAPL and CPU time are read by the shims."""

    worker_id: str
    inventory: Inventory
    locks: GpuLocks
    meters: tuple[Meter, ...]
    meter_names: tuple[str, ...]

    def take_gpus(self, uuids: Sequence[str]) -> None:
        """Raises OSError for a GPU that another worker has taken since: one whose job outlived our predecessor."""
        if taken := [uuid for uuid in uuids if not self.locks.take(uuid)]:
            raise OSError(f"{', '.join(taken)}: in use by another worker of this machine")

    def close(self) -> None:
        self.locks.close()


def find(settings: WorkerSettings, meters: Sequence[Meter] | None = None, ours: Collection[str] = ()) -> Equipment:
    """`ours`: GPUs of attempts found running; their shims hold the locks."""
    locks = GpuLocks(settings.gpu_lock_dir, settings.data_dir)
    library = nvml.start() if settings.use_gpus else None
    gpus = _free_gpus(library, locks, ours) if library else ()
    if meters is None:
        meters = [nvml.NvmlMeter(library, [gpu.uuid for gpu in gpus])] if gpus else []
    cpu_meter = "rapl" if RaplMeter(settings.powercap_dir).is_available else cpu_model.METHOD
    return Equipment(
        worker_id=settings.worker_id or _kept_worker_id(settings),
        inventory=Inventory(settings.cpus or inventory.usable_cpus(), settings.memory_b or inventory.memory_b(), gpus),
        locks=locks,
        meters=tuple(meters),
        meter_names=(*(meter.name for meter in meters), cpu_meter),
    )


def _free_gpus(library: object, locks: GpuLocks, ours: Collection[str]) -> tuple[Gpu, ...]:
    found = inventory.find_gpus(library, os.environ.get("CUDA_VISIBLE_DEVICES"))
    free = tuple(gpu for gpu in found if locks.take(gpu.uuid) or gpu.uuid in ours)
    if len(free) < len(found):
        log.warning("%d GPUs are in use by another worker of this machine", len(found) - len(free))
    return free


def _kept_worker_id(settings: WorkerSettings) -> str:
    """The same after a restart: the host's name and a few random letters, kept in the data folder."""
    path = settings.data_dir / "worker_id"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        worker_id = f"{os.uname().nodename}-{secrets.token_hex(3)}"
        replace_bytes(path, worker_id.encode(), durable=True)
        return worker_id
