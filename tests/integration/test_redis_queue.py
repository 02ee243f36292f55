"""What only a real server shows: its own clock, restarts, refusals, schema versions, and the shim's keepalive."""

import socket
import time
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
import redis

from carbonq.domain.errors import InvalidInput, QueueRefused, QueueUnreachable
from carbonq.domain.job import Capacity, JobState, Lease, WorkerInfo
from carbonq.domain.ports import Grant
from carbonq.domain.time import TimeMapping
from carbonq.scheduler.queue.board import RedisBoard
from carbonq.scheduler.queue.connection import Store, without_password
from carbonq.scheduler.queue.keys import Keys
from carbonq.scheduler.queue.migrations import CURRENT, bring_up_to_date
from carbonq.scheduler.queue.redis_queue import RedisQueue
from carbonq.scheduler.queue.server import EmbeddedServer
from carbonq.testing import MIDNIGHT, make_job

if TYPE_CHECKING:
    from tests.conftest import KillableServer

SPEC = b"version: 1\n"
SHA = sha256(SPEC).hexdigest()


def _queue(url: str, **fields: Any) -> RedisQueue:
    return RedisQueue(Store.connect(url, **fields))


def _submit(queue: RedisQueue, *job_ids: str) -> None:
    jobs = [make_job(job_id, spec_sha256=SHA, planned_start=MIDNIGHT) for job_id in job_ids]
    assert all(queue.submit(jobs, {SHA: SPEC}))


def _lease(queue: RedisQueue, lease_s: float = 30.0) -> Grant:
    free = Capacity(cpus=4)
    worker = WorkerInfo(
        worker_id="w1", host="h", zone="DE", capacity=free, free=free, started_at=MIDNIGHT, seen_at=MIDNIGHT
    )
    (grant,) = queue.lease(worker, MIDNIGHT, lease_s=lease_s)
    return grant


def _until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


# --- the server's clock


def test_a_lease_runs_out_on_the_servers_clock(redis_url: str) -> None:
    queue = _queue(redis_url)
    _submit(queue, "a")
    grant = _lease(queue, lease_s=0.1)
    assert queue.heartbeat([grant.lease], lease_s=0.1) == ["held"]
    _until(lambda: queue.recover(MIDNIGHT) == ["a"])
    assert queue.get("a").state is JobState.READY


def test_fences_are_microseconds_of_the_servers_clock(redis_url: str) -> None:
    queue = _queue(redis_url)
    _submit(queue, "a")
    assert abs(_lease(queue).lease.fence / 1e6 - time.time()) < 60


def test_in_a_replay_an_adopted_job_starts_at_grid_time(redis_url: str) -> None:
    store = Store.connect(redis_url)
    queue = RedisQueue(store)
    now = MIDNIGHT + timedelta(days=300)
    RedisBoard(store).put_time_mapping(TimeMapping(real_epoch=now, grid_epoch=MIDNIGHT, speed=0.000001))
    _submit(queue, "a")
    lease = Lease(job_id="a", worker_id="w", fence=2**52, attempt=1, expires_at=MIDNIGHT)
    assert queue.heartbeat([lease]) == ["held"]
    started = queue.get("a").started_at
    assert started is not None
    assert abs(started - MIDNIGHT) < timedelta(minutes=10)


# --- restarts


def test_scripts_are_loaded_again_after_the_server_has_forgotten_them(redis_url: str) -> None:
    queue = _queue(redis_url)
    _submit(queue, "a")
    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()
    _submit(queue, *(f"b{i}" for i in range(900)))
    assert sum(queue.counts().values()) == 901


def test_after_a_restart_workers_have_one_lease_to_register(fresh_server: "KillableServer") -> None:
    queue = _queue(fresh_server.url)
    _submit(queue, "held", "lost")
    lease_s = 0.6
    held, lost = _lease(queue, lease_s), _lease(queue, lease_s)
    fresh_server.stop()
    _until(lambda: time.time() > lost.lease.expires_at.timestamp())  # both leases have run out meanwhile
    fresh_server.start()
    assert queue.recover(MIDNIGHT) == []
    back = time.monotonic()
    recovered: list[str] = []
    while not recovered:
        assert queue.heartbeat([held.lease], lease_s=lease_s) == ["held"]
        recovered = queue.recover(MIDNIGHT)
        assert time.monotonic() - back < 10
        time.sleep(0.02)
    assert recovered == ["lost"]
    assert time.monotonic() - back > lease_s * 0.9
    assert queue.get("held").state is JobState.RUNNING


