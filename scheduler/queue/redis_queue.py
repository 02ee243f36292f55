"""The queue in Redis: each transition is one script, each method a call or a pipeline of calls."""

import heapq
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import chain, islice
from typing import TypeVar

from carbonq.domain.errors import InvalidInput, JobConflict, JobNotFound, NotFound
from carbonq.domain.job import Event, Job, JobState, Lease, Measurement, WorkerInfo
from carbonq.domain.ports import Grant, JobQuery, JobRow, LeaseStatus, PlannedStart
from carbonq.domain.time import from_ms
from carbonq.scheduler.queue import wire
from carbonq.scheduler.queue.connection import Store
from carbonq.scheduler.queue.rows import RowReader
from carbonq.scheduler.queue.rules import MAX_LOST_ATTEMPTS, drop_time
from carbonq.scheduler.queue.scripts import Argument, Reply
from carbonq.scheduler.queue.wire import check_id, ms

SUBMIT_BATCH = 50  # jobs a script: two milliseconds in which the server does nothing else
ASSIGN_BATCH = 100
FINISH_BATCH = 50
HEARTBEAT_BATCH = 500
PROMOTE_BATCH = 1000  # jobs that one lease call makes ready, or as many as it asks for
RECOVER_BATCH = 500
READ_BATCH = 500
SPECS_CACHED = 64

T = TypeVar("T")


