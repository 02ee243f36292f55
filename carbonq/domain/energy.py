"""What was consumed, how that is known, and what is expected to be consumed."""

from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum
from math import hypot, isfinite
from typing import NamedTuple

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
    OTHER = "other"  # what no meter sees of the machine: power supply, fans, disks; known by its calibration alone


class Rung(StrEnum):
    """How good a way to know an energy is: the ladder that every component is taken down, best first."""

    COUNTER = "counter"  # the hardware counts joules
    POWER_INTEGRAL = "power-integral"  # its power, sampled and added up
    FITTED_MODEL = "fitted-model"  # a model of utilisation, fitted on this very node
    PRIOR = "prior"  # rated power, or a model with constants of other machines


class EnergyReading(Value):
    """What one component used. Unknown is None, never 0; negative energy does not exist."""

    component: Component
    energy_j: float | None = Field(default=None, ge=0)
    provenance: Provenance
    method: str = Field(description="the meter or model, such as `nvml-counter`, `rapl`, `cpu-model`")
    rung: Rung | None = Field(default=None, description="where on the ladder of methods; None where nothing is known")
    uncertainty_rel: float | None = Field(default=None, ge=0, description="relative standard uncertainty; 0.1 is 10 %")
    cross_check_j: float | None = Field(default=None, ge=0, description="what a second, independent way read meanwhile")
    cross_check_method: str | None = None
    flags: tuple[str, ...] = Field(default=(), description="what a reader should know: resets, gaps, disagreement")

    @model_validator(mode="after")
    def _unknown_is_none(self) -> "EnergyReading":
        if (self.energy_j is None) != (self.provenance is Provenance.UNKNOWN):
            raise ValueError("energy is None exactly where its provenance is unknown")
        return self


class Total(NamedTuple):
    """The known readings added up. `uncertainty_rel` is None where one of them has none, or nothing is known."""

    energy_j: float | None
    uncertainty_rel: float | None
    unknown: int  # readings that the sum lacks


def total_of(readings: Iterable[EnergyReading]) -> Total:
    """Readings of parts, attempts or jobs as one, with the relative standard uncertainty of their sum.

    A method errs the same way each time it is used, so its errors add up; different methods err independently, so
    they combine as the root of the sum of squares (JCGM 100:2008, 5.1.2 and 5.2.2; docs/adr/0051).
    """
    total_j, known, unknown, is_sure = 0.0, 0, 0, True
    error_j: defaultdict[tuple[Component, str], float] = defaultdict(float)
    for reading in readings:
        if reading.energy_j is None:
            unknown += 1
            continue
        known += 1
        total_j += reading.energy_j
        is_sure = is_sure and reading.uncertainty_rel is not None
        error_j[reading.component, reading.method] += reading.energy_j * (reading.uncertainty_rel or 0.0)
    uncertainty_rel = hypot(*error_j.values()) / total_j if is_sure and total_j > 0 else None
    if uncertainty_rel is not None and not isfinite(uncertainty_rel):  # of next to nothing
        uncertainty_rel = None
    return Total(total_j if known else None, uncertainty_rel, unknown)


class TraceSegment(Value):
    """Energy used during `[start, end)` of grid time. Energy is real and never scaled, also in a replay."""

    start: UtcTime
    end: UtcTime
    energy_j: float = Field(ge=0)


class Quantity(Value):
    """An expected value with its 10 % and 90 % quantiles, and where they are known its 5 % and 95 % ones."""

    p50: float = Field(ge=0)
    p10: float = Field(ge=0)
    p90: float = Field(ge=0)
    p05: float | None = Field(default=None, ge=0)
    p95: float | None = Field(default=None, ge=0)

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
    energy: Quantity | None = Field(default=None, description="joules, where they are predicted as such")
    runs: int = Field(default=0, ge=0, description="how many past runs it rests on")

    @property
    def energy_j(self) -> float:
        return self.energy.p50 if self.energy else self.power_w.p50 * self.duration_s.p50