def test_a_connection_that_went_stale_is_made_anew(fresh_server: "KillableServer") -> None:
    queue = _queue(fresh_server.url)
    _submit(queue, "a")
    fresh_server.stop()
    fresh_server.start()
    assert queue.get("a").id == "a"


# --- what is refused, and how it is said


def test_a_server_that_is_not_there_is_unreachable(short_folder: Any) -> None:
    url = f"unix://{short_folder}/nobody.sock"
    with pytest.raises(QueueUnreachable, match="does not answer") as caught:
        _queue(url).ping()
    assert caught.value.where == url
    assert "carbonq up" in caught.value.hint


def test_every_call_says_so_once_the_server_is_gone(fresh_server: "KillableServer") -> None:
    queue = _queue(fresh_server.url)
    _submit(queue, "a")
    fresh_server.kill()
    calls: list[Callable[[], object]] = [
        lambda: queue.get("a"),
        queue.counts,
        lambda: queue.events(block_s=5),
        lambda: queue.wait_for_change("1-0", 5),
        lambda: _lease(queue),
        queue.ping,
    ]
    for call in calls:
        with pytest.raises(QueueUnreachable):
            call()


def test_a_password_is_never_shown() -> None:
    assert without_password("redis://ada:s3cret@host:6379/0") == "redis://ada:***@host:6379/0"
    assert without_password("rediss://:s3cret@host/0") == "rediss://:***@host/0"
    assert without_password("unix:///run/redis.sock") == "unix:///run/redis.sock"
    assert without_password("unix:///run/redis.sock?password=s3cret&db=1") == "unix:///run/redis.sock?password=***&db=1"


def test_nonsense_is_no_url() -> None:
    with pytest.raises(InvalidInput, match="not a Redis URL"):
        Store.connect("http://localhost")


