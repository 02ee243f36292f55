"""What a user is told before a job runs: when, how much, and why."""

from pydantic import Field

from carbonq.domain.carbon import Origin, Zone
from carbonq.domain.energy import PowerProfile
from carbonq.domain.job import WaitReason
from carbonq.domain.value import UtcTime, Value


class Alternative(Value):
    """One possible start and what the job would emit there."""

    start: UtcTime
    end: UtcTime
    emissions_g: float


class Quote(Value):
    """A job's place in the plan as it stands: the dry run's answer, and what `submit` prints. Emissions are of all tasks."""

    name: str
    tasks: int
    feasible: bool
    zone: Zone
    pool: str | None
    submitted_at: UtcTime
    planned_start: UtcTime
    planned_end: UtcTime = Field(description="of the last task")
    latest_start: UtcTime
    deadline: UtcTime
    slack_s: float = Field(description="deadline - planned end")
    earliest_finish: UtcTime
    profile: PowerProfile
    energy_j: float = Field(description="of all tasks")
    emissions_now_g: float | None
    emissions_now_low_g: float | None = None
    emissions_now_high_g: float | None = None
    emissions_planned_g: float | None
    emissions_planned_low_g: float | None = None
    emissions_planned_high_g: float | None = None
    unforeseen_tasks: int = Field(default=0, description="whose emissions no forecast tells, planned or at once")
    reason: WaitReason
    detail: str = ""
    source: str
    origin: Origin | None
    attribution: str = ""
    forecast_age_s: float | None
    alternatives: tuple[Alternative, ...] = ()
    warnings: tuple[str, ...] = ()
