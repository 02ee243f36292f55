"""What is known of a worker's machine beside its meters: its calibration, its building's PUE, its making. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from carbonq.domain.energy import EnergyReading
from carbonq.domain.job import Capacity, Requirement
from carbonq.workers import calibration, embodied
from carbonq.workers.calibration import Calibration


@dataclass(frozen=True)
class Site:
    """`embodied_g`: CO2e of making the whole machine; None for what its operator has not told."""

    capacity: Capacity
    calibration: Calibration | None = None
    pue: float | None = None
    embodied_g: float | None = None
    lifetime_s: float = 1.0

    def share(self, need: Requirement) -> float:
        """The part of the machine that an attempt reserves: the mean of its shares of CPU slots and of GPUs."""
        shares = [need.cpus / max(1, self.capacity.cpus)]
        if self.capacity.gpus:
            shares.append(need.gpus / self.capacity.gpus)
        return min(1.0, sum(shares) / len(shares))

    def other(self, seen: Sequence[EnergyReading], duration_s: float, need: Requirement) -> EnergyReading | None:
        """What no meter saw of an attempt; None on a machine that was never calibrated."""
        if self.calibration is None:
            return None
        return calibration.other(seen, duration_s, self.share(need), self.calibration)

    def embodied_of(self, duration_s: float, need: Requirement) -> float | None:
        """Grams of the machine's making that are an attempt's."""
        if self.embodied_g is None:
            return None
        return embodied.embodied_g(self.embodied_g, self.lifetime_s, duration_s, self.share(need))
