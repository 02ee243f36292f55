"""Submit and lease throughput of the queue, beside what the same server does for a script of like size.

    python benchmarks/queue_throughput.py [--jobs 20000] [--server PATH] [--rivals] [--json]

One run, one server on a Unix socket with its AOF (everysec), one connection for carbonq
where nothing else is said. The reference is
`redis-benchmark` (or `valkey-benchmark`), pipelined on one connection, running by EVALSHA a script that stores one
job's record, indexes and event without any of the queue's rules. `--rivals` installs the other Python queues into a
throw-away virtual environment and measures them with their own workers on the same server (over TCP on loopback).
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import redis

from carbonq.domain.job import Capacity, Measurement, Outcome, WorkerInfo
from carbonq.domain.ports import Grant
from carbonq.scheduler.queue.connection import Store
from carbonq.scheduler.queue.redis_queue import RedisQueue
from carbonq.scheduler.queue.server import EmbeddedServer, find_server
from carbonq.scheduler.queue.wire import ask_json
from carbonq.testing import MIDNIGHT, make_job

SPEC = b"version: 1\nname: noop\nrun: 'true'\ndeadline: 24h\n"
SHA = sha256(SPEC).hexdigest()
BATCH = 200
ARRAY = 10_000

REFERENCE = """
local id, root = ARGV[1], KEYS[1]
if redis.call('HGET', root .. 'job:' .. id, 'sha') then return 'same' end
local seq = redis.call('INCR', root .. 'sequence')
redis.call('HSET', root .. 'job:' .. id, 'ask', ARGV[2], 'sha', ARGV[3], 'state', 'pending', 'seq', seq, 'fence', 0,
  'attempts', 0, 'class', ARGV[4], 'rank', id, 'latest', 1, 'planned', 1, 'not_before', '', 'pool', '', 'drop_at', '',
  'project', 'default', 'array', 'a', 'parents', 0, 'reason', '')
redis.call('ZADD', root .. 'state', seq, id)
redis.call('ZADD', root .. 'project', seq, id)
redis.call('ZADD', root .. 'array', seq, id)
redis.call('ZADD', root .. 'waiting', seq, id)
redis.call('XADD', root .. 'events', 'MAXLEN', '~', 100000, '*', 'type', 'submitted', 'job', id, 'state', 'pending',
  'fence', 0, 'at', 1, 'detail', '')