class RedisQueue:
    """`JobQueue` on Redis 7 or Valkey. Safe for threads; leases, backoff and retention run on the server's clock."""

    def __init__(self, store: Store, *, max_lost_attempts: int = MAX_LOST_ATTEMPTS) -> None:
        self._store = store
        self._keys = store.keys
        self._max_lost_attempts = max_lost_attempts
        self._rows = RowReader(store, self._read)
        self._specs: OrderedDict[str, bytes] = OrderedDict()  # by content hash: never stale

    # --- accepting and planning

    def submit(self, jobs: Sequence[Job], specs: Mapping[str, bytes]) -> list[bool]:
        for sha, document in specs.items():
            _check_spec(sha, document)
        arguments = (_submission(batch, specs) for batch in _batches(jobs, SUBMIT_BATCH))
        replies = self._store.run_many("submit", arguments)
        answers = [answer.decode() for reply in replies for answer in reply]
        for job, answer in zip(jobs, answers, strict=True):
            _refuse(job, answer)
        return [answer == "new" for answer in answers]

    def assign(self, starts: Sequence[PlannedStart], now: datetime) -> int:
        arguments = ([ms(now), *_flat(map(_place, batch))] for batch in _batches(starts, ASSIGN_BATCH))
        return sum(self._store.run_many("assign", arguments))

    def run_now(self, job_id: str, now: datetime) -> JobState:
        return self._state_after("run_now", job_id, now)

    def cancel(self, job_id: str, now: datetime) -> JobState:
        return self._state_after("cancel", job_id, now)

    def run_now_many(self, job_ids: Sequence[str], now: datetime) -> list[JobState]:
        return self._states_after("run_now", job_ids, now)

    def cancel_many(self, job_ids: Sequence[str], now: datetime) -> list[JobState]:
        return self._states_after("cancel", job_ids, now)

    def _states_after(self, script: str, job_ids: Sequence[str], now: datetime) -> list[JobState]:
        replies = self._store.run_many(script, ((job_id, ms(now)) for job_id in job_ids))
        unknown = [job_id for job_id, state in zip(job_ids, replies, strict=True) if not state]
        if unknown:
            raise JobNotFound(unknown[0])
        return [JobState(state.decode()) for state in replies]

    def _state_after(self, script: str, job_id: str, now: datetime) -> JobState:
        state = self._store.run(script, job_id, ms(now))
        if not state:
            raise JobNotFound(job_id)
        return JobState(state.decode())

    # --- running

    def lease(self, worker: WorkerInfo, now: datetime, *, limit: int = 1, lease_s: float = 30.0) -> list[Grant]:
        free = worker.free
        reply = self._store.run(
            "lease",
            *(ms(now), _real_ms(lease_s), limit, worker.worker_id, worker.pool, worker.zone),
            *(free.gpus, (free.gpu_model or "").lower(), free.gpu_memory_b or 0, free.cpus, free.memory_b or 0),
            max(limit, PROMOTE_BATCH),
        )
        granted = [wire.read_job(*texts) for texts in _pairs(reply)]
        specs = self._specs_of({sha for _, sha in granted})
        return [Grant(job, specs[sha], _lease(job)) for job, sha in granted]

    def heartbeat(self, leases: Sequence[Lease], *, lease_s: float = 30.0) -> list[LeaseStatus]:
        batches = ([str(_real_ms(lease_s)), *map(_held, batch)] for batch in _batches(leases, HEARTBEAT_BATCH))
        return [
            LeaseStatus(status.decode())
            for reply in self._store.run_many("heartbeat", batches)
            for status in reply.split()
        ]

    def keepalive_command(self, lease: Lease, lease_s: float) -> tuple[str, ...]:
        """The words of one Redis command that renews this lease, for whoever speaks the protocol by hand.

        The reply is one bulk string: `held`; `stale`, a newer attempt holds the job or it has ended: stop; or `cancel`,
        still held, but its user wants it stopped. An error reply (`-LOADING`, `-OOM`, ...) is no answer: try again.
        It carries the script's text, so that it works on a server that has just come back.
        """
        command = self._store.scripts.by_text("heartbeat", [_real_ms(lease_s), _held(lease)])
        return tuple(str(word) for word in command)

    def finish(self, measurement: Measurement, *, backoff_s: float = 0.0) -> bool:
        (held,) = self.finish_many([measurement], backoff_s=backoff_s)
        return held

    def finish_many(self, measurements: Sequence[Measurement], *, backoff_s: float = 0.0) -> list[bool]:
        """`finish` for many attempts in few round trips; each ends by itself."""
        limits = [_real_ms(backoff_s), self._max_lost_attempts]
        batches = ([*limits, *_flat(map(_ending, batch))] for batch in _batches(measurements, FINISH_BATCH))
        return [held == 1 for reply in self._store.run_many("finish", batches) for held in reply]

    def recover(self, now: datetime) -> list[str]:
        return [job.decode() for job in self._store.run("recover", ms(now), self._max_lost_attempts, RECOVER_BATCH)]

    # --- reading

    def get(self, job_id: str) -> Job:
        (job,) = self.get_many([job_id])
        return job

    def get_many(self, job_ids: Sequence[str]) -> list[Job]:
        jobs = self._read(job_ids)
        for job_id, job in zip(job_ids, jobs, strict=True):
            if job is None:
                raise JobNotFound(job_id)
        return [job for job in jobs if job is not None]

    def spec(self, job_id: str) -> bytes:
        sha = self._store.call("HGET", self._keys.job(job_id), "sha")
        if sha is None:
            raise JobNotFound(job_id)
        return self._specs_of({sha.decode()})[sha.decode()]

    def jobs(self, query: JobQuery) -> list[Job]:
        matching = (job for job in self._newest_first(query) if _matches(job, query))
        return list(islice(matching, query.offset, query.offset + query.limit))

    def rows(self, query: JobQuery) -> list[JobRow]:
        return self._rows.rows(query)

    def names(self, beginning: str, *, limit: int) -> list[str]:
        return self._rows.names(beginning, limit)

    def task_ids(self, job_id: str) -> list[str]:
        return self._rows.task_ids(job_id)

    def counts(self) -> dict[JobState, int]:
        replies = self._store.calls([("ZCARD", self._keys.state(state)) for state in JobState])
        return dict(zip(JobState, replies, strict=True))

    def measurements(self, job_id: str) -> list[Measurement]:
        kept = self._store.call("HGETALL", self._keys.measurements(job_id))
        by_fence = sorted((int(fence), text) for fence, text in kept.items())
        return [Measurement.model_validate_json(text[1:]) for _, text in by_fence]

    def unbooked(self, limit: int = 1000) -> list[str]:
        return [job.decode() for job in self._store.call("ZRANGE", self._keys.unbooked, 0, limit - 1)]

    def retain(self, older_than_s: float, *, limit: int = 1000) -> int:
        return int(self._store.run("retain", _real_ms(older_than_s), limit))

    # --- waiting

    def events(self, after: str = "", *, limit: int = 1000, block_s: float = 0.0) -> list[Event]:
        found = self._store.read_stream(self._keys.events, after, limit=limit, block_s=block_s)
        return [wire.read_event(entry, fields) for entry, fields in found]

    def last_event(self) -> str:
        found = self._store.call("XREVRANGE", self._keys.events, "+", "-", "COUNT", 1)
        return found[0][0].decode() if found else "0-0"

    def next_due(self) -> datetime | None:
        due_ms = self._store.run("next_due")
        return from_ms(int(due_ms)) if due_ms else None

    def wait_for_change(self, cursor: str, timeout_s: float) -> str:
        if not cursor:
            found = self._store.call("XREVRANGE", self._keys.wake, "+", "-", "COUNT", 1)
            return found[0][0].decode() if found else "0-0"
        found = self._store.read_stream(self._keys.wake, cursor, limit=1, block_s=timeout_s)
        return found[-1][0].decode() if found else cursor

    def ping(self) -> None:
        self._store.inspect()

    # --- how it is read

    def _newest_first(self, query: JobQuery) -> Iterator[Job]:
        by_age = heapq.merge(*map(self._submissions, self._indexes(query)), reverse=True)
        for batch in _batches(by_age, min(READ_BATCH, query.offset + query.limit)):
            yield from (job for job in self._read([job_id for _, job_id in batch]) if job is not None)

    def _indexes(self, query: JobQuery) -> list[str]:
        """The fewest jobs that hold all that match."""
        if query.array_id:
            return [self._keys.array(query.array_id)]
        states = [self._keys.state(state) for state in query.states or JobState]
        if query.project is None:
            return states
        project = self._keys.project(query.project)
        in_project, *in_states = self._store.calls([("ZCARD", index) for index in (project, *states)])
        return [project] if in_project <= sum(in_states) else states

    def _submissions(self, index: str) -> Iterator[tuple[int, str]]:
        """Submission numbers and ids, newest first, also while the index changes."""
        below = "+inf"
        while found := self._store.call(
            "ZRANGE", index, below, "-inf", "BYSCORE", "REV", "LIMIT", 0, READ_BATCH, "WITHSCORES"
        ):
            pairs = _scored(found)
            yield from ((int(score), job.decode()) for job, score in pairs)
            below = f"({int(pairs[-1][1])}"

    def _read(self, job_ids: Sequence[str]) -> list[Job | None]:
        replies = self._store.run_many("read", _batches(job_ids, READ_BATCH))
        return [
            wire.read_job(ask, standing)[0] if ask else None for reply in replies for ask, standing in _pairs(reply)
        ]

    def _specs_of(self, hashes: set[str]) -> dict[str, bytes]:
        unknown = [sha for sha in hashes if sha not in self._specs]
        found = self._store.calls([("HGET", self._keys.spec(sha), "bytes") for sha in unknown])
        specs = {sha: self._specs[sha] for sha in hashes if sha in self._specs} | dict(zip(unknown, found, strict=True))
        self._specs.update(specs)
        while len(self._specs) > SPECS_CACHED:
            self._specs.popitem(last=False)
        return specs


