"""Intel's and AMD's running average power limit counters, through Linux' powercap files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from carbonq.domain.energy import Component, Provenance
from carbonq.domain.ports import Counter
from carbonq.workers.meters.cpu_model import model_name
from carbonq.workers.settings import POWERCAP
from carbonq.workers.shim import powercap, proc

METHOD = "rapl"
UNCERTAINTY_REL = 0.05
"""Of Intel's counters: within a few per cent of external meters on Haswell and later (Khan et al., "RAPL in Action",
ACM ToMPECS 3(2), 2018)."""
AMD_UNCERTAINTY_REL = 0.1
"""AMD's are modelled by the chip from its activity, and miss what depends on the data worked on (Schöne et al., "Energy Efficiency
Aspects of the AMD Zen 2 Architecture", CLUSTER 2021, arXiv:2108.00808). How much that is on a given load: our own estimate."""


class RaplMeter:
    """The packages' and their memory's energy. Reads nothing where the files are missing or may not be read."""

    name = METHOD

    def __init__(self, root: Path = POWERCAP, cpu: str | None = None) -> None:
        self.identity = proc.boot_id()
        self.uncertainty_rel = AMD_UNCERTAINTY_REL if (cpu or model_name()).startswith("AMD") else UNCERTAINTY_REL
        self._powercap = powercap.Powercap(str(root))

    @property
    def is_available(self) -> bool:
        return self._powercap.read().get("cpu") is not None

    def state(self) -> Mapping[str, Sequence[float]]:
        """To be kept on disk with the meter's identity, and given to `resume` by the next process of the same identity."""
        return self._powercap.state()

    def resume(self, state: Mapping[str, Sequence[float]]) -> None:
        """Count on from an earlier process's last reading, over a wrap too, so that nothing is lost while none ran."""
        self._powercap.resume(state)

    def read(self) -> Sequence[Counter]:
        at_s = proc.now_s()
        return tuple(
            Counter(
                Component(component),
                at_s,
                energy_j,
                method=METHOD,
                provenance=Provenance.MEASURED,
                uncertainty_rel=self.uncertainty_rel,
            )
            for component, energy_j in self._powercap.read().items()
        )
