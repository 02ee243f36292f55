"""The one client under the CLI and the Python API alike: the port. `queue_client` goes straight to Redis."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from carbonq.domain.carbon import Forecast, IntensitySeries, SourceInfo, Zone
from carbonq.domain.job import Event, Job, JobState, Measurement, WorkerInfo
from carbonq.domain.plan import Plan, PlanSnapshot
from carbonq.domain.ports import JobQuery, JobRow
from carbonq.domain.progress import Underway
from carbonq.domain.quote import Quote
from carbonq.domain.receipt import Receipt
from carbonq.domain.spec import JobFile, JobSpec


class Submitted(NamedTuple):
    """`job_id` is the one job's id, or the array's."""

    job_id: str
    tasks: int
    new: bool
    quote: Quote


class Explanation(NamedTuple):
    """Why a job stands where it stands."""

    job: Job
    quote: Quote | None  # as of now, for a job that waits
    sentence: str


class ZoneInfo(NamedTuple):
    zone: Zone
    sources: tuple[str, ...]  # in the order they are asked
    note: str


class SourceUse(NamedTuple):
    """A configured source: what it says of itself, how many zones it lists, and why it is not asked, where it is not."""

    name: str
    info: SourceInfo | None  # None where it could not even be set up
    zones: int = 0
    problem: str = ""


class Catalogue(NamedTuple):
    """Which sources list a zone, in the order they are asked, and the sources themselves."""

    zones: Mapping[Zone, tuple[str, ...]]
    sources: tuple[SourceUse, ...]


class Grid(Protocol):
    """What can be asked of the grid. Needs no queue."""

    def now(self) -> datetime: ...
    def forecast(self, zone: Zone | None, hours: float) -> Forecast: ...
    def actual(self, zone: Zone | None, start: datetime, end: datetime) -> IntensitySeries: ...
    def zones(self) -> list[ZoneInfo]: ...
    def sources(self) -> list[SourceUse]:
        """The configured ones, in the order they are asked, and those that are left out."""
        ...


class Client(Grid, Protocol):
    """Errors: those of `carbonq.domain.errors`, by their meaning. An id may be a unique beginning of one."""

    def quote(self, file: JobFile) -> Quote: ...
    def submit(self, file: JobFile, *, job_id: str | None = None, submitter: str = "") -> Submitted:
        """Raises Infeasible, with the earliest finish, for a deadline that cannot be met."""
        ...

    def jobs(self, query: JobQuery) -> list[Job]: ...
    def rows(self, query: JobQuery) -> list[JobRow]:
        """Jobs with each array folded into one row, newest first: see `JobQueue.rows`."""
        ...

    def counts(self) -> dict[JobState, int]: ...
    def job(self, job_id: str) -> Job: ...
    def spec(self, job_id: str) -> JobSpec: ...
    def tasks(self, job_id: str) -> list[Job]:
        """The job itself, or the tasks of the array of that id."""
        ...

    def task_ids(self, job_id: str) -> list[str]:
        """As `tasks`, their ids alone."""
        ...

    def measurements(self, job_id: str) -> list[Measurement]: ...
    def receipt(self, job_id: str) -> Receipt | None: ...
    def underway(self, jobs: Iterable[Job]) -> dict[str, Underway]:
        """By id, how far those of the jobs are that run and told something of their progress."""
        ...

    def explain(self, job_id: str) -> Explanation: ...
    def cancel(self, job_ids: Sequence[str]) -> list[Job]: ...
    def run_now(self, job_ids: Sequence[str]) -> list[Job]: ...
    def wait(self, job_ids: Sequence[str], timeout_s: float | None = None) -> Iterator[Job]:
        """Each job as it ends. Raises TimeoutError."""
        ...

    def events(self, after: str = "", *, limit: int = 1000, block_s: float = 0.0) -> list[Event]: ...
    def logs(self, job_id: str, *, follow: bool = False) -> Iterator[bytes]: ...
    def log_is_cut(self, job_id: str) -> bool:
        """Whether the queue holds only the end of its output; the worker's disk has the whole."""
        ...

    def plan(self) -> tuple[PlanSnapshot, Plan] | None: ...
    def workers(self) -> list[WorkerInfo]: ...
    def receipts(self, *, since: datetime | None = None, until: datetime | None = None) -> list[Receipt]: ...
