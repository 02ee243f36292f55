"""CPU power by a model, for machines without a readable counter: linear in utilisation, between an idle and a full draw.

The constants are the Cloud Carbon Footprint project's averages for a hardware thread, from SPECpower_ssj2008 results of
servers: 0.71 to 0.78 W idle and 3.5 to 4.26 W at full load, by cloud. The upper ends are taken, so that a model rather
says too much than too little. https://www.cloudcarbonfootprint.org/docs/methodology (coefficients)
The error of such a model on an unknown machine is large: laptops draw less, few fast cores draw more.
"""

from collections.abc import Sequence

from carbonq.domain.energy import Component, Provenance
from carbonq.domain.ports import Counter
from carbonq.workers.inventory import usable_cpus
from carbonq.workers.shim import counters, proc

IDLE_W_PER_CPU = 0.78
BUSY_W_PER_CPU = 4.26
UNCERTAINTY_REL = 0.5
METHOD = "cpu-model"


class CpuModelMeter:
    """The whole node's modelled CPU energy."""

    name = METHOD

    def __init__(self, cpus: int | None = None) -> None:
        self.identity = proc.boot_id()
        self.cpus = cpus or usable_cpus()

    def read(self) -> Sequence[Counter]:
        at_s, busy_s = proc.now_s(), counters.node_busy_s()
        energy_j = (
            None if busy_s is None else self.cpus * IDLE_W_PER_CPU * at_s + (BUSY_W_PER_CPU - IDLE_W_PER_CPU) * busy_s
        )
        return (
            Counter(
                Component.CPU,
                at_s,
                energy_j,
                method=METHOD,
                provenance=Provenance.MODELLED,
                uncertainty_rel=UNCERTAINTY_REL,
            ),
        )
