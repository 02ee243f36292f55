"""What this worker works with: its name, its inventory, its meters, as found on the machine."""

import logging
import os
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from carbonq.domain.energy import Component, Provenance
from carbonq.domain.ports import Meter
from carbonq.workers import inventory
from carbonq.workers.folder import replace_bytes
from carbonq.workers.inventory import Gpu, GpuLocks, Inventory
from carbonq.workers.meters import choice, cpu_model, nvml
from carbonq.workers.readings import CpuModel, Method, Readings
from carbonq.workers.settings import WorkerSettings

log = logging.getLogger("carbonq.worker")


@dataclass(frozen=True)
class Equipment:
    """`cpu_model` stands in for a packages' counter where there is none; `gpu_poll_s` is how often these GPUs are read."""

    worker_id: str
    inventory: Inventory
    locks: GpuLocks
    meters: tuple[Meter, ...]
    cpu_model: CpuModel
    threads: int
    gpu_poll_s: float
    gpu_meter: nvml.NvmlMeter | None = None

    @property
    def meter_names(self) -> tuple[str, ...]:
        names = tuple(meter.name for meter in self.meters)
        is_counted = any(counter.component is Component.CPU for meter in self.meters for counter in meter.read())
        return names if is_counted else (*names, self.cpu_model.method.name)

    def power_limit_w(self, uuids: Sequence[str]) -> float | None:
        """Of each of these GPUs, as it is set now: those of one machine are set alike."""
        return self.gpu_meter.power_limit_w(uuids[0]) if self.gpu_meter is not None and uuids else None

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
    memory_b = settings.memory_b or inventory.memory_b()
    gpu_meter = nvml.NvmlMeter(library, [gpu.uuid for gpu in gpus]) if gpus else None
    if meters is None:
        of_node = choice.node_meters(settings.powercap_dir, inventory.memory_b(), settings.cpu_meter, settings.data_dir)
        node_meters = [meter for meter in of_node if meter.name != cpu_model.METHOD]  # reckoned from CPU time here
        meters = [gpu_meter, *node_meters] if gpu_meter else node_meters
    threads = cpu_model.node_threads()
    return Equipment(
        worker_id=settings.worker_id or _kept_worker_id(settings),
        inventory=Inventory(settings.cpus or inventory.usable_cpus(), memory_b, gpus),
        locks=locks,
        meters=tuple(meters),
        cpu_model=_cpu_model(settings, threads),
        threads=threads,
        gpu_poll_s=min((nvml.poll_interval_s(gpu.model) for gpu in gpus), default=nvml.POLL_S),
        gpu_meter=gpu_meter,
    )


def _cpu_model(settings: WorkerSettings, threads: int) -> CpuModel:
    constants = cpu_model.node_constants(settings.data_dir)

    def energy_j(busy: Readings) -> Readings:
        curve = cpu_model.energy_curve([at_s for at_s, _ in busy], [busy_s for _, busy_s in busy], threads, constants)
        return list(zip(*curve, strict=True))

    method = Method(cpu_model.METHOD, Provenance.MODELLED, constants.rung, constants.uncertainty_rel)
    return CpuModel(method, constants.idle_w, energy_j)


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
