"""The server is killed, or comes back with older data: what was acknowledged stays, and fences only grow."""

import shutil
import threading
import time
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
import redis

from carbonq.domain.errors import QueueUnreachable
from carbonq.domain.job import TERMINAL, Capacity, JobState, Measurement, Outcome, WorkerInfo
from carbonq.domain.ports import Grant, JobQuery
from carbonq.scheduler.queue.connection import Store
from carbonq.scheduler.queue.redis_queue import RedisQueue
from carbonq.testing import MIDNIGHT, make_job

if TYPE_CHECKING:
    from tests.conftest import KillableServer

SPEC = b"version: 1\n"
SHA = sha256(SPEC).hexdigest()


def _submit(queue: RedisQueue, *job_ids: str) -> None:
    queue.submit([make_job(job_id, spec_sha256=SHA, planned_start=MIDNIGHT) for job_id in job_ids], {SHA: SPEC})


def _lease(queue: RedisQueue, worker_id: str = "w1", limit: int = 1, lease_s: float = 30.0) -> list[Grant]:
    free = Capacity(cpus=64)
    worker = WorkerInfo(
        worker_id=worker_id, host="h", zone="DE", capacity=free, free=free, started_at=MIDNIGHT, seen_at=MIDNIGHT
    )
    return queue.lease(worker, MIDNIGHT, limit=limit, lease_s=lease_s)


def _measure(grant: Grant) -> Measurement:
    return Measurement(
        job_id=grant.lease.job_id,
        fence=grant.lease.fence,
        attempt=grant.lease.attempt,
        worker_id=grant.lease.worker_id,
        pool="default",
        zone="DE",
        outcome=Outcome.SUCCEEDED,
        started_at=MIDNIGHT,
        ended_at=MIDNIGHT,
        real_started_at=MIDNIGHT,
        real_ended_at=MIDNIGHT,
    )


def test_nothing_that_was_acknowledged_and_written_is_lost_when_the_server_is_killed(
    fresh_server: "KillableServer",
) -> None:
    queue = RedisQueue(Store.connect(fresh_server.url))
    accepted: list[str] = []
    finished: dict[str, int] = {}
    for life in range(4):
        killed = threading.Event()

        def work(
            life: int = life,
            killed: threading.Event = killed,
            accepted: list[str] = accepted,
            finished: dict[str, int] = finished,
        ) -> None:
            number = 0
            while not killed.is_set():
                names = [f"l{life}-{number + i}" for i in range(5)]
                number += 5
                try:
                    _submit(queue, *names)
                    accepted.extend(names)
                    for grant in _lease(queue, limit=3):
                        if queue.finish(_measure(grant)):
                            finished[grant.job.id] = grant.lease.fence
                except QueueUnreachable:
                    return

        worker = threading.Thread(target=work)
        worker.start()
        enough = len(accepted) + 100
        while len(accepted) < enough:
            time.sleep(0.002)
        kept = len(accepted), dict(finished)
        _await_write(fresh_server)
        fresh_server.kill()
        killed.set()
        worker.join(60)
        fresh_server.start()
        states = {job.id: job for job in queue.jobs(JobQuery(limit=100_000))}
        assert set(accepted[: kept[0]]) <= set(states)
        assert {job: (states[job].state, states[job].fence) for job in kept[1]} == {
            job: (JobState.SUCCEEDED, fence) for job, fence in kept[1].items()
        }
        assert sum(queue.counts().values()) == len(states)
        accepted, finished = list(states), {}


def _await_write(server: "KillableServer") -> None:
    """Until the kernel has all that was answered so far. That is at once, unless an earlier fsync is still under way:
    then `everysec` answers first and writes up to two seconds later (Redis, aof.c: flushAppendOnlyFile)."""
    with redis.Redis.from_url(server.url) as client:
        while client.info("persistence")["aof_buffer_length"]:
            time.sleep(0.001)


def test_every_job_ends_once_although_the_server_dies_under_its_workers(fresh_server: "KillableServer") -> None:
    queue = RedisQueue(Store.connect(fresh_server.url), max_lost_attempts=100)
    names = [f"j{number}" for number in range(120)]
    _submit(queue, *names)
    stop = threading.Event()

    def work(worker_id: str) -> None:
        while not stop.is_set():
            try:
                queue.recover(MIDNIGHT)
                grants = _lease(queue, worker_id, limit=4, lease_s=0.3)
                queue.heartbeat([grant.lease for grant in grants], lease_s=0.3)
                queue.finish_many([_measure(grant) for grant in grants])
                stop.wait(0.01)
            except QueueUnreachable:
                stop.wait(0.01)  # its attempts are not failed: they are lost, and found again by their lease

    workers = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(3)]
    for worker in workers:
        worker.start()
    for _ in range(3):
        time.sleep(0.05)
        fresh_server.kill()
        fresh_server.start()
    give_up = time.monotonic() + 30
    while queue.counts()[JobState.SUCCEEDED] < len(names) and time.monotonic() < give_up:
        time.sleep(0.02)
    stop.set()
    for worker in workers:
        worker.join(30)
    assert queue.counts()[JobState.SUCCEEDED] == len(names)
    ends = [event.job_id for event in queue.events(limit=100_000) if event.state in TERMINAL]
    assert sorted(ends) == sorted(names)


@pytest.mark.parametrize("newer_attempt_reports_first", [True, False])
def test_with_older_data_restored_fences_still_grow_and_the_last_holder_wins(
    fresh_server: "KillableServer", newer_attempt_reports_first: bool
) -> None:
    """The backup was taken before any lease: the server has forgotten both attempts."""
    queue = RedisQueue(Store.connect(fresh_server.url))
    _submit(queue, "a", "b")
    fresh_server.stop()
    backup = fresh_server.data_folder.with_name("backup")
    shutil.copytree(fresh_server.data_folder, backup)
    fresh_server.start()
    before = {grant.job.id: grant for grant in _lease(queue, "before", limit=2)}
    fresh_server.kill()
    shutil.rmtree(fresh_server.data_folder / "appendonlydir")
    shutil.copytree(backup / "appendonlydir", fresh_server.data_folder / "appendonlydir")
    fresh_server.start()

    assert queue.get("a").fence == 0  # forgotten
    if newer_attempt_reports_first:
        after = {grant.job.id: grant for grant in _lease(queue, "after", limit=2)}
        assert all(after[job].lease.fence > before[job].lease.fence for job in ("a", "b"))
        assert queue.heartbeat([before["a"].lease, after["a"].lease]) == ["stale", "held"]
        assert queue.finish(_measure(before["a"])) is False
        assert queue.finish(_measure(after["a"])) is True
        assert len(queue.measurements("a")) == 2
    else:
        assert queue.heartbeat([before["a"].lease]) == ["held"]  # it still runs: adopted
        assert queue.finish(_measure(before["b"])) is True  # it had ended meanwhile
        assert _lease(queue, "after", limit=2) == []
        assert (queue.get("a").state, queue.get("b").state) == (JobState.RUNNING, JobState.SUCCEEDED)
