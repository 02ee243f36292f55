"""A meter that plays back recorded readings, for tests and for what-if runs."""

from collections.abc import Sequence
from itertools import pairwise

from carbonq.domain.energy import Component, Provenance
from carbonq.domain.ports import Counter
from carbonq.workers.attribution import counted
from carbonq.workers.shim import proc


class ReplayMeter:
    """Counts as a recording did: `readings` are (seconds since its start, joules); between them it counts evenly.

    The recording starts with the first reading taken. After its end the counter stands still.
    """

    identity = "replay"

    def __init__(
        self,
        readings: Sequence[tuple[float, float]],
        component: Component = Component.GPU,
        device: str = "",
        *,
        name: str = "replay",
        provenance: Provenance = Provenance.MODELLED,
    ) -> None:
        curve = counted(readings)
        if curve is None or len(curve.at_s) < 2 or any(b < a for (_, a), (_, b) in pairwise(sorted(readings))):
            raise ValueError("a recording needs two readings or more, and may not count down")
        self.name, self.provenance = name, provenance
        self._curve, self._component, self._device = curve, component, device
        self._started_s: float | None = None

    def read(self) -> Sequence[Counter]:
        now_s = proc.now_s()
        self._started_s = now_s if self._started_s is None else self._started_s
        return (
            Counter(
                self._component,
                now_s,
                self._curve.at(now_s - self._started_s),
                self._device,
                method=self.name,
                provenance=self.provenance,
                uncertainty_rel=0.0,
            ),
        )
