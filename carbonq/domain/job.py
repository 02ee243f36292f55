"""A job's life: its states, what moves it between them, why it waits, and the record that the queue keeps of it."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import Field

from carbonq.domain.carbon import Zone
from carbonq.domain.energy import Component, EnergyReading, PowerProfile, Provenance, TraceSegment
from carbonq.domain.value import UtcTime, Value


class JobState(StrEnum):
    PENDING = "pending"  # accepted, not planned: no plan yet, or its parents still run
    SCHEDULED = "scheduled"  # has a planned start
    READY = "ready"  # due: its planned or latest safe start has passed
    RUNNING = "running"
    SUSPENDED = "suspended"  # stopped in place: it keeps its lease and its memory
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # its attempts are spent: kept as a dead letter
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # missed its deadline and said `on_miss: drop`


class Transition(NamedTuple):
    event: str
    source: JobState
    target: JobState


TRANSITIONS = tuple(
    Transition(event, JobState(source), JobState(target))
    for event, sources, target in (
        ("planned", ("pending", "scheduled"), "scheduled"),
        ("unplanned", ("scheduled",), "pending"),
        ("due", ("pending", "scheduled"), "ready"),
        ("postponed", ("ready",), "scheduled"),
        ("leased", ("ready",), "running"),
        ("suspended", ("running",), "suspended"),
        ("resumed", ("suspended",), "running"),
        ("checkpointed", ("running", "suspended"), "scheduled"),
        ("retried", ("running", "suspended"), "pending"),
        ("lost", ("running", "suspended"), "ready"),
        ("adopted", ("pending", "scheduled", "ready"), "running"),
        ("succeeded", ("running", "suspended"), "succeeded"),
        ("failed", ("running", "suspended"), "failed"),
        ("cancelled", ("pending", "scheduled", "ready", "running", "suspended"), "cancelled"),
        ("expired", ("pending", "scheduled", "ready"), "expired"),
    )
    for source in sources
)
"""Every move a job can make. The queue's scripts, the in-memory queue and the docs' diagram are held to this table."""

TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED})
WAITING = frozenset({JobState.PENDING, JobState.SCHEDULED, JobState.READY})
ACTIVE = frozenset({JobState.RUNNING, JobState.SUSPENDED})


def may_move(source: JobState, target: JobState) -> bool:
    return any(move.source is source and move.target is target for move in TRANSITIONS)


class WaitReason(StrEnum):
    CLEANER_SLOT_AHEAD = "CleanerSlotAhead"
    NO_FREE_CAPACITY = "NoFreeCapacity"
    NO_FREE_GPU = "NoFreeGpu"
    NO_WORKER = "NoWorker"
    NO_FORECAST = "NoForecast"
    NOT_BEFORE = "NotBefore"
    WAITS_FOR_PARENTS = "WaitsForParents"
    RETRY_BACKOFF = "RetryBackoff"
    PAUSED = "Paused"
    LEASE_LOST = "LeaseLost"
    DEADLINE_FORCES_START = "DeadlineForcesStart"
    STARTS_NOW = "StartsNow"
    AWAITS_PLAN = "AwaitsPlan"
    PARENT_FAILED = "ParentFailed"


class Outcome(StrEnum):
    """How one attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    CHECKPOINTED = "checkpointed"
    LOST = "lost"  # its lease ran out, or a newer attempt holds the job
    COULD_NOT_START = "could_not_start"  # missing command or workdir


class Requirement(Value):
    """What one task holds while it runs. Equal requirements wait in one line."""

    gpus: int = Field(default=0, ge=0)
    gpu_model: str | None = Field(default=None, description="a case-insensitive part of the model's name")
    gpu_memory_b: int | None = Field(default=None, description="memory of each GPU")
    cpus: int = Field(default=1, ge=1)
    memory_b: int | None = None
    zones: tuple[Zone, ...] = Field(default=(), description="empty: any zone")

    @property
    def units(self) -> int:
        """What the planner counts: GPUs, or CPU slots for a job without one."""
        return self.gpus or self.cpus


class Capacity(Value):
    """What a worker has: in all, or free at the moment."""

    gpus: int = Field(default=0, ge=0)
    gpu_model: str | None = None
    gpu_memory_b: int | None = None
    cpus: int = Field(default=1, ge=0)
    memory_b: int | None = None

    def fits(self, need: Requirement, zone: Zone) -> bool:
        """Whether a task with this need can run here. The lease script applies the same rules in Lua."""
        return (
            need.gpus <= self.gpus
            and need.cpus <= self.cpus
            and (need.memory_b is None or (self.memory_b or 0) >= need.memory_b)
            and (not need.gpus or need.gpu_model is None or need.gpu_model.lower() in (self.gpu_model or "").lower())
            and (not need.gpus or need.gpu_memory_b is None or (self.gpu_memory_b or 0) >= need.gpu_memory_b)
            and (not need.zones or zone in need.zones)
        )


class ComponentAccount(Value):
    """Where a node's joules of one component went. They add up: `counted_j = jobs_j + carbonq_j + unattributed_j`."""

    component: Component
    counted_j: float = Field(ge=0)
    jobs_j: float = Field(ge=0)
    carbonq_j: float = Field(ge=0, description="the worker's and its shims' own")
    unattributed_j: float = Field(ge=0, description="idle, and what others than jobs used")
    method: str
    provenance: Provenance


