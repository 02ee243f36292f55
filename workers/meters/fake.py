"""A meter that shows what a test tells it to."""

from collections.abc import Sequence

from carbonq.domain.energy import Component, Provenance
from carbonq.domain.ports import Counter
from carbonq.workers.shim import proc


class FakeMeter:
    """Counters by device, set by hand: `meter.show("GPU-1", 42.0)`; None is a sensor that cannot be read."""

    name = "fake"
    identity = "fake"

    def __init__(self, component: Component = Component.GPU, **devices: float | None) -> None:
        self._component, self._energy_j = component, dict(devices)

    def show(self, device: str, energy_j: float | None) -> None:
        self._energy_j[device] = energy_j

    def read(self) -> Sequence[Counter]:
        now_s = proc.now_s()
        return tuple(
            Counter(
                self._component,
                now_s,
                energy_j,
                device,
                method=self.name,
                provenance=Provenance.MEASURED,
                uncertainty_rel=0.01,
            )
            for device, energy_j in self._energy_j.items()
        )
