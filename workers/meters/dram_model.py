"""The power of memory without a counter, by its size alone.

Cloud Carbon Footprint takes 0.392 W for each GB, the mean of two makers' figures (https://www.cloudcarbonfootprint.org/docs/
methodology, "Memory"). That rests on modules of 8 GB; codecarbon takes 5 W for a module of whatever size, which is 0.08 W for
each GB of the largest sold. So the true figure lies anywhere between a fifth of ours and a little more than it.
"""

from collections.abc import Sequence

from carbonq.domain.energy import Component, Provenance
from carbonq.domain.ports import Counter
from carbonq.workers.shim import proc

METHOD = "dram-size"
W_PER_GB = 0.392
UNCERTAINTY_REL = 0.7


def power_w(memory_b: int) -> float:
    """Watts of so much memory, of a node's all or of what a job reserves."""
    return W_PER_GB * memory_b / 1e9


class DramModelMeter:
    """The modelled energy of all the node's memory since the first reading."""

    name = METHOD

    def __init__(self, memory_b: int) -> None:
        self.identity = proc.boot_id()
        self.power_w = power_w(memory_b)
        self._began_s = proc.now_s()

    def read(self) -> Sequence[Counter]:
        at_s = proc.now_s()
        return (
            Counter(
                Component.DRAM,
                at_s,
                self.power_w * (at_s - self._began_s),
                power_w=self.power_w,
                method=METHOD,
                provenance=Provenance.MODELLED,
                uncertainty_rel=UNCERTAINTY_REL,
            ),
        )
