"""The queue's adapters side by side: in memory and on real servers, all on real time that a test can move."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest

from carbonq.domain.job import (
    TERMINAL,
    TRANSITIONS,
    Capacity,
    Job,
    JobState,
    Measurement,
    Outcome,
    Transition,
    WorkerInfo,
)
from carbonq.domain.ports import Grant, JobQuery, JobQueue, Ledger
from carbonq.scheduler.ledger import MemoryLedger, RedisLedger
from carbonq.scheduler.queue.connection import Store
from carbonq.scheduler.queue.memory import MemoryQueue
from carbonq.scheduler.queue.redis_queue import RedisQueue
from carbonq.scheduler.queue.scripts import packaged_sources
from carbonq.testing import MIDNIGHT, ManualClock, make_job

SPEC = b"version: 1\nname: job\nrun: 'true'\ndeadline: 24h\n"
SHA = sha256(SPEC).hexdigest()


@dataclass
class Station:
    """One adapter under test, with what a test keeps saying to it. Grid time is `clock`, real time stands still."""

    queue: JobQueue
    ledger: Ledger
    clock: ManualClock
    real: "RealTime"

    def submit(self, *job_ids: str, **fields: Any) -> list[bool]:
        """Submit jobs of the one spec; due at once unless `planned_start` says otherwise."""
        fields = {"spec_sha256": SHA, "planned_start": self.clock.now()} | fields
        return self.queue.submit([make_job(job_id, **fields) for job_id in job_ids], {SHA: SPEC})

    def lease(self, limit: int = 1, lease_s: float = 30.0, **worker: Any) -> list[Grant]:
        return self.queue.lease(make_worker(**worker), self.clock.now(), limit=limit, lease_s=lease_s)

    def lease_one(self, **worker: Any) -> Grant:
        (grant,) = self.lease(**worker)
        return grant

    def finish(
        self, grant: Grant, outcome: Outcome = Outcome.SUCCEEDED, *, backoff_s: float = 0.0, **fields: Any
    ) -> bool:
        return self.queue.finish(self.measure(grant, outcome, **fields), backoff_s=backoff_s)

    def measure(self, grant: Grant, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> Measurement:
        now = self.clock.now()
        lease = grant.lease
        known: dict[str, Any] = {
            "job_id": lease.job_id,
            "fence": lease.fence,
            "attempt": lease.attempt,
            "worker_id": lease.worker_id,
            "pool": "default",
            "zone": "DE",
            "outcome": outcome,
            "started_at": now,
            "ended_at": now,
            "real_started_at": now,
            "real_ended_at": now,
        }
        return Measurement(**(known | fields))

    def state(self, job_id: str) -> str:
        return self.queue.get(job_id).state.value

    def job(self, job_id: str) -> Job:
        return self.queue.get(job_id)


class RealTime:
    """Real time in seconds, for the adapter in memory."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


class ServerTime(RealTime):
    """Real time as a key of the server, which scripts for tests read where those of production ask for TIME."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self.advance(0)

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        whole, part = divmod(round(self.now_s * 1_000_000), 1_000_000)
        self._store.call("HSET", self._store.keys.root + "test-time", "s", whole, "us", part)


def sources_on_test_time() -> dict[str, str]:
    ask, instead = "redis.call('TIME')", "redis.call('HMGET', KEYS[1] .. 'test-time', 's', 'us')"
    sources = packaged_sources()
    assert all(ask in text for text in sources.values())
    return {name: text.replace(ask, instead) for name, text in sources.items()}


def make_worker(**fields: Any) -> WorkerInfo:
    """A worker in DE with room for four one-CPU jobs; `gpus`, `cpus` and the like set its free capacity."""
    sizes: dict[str, Any] = {name: fields.pop(name) for name in Capacity.model_fields if name in fields}
    free = Capacity(**{"cpus": 4, **sizes})
    known: dict[str, Any] = {
        "worker_id": "w1",
        "host": "here",
        "zone": "DE",
        "capacity": free,
        "free": free,
        "started_at": MIDNIGHT,
        "seen_at": MIDNIGHT,
    }
    return WorkerInfo(**(known | fields))


@pytest.fixture(params=["memory", "valkey", "redis"])
def station(request: pytest.FixtureRequest, empty_server: Callable[[str], str]) -> Iterator[Station]:
    made = memory_station() if request.param == "memory" else redis_station(empty_server(request.param))
    yield made
    assert_lawful(made.queue)


def memory_station() -> Station:
    real = RealTime()
    queue = MemoryQueue(real_now=real)
    return Station(queue, MemoryLedger(queue), ManualClock(), real)


def redis_station(url: str) -> Station:
    store = Store.connect(url, sources=sources_on_test_time())
    return Station(RedisQueue(store), RedisLedger(store), ManualClock(), ServerTime(store))


def assert_lawful(queue: JobQueue) -> None:
    """Every event moves its job along the domain's table, or not at all; and the job is where its events led."""
    states: dict[str, JobState] = {}
    for event in queue.events(limit=1_000_000):
        assert event.state is not None
        before = states.get(event.job_id)
        if event.type == "submitted":
            assert before is None or before in TERMINAL  # deleted by retention since
        elif before is None:
            raise AssertionError(f"{event.job_id} was never submitted")
        elif before is not event.state:
            assert Transition(event.type, before, event.state) in TRANSITIONS
        states[event.job_id] = event.state
    kept = {job.id: job.state for job in queue.jobs(JobQuery(limit=100_000))}
    assert kept == {job_id: states[job_id] for job_id in kept}
