"""Which meters a node's packages and memory are read by: the best there is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from carbonq.domain.energy import Component
from carbonq.domain.ports import Meter
from carbonq.workers.meters.cpu_model import CpuModelMeter, node_constants
from carbonq.workers.meters.dram_model import DramModelMeter
from carbonq.workers.meters.pyrapl import PyRaplMeter
from carbonq.workers.meters.rapl import RaplMeter

Preference = Literal["rapl", "pyrapl", "model"]


def cpu_meter(powercap_dir: Path, prefer: Preference = "rapl", data_dir: Path | None = None) -> Meter:
    """What is preferred where it can be read, else the own reader of RAPL, else the model with this node's constants."""
    if prefer == "pyrapl" and (foreign := PyRaplMeter()).is_available:
        return foreign
    if prefer != "model" and (own := RaplMeter(powercap_dir)).is_available:
        return own
    return CpuModelMeter(node_constants(data_dir))


def node_meters(
    powercap_dir: Path, memory_b: int | None, prefer: Preference = "rapl", data_dir: Path | None = None
) -> Sequence[Meter]:
    """The packages' meter, and the memory's model where no counter shows it and its size is known."""
    cpu = cpu_meter(powercap_dir, prefer, data_dir)
    is_counted = any(counter.component is Component.DRAM for counter in cpu.read())
    return (cpu,) if is_counted or memory_b is None else (cpu, DramModelMeter(memory_b))
