"""The client that goes straight to Redis: it plans a job at submit, so that a job's start is known and kept at once."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import inf
from time import monotonic, sleep
from typing import TYPE_CHECKING, TypeVar

from carbonq.client import Catalogue, Explanation, Submitted
from carbonq.domain.carbon import Zone
from carbonq.domain.errors import Infeasible, InvalidInput, JobNotFound, QueueUnreachable
from carbonq.domain.job import ACTIVE, TERMINAL, WAITING, Event, Job, JobState, Measurement, WorkerInfo
from carbonq.domain.plan import Plan, PlanSnapshot
from carbonq.domain.ports import (
    Board,
    CarbonOutlook,
    EnergyPredictor,
    JobQuery,
    JobQueue,
    JobRow,
    Ledger,
    LogTail,
    PaceMaker,
    Planner,
)
from carbonq.domain.progress import Underway
from carbonq.domain.quote import Quote
from carbonq.domain.receipt import Receipt
from carbonq.domain.spec import JobFile, JobSpec
from carbonq.domain.time import Clock, iso
from carbonq.domain.units import format_duration
from carbonq.grid_client import GridClient, GridSettings
from carbonq.scheduler.bundles import DEFAULT_MARGIN, Margin, Scene

if TYPE_CHECKING:
    from carbonq.scheduler import quoting

Answer = TypeVar("Answer")

MOST_JOBS = 100_000
"""As many jobs as one look at the queue takes in."""
WAIT_BLOCK_S = 1.0
OUTAGE_S, AGAIN_S = 30.0, 0.5
"""So long who waits or follows bears with a queue that is away, as a private server that starts again; how often it is asked."""
LOOK_AGAIN_S = 60.0
"""How often `wait` looks at all jobs that are left: the queue keeps its last events alone, and a waiter may be stopped."""
ONE_PIECE = "it runs in one piece: `interruptible` is kept, but nothing is paused yet"


@dataclass(frozen=True)
class ClientSettings(GridSettings):
    """What of the settings a client needs."""

    slot_s: int
    horizon_s: int
    margin: Margin = DEFAULT_MARGIN


class QueueClient(GridClient):
    """See `carbonq.client.Client`."""

    def __init__(
        self,
        settings: ClientSettings,
        *,
        queue: JobQueue,
        board: Board,
        ledger: Ledger,
        log_tail: LogTail,
        clock: Clock,
        planner: Planner,
        outlook: CarbonOutlook,
        catalogue: Callable[[], Catalogue],
        predictor: EnergyPredictor,
        pace_maker: PaceMaker | None = None,
    ) -> None:
        super().__init__(settings, board=board, clock=clock, outlook=outlook, catalogue=catalogue)
        self._settings = settings
        self._queue, self._board, self._ledger, self._log_tail = queue, board, ledger, log_tail
        self._planner, self._predictor, self._pace_maker = planner, predictor, pace_maker

    # --- handing in

    def quote(self, file: JobFile) -> Quote:
        return self._quoted(file, job_id=new_id(file.spec.name), submitter="").quote

    def submit(self, file: JobFile, *, job_id: str | None = None, submitter: str = "") -> Submitted:
        if job_id and (known := self._queue.task_ids(job_id)):
            return self._again(file, job_id, self._queue.get_many(known))
        job_id = job_id or new_id(file.spec.name)
        quoted = self._quoted(file, job_id=job_id, submitter=submitter)
        if not quoted.quote.feasible:
            raise _infeasible(quoted.quote)
        new = self._queue.submit(quoted.jobs, {quoted.jobs[0].spec_sha256: file.document})
        return Submitted(job_id, len(quoted.jobs), any(new), quoted.quote)

    def _again(self, file: JobFile, job_id: str, known: list[Job]) -> Submitted:
        """The same id once more: the queue checks that it is the same spec, and keeps what it has."""
        from carbonq.scheduler import quoting

        sha256 = hashlib.sha256(file.document).hexdigest()
        same = [job.model_copy(update={"spec_sha256": sha256}) for job in known]
        self._queue.submit(same, {sha256: file.document})
        quoted = quoting.quote(
            same, self._scene(file.spec.requirement.zones, without=frozenset(job.id for job in same)), self._planner
        )
        return Submitted(job_id, len(same), False, quoted.quote)

    def _quoted(self, file: JobFile, *, job_id: str, submitter: str) -> quoting.Quoted:
        from carbonq.scheduler import quoting

        jobs = quoting.make_jobs(
            file.spec.model_copy(update={"needs": self._parents(file.spec)}),
            self._predictor.predict(file.spec),
            submitted_at=self._clock.now(),
            job_id=job_id,
            spec_sha256=hashlib.sha256(file.document).hexdigest(),
            folder=file.folder,
            submitter=submitter,
            margin=self._settings.margin,
        )
        quoted = quoting.quote(jobs, self._scene(file.spec.requirement.zones), self._planner)
        if file.spec.interruptible is None:
            return quoted
        told = (*quoted.quote.warnings, ONE_PIECE)
        return quoted._replace(quote=quoted.quote.model_copy(update={"warnings": told}))

    def _parents(self, spec: JobSpec) -> tuple[str, ...]:
        """The jobs that it needs, an array by all of its tasks. What is not known is for the queue to refuse."""
        found: list[str] = []
        for name in spec.needs:
            found += self._queue.task_ids(name) or [name]
        if len(found) * spec.tasks > MOST_JOBS:
            raise InvalidInput(
                f"{spec.tasks} tasks that need {len(found)} jobs each are too many links",
                hint="let one job need the array, and the tasks that one job",
            )
        return tuple(found)

    def _scene(self, zones: Sequence[Zone], without: frozenset[str] = frozenset()) -> Scene:
        from carbonq.scheduler.pacing import paces

        now = self._clock.now()
        workers = tuple(self._board.workers())
        wanted = {self._settings.zone, *zones, *(worker.zone for worker in workers)}
        jobs = self._queue.jobs(JobQuery(states=WAITING | ACTIVE, limit=MOST_JOBS))[::-1]
        running = tuple(job for job in jobs if job.state in ACTIVE)
        return Scene(
            now=now,
            default_zone=self._settings.zone,
            waiting=tuple(job for job in jobs if job.state in WAITING and job.id not in without),
            running=running,
            paces=paces(self._board, running, self._pace_maker, now),
            workers=workers,
            forecasts={zone: self.forecast(zone, self._settings.horizon_s / 3600) for zone in wanted},
            slot_s=self._settings.slot_s,
            horizon_s=self._settings.horizon_s,
            margin=self._settings.margin,
        )

    # --- looking

    def jobs(self, query: JobQuery) -> list[Job]:
        return self._queue.jobs(query)

    def rows(self, query: JobQuery) -> list[JobRow]:
        return self._queue.rows(query)

    def counts(self) -> dict[JobState, int]:
        return self._queue.counts()

    def job(self, job_id: str) -> Job:
        first, *others = self.task_ids(job_id)
        if others:
            raise InvalidInput(
                f"{job_id} is an array of {1 + len(others):,} tasks", hint=f"name one of them, such as {first}"
            )
        return self._queue.get(first)

    def tasks(self, job_id: str) -> list[Job]:
        return self._queue.get_many(self.task_ids(job_id))

    def task_ids(self, job_id: str) -> list[str]:
        if known := self._queue.task_ids(job_id):
            return known
        names = self._queue.names(job_id, limit=MOST_JOBS) if job_id else []
        if not names:
            raise JobNotFound(job_id)
        if len(names) > 1:
            raise InvalidInput(
                f"{len(names)} jobs begin with {job_id!r}", hint=f"write more of it: {', '.join(sorted(names)[:4])}"
            )
        return self._queue.task_ids(names[0])

    def spec(self, job_id: str) -> JobSpec:
        from carbonq.jobfile import parse

        job = self._queue.get(self.task_ids(job_id)[0])
        return parse(self._queue.spec(job.id), job.name)

    def measurements(self, job_id: str) -> list[Measurement]:
        return self._queue.measurements(self.job(job_id).id)

    def receipt(self, job_id: str) -> Receipt | None:
        return self._ledger.get(self.job(job_id).id)

    def underway(self, jobs: Iterable[Job]) -> dict[str, Underway]:
        from carbonq.scheduler.pacing import underway

        return underway(self._board, jobs, self._pace_maker, self._clock.now())

    def explain(self, job_id: str) -> Explanation:
        from carbonq.scheduler import quoting

        job = self.job(job_id)
        if job.state not in WAITING:
            return Explanation(job, None, _account_of(job))
        scene = self._scene(job.requirement.zones, without=frozenset({job.id}))
        quote = quoting.quote([job], scene, self._planner).quote
        return Explanation(job, quote, job.reason_detail or quote.detail)

    def events(self, after: str = "", *, limit: int = 1000, block_s: float = 0.0) -> list[Event]:
        return self._queue.events(after, limit=limit, block_s=block_s)

    def logs(self, job_id: str, *, follow: bool = False) -> Iterator[bytes]:
        job, cursor = self.job(job_id), ""
        while True:
            ended, data, cursor = _patiently(partial(self._more_output, job.id, cursor, follow=follow))
            if data:
                yield data
            elif ended or not follow:
                return

    def _more_output(self, job_id: str, cursor: str, *, follow: bool) -> tuple[bool, bytes, str]:
        ended = self._queue.get(job_id).state in TERMINAL
        return ended, *self._log_tail.read(job_id, cursor, block_s=WAIT_BLOCK_S if follow and not ended else 0.0)

    def log_is_cut(self, job_id: str) -> bool:
        return self._log_tail.is_cut(self.job(job_id).id)

    def workers(self) -> list[WorkerInfo]:
        return self._board.workers()

    def plan(self) -> tuple[PlanSnapshot, Plan] | None:
        return self._board.plan()

    def receipts(self, *, since: datetime | None = None, until: datetime | None = None) -> list[Receipt]:
        return self._ledger.latest(since=since, until=until)

    # --- acting

    def cancel(self, job_ids: Sequence[str]) -> list[Job]:
        return self._each(job_ids, self._queue.cancel_many)

    def run_now(self, job_ids: Sequence[str]) -> list[Job]:
        return self._each(job_ids, self._queue.run_now_many)

    def _each(self, job_ids: Sequence[str], act: Callable[[Sequence[str], datetime], list[JobState]]) -> list[Job]:
        ids = [task_id for job_id in job_ids for task_id in self.task_ids(job_id)]
        act(ids, self._clock.now())
        return self._queue.get_many(ids)

    def wait(self, job_ids: Sequence[str], timeout_s: float | None = None) -> Iterator[Job]:
        give_up = monotonic() + (inf if timeout_s is None else timeout_s)
        cursor = self._queue.last_event()
        left = dict.fromkeys(task_id for job_id in job_ids for task_id in self.task_ids(job_id))
        look, looked_at = list(left), monotonic()
        while True:
            for job in _patiently(partial(self._queue.get_many, look), give_up):
                if job.state in TERMINAL:
                    del left[job.id]
                    yield job
            if not left:
                return
            if (now := monotonic()) >= give_up:
                raise TimeoutError(f"{len(left):,} of the jobs have not ended")
            block_s = min(WAIT_BLOCK_S, give_up - now)
            cursor, look = _patiently(partial(self._ended_since, cursor, left, block_s), give_up)
            if now - looked_at > LOOK_AGAIN_S:
                look, looked_at = list(left), now

    def _ended_since(self, cursor: str, wanted: Container[str], block_s: float) -> tuple[str, list[str]]:
        """Which of the wanted jobs have ended after that event, and the cursor to go on from."""
        events = self._queue.events(cursor, block_s=block_s)
        ended = dict.fromkeys(event.job_id for event in events if event.state in TERMINAL and event.job_id in wanted)
        return events[-1].cursor if events else cursor, list(ended)


def _patiently(ask: Callable[[], Answer], until_s: float = inf) -> Answer:
    """The answer, also of a queue that is away for a moment. Raises QueueUnreachable after OUTAGE_S, or at `until_s`."""
    until_s = min(until_s, monotonic() + OUTAGE_S)
    while True:
        try:
            return ask()
        except QueueUnreachable:
            if monotonic() >= until_s:
                raise
            sleep(AGAIN_S)


def new_id(name: str) -> str:
    """A new job's id, made by the client so that submitting again is safe: the name and 40 random bits."""
    return f"{name}-{base64.b32encode(os.urandom(5)).decode().lower()}"


def _infeasible(quote: Quote) -> Infeasible:
    late_s = (quote.earliest_finish - quote.deadline).total_seconds()
    return Infeasible(
        f"{quote.name} cannot be done by its deadline, {iso(quote.deadline)}",
        where=f"the earliest finish is {iso(quote.earliest_finish)}, {format_duration(late_s)} too late",
        hint=quote.detail or "give it a later deadline, a shorter duration, or more machines",
    )


def _account_of(job: Job) -> str:
    """A sentence for a job that no longer waits."""
    if job.state in ACTIVE:
        began = iso(job.started_at) if job.started_at else "now"
        return f"It is {job.state.value} since {began} on {job.worker_id}, attempt {job.attempts}."
    ended = iso(job.finished_at) if job.finished_at else "some time ago"
    why = f": {job.error}" if job.error else f" ({job.reason.value})" if job.reason else ""
    return f"It {'was ' if job.state is JobState.CANCELLED else 'has '}{job.state.value} at {ended}{why}."