def _check_spec(sha: str, document: bytes) -> None:
    if len(document) > wire.MAX_SPEC_B:
        raise InvalidInput(f"a spec of {len(document)} bytes is too large", hint=f"at most {wire.MAX_SPEC_B} bytes")
    if sha256(document).hexdigest() != sha:
        raise InvalidInput(f"a spec does not have the hash that it is filed under, {sha}")


def _submission(jobs: Sequence[Job], specs: Mapping[str, bytes]) -> list[Argument]:
    used = {job.spec_sha256 for job in jobs}
    if missing := used - specs.keys():
        raise InvalidInput(f"no bytes are given for the spec {min(missing)}")
    pairs = _flat((sha, specs[sha]) for sha in used)
    return [len(used), *pairs, *_flat(map(_newcomer, jobs))]


def _newcomer(job: Job) -> tuple[Argument, ...]:
    """The job whole, and what the script looks at."""
    return wire.ask_json(job), wire.lines(
        *(check_id(job.id), job.spec_sha256, wire.line_class(job.requirement), wire.rank(job)),
        *(ms(job.latest_start), ms(job.planned_start), ms(job.not_before), job.pool or "", ms(drop_time(job))),
        *(job.project, job.array_id or "", " ".join(dict.fromkeys(map(check_id, job.needs))), ms(job.submitted_at)),
        job.reason.value if job.reason else "",
        *(ms(job.planned_end), "" if job.planned_emissions_g is None else repr(job.planned_emissions_g)),
    )


