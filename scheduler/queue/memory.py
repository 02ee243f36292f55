"""The queue within one process: the same rules as the scripts, in plain Python, for tests and for simulations.

It scans where Redis keeps indexes, so that each rule can be read in one place; the contract suite holds the two equal.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from carbonq.domain.errors import InvalidInput, JobConflict, JobNotFound, NotFound
from carbonq.domain.job import (
    ACTIVE,
    TERMINAL,
    WAITING,
    Capacity,
    Event,
    Job,
    JobState,
    Lease,
    Measurement,
    Outcome,
    WaitReason,
    WorkerInfo,
)
from carbonq.domain.ports import Grant, JobQuery, JobRow, LeaseStatus, PlannedStart
from carbonq.scheduler.queue.folding import leader, part_of, row_of
from carbonq.scheduler.queue.rules import MAX_LOST_ATTEMPTS, drop_time, due_time
from carbonq.scheduler.queue.wire import MAX_ERROR_CHARS, check_id

S = JobState
POLL_S = 0.005


@dataclass
class _Record:
    job: Job
    submission: int
    not_before: datetime | None
    drop_at: datetime | None
    parents: set[str]  # those that have not ended
    children: list[str] = field(default_factory=list)
    measurements: dict[int, tuple[bool, Measurement]] = field(default_factory=dict)  # by fence: accepted, what
    retry_at: float | None = None
    lease_until: float | None = None
    ended: float = 0.0
    booked: tuple[float | None] | None = None  # what its receipt says, once there is one

    @property
    def state(self) -> JobState:
        return self.job.state

    @property
    def due(self) -> datetime:
        """When it becomes ready, once neither parents nor backoff hold it."""
        return due_time(self.job.latest_start, self.job.planned_start, self.not_before)

    @property
    def rank(self) -> tuple[int, datetime, int]:
        return -self.job.priority, self.job.latest_start, self.submission


_LASTING = frozenset({WaitReason.STARTS_NOW, WaitReason.NO_WORKER, WaitReason.NO_FREE_GPU, WaitReason.NO_FREE_CAPACITY})
"""What a plan says of a job that is still true once the job is due."""


class MemoryQueue:
    """`JobQueue` without a server. `real_now` tells real time in seconds since 1970. One thread at a time."""

    def __init__(
        self, *, real_now: Callable[[], float] = time.time, max_lost_attempts: int = MAX_LOST_ATTEMPTS
    ) -> None:
        self._real_now = real_now
        self._max_lost_attempts = max_lost_attempts
        self._records: dict[str, _Record] = {}
        self._specs: dict[str, bytes] = {}
        self._unbooked: dict[str, float] = {}
        self._events: list[Event] = []
        self._submissions = count(1)
        self._changes = 0

    # --- accepting and planning

    def submit(self, jobs: Sequence[Job], specs: Mapping[str, bytes]) -> list[bool]:
        for job in jobs:
            for job_id in (job.id, *job.needs):
                check_id(job_id)
            if job.spec_sha256 not in specs:
                raise InvalidInput(f"no bytes are given for the spec {job.spec_sha256}")
        answers = [self._accept(job, specs) for job in jobs]
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return [answer is True for answer in answers]

    def _accept(self, job: Job, specs: Mapping[str, bytes]) -> bool | Exception:
        if known := self._records.get(job.id):
            same = known.job.spec_sha256 == job.spec_sha256
            return False if same else JobConflict(f"the id {job.id!r} is taken by another job")
        if unknown := [name for name in job.needs if name not in self._records]:
            return NotFound(f"job {job.id!r} needs {unknown[0]!r}, which the queue does not know")
        parents = [self._records[name] for name in dict.fromkeys(job.needs)]
        running = [parent for parent in parents if parent.state not in TERMINAL]
        failed = [parent.job.id for parent in parents if parent.state in TERMINAL - {S.SUCCEEDED}]
        state = S.SCHEDULED if job.planned_start and not running else S.PENDING
        reason = WaitReason.WAITS_FOR_PARENTS if running else job.reason
        record = _Record(
            job=job.model_copy(update={"state": state, "reason": reason, "fence": 0, "attempts": 0}),
            submission=next(self._submissions),
            not_before=job.not_before,
            drop_at=drop_time(job),
            parents={parent.job.id for parent in running},
        )
        self._records[job.id] = record
        self._specs[job.spec_sha256] = specs[job.spec_sha256]
        self._announce("submitted", record, job.submitted_at)
        if failed:
            self._orphan(record, failed[-1], job.submitted_at)
        else:
            for parent in running:
                parent.children.append(job.id)
            if self._can_become_ready(record) and record.due <= job.submitted_at:
                self._become_ready(record, job.submitted_at)
        self._changes += 1
        return True

    def assign(self, starts: Sequence[PlannedStart], now: datetime) -> int:
        return sum(self._place(planned, now) for planned in starts)

    def _place(self, planned: PlannedStart, now: datetime) -> bool:
        record = self._records.get(planned.job_id)
        if record is None or record.state not in WAITING:
            return False
        job, before = record.job, record.due
        place: dict[str, Any] = {
            "planned_start": planned.start,
            "planned_end": planned.end,
            "pool": planned.pool,
            "planned_emissions_g": planned.emissions_g,
        }
        why = {"reason": planned.reason, "reason_detail": planned.detail}
        compared = place if record.parents else place | why
        if all(getattr(job, name) == value for name, value in compared.items()):
            return False
        if record.parents:
            self._change(record, **place)
        elif job.state is S.READY and (planned.start <= now or now >= job.latest_start):
            self._changes += job.pool != planned.pool
            self._change(record, **place, **why)
        else:
            event = "postponed" if job.state is S.READY else "planned"
            self._change(record, state=S.SCHEDULED, **place, **why)
            self._changes += record.due < before
            self._announce(event, record, now, planned.reason)
        return True

    def run_now(self, job_id: str, now: datetime) -> JobState:
        record = self._find(job_id)
        if record.state not in WAITING:
            return record.state
        record.not_before, record.retry_at = None, None
        self._change(record, planned_start=now, planned_end=None, planned_emissions_g=None, pool=None, retry_at=None)
        if not record.parents:
            if record.state is not S.READY:
                self._change(record, reason=WaitReason.STARTS_NOW, reason_detail="")
                self._become_ready(record, now)
            self._changes += 1
        return record.state

    def cancel(self, job_id: str, now: datetime) -> JobState:
        record = self._find(job_id)
        if record.state in WAITING:
            self._change(record, cancel_requested=True)
            self._end(record, S.CANCELLED, now)
        elif record.state in ACTIVE and not record.job.cancel_requested:
            self._change(record, cancel_requested=True)
            self._announce("cancel_requested", record, now)
        return record.state

    def cancel_many(self, job_ids: Sequence[str], now: datetime) -> list[JobState]:
        return _each(job_ids, lambda job_id: self.cancel(job_id, now))

    def run_now_many(self, job_ids: Sequence[str], now: datetime) -> list[JobState]:
        return _each(job_ids, lambda job_id: self.run_now(job_id, now))

    # --- running

    def lease(self, worker: WorkerInfo, now: datetime, *, limit: int = 1, lease_s: float = 30.0) -> list[Grant]:
        self._promote(now)
        free, grants = worker.free, list[Grant]()
        lines = sorted((r for r in self._records.values() if r.state is S.READY), key=lambda record: record.rank)
        for record in lines:
            if len(grants) == limit:
                break
            offered = record.job.pool in (None, worker.pool) or now >= record.job.latest_start
            if offered and free.fits(record.job.requirement, worker.zone):
                free = _less(free, record.job)
                grants.append(self._grant(record, worker, now, lease_s))
        return grants

    def _promote(self, now: datetime) -> None:
        for record in list(self._records.values()):
            retried = record.retry_at is not None and record.retry_at <= self._real_now()
            if retried:
                record.retry_at = None
            if record.state in WAITING and record.drop_at and record.drop_at <= now:
                self._end(
                    record,
                    S.EXPIRED,
                    now,
                    "its deadline can no longer be met",
                    error="dropped: its deadline could no longer be met",
                )
            elif self._can_become_ready(record) and (
                record.due <= now or (retried and record.job.planned_start is None)
            ):
                self._become_ready(record, now)

    def _can_become_ready(self, record: _Record) -> bool:
        return record.state in {S.PENDING, S.SCHEDULED} and not record.parents and record.retry_at is None

    def _grant(self, record: _Record, worker: WorkerInfo, now: datetime, lease_s: float) -> Grant:
        real = self._real_now()
        record.lease_until = real + lease_s
        self._change(
            record,
            state=S.RUNNING,
            fence=max(record.job.fence + 1, int(real * 1e6)),
            attempts=record.job.attempts + 1,
            worker_id=worker.worker_id,
            started_at=now,
            retry_at=None,
            reason=None,
            reason_detail="",
        )
        self._announce("leased", record, now, worker.worker_id)
        job = self._shown(record)
        lease = Lease(
            job_id=job.id,
            worker_id=worker.worker_id,
            fence=job.fence,
            attempt=job.attempts,
            expires_at=_moment(record.lease_until),
        )
        return Grant(job, self._specs[job.spec_sha256], lease)

    def heartbeat(self, leases: Sequence[Lease], *, lease_s: float = 30.0) -> list[LeaseStatus]:
        return [self._renew(lease, lease_s) for lease in leases]

    def _renew(self, lease: Lease, lease_s: float) -> LeaseStatus:
        record = self._records.get(lease.job_id)
        if record is None or record.state in TERMINAL:
            return LeaseStatus.STALE
        if lease.fence > record.job.fence:
            self._adopt(record, lease, _moment(self._real_now()))
        if lease.fence != record.job.fence or record.state not in ACTIVE:
            return LeaseStatus.STALE
        record.lease_until = self._real_now() + lease_s
        return LeaseStatus.CANCEL if record.job.cancel_requested else LeaseStatus.HELD

    def _adopt(self, record: _Record, attempt: Lease | Measurement, at: datetime) -> None:
        record.retry_at = None
        self._change(
            record,
            state=record.state if record.state in ACTIVE else S.RUNNING,
            fence=attempt.fence,
            attempts=max(record.job.attempts, attempt.attempt),
            worker_id=attempt.worker_id,
            started_at=record.job.started_at or at,
            reason=None,
            reason_detail="",
        )
        self._announce("adopted", record, at)

    def finish(self, measurement: Measurement, *, backoff_s: float = 0.0) -> bool:
        record = self._records.get(measurement.job_id)
        if record is None:
            return False
        if known := record.measurements.get(measurement.fence):
            return known[0]
        if measurement.fence > record.job.fence and record.state not in TERMINAL:
            self._adopt(record, measurement, measurement.started_at)
        accepted = measurement.fence == record.job.fence and record.state in ACTIVE
        record.measurements[measurement.fence] = accepted, measurement
        if accepted:
            self._conclude(record, measurement, backoff_s)
        elif record.state in TERMINAL:
            self._unbooked[record.job.id] = self._real_now()  # its receipt is revised
        return accepted

    def _conclude(self, record: _Record, attempt: Measurement, backoff_s: float) -> None:
        record.lease_until = None
        self._change(
            record,
            started_at=attempt.started_at,
            exit_code=attempt.exit_code,
            error=attempt.error[:MAX_ERROR_CHARS],
        )
        job, outcome, at = record.job, attempt.outcome, attempt.ended_at
        if outcome is Outcome.SUCCEEDED:
            self._end(record, S.SUCCEEDED, at)
        elif outcome is Outcome.CANCELLED or (job.cancel_requested and outcome is not Outcome.LOST):
            self._end(record, S.CANCELLED, at)
        elif outcome is Outcome.LOST:
            self._lose(record, at)
        elif outcome is Outcome.CHECKPOINTED:
            self._back_to(record, S.SCHEDULED, WaitReason.PAUSED)
            self._announce("checkpointed", record, at)
        elif self._is_retried(record, outcome):
            record.retry_at = self._real_now() + backoff_s
            self._back_to(record, S.PENDING, WaitReason.RETRY_BACKOFF)
            self._change(record, retry_at=_moment(record.retry_at))
            self._announce("retried", record, at, outcome)
        else:
            self._end(record, S.FAILED, at, outcome)
        self._changes += 1

    def _is_retried(self, record: _Record, outcome: Outcome) -> bool:
        self._change(record, failed_attempts=record.job.failed_attempts + 1)
        return record.job.failed_attempts < record.job.max_attempts and outcome in record.job.retry_on

    def _back_to(self, record: _Record, state: JobState, reason: WaitReason) -> None:
        self._change(record, state=state, planned_start=None, planned_end=None, reason=reason, worker_id=None)

    def recover(self, now: datetime) -> list[str]:
        lost = [
            record
            for record in self._records.values()
            if record.lease_until is not None and record.lease_until <= self._real_now()
        ]
        for record in lost:
            self._lose(record, now)
        return [record.job.id for record in lost]

    def _lose(self, record: _Record, now: datetime) -> None:
        record.lease_until = None
        lost = record.job.lost_attempts + 1
        self._change(record, lost_attempts=lost)
        if record.job.cancel_requested:
            self._end(record, S.CANCELLED, now, "its attempt was lost")
        elif lost > self._max_lost_attempts:
            self._end(record, S.FAILED, now, "LeaseLost", error=f"lost {lost} attempts with their workers")
        else:
            self._change(record, state=S.READY, reason=WaitReason.LEASE_LOST, reason_detail="", worker_id=None)
            self._announce("lost", record, now)
            self._changes += 1

    # --- how jobs move

    def _change(self, record: _Record, **fields: Any) -> None:
        record.job = record.job.model_copy(update=fields)

    def _become_ready(self, record: _Record, now: datetime) -> None:
        job = record.job
        if job.planned_start and job.reason in _LASTING:
            self._change(record, state=S.READY)
        else:
            reason = WaitReason.DEADLINE_FORCES_START if now >= job.latest_start else None
            self._change(record, state=S.READY, reason=reason, reason_detail="")
        self._announce("due", record, now)

    def _end(self, record: _Record, state: JobState, at: datetime, detail: str = "", **fields: Any) -> None:
        """End a job and settle its children: success releases them, anything else cancels them and theirs."""
        self._close(record, state, at, detail, reason=None, reason_detail="", **fields)
        ended = [record]
        for parent in ended:
            for child in self._children(parent):
                child.parents.discard(parent.job.id)
                if parent.state is not S.SUCCEEDED:
                    self._orphan(child, parent.job.id, at)
                    ended.append(child)
                elif not child.parents:
                    self._release(child, at)

    def _children(self, parent: _Record) -> Iterator[_Record]:
        found = (self._records.get(child) for child in parent.children)
        return (child for child in found if child and child.state is S.PENDING and child.parents)

    def _close(self, record: _Record, state: JobState, at: datetime, detail: str, **fields: Any) -> None:
        record.lease_until, record.retry_at = None, None
        record.ended = self._unbooked[record.job.id] = self._real_now()
        self._change(record, state=state, finished_at=at, **fields)
        self._announce(str(state), record, at, detail)

    def _orphan(self, record: _Record, parent: str, at: datetime) -> None:
        why = f"its parent {parent} ended as {self._records[parent].state}"
        fields = {"reason": WaitReason.PARENT_FAILED, "reason_detail": parent, "error": why}
        self._close(record, S.CANCELLED, at, f"ParentFailed: {parent}", **fields)

    def _release(self, record: _Record, at: datetime) -> None:
        waits_on = record.job.reason
        reason = WaitReason.AWAITS_PLAN if waits_on is WaitReason.WAITS_FOR_PARENTS else waits_on
        planned = record.job.planned_start is not None
        self._change(record, state=S.SCHEDULED if planned else S.PENDING, reason=reason, reason_detail="")
        self._announce("planned" if planned else "released", record, at)
        self._changes += 1

    def _announce(self, type_: str, record: _Record, at: datetime, detail: str = "") -> None:
        self._events.append(
            Event(
                cursor=str(len(self._events) + 1),
                type=type_,
                job_id=record.job.id,
                state=record.state,
                fence=record.job.fence,
                at=at,
                real_at=_moment(self._real_now()),
                detail=detail,
            )
        )

    # --- reading

    def _find(self, job_id: str) -> _Record:
        if job_id not in self._records:
            raise JobNotFound(job_id)
        return self._records[job_id]

    def _shown(self, record: _Record) -> Job:
        until = record.lease_until
        return record.job.model_copy(update={"lease_expires_at": None if until is None else _moment(until)})

    def get(self, job_id: str) -> Job:
        return self._shown(self._find(job_id))

    def get_many(self, job_ids: Sequence[str]) -> list[Job]:
        return [self.get(job_id) for job_id in job_ids]

    def spec(self, job_id: str) -> bytes:
        return self._specs[self._find(job_id).job.spec_sha256]

    def jobs(self, query: JobQuery) -> list[Job]:
        matching = [self._shown(record) for record in self._matching(query)]
        return matching[query.offset : query.offset + query.limit]

    def _matching(self, query: JobQuery) -> list[_Record]:
        newest_first = sorted(self._records.values(), key=lambda record: -record.submission)
        return [
            record
            for record in newest_first
            if (query.states is None or record.state in query.states)
            and (query.project is None or record.job.project == query.project)
            and (query.array_id is None or record.job.array_id == query.array_id)
        ]

    def rows(self, query: JobQuery) -> list[JobRow]:
        names = dict.fromkeys(_row_name(record.job, query) for record in self._matching(query))
        rows: dict[str, list[_Record]] = {name: [] for name in names}
        for record in self._records.values():
            rows.get(_row_name(record.job, query), []).append(record)
        return [self._row(*row) for row in list(rows.items())[query.offset : query.offset + query.limit]]

    def _row(self, name: str, records: Sequence[_Record]) -> JobRow:
        parts = [part_of(record.job, record.booked) for record in records]
        return row_of(name, parts, self.get(leader(parts)))

    def names(self, beginning: str, *, limit: int) -> list[str]:
        newest_first = self._matching(JobQuery())
        names = dict.fromkeys(_row_name(record.job, JobQuery()) for record in newest_first)
        return [name for name in names if name.startswith(beginning)][:limit]

    def task_ids(self, job_id: str) -> list[str]:
        if job_id in self._records:
            return [job_id]
        return [record.job.id for record in self._records.values() if record.job.array_id == job_id]

    def counts(self) -> dict[JobState, int]:
        states = [record.state for record in self._records.values()]
        return {state: states.count(state) for state in JobState}

    def measurements(self, job_id: str) -> list[Measurement]:
        kept = self._records[job_id].measurements if job_id in self._records else {}
        return [measurement for _, (_, measurement) in sorted(kept.items())]

    def unbooked(self, limit: int = 1000) -> list[str]:
        return sorted(self._unbooked, key=lambda job: (self._unbooked[job], job))[:limit]

    def mark_booked(self, job_id: str, emissions_g: float | None) -> None:
        """What the ledger does to the queue when it books a receipt."""
        self._unbooked.pop(job_id, None)
        if job_id in self._records:
            self._records[job_id].booked = (emissions_g,)

    def retain(self, older_than_s: float, *, limit: int = 1000) -> int:
        until = self._real_now() - older_than_s
        gone = [
            job_id
            for job_id, record in self._records.items()
            if record.booked and job_id not in self._unbooked and record.state is not S.FAILED and record.ended <= until
        ]
        for job_id in gone[:limit]:
            del self._records[job_id]
        used = {record.job.spec_sha256 for record in self._records.values()}
        self._specs = {sha: document for sha, document in self._specs.items() if sha in used}
        return len(gone[:limit])

    # --- waiting

    def events(self, after: str = "", *, limit: int = 1000, block_s: float = 0.0) -> list[Event]:
        first = int(after or 0)
        self._await(lambda: len(self._events) > first, block_s)
        return self._events[first : first + limit]

    def last_event(self) -> str:
        return str(len(self._events))

    def next_due(self) -> datetime | None:
        if any(record.state is S.READY for record in self._records.values()):
            return _moment(0)
        waiting = [record.due for record in self._records.values() if self._can_become_ready(record)]
        retries = [_moment(r.retry_at) for r in self._records.values() if r.retry_at is not None]
        return min(waiting + retries, default=None)

    def wait_for_change(self, cursor: str, timeout_s: float) -> str:
        if cursor:
            self._await(lambda: self._changes > int(cursor), timeout_s)
        return str(self._changes)

    def ping(self) -> None:
        """It is always there."""

    def _await(self, condition: Callable[[], bool], timeout_s: float) -> None:
        give_up = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < give_up:
            time.sleep(POLL_S)


def _row_name(job: Job, query: JobQuery) -> str:
    """The row that a job is in: its array's, but where the query wants the tasks."""
    return job.id if query.array_id else job.array_id or job.id


def _each(job_ids: Sequence[str], act: Callable[[str], JobState]) -> list[JobState]:
    """Raises the first JobNotFound once all others are done."""
    states: list[JobState] = []
    unknown: list[JobNotFound] = []
    for job_id in job_ids:
        try:
            states.append(act(job_id))
        except JobNotFound as error:
            unknown.append(error)
    if unknown:
        raise unknown[0]
    return states


def _less(free: Capacity, job: Job) -> Capacity:
    """What is left once the job runs."""
    need = job.requirement
    return free.model_copy(
        update={
            "gpus": free.gpus - need.gpus,
            "cpus": free.cpus - need.cpus,
            "memory_b": None if free.memory_b is None else free.memory_b - (need.memory_b or 0),
        }
    )


def _moment(real_s: float) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(real_s * 1000))
