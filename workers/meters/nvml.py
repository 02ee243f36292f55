"""NVIDIA GPUs' own energy counters (Volta and later) and their power, by the UUID of a GPU or of a MIG slice."""

import time
from collections.abc import Sequence
from typing import Any

from carbonq.domain.energy import Component, Provenance
from carbonq.domain.ports import Counter
from carbonq.workers import gpu_sharing, inventory
from carbonq.workers.shim import proc

METHOD = "nvml-counter"
POWER_METHOD = "nvml-power-integral"
SLICE_METHOD = "nvml-mig-share"
UNCERTAINTY_REL = 0.05
"""Gradient error of the on-board sensors: about 5 % (Yang et al., "Part-time Power Measurements", SC24, arXiv:2312.02741)."""
POLL_S, FAST_POLL_S, FAST_MODELS = 0.1, 0.02, ("V100", "P100")
"""The power sensors' update periods as measured there: 100 ms on most GPUs, 20 ms on these."""
ENERGY_FIELD, INSTANT_POWER_FIELD = 83, 186  # NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION and _POWER_INSTANT
CALLS = {ENERGY_FIELD: "nvmlDeviceGetTotalEnergyConsumption", INSTANT_POWER_FIELD: "nvmlDeviceGetPowerUsage"}
"""Where a driver has no such field; both ways count in thousandths. PowerUsage is the mean of a second on some GPUs."""
ABSENT = (2, 3, 13)  # nvmlReturn_t: invalid argument (a field it has never heard of), not supported, function not found
VALUE_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")  # by nvmlValueType_t


def poll_interval_s(model: str) -> float:
    """How often a GPU of this model shows a new power; polling faster sees the same one again."""
    return FAST_POLL_S if any(name in model for name in FAST_MODELS) else POLL_S


class NvmlMeter:
    """Needs `nvmlInit` to have succeeded; see `start`. Energy and power are one call a GPU, where the driver allows it."""

    name = METHOD

    def __init__(self, nvml: Any, uuids: Sequence[str]) -> None:
        self.identity = f"{proc.boot_id()} {nvml.nvmlSystemGetDriverVersion()}"
        self._nvml = nvml
        self._devices = {uuid: _Device(nvml, uuid) for uuid in uuids}

    def read(self) -> Sequence[Counter]:
        return tuple(device.read() for device in self._devices.values())

    def power_limit_w(self, uuid: str) -> float | None:
        """What the GPU may draw at most, all limits taken together; None where it does not say. A slice: its share of it."""
        device = self._devices[uuid]
        try:
            return int(self._nvml.nvmlDeviceGetEnforcedPowerLimit(device.handle)) / 1000 * device.share
        except self._nvml.NVMLError:
            return None

    def sm_percent(self, uuid: str, since_s: float) -> dict[int, float] | None:
        """By process, the share of the GPU's time in which it had a kernel running, of what was sampled since (CLOCK_BOOTTIME).

        Every process with a compute context is listed, also one that did not run. None where the driver does not say.
        """
        nvml, handle = self._nvml, self._devices[uuid].handle
        since_us = int((time.time() - proc.now_s() + since_s) * 1e6)
        try:
            busy = {int(process.pid): 0.0 for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)}
        except nvml.NVMLError:
            return None
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(handle, since_us)
        except nvml.NVMLError_NotFound:  # none that computed since
            return busy
        except nvml.NVMLError:
            return None
        return busy | gpu_sharing.mean_percent((int(s.pid), int(s.timeStamp), float(s.smUtil)) for s in samples)


class _Device:
    """One GPU, or the one that a slice is of, and which of NVML's ways to read it work here."""

    def __init__(self, nvml: Any, uuid: str) -> None:
        self._nvml, self._uuid = nvml, uuid
        self._absent = (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_InvalidArgument)
        self._fields, self._calls = set(CALLS), set(CALLS)
        self.share, self.handle = 1.0, None
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
            if self._is_slice:
                handle, self.share = _whole(nvml, handle)
            self.handle = handle
        except nvml.NVMLError:
            pass  # lost before we came: reads None

    @property
    def _is_slice(self) -> bool:
        return self._uuid.startswith("MIG-")

    def read(self) -> Counter:
        at_s = proc.now_s()
        shown = self._shown() if self.handle is not None else {}
        energy_j, power_w = shown.get(ENERGY_FIELD), shown.get(INSTANT_POWER_FIELD)
        method = POWER_METHOD if energy_j is None and power_w is not None else METHOD
        return Counter(
            Component.GPU,
            at_s,
            energy_j,
            self._uuid,
            power_w=power_w,
            method=SLICE_METHOD if self._is_slice else method,
            provenance=Provenance.MODELLED if self._is_slice else Provenance.MEASURED,
            uncertainty_rel=gpu_sharing.UNCERTAINTY_REL if self._is_slice else UNCERTAINTY_REL,
        )

    def _shown(self) -> dict[int, float]:
        """Joules and watts, as far as they can be read now."""
        shown = self._by_fields()
        shown |= {field: value for field in CALLS if field not in shown if (value := self._by_call(field)) is not None}
        return {field: value / 1000 * self.share for field, value in shown.items()}

    def _by_fields(self) -> dict[int, float]:
        if not self._fields:
            return {}
        try:
            values = self._nvml.nvmlDeviceGetFieldValues(self.handle, [(field, 0) for field in sorted(self._fields)])
        except self._absent:
            self._fields.clear()
            return {}
        except self._nvml.NVMLError:
            return {}
        for value in values:
            if value.nvmlReturn in ABSENT:
                self._fields.discard(value.fieldId)
        return {v.fieldId: getattr(v.value, VALUE_MEMBERS[v.valueType]) for v in values if v.nvmlReturn == 0}

    def _by_call(self, field: int) -> float | None:
        if field in self._fields or field not in self._calls:
            return None
        try:
            return int(getattr(self._nvml, CALLS[field])(self.handle))
        except self._absent:
            self._calls.discard(field)
        except self._nvml.NVMLError:
            pass
        return None


def _whole(nvml: Any, slice_handle: object) -> tuple[Any, float]:
    """The GPU that a slice is of, and the slice's part of the SMs that all its slices have together."""
    gpu = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(slice_handle)
    sms = [nvml.nvmlDeviceGetAttributes(each).multiprocessorCount for each in inventory.mig_slices(nvml, gpu)]
    return gpu, gpu_sharing.slice_share(nvml.nvmlDeviceGetAttributes(slice_handle).multiprocessorCount, sum(sms))


def start() -> Any | None:
    """The initialised `pynvml` module, or None on a machine without NVIDIA's driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml
