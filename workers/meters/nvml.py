"""NVIDIA GPUs' own energy counters (Volta and later), by GPU UUID."""

from collections.abc import Sequence
from typing import Any

from carbonq.domain.energy import Component, Provenance
from carbonq.domain.ports import Counter
from carbonq.workers.shim import proc

METHOD = "nvml-counter"
UNCERTAINTY_REL = 0.05
"""Gradient error of the on-board sensors: about 5 % (Yang et al., "Part-time Power Measurements", SC24, arXiv:2312.02741)."""


class NvmlMeter:
    """Needs `nvmlInit` to have succeeded; see `start`."""

    name = METHOD

    def __init__(self, nvml: Any, uuids: Sequence[str]) -> None:
        self.identity = f"{proc.boot_id()} {nvml.nvmlSystemGetDriverVersion()}"
        self._nvml, self._handles = nvml, {uuid: nvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in uuids}

    def read(self) -> Sequence[Counter]:
        return tuple(
            Counter(
                Component.GPU,
                proc.now_s(),
                self._energy_j(handle),
                uuid,
                method=METHOD,
                provenance=Provenance.MEASURED,
                uncertainty_rel=UNCERTAINTY_REL,
            )
            for uuid, handle in self._handles.items()
        )

    def _energy_j(self, handle: object) -> float | None:
        try:
            return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000  # NVML counts millijoules
        except self._nvml.NVMLError:
            return None


def start() -> Any | None:
    """The initialised `pynvml` module, or None on a machine without NVIDIA's driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml
