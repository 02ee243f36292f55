"""The ports: what the parts ask of each other. Adapters implement them; `bootstrap` puts them together.

Every adapter of a port passes the port's one contract suite under `tests/contract/`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol, Self

from carbonq.domain.carbon import Forecast, IntensitySeries, SourceInfo, Zone
from carbonq.domain.energy import Component, PowerProfile, Provenance
from carbonq.domain.job import WAITING, Event, Job, JobState, Lease, Measurement, WaitReason, WorkerInfo
from carbonq.domain.plan import Plan, PlanSnapshot
from carbonq.domain.progress import Pace, Progress
from carbonq.domain.receipt import Receipt
from carbonq.domain.spec import JobSpec
from carbonq.domain.time import TimeMapping

# --- the queue


class PlannedStart(NamedTuple):
    """One job's place in the plan, as the queue keeps it."""

    job_id: str
    start: datetime
    end: datetime
    pool: str | None
    reason: WaitReason
    detail: str = ""
    emissions_g: float | None = None


class Grant(NamedTuple):
    """What a worker gets with a lease: the job as it stood, its spec byte for byte, and the lease."""

    job: Job
    spec: bytes
    lease: Lease


class LeaseStatus(StrEnum):
    HELD = "held"
    STALE = "stale"  # a newer attempt holds the job, or it has ended: stop
    CANCEL = "cancel"  # still held, but its user wants it stopped


class JobQuery(NamedTuple):
    """Which jobs to list: newest first."""

    states: frozenset[JobState] | None = None
    project: str | None = None
    array_id: str | None = None
    limit: int = 100
    offset: int = 0


class JobRow(NamedTuple):
    """A job, or all tasks of an array as one. Of an array, `lead` is the task to start next, else the one that runs
    longest, else a failed one, else the last to end."""

    id: str
    lead: Job
    counts: Mapping[JobState, int]  # of the tasks, states without one left out
    start: datetime | None  # the earliest there is, actual or planned
    end: datetime | None  # the latest there is, actual or planned
    emissions_g: float | None  # by receipt where there is one, else as foreseen; None where any task's is unknown

    @classmethod
    def of(cls, job: Job, emissions_g: float | None) -> Self:
        """A job by itself."""
        start = job.planned_start if job.state in WAITING else job.started_at or job.planned_start
        return cls(job.id, job, {job.state: 1}, start, job.finished_at or job.planned_end, emissions_g)

    @property
    def tasks(self) -> int:
        return sum(self.counts.values())


class JobQueue(Protocol):
    """The queue's guarantees. Each method that changes something is one atomic step; `now` is grid time.

    Leases, backoff and retention run on the server's own real time. Errors: `QueueUnreachable`, `QueueRefused`.
    """

    def submit(self, jobs: Sequence[Job], specs: Mapping[str, bytes]) -> list[bool]:
        """Accept jobs; `specs` maps sha256 to bytes. True for new, False for the same job again. Raises JobConflict for an id
        taken by another spec, and NotFound for an unknown parent; then nothing of the failing job is stored."""
        ...

    def assign(self, starts: Sequence[PlannedStart], now: datetime) -> int:
        """Give waiting jobs their planned starts; skips jobs that no longer wait. Returns how many changed."""
        ...

    def lease(self, worker: WorkerInfo, now: datetime, *, limit: int = 1, lease_s: float = 30.0) -> list[Grant]:
        """Whatever is due (planned start or latest safe start passed, or `ready`) and fits `worker.free`, best first.
        Needs no scheduler: due jobs become ready in the same step."""
        ...

    def heartbeat(self, leases: Sequence[Lease], *, lease_s: float = 30.0) -> list[LeaseStatus]:
        """Renew. A fence newer than the server's (its data was lost) is adopted: the job is running again under it."""
        ...

    def finish(self, measurement: Measurement, *, backoff_s: float = 0.0) -> bool:
        """End an attempt. False for a stale fence: no state changes, but the measurement is kept once, as overhead.
        A retry waits `backoff_s` of real time. Idempotent by attempt."""
        ...

    def cancel(self, job_id: str, now: datetime) -> JobState:
        """Cancel in any state: waiting jobs at once, running ones through their worker. Returns the state after the call."""
        ...

    def run_now(self, job_id: str, now: datetime) -> JobState:
        """Make a waiting job due at once (its parents permitting)."""
        ...

    def cancel_many(self, job_ids: Sequence[str], now: datetime) -> list[JobState]:
        """`cancel` for many jobs in few round trips, each by itself. Raises JobNotFound after all others are cancelled."""
        ...

    def run_now_many(self, job_ids: Sequence[str], now: datetime) -> list[JobState]:
        """As `cancel_many`."""
        ...

    def recover(self, now: datetime) -> list[str]:
        """Return jobs whose lease has run out to the queue; within one lease of the server's restart, none. Job ids."""
        ...

    def retain(self, older_than_s: float, *, limit: int = 1000) -> int:
        """Delete records of jobs that ended longer ago (real time) and are booked. Dead letters stay. Returns how many."""
        ...

    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        ...

    def get_many(self, job_ids: Sequence[str]) -> list[Job]:
        """In that order, in few round trips. Raises JobNotFound."""
        ...

    def spec(self, job_id: str) -> bytes:
        """The spec as submitted, byte for byte. Raises JobNotFound."""
        ...

    def jobs(self, query: JobQuery) -> list[Job]: ...

    def rows(self, query: JobQuery) -> list[JobRow]:
        """The jobs that match, an array's tasks folded into one row: that of an array counts every task, also those in
        other states. With `array_id` its tasks, each in a row of its own."""
        ...

    def names(self, beginning: str, *, limit: int) -> list[str]:
        """Ids of jobs and of arrays (not of their tasks) that begin so, newest first."""
        ...

    def task_ids(self, job_id: str) -> list[str]:
        """The id itself, the ids of an array's tasks in the order of submission, or nothing for an unknown id."""
        ...

    def counts(self) -> dict[JobState, int]: ...

    def measurements(self, job_id: str) -> list[Measurement]:
        """Of every attempt, oldest first."""
        ...

    def unbooked(self, limit: int = 1000) -> list[str]:
        """Ids of jobs that have ended and have no receipt yet."""
        ...

    def events(self, after: str = "", *, limit: int = 1000, block_s: float = 0.0) -> list[Event]:
        """What happened after that cursor (empty: from the oldest kept), waiting up to `block_s` for something new."""
        ...

    def last_event(self) -> str:
        """The cursor after which only what is still to happen is read."""
        ...

    def next_due(self) -> datetime | None:
        """The grid time at which the next waiting job becomes due; in the past while ready jobs wait; None without any."""
        ...

    def wait_for_change(self, cursor: str, timeout_s: float) -> str:
        """Block until jobs may have become due sooner (submitted, planned, run-now, freed, retried) or the time is over.
        Returns the cursor for the next call; start with the empty one, which returns at once."""
        ...

    def ping(self) -> None:
        """Raises QueueUnreachable or QueueRefused."""
        ...


class LogTail(Protocol):
    """A bounded tail of each job's output. The worker's disk holds the whole."""

    def append(self, job_id: str, fence: int, data: bytes) -> None: ...

    def read(self, job_id: str, after: str = "", *, block_s: float = 0.0) -> tuple[bytes, str]:
        """Output after that cursor, and the cursor to go on from."""
        ...

    def is_cut(self, job_id: str) -> bool:
        """Whether older output than `read` gives was dropped."""
        ...


class Ledger(Protocol):
    """Receipts: appended, never changed."""

    def book(self, receipt: Receipt) -> None:
        """Append a revision and mark its job as booked, in one step."""
        ...

    def latest(self, *, since: datetime | None = None, until: datetime | None = None) -> list[Receipt]:
        """The last revision of each receipt whose job finished in `[since, until)`, by finish."""
        ...

    def get(self, job_id: str) -> Receipt | None: ...


class Board(Protocol):
    """What the processes tell each other beside the queue: forecasts, actual intensity, workers, the plan, the clock."""

    def put_forecast(self, forecast: Forecast) -> None: ...
    def forecast(self, zone: Zone) -> Forecast | None: ...
    def put_actual(self, series: IntensitySeries) -> None:
        """Add readings to the recent window of past intensity; later readings of the same time replace earlier ones."""
        ...

    def actual(self, zone: Zone) -> IntensitySeries | None: ...
    def put_worker(self, worker: WorkerInfo, ttl_s: float) -> None: ...
    def remove_worker(self, worker_id: str) -> None: ...
    def workers(self) -> list[WorkerInfo]:
        """Those that gave a sign of life within their time to live."""
        ...

    def put_progress(self, progress: Progress, ttl_s: float) -> bool:
        """What a running attempt tells; it is forgotten unless told again within `ttl_s` of real time. False, and nothing
        changes, where an attempt with a newer fence has told of itself."""
        ...

    def progress(self, job_ids: Sequence[str]) -> dict[str, Progress]:
        """Of those that told something, in one round trip. Whoever asks compares the fence with the job's."""
        ...

    def put_plan(self, snapshot: PlanSnapshot, plan: Plan) -> None: ...
    def plan(self) -> tuple[PlanSnapshot, Plan] | None: ...
    def put_time_mapping(self, mapping: TimeMapping | None) -> None: ...
    def time_mapping(self) -> TimeMapping | None: ...
    def put_energy_model(self, state: bytes) -> None:
        """Keep what was learnt from past runs, whole, in place of what was kept before."""
        ...

    def energy_model(self) -> bytes | None:
        """As it was put. Whether it can be read, and is of this version, its reader says."""
        ...

    def lead(self, holder: str, ttl_s: float) -> bool:
        """Take or keep the leader's lock. False while another holds it."""
        ...

    def resign(self, holder: str) -> None: ...