return 'new'
"""


class Row(NamedTuple):
    what: str
    per_s: float
    server_cpu_us: float | None = None  # for each job
    client_cpu_us: float | None = None
    note: str = ""


def main() -> None:
    options = _options()
    with (
        tempfile.TemporaryDirectory(prefix="cq-", dir="/tmp") as folder,
        EmbeddedServer(Path(folder, "data"), socket=Path(folder, "s", "redis.sock"), binary=options.server) as server,
    ):
        rows = [*_reference(server, options.jobs), *_carbonq(server, options.jobs)]
    if options.rivals:
        script = Path(__file__).parent / "rivals" / "python_queues.py"
        measured = subprocess.run(
            [sys.executable, script, str(options.jobs)], stdout=subprocess.PIPE, check=True
        ).stdout
        rows += [Row(what, per_s) for what, per_s in json.loads(measured)]
    print(json.dumps([row._asdict() for row in rows], indent=2) if options.json else _table(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--server", type=Path, default=None, help=f"default: {find_server()}")
    parser.add_argument("--rivals", action="store_true", help="measure other Python queues too (installs them)")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _reference(server: EmbeddedServer, jobs: int) -> Iterator[Row]:
    """What the server does for a client in C."""
    tool = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    if tool is None:
        print("no redis-benchmark on PATH (Debian: redis-tools): no reference", file=sys.stderr)
        return
    ask = ask_json(make_job("a.0", spec_sha256=SHA, array_id="a", array_index=0, planned_start=MIDNIGHT))
    for depth in (1, 16, 100):
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
            script = str(client.script_load(REFERENCE))
        command = [tool, "-s", str(server.socket), "-c", "1", "-P", str(depth), "-n", str(jobs), "-r", str(10**9), "-q"]
        words: list[str | bytes] = ["EVALSHA", script, "1", "{reference}:", "a.__rand_int__", ask, SHA, '{"cpus":1}']
        began_s = _cpu_s(server)
        printed = subprocess.run([*command, *words], capture_output=True, text=True, check=True).stdout
        server_us = (_cpu_s(server) - began_s) * 1e6 / jobs
        rate = float(re.findall(r"([\d.]+) requests per second", printed)[-1])
        yield Row(f"reference script, pipelined by {depth}", rate, server_us, None, Path(tool).name)


def _carbonq(server: EmbeddedServer, jobs: int) -> Iterator[Row]:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    store = Store.connect(server.url)
    queue = RedisQueue(store)
    queue.ping()
    tasks = [
        make_job(f"a.{i}", spec_sha256=SHA, array_id="a", array_index=i, planned_start=MIDNIGHT) for i in range(jobs)
    ]
    few = [task.model_copy(update={"id": f"s{task.id}"}) for task in tasks[: max(1, jobs // 20)]]

    def submit_all() -> None:
        queue.submit(tasks, {SHA: SPEC})

    def submit_each() -> None:
        for one in few:
            queue.submit([one], {SHA: SPEC})

    row = _timed(server, f"carbonq: submit {jobs} in one call", jobs, submit_all)
    yield row._replace(note=f"an array of {ARRAY:,} tasks: {ARRAY / row.per_s:.2f} s")
    tasks.clear()  # a heap of jobs slows Python's garbage collection, and no worker holds one
    yield _timed(server, f"carbonq: lease and complete by {BATCH}", jobs, lambda: _drain(queue, BATCH))
    yield _together(server, queue, jobs)
    yield _timed(server, "carbonq: submit one by one", len(few), submit_each)
    yield _timed(server, "carbonq: lease and complete one by one", len(few), lambda: _drain(queue, 1))
    store.close()


def _together(server: EmbeddedServer, queue: RedisQueue, jobs: int) -> Row:
    """Two workers in processes of their own: while one reads its grants, the server serves the other."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as workers:
        list(workers.map(_drain_at, [server.url] * 2))  # an empty queue: each has started and loaded its modules
        queue.submit([make_job(f"t.{i}", spec_sha256=SHA, planned_start=MIDNIGHT) for i in range(jobs)], {SHA: SPEC})
        return _timed(
            server,
            f"carbonq: lease and complete by {BATCH}, two workers",
            jobs,
            lambda: list(workers.map(_drain_at, [server.url] * 2)),
        )._replace(client_cpu_us=None)


def _drain_at(url: str) -> None:
    store = Store.connect(url)
    _drain(RedisQueue(store), BATCH)
    store.close()


def _drain(queue: RedisQueue, batch: int) -> None:
    free = Capacity(cpus=batch)
    worker = WorkerInfo(
        worker_id="w", host="h", zone="DE", capacity=free, free=free, started_at=MIDNIGHT, seen_at=MIDNIGHT
    )
    while grants := queue.lease(worker, MIDNIGHT, limit=batch):
        assert all(queue.finish_many([_done(grant) for grant in grants]))


def _done(grant: Grant) -> Measurement:
    return Measurement(
        job_id=grant.lease.job_id,
        fence=grant.lease.fence,
        attempt=grant.lease.attempt,
        worker_id="w",
        pool="default",
        zone="DE",
        outcome=Outcome.SUCCEEDED,
        started_at=MIDNIGHT,
        ended_at=MIDNIGHT,
        real_started_at=MIDNIGHT,
        real_ended_at=MIDNIGHT,
    )


def _timed(server: EmbeddedServer, what: str, count: int, work: Callable[[], object]) -> Row:
    """Wall time makes the rate; CPU time, which a busy machine changes less, stands beside it."""
    began, own_s, server_s = time.perf_counter(), time.process_time(), _cpu_s(server)
    work()
    took_s, own_s, server_s = time.perf_counter() - began, time.process_time() - own_s, _cpu_s(server) - server_s
    return Row(what, count / took_s, server_s * 1e6 / count, own_s * 1e6 / count)


def _cpu_s(server: EmbeddedServer) -> float:
    with redis.Redis.from_url(server.url) as client:
        used = client.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


def _table(rows: list[Row]) -> str:
    width = max(len(row.what) for row in rows)
    head = f"{'':<{width}}  {'jobs/s':>10}  {'server us':>10}  {'client us':>10}"
    lines = [
        f"{row.what:<{width}}  {row.per_s:>10,.0f}  {_us(row.server_cpu_us)}  {_us(row.client_cpu_us)}  {row.note}"
        for row in rows
    ]
    return "\n".join([head, *lines])


def _us(value: float | None) -> str:
    return f"{'' if value is None else format(value, '.0f'):>10}"


if __name__ == "__main__":
    main()