class NodeAccount(Value):
    """All that a worker's node counted since its account was opened, and who used it."""

    since: UtcTime = Field(description="real time")
    until: UtcTime = Field(description="real time")
    components: tuple[ComponentAccount, ...] = ()


class WorkerInfo(Value):
    """A worker as it registers itself."""

    schema_version: int = 1
    worker_id: str
    host: str
    pool: str = "default"
    zone: Zone
    capacity: Capacity
    free: Capacity
    gpu_uuids: tuple[str, ...] = ()
    meters: tuple[str, ...] = ()
    started_at: UtcTime
    seen_at: UtcTime = Field(description="real time of its last sign of life")
    account: NodeAccount | None = Field(default=None, description="where its node's energy went")


class Lease(Value):
    """One worker's right to run one job until `expires_at` (real time). The fence only ever grows, job by job."""

    job_id: str
    worker_id: str
    fence: int
    attempt: int = Field(ge=1, description="counts this job's attempts, from 1")
    expires_at: UtcTime


class Job(Value):
    """A job as the queue keeps it: what was asked for, and where it stands. Times are grid time unless named real."""

    schema_version: int = 1
    # what was asked for
    id: str
    name: str
    project: str = "default"
    labels: dict[str, str] = Field(default_factory=dict)
    spec_sha256: str
    submitter: str = ""
    folder: str = Field(default="", description="where the job file lay: what a relative workdir starts from")
    submitted_at: UtcTime
    deadline: UtcTime
    not_before: UtcTime | None = None
    latest_start: UtcTime = Field(description="the latest safe start: later, the deadline is at risk")
    requirement: Requirement = Requirement()
    profile: PowerProfile
    priority: int = 0
    needs: tuple[str, ...] = ()
    max_attempts: int = Field(default=1, ge=1)
    retry_on: tuple[Outcome, ...] = (Outcome.FAILED, Outcome.TIMED_OUT)
    drop_when_late: bool = False
    array_id: str | None = None
    array_index: int | None = None
    # where it stands
    state: JobState = JobState.PENDING
    reason: WaitReason | None = None
    reason_detail: str = ""
    planned_start: UtcTime | None = None
    planned_end: UtcTime | None = None
    pool: str | None = None
    planned_emissions_g: float | None = None
    immediate_emissions_g: float | None = None
    fence: int = 0
    attempts: int = 0
    failed_attempts: int = 0
    lost_attempts: int = 0
    worker_id: str | None = None
    lease_expires_at: UtcTime | None = Field(default=None, description="real time")
    cancel_requested: bool = False
    retry_at: UtcTime | None = Field(default=None, description="real time before which a retry does not start")
    started_at: UtcTime | None = None
    finished_at: UtcTime | None = None
    exit_code: int | None = None
    error: str = ""

    @property
    def earliest_start(self) -> datetime:
        """When its user let it start: at submission, or later where `not_before` says so."""
        return max(self.submitted_at, self.not_before or self.submitted_at)

    @property
    def foreseen_g(self) -> float | None:
        """Grams as planned; nothing for a job that ended without a start."""
        return 0.0 if self.finished_at and not self.started_at else self.planned_emissions_g


class Measurement(Value):
    """What the worker saw of one attempt: written once, never changed. Energy of every attempt counts, lost ones too."""

    schema_version: int = 1
    job_id: str
    fence: int
    attempt: int
    worker_id: str
    pool: str
    zone: Zone
    outcome: Outcome
    exit_code: int | None = None
    error: str = ""
    started_at: UtcTime
    ended_at: UtcTime
    real_started_at: UtcTime
    real_ended_at: UtcTime
    readings: tuple[EnergyReading, ...] = ()
    trace: tuple[TraceSegment, ...] = Field(
        default=(), max_length=2000, description="sums to the known readings' energy"
    )
    gpu_uuids: tuple[str, ...] = ()
    gpu_model: str | None = None
    gpu_power_limit_w: float | None = Field(default=None, description="of each GPU, as set while it ran")
    cpu_time_s: float | None = None
    pue: float | None = Field(default=None, ge=1, description="of the site, as its operator states it")
    embodied_g: float | None = Field(
        default=None, ge=0, description="its share of the machine's making, by time and by what it reserved"
    )
    work_done: float | None = Field(default=None, ge=0, description="units of work, as the job reported them last")
    log_lost_b: int = Field(default=0, description="output dropped because the disk was full or the bound reached")

    @property
    def energy_j(self) -> float | None:
        """Joules of the components that are known; None where none is."""
        known = [reading.energy_j for reading in self.readings if reading.energy_j is not None]
        return sum(known) if known else None


class Event(Value):
    """One thing that happened, from the queue's stream. `cursor` orders events and resumes a reading."""

    schema_version: int = 1
    cursor: str
    type: str
    job_id: str = ""
    state: JobState | None = None
    fence: int | None = None
    at: UtcTime = Field(description="grid time")
    real_at: UtcTime
    detail: str = ""