# --- foresight


class IntensitySource(Protocol):
    """One provider of carbon intensity, of one signal. Errors: `SourceUnreachable`, `SourceNonsense`."""

    @property
    def name(self) -> str: ...

    @property
    def info(self) -> SourceInfo: ...

    def zones(self) -> Sequence[Zone]: ...

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        """Past readings within `[start, end)`, as far as there are any."""
        ...

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        """Expected intensity over slots that cover `[now, end)`, as far as it reaches. Raises NotFound for an unknown zone
        and, whatever the zone, where `info.forecasts` is false."""
        ...


class Revised(NamedTuple):
    """Past intensity that is no longer what `history` once answered: corrected, or reported where a gap had been filled."""

    zone: Zone
    start: datetime
    end: datetime


class CarbonOutlook(Protocol):
    """What is known of every zone's intensity, from whatever source knows it best. Always answers, and says how it knows.

    `refresh`, `refit` and `keep_up` may each run in a thread of their own beside those that ask.
    """

    def refresh(self, zone: Zone, now: datetime, end: datetime) -> None:
        """Ask the sources for what is new; takes as long as they take, and raises nothing of theirs."""
        ...

    def refit(self, now: datetime, *, limit: int) -> int:
        """Let at most `limit` models learn from what has come since, where it is time; takes seconds each. How many learnt."""
        ...

    def keep_up(self, now: datetime) -> None:
        """Tidy what is kept on disk."""
        ...

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        """Past readings within `[start, end)`, as far as there are any yet."""
        ...

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        """Expected intensity over slots that cover `[now, end)` wholly."""
        ...

    def revised(self, since: datetime) -> Sequence[Revised]:
        """What of the past was found to have changed at `since` or later."""
        ...


class PastRun(NamedTuple):
    """A job that succeeded, with every attempt's measurement."""

    job_id: str
    spec: JobSpec
    measurements: Sequence[Measurement]


class EnergyPredictor(Protocol):
    """Power, energy and duration of a job before it runs."""

    def predict(self, spec: JobSpec) -> PowerProfile: ...

    def learn(self, runs: Sequence[PastRun]) -> int:
        """Take in runs, the same one once however often it is told within a while, and keep what was learnt. How many were
        taken in."""
        ...

    def recall(self) -> bool:
        """Go on from what was kept. False where there is nothing, or nothing that this version can read."""
        ...


class PaceMaker(Protocol):
    """A running job's pace from what it tells of its progress. Pure."""

    def __call__(self, profile: PowerProfile, progress: Progress, now: datetime) -> Pace | None:
        """None while too little is known: the profile then stands."""
        ...


class Planner(Protocol):
    """Pure: the same snapshot gives the same plan."""

    def plan(self, snapshot: PlanSnapshot) -> Plan: ...


# --- measuring


class Counter(NamedTuple):
    """One device's reading at one moment, as the sensor gives it.

    `energy_j` counts up from an arbitrary start, and from a new one after a reset. What cannot be read is None.
    """

    component: Component
    monotonic_s: float
    energy_j: float | None
    device: str = ""
    power_w: float | None = None  # at this moment, or over the sensor's own short window before it
    method: str = ""
    provenance: Provenance = Provenance.UNKNOWN
    uncertainty_rel: float | None = None


class Meter(Protocol):
    """One kind of sensor on this node. `read` is cheap, never blocks for long and never raises: what fails reads None."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str:
        """Within what the counters go on: another boot or another driver's load may start them anew."""
        ...

    def read(self) -> Sequence[Counter]: ...
