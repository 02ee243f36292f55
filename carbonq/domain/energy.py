"""What was consumed, how that is known, and what is expected to be consumed."""

from enum import StrEnum

from pydantic import Field, model_validator

from carbonq.domain.value import UtcTime, Value


class Provenance(StrEnum):
    MEASURED = "measured"
    MODELLED = "modelled"
    UNKNOWN = "unknown"


class Component(StrEnum):
    GPU = "gpu"
    CPU = "cpu"
    DRAM = "dram"


class EnergyReading(Value):
    """What one component used. Unknown is None, never 0; negative energy does not exist."""

    component: Component
    energy_j: float | None = Field(default=None, ge=0)
    provenance: Provenance
    method: str = Field(description="the meter or model, such as `nvml-counter`, `rapl`, `cpu-model`")
    uncertainty_rel: float | None = Field(default=None, ge=0, description="relative standard uncertainty; 0.1 is 10 %")

    @model_validator(mode="after")
    def _unknown_is_none(self) -> "EnergyReading":
        if (self.energy_j is None) != (self.provenance is Provenance.UNKNOWN):
            raise ValueError("energy is None exactly where its provenance is unknown")
        return self


class TraceSegment(Value):
    """Energy used during `[start, end)` of grid time. Energy is real and never scaled, also in a replay."""

    start: UtcTime
    end: UtcTime
    energy_j: float = Field(ge=0)


class Quantity(Value):
    """An expected value with its 10 % and 90 % quantiles."""

    p50: float = Field(ge=0)
    p10: float = Field(ge=0)
    p90: float = Field(ge=0)

    @classmethod
    def around(cls, p50: float, spread_rel: float) -> "Quantity":
        return cls(p50=p50, p10=p50 * max(0.0, 1 - spread_rel), p90=p50 * (1 + spread_rel))


class PowerProfile(Value):
    """What a job is expected to draw and how long it is expected to run, before it runs."""

    power_w: Quantity
    duration_s: Quantity
    power_method: str = Field(description="`declared`, `past-runs` or the prior's name")
    duration_method: str
    provenance: Provenance = Provenance.MODELLED

    @property
    def energy_j(self) -> float:
        return self.power_w.p50 * self.duration_s.p50