def test_a_server_that_evicts_is_refused(fresh_server: "KillableServer") -> None:
    with redis.Redis.from_url(fresh_server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(QueueRefused, match="maxmemory-policy is allkeys-lru"):
        _queue(fresh_server.url).counts()


def test_a_full_server_loses_nothing_and_says_so(fresh_server: "KillableServer") -> None:
    queue = _queue(fresh_server.url)
    _submit(queue, "a")
    with redis.Redis.from_url(fresh_server.url) as client:
        client.config_set("maxmemory", "1mb")
        with pytest.raises(QueueRefused, match="memory is full"):
            _submit(queue, "b")
        client.config_set("maxmemory", "0")
    assert [job.id for job in queue.jobs(_all())] == ["a"]


def test_a_server_with_a_password_wants_it(fresh_server: "KillableServer") -> None:
    with redis.Redis.from_url(fresh_server.url) as client:
        client.config_set("requirepass", "s3cret")
        try:
            with pytest.raises(QueueRefused, match="user or password") as caught:
                _queue(fresh_server.url).ping()
            assert "s3cret" not in str(caught.value)
            _queue(f"unix://:s3cret@{fresh_server.socket}").ping()
        finally:
            client.execute_command("AUTH", "s3cret")
            client.config_set("requirepass", "")


def _all() -> Any:
    from carbonq.domain.ports import JobQuery

    return JobQuery()


# --- namespaces and schema versions


def test_two_namespaces_share_a_server_without_seeing_each_other(redis_url: str) -> None:
    one, two = _queue(redis_url, namespace="one"), _queue(redis_url, namespace="two")
    _submit(one, "a")
    assert two.jobs(_all()) == []
    _submit(two, "a")
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert {key.split("}")[0] for key in client.scan_iter()} == {"{carbonq:one", "{carbonq:two"}


@pytest.mark.parametrize("namespace", ["", "a}b", "a b", "x" * 65, "ä"])
def test_a_namespace_that_would_break_the_hash_tag_is_refused(namespace: str) -> None:
    with pytest.raises(InvalidInput, match="no namespace"):
        Keys(namespace)


def test_a_namespace_of_a_newer_carbonq_is_refused(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(Keys("carbonq").schema, CURRENT + 1)
        with pytest.raises(QueueRefused, match="written by a newer carbonq"):
            _queue(redis_url).ping()
        assert client.keys() == [Keys("carbonq").schema.encode()]  # and left as it was


def test_an_older_namespace_is_brought_up_step_by_step_once(redis_url: str) -> None:
    keys = Keys("carbonq")
    steps = []
    with redis.Redis.from_url(redis_url) as client:
        client.set(keys.schema, CURRENT)
        migrations = {CURRENT: lambda *_: steps.append("one"), CURRENT + 1: lambda *_: steps.append("two")}
        for _ in range(2):
            bring_up_to_date(client, keys, CURRENT, migrations, current=CURRENT + 2)
        assert steps == ["one", "two"]
        assert client.get(keys.schema) == str(CURRENT + 2).encode()
        assert client.get(keys.migrating) is None


def test_a_migration_that_was_cut_off_goes_on_where_it_stopped(redis_url: str) -> None:
    keys = Keys("carbonq")
    steps = []

    def fail(*_: object) -> None:
        raise QueueUnreachable("gone")

    with redis.Redis.from_url(redis_url) as client:
        client.set(keys.schema, CURRENT)
        migrations = {CURRENT: lambda *_: steps.append("one"), CURRENT + 1: fail}
        with pytest.raises(QueueUnreachable):
            bring_up_to_date(client, keys, CURRENT, migrations, current=CURRENT + 2)
        migrations[CURRENT + 1] = lambda *_: steps.append("two")
        bring_up_to_date(client, keys, CURRENT, migrations, current=CURRENT + 2)
    assert steps == ["one", "two"]


def test_a_version_without_a_way_up_is_refused(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(Keys("carbonq").schema, 0)
    with pytest.raises(QueueRefused, match="schema 0, which this carbonq cannot migrate"):
        _queue(redis_url).ping()


# --- the shim's own voice


def _say(server: EmbeddedServer, words: tuple[str, ...]) -> bytes:
    """Send one command as an array of bulk strings and read its one-line bulk reply, as the shim does."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(10)
        wire.connect(str(server.socket))
        parts = [word.encode() for word in words]
        wire.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
        with wire.makefile("rb") as reply:
            assert reply.readline().startswith(b"$")
            return reply.readline().strip()


def test_an_attempts_shim_keeps_its_lease_by_one_plain_command(server: EmbeddedServer, redis_url: str) -> None:
    queue = _queue(redis_url)
    _submit(queue, "a")
    grant = _lease(queue, lease_s=0.5)
    words = queue.keepalive_command(grant.lease, 60.0)
    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()  # it works on a server that has just come back
    assert _say(server, words) == b"held"
    expiry = queue.get("a").lease_expires_at
    assert expiry is not None
    assert expiry - grant.lease.expires_at > timedelta(seconds=50)
    queue.cancel("a", MIDNIGHT)
    assert _say(server, words) == b"cancel"
    stale = grant.lease.model_copy(update={"fence": grant.lease.fence - 1})
    assert _say(server, queue.keepalive_command(stale, 60.0)) == b"stale"


# --- many at once


def test_no_job_is_granted_twice_to_workers_that_ask_at_once(redis_url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    queue = _queue(redis_url)
    _submit(queue, *(f"j{i}" for i in range(400)))

    def work(number: int) -> list[str]:
        mine = _queue(redis_url)
        free = Capacity(cpus=7)
        worker = WorkerInfo(
            worker_id=f"w{number}", host="h", zone="DE", capacity=free, free=free, started_at=MIDNIGHT, seen_at=MIDNIGHT
        )
        taken = []
        while grants := mine.lease(worker, MIDNIGHT, limit=7):
            taken += [grant.job.id for grant in grants]
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [job for jobs in pool.map(work, range(8)) for job in jobs]
    assert sorted(taken) == sorted(f"j{i}" for i in range(400))


def test_an_error_amid_a_batch_leaves_what_came_before_it_whole(empty_server: Callable[[str], str]) -> None:
    """A damaged record stops a script where it stands; the jobs granted before it are in every index they belong to."""
    url = empty_server("valkey")
    queue = _queue(url)
    _submit(queue, "a", "b", "c")
    with redis.Redis.from_url(url) as client:
        client.hset(Keys("carbonq").job("c"), "attempts", "nonsense")
        free = Capacity(cpus=4)
        worker = WorkerInfo(
            worker_id="w1", host="h", zone="DE", capacity=free, free=free, started_at=MIDNIGHT, seen_at=MIDNIGHT
        )
        with pytest.raises(QueueRefused, match="attempts"):
            queue.lease(worker, MIDNIGHT, limit=3)
        assert {state: number for state, number in queue.counts().items() if number} == {
            JobState.RUNNING: 2,
            JobState.READY: 1,
        }
        assert client.zrange(Keys("carbonq").leases, 0, -1) == [b"a", b"b"]