def _refuse(job: Job, answer: str) -> None:
    if answer == "conflict":
        raise JobConflict(
            f"the id {job.id!r} is taken by another job", hint="submit without an id, or with one of your own"
        )
    if answer.startswith("orphan "):
        raise NotFound(
            f"job {job.id!r} needs {answer.removeprefix('orphan ')!r}, which the queue does not know",
            hint="submit the jobs that it needs first",
        )


def _place(planned: PlannedStart) -> tuple[Argument, ...]:
    emissions = "" if planned.emissions_g is None else repr(planned.emissions_g)
    span = (ms(planned.start), ms(planned.end), planned.pool or "", emissions)
    return (planned.job_id, *span, planned.reason.value, planned.detail)


def _held(lease: Lease) -> str:
    return wire.lines(lease.job_id, lease.fence, lease.attempt, lease.worker_id)


def _ending(attempt: Measurement) -> tuple[Argument, ...]:
    exit_code = "" if attempt.exit_code is None else attempt.exit_code
    held = (attempt.job_id, attempt.fence, attempt.attempt, attempt.worker_id)
    how = (attempt.outcome.value, ms(attempt.started_at), ms(attempt.ended_at), exit_code)
    return wire.measurement_json(attempt), attempt.error[: wire.MAX_ERROR_CHARS], wire.lines(*held, *how)


def _lease(job: Job) -> Lease:
    """The lease that a job has just been granted."""
    return Lease.model_validate(
        {
            "job_id": job.id,
            "worker_id": job.worker_id,
            "fence": job.fence,
            "attempt": job.attempts,
            "expires_at": job.lease_expires_at,
        }
    )


def _matches(job: Job, query: JobQuery) -> bool:
    return (
        (query.states is None or job.state in query.states)
        and (query.project is None or job.project == query.project)
        and (query.array_id is None or job.array_id == query.array_id)
    )


def _pairs(flat: Sequence[Reply]) -> Iterator[tuple[Reply, Reply]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _scored(found: Sequence[Reply]) -> list[tuple[bytes, float]]:
    """Members with scores, which RESP2 gives in one flat list and RESP3 in pairs."""
    pairs = found if found and isinstance(found[0], (list, tuple)) else _pairs(found)
    return [(member, float(score)) for member, score in pairs]


def _real_ms(duration_s: float) -> int:
    return max(0, round(duration_s * 1000))


def _flat(groups: Iterable[Sequence[Argument]]) -> list[Argument]:
    return list(chain.from_iterable(groups))


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
