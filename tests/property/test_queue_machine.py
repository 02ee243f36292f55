"""Whatever is asked of them, in whatever order: the queue in Redis and the queue in memory say and do the same.

The queue in memory is the model: it reads like the rules. Real time is a key that the test moves, so that leases run
out without waiting. Seeded mutants of the scripts prove that this test would notice what it is there to notice.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule, run_state_machine_as_test

from carbonq.domain.errors import CarbonqError
from carbonq.domain.job import Capacity, Job, Lease, Measurement, Outcome, Requirement, WaitReason, WorkerInfo
from carbonq.domain.ports import JobQuery, JobQueue, PlannedStart
from carbonq.scheduler.queue.connection import Store
from carbonq.scheduler.queue.memory import MemoryQueue
from carbonq.scheduler.queue.redis_queue import RedisQueue
from carbonq.scheduler.queue.scripts import packaged_sources
from carbonq.testing import MIDNIGHT, make_job

SPEC, OTHER = b"one", b"two"
SPECS = {sha256(document).hexdigest(): document for document in (SPEC, OTHER)}
MAX_LOST = 1
HOURS = st.integers(0, 6)
IDS = st.sampled_from(["a", "b", "c"])
POOLS = st.sampled_from([None, None, "solar", "wind"])
NEEDS = st.sampled_from(
    [Requirement(), Requirement(), Requirement(cpus=2), Requirement(zones=("FR",)), Requirement(memory_b=4)]
)

OUTCOMES = st.sampled_from([Outcome.FAILED, *Outcome, Outcome.FAILED])


class Machine(RuleBasedStateMachine):
    """Drives both queues. `store` is set by the test that runs it."""

    store: ClassVar[Store]
    leases = Bundle("leases")

    @initialize()
    def begin(self) -> None:
        self.store.call("FLUSHDB")
        self.store.inspect()
        self.now_s = 1_800_000_000.0
        self.grid = MIDNIGHT
        self._tell_time()
        self.real_queue = RedisQueue(self.store, max_lost_attempts=MAX_LOST)
        self.model = MemoryQueue(real_now=lambda: self.now_s, max_lost_attempts=MAX_LOST)

        for attempts, job_id in enumerate(("a", "b", "c"), start=1):
            self._submit(make_job(job_id, spec_sha256=next(iter(SPECS)), planned_start=MIDNIGHT, max_attempts=attempts))

    def _submit(self, job: Job) -> None:
        self.both(lambda queue: queue.submit([job], SPECS))

    def _tell_time(self) -> None:
        self.store.call("HSET", self.store.keys.root + "test-time", "s", int(self.now_s), "us", 0)

    def both(self, ask: Callable[[JobQueue], Any]) -> Any:
        """The answer of both, which must be one."""
        expected, actual = _answer(ask, self.model), _answer(ask, self.real_queue)
        assert expected == actual
        self._compare()
        return expected

    def _compare(self) -> None:
        everything = JobQuery(limit=100)
        assert self.model.jobs(everything) == self.real_queue.jobs(everything)
        assert self.model.counts() == self.real_queue.counts()
        assert sorted(self.model.unbooked()) == sorted(self.real_queue.unbooked())
        assert self.model.next_due() == self.real_queue.next_due()

    @rule(
        job_id=IDS,
        sha=st.sampled_from([*SPECS, *SPECS, next(iter(SPECS))]),
        planned=st.none() | HOURS,
        latest=HOURS,
        not_before=st.none() | HOURS,
        needs=st.sampled_from([(), (), (), ("a",), ("a", "b")]),
        requirement=NEEDS,
        pool=POOLS,
        attempts=st.integers(1, 3),
        drop=st.sampled_from([False, False, True]),
        priority=st.integers(-1, 1),
    )
    def submit(
        self, job_id: str, sha: str, planned: int | None, latest: int, not_before: int | None, **fields: Any
    ) -> None:
        job = make_job(
            job_id,
            spec_sha256=sha,
            submitted_at=self.grid,
            planned_start=None if planned is None else MIDNIGHT + timedelta(hours=planned),
            latest_start=MIDNIGHT + timedelta(hours=latest),
            not_before=None if not_before is None else MIDNIGHT + timedelta(hours=not_before),
            needs=fields["needs"],
            requirement=fields["requirement"],
            pool=fields["pool"],
            max_attempts=fields["attempts"],
            drop_when_late=fields["drop"],
            priority=fields["priority"],
        )
        self._submit(job)

    @rule(job_id=IDS, hours=HOURS, pool=POOLS)
    def assign(self, job_id: str, hours: int, pool: str | None) -> None:
        start = MIDNIGHT + timedelta(hours=hours)
        plan = PlannedStart(job_id, start, start + timedelta(hours=1), pool, WaitReason.CLEANER_SLOT_AHEAD, "d", 0.5)
        self.both(lambda queue: queue.assign([plan], self.grid))

    @rule(
        target=leases,
        limit=st.integers(1, 3),
        cpus=st.sampled_from([0, 2, 4, 4]),
        memory=st.sampled_from([None, 4, 4]),
        pool=st.sampled_from(["solar", "wind"]),
        zone=st.sampled_from(["DE", "FR", "FR"]),
    )
    def lease(self, limit: int, cpus: int, memory: int | None, pool: str, zone: str) -> Any:
        return multiple(*self._lease(limit, Capacity(cpus=cpus, memory_b=memory), pool, zone))

    @rule(target=leases)
    def lease_whatever_is_due(self) -> Any:
        return multiple(*self._lease(9, Capacity(cpus=9, memory_b=99), "solar", "FR"))

    def _lease(self, limit: int, free: Capacity, pool: str, zone: str) -> list[Lease]:
        worker = WorkerInfo(
            worker_id=f"{pool}-{zone}",
            host="h",
            pool=pool,
            zone=zone,
            capacity=free,
            free=free,
            started_at=MIDNIGHT,
            seen_at=MIDNIGHT,
        )
        grants = self.both(lambda queue: queue.lease(worker, self.grid, limit=limit, lease_s=10))
        return [grant.lease for grant in grants]

    @rule(lease=leases)
    def heartbeat(self, lease: Lease) -> None:
        self.both(lambda queue: queue.heartbeat([lease], lease_s=10))

    @rule(outcome=OUTCOMES, backoff_s=st.sampled_from([0.0, 5.0]))
    def run_one_to_its_end(self, outcome: Outcome, backoff_s: float) -> None:
        for lease in self._lease(1, Capacity(cpus=9, memory_b=99), "solar", "FR"):
            self._finish(lease, outcome, backoff_s)

    @rule(lease=leases, outcome=OUTCOMES, backoff_s=st.sampled_from([0.0, 5.0]))
    def finish(self, lease: Lease, outcome: Outcome, backoff_s: float) -> None:
        self._finish(lease, outcome, backoff_s)

    def _finish(self, lease: Lease, outcome: Outcome, backoff_s: float) -> None:
        self.both(lambda queue: queue.finish(_measured(lease, outcome, self.grid), backoff_s=backoff_s))
        self.both(lambda queue: queue.measurements(lease.job_id))

    @rule(lease=leases, ahead=st.integers(1, 3))
    def heartbeat_from_a_lost_future(self, lease: Lease, ahead: int) -> None:
        """The server's data was rolled back: the worker's fence is newer than the server's."""
        newer = lease.model_copy(update={"fence": int(self.now_s * 1e6) + ahead})
        self.both(lambda queue: queue.heartbeat([newer], lease_s=10))

    @rule(job_id=IDS)
    def cancel(self, job_id: str) -> None:
        self.both(lambda queue: queue.cancel(job_id, self.grid))

    @rule(job_id=IDS)
    def run_now(self, job_id: str) -> None:
        self.both(lambda queue: queue.run_now(job_id, self.grid))

    @rule(silent_s=st.sampled_from([0, 9, 10, 11]))
    def recover(self, silent_s: int) -> None:
        self.real_time_passes(silent_s)
        self.both(lambda queue: sorted(queue.recover(self.grid)))

    @rule(hours=st.integers(1, 4))
    def grid_time_passes(self, hours: int) -> None:
        self.grid += timedelta(hours=hours)

    @rule(seconds=st.integers(1, 5))
    def real_time_passes(self, seconds: int) -> None:
        self.now_s += seconds
        self._tell_time()

    def teardown(self) -> None:
        if hasattr(self, "model"):
            assert _lives(self.model) == _lives(self.real_queue)


