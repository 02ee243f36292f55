"""What a job used and emitted, what it would have emitted at once, and what was avoided."""

from enum import StrEnum

from pydantic import Field

from carbonq.domain.carbon import Origin, Scope, SignalKind, Zone
from carbonq.domain.energy import EnergyReading, Quantity
from carbonq.domain.job import JobState
from carbonq.domain.value import UtcTime, Value

ACTUALS_CHANGED = "actuals changed"
"""How a note begins on a receipt whose grid corrected its figures after it was settled."""


class ReceiptStatus(StrEnum):
    PROVISIONAL = "provisional"  # part of the actual intensity has not been published yet
    SETTLED = "settled"


class EmissionsSlot(Value):
    """Energy used in `[start, end)` of grid time, the intensity it met, and the grams that makes."""

    start: UtcTime
    end: UtcTime
    energy_j: float
    intensity_g_per_kwh: float | None
    origin: Origin | None
    emissions_g: float | None


class Baseline(Value):
    """The same job started at once: at submission, or as soon as capacity was free, in the same pool."""

    start: UtcTime
    end: UtcTime
    emissions_g: float | None
    waited_for_capacity_s: float = 0.0


class Receipt(Value):
    """One finished job's account. Revisions are appended, never changed in place; the last one counts.

    `avoided_g` = baseline - emissions, never clipped. `forecast_avoided_g` is what the plan promised at the start.
    Energy of lost and failed attempts is in `overhead_energy_j` and in the emissions, but not in the baseline.
    """

    schema_version: int = 1
    revision: int = 1
    status: ReceiptStatus
    issued_at: UtcTime
    job_id: str
    name: str
    project: str
    labels: dict[str, str] = Field(default_factory=dict)
    state: JobState
    zone: Zone
    pool: str
    submitted_at: UtcTime
    started_at: UtcTime | None
    finished_at: UtcTime
    deadline: UtcTime
    deadline_met: bool | None
    delay_s: float | None = Field(description="actual start - baseline start")
    duration_s: float | None
    attempts: int
    energy_j: float | None
    overhead_energy_j: float | None = None
    readings: tuple[EnergyReading, ...] = ()
    slots: tuple[EmissionsSlot, ...] = ()
    emissions_g: float | None
    baseline: Baseline | None
    avoided_g: float | None
    forecast_avoided_g: float | None = None
    pue: float | None = Field(default=None, ge=1, description="of the sites where it ran, weighted by energy")
    facility_energy_j: float | None = Field(
        default=None, ge=0, description="cooling and losses of the building by its PUE; in no other figure"
    )
    facility_g: float | None = Field(default=None, description="what that energy emitted; in no other figure")
    embodied_g: float | None = Field(
        default=None, ge=0, description="its share of the machines' making; in no other figure"
    )
    predicted_energy_j: Quantity | None = Field(default=None, description="as foreseen when it was submitted")
    predicted_duration_s: Quantity | None = Field(default=None, description="as foreseen when it was submitted")
    prediction_method: str = ""
    intensity_source: str
    signal: SignalKind | None = Field(default=None, description="of the intensity; None where none was known")
    scope: Scope | None = None
    intensity_origins: tuple[Origin, ...] = ()
    attribution: str = ""
    actuals_changed_at: UtcTime | None = Field(
        default=None, description="when the grid's figures were last found to have changed after it was settled"
    )
    notes: tuple[str, ...] = Field(default=(), description="what was not known, assumed or replayed")