def _answer(ask: Callable[[JobQueue], Any], queue: JobQueue) -> Any:
    try:
        return ask(queue)
    except CarbonqError as error:
        return type(error)


def _measured(lease: Lease, outcome: Outcome, at: datetime) -> Measurement:
    return Measurement(
        job_id=lease.job_id,
        fence=lease.fence,
        attempt=lease.attempt,
        worker_id=lease.worker_id,
        pool="solar",
        zone="DE",
        outcome=outcome,
        started_at=at,
        ended_at=at,
        real_started_at=at,
        real_ended_at=at,
    )


def _lives(queue: JobQueue) -> dict[str, list[Any]]:
    """What happened to each job. Between jobs that become due together the order is free."""
    lives = defaultdict(list)
    for event in queue.events(limit=10_000):
        lives[event.job_id].append((event.type, event.state, event.fence, event.detail))
    return lives


@pytest.fixture(params=["valkey", "redis"])
def url(request: pytest.FixtureRequest, empty_server: Callable[[str], str]) -> str:
    return empty_server(request.param)


def _run(url: str, change: tuple[str, str, str] | None = None, *, examples: int) -> None:
    """Run the machine on scripts that read the test's time, with one of them changed."""
    sources = dict(packaged_sources())
    if change:
        script, before, after = change
        assert before in sources[script], f"{script}.lua has changed: rewrite this mutant"
        sources[script] = sources[script].replace(before, after)
    asks, reads = "redis.call('TIME')", "redis.call('HMGET', KEYS[1] .. 'test-time', 's', 'us')"
    store = Store.connect(url, sources={name: text.replace(asks, reads) for name, text in sources.items()})
    machine = type("MachineOnServer", (Machine,), {"store": store})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=50,
                deadline=None,
                derandomize=True,
                database=None,
                phases=(Phase.generate,) if change else tuple(Phase),
                report_multiple_bugs=False,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
            ),
        )
    finally:
        store.close()


def test_both_queues_say_and_do_the_same(url: str) -> None:
    _run(url, examples=60)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("finish", "tonumber(fence) ~= job.fence or not", "not"), id="done without a fence"),
        pytest.param(("heartbeat", "active and tonumber(f[2]) == fence", "active"), id="heartbeat without a fence"),
        pytest.param(("recover", "elseif lost > most then", "elseif lost >= most then"), id="a dead letter too early"),
        pytest.param(("finish", ") >= ask.max_attempts", ") > ask.max_attempts"), id="one retry too many"),
        pytest.param(("lease", "if pool == '' then break end", "break"), id="nobody serves the common line"),
        pytest.param(("lease", "math.max(job.fence + 1, micros)", "job.fence + 1"), id="fences without the clock"),
        pytest.param(("cancel", "  stop_waiting(job)\n", ""), id="a cancelled job stays in line"),
    ],
)
def test_a_seeded_mistake_is_noticed(empty_server: Callable[[str], str], change: tuple[str, str, str]) -> None:
    with pytest.raises((AssertionError, CarbonqError, redis.ResponseError)):
        _run(empty_server("valkey"), change, examples=200)
