"""The other Python queues on the same server, each with its own worker, for `queue_throughput.py --rivals`.

    python benchmarks/rivals/python_queues.py JOBS    prints JSON: pairs of what was measured and jobs a second

Each is installed into a throw-away virtual environment and runs no-op jobs: first all are enqueued by one process, then
one worker process runs them all. Their worker settings are those that their documentation names for throughput.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import redis

START_TIMEOUT_S = 60.0
RUN_TIMEOUT_S = 180.0


class Rival(NamedTuple):
    """`module` is what both sides import, `enqueue` sends N jobs, `worker` is the worker's command line."""

    name: str
    packages: tuple[str, ...]
    module: str
    enqueue: str
    worker: tuple[str, ...]
    most: int  # jobs: the slow ones get fewer


RIVALS = (
    Rival(
        "taskiq",
        ("taskiq", "taskiq-redis"),
        """
        import os, redis
        from taskiq_redis import ListQueueBroker
        broker = ListQueueBroker(os.environ["URL"])
        counter = redis.Redis.from_url(os.environ["URL"])
        @broker.task
        async def noop(number: int) -> None:
            counter.incr("done")
        """,
        """
        import asyncio, sys, rival
        async def main():
            await rival.broker.startup()
            for number in range(int(sys.argv[1])):
                await rival.noop.kiq(number)
            await rival.broker.shutdown()
        asyncio.run(main())
        """,
        ("taskiq", "worker", "rival:broker", "--workers", "1", "--max-async-tasks", "100", "--log-level", "ERROR"),
        10_000,
    ),
    Rival(
        "rq",
        ("rq",),
        """
        import os, redis
        from rq import Queue
        counter = redis.Redis.from_url(os.environ["URL"])
        queue = Queue(connection=counter)
        def noop(number):
            counter.incr("done")
        """,
        """
        import sys, rival
        for number in range(int(sys.argv[1])):
            rival.queue.enqueue(rival.noop, number)
        """,
        ("rq", "worker", "--worker-class", "rq.worker.SimpleWorker", "--quiet", "--url", "{url}"),
        1_000,
    ),
    Rival(
        "dramatiq",
        ("dramatiq[redis]",),
        """
        import os, redis, dramatiq
        from dramatiq.brokers.redis import RedisBroker
        dramatiq.set_broker(RedisBroker(url=os.environ["URL"]))
        counter = redis.Redis.from_url(os.environ["URL"])
        @dramatiq.actor
        def noop(number):
            counter.incr("done")
        """,
        """
        import sys, rival
        for number in range(int(sys.argv[1])):
            rival.noop.send(number)
        """,
        ("dramatiq", "rival", "--processes", "1", "--threads", "8"),
        5_000,
    ),
)


def measure(jobs: int) -> Iterator[tuple[str, float]]:
    """Pairs of what was measured and jobs a second."""
    with tempfile.TemporaryDirectory(prefix="cq-rivals-", dir="/tmp") as folder:
        home = Path(folder)
        subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
        with _tcp_server(home) as url:
            for rival in RIVALS:
                yield from _measure_one(rival, home, url, min(jobs, rival.most))


def _measure_one(rival: Rival, home: Path, url: str, jobs: int) -> Iterator[tuple[str, float]]:
    run = home / "venv" / "bin"
    subprocess.run([run / "pip", "install", "-qq", *rival.packages, "redis"], check=True)
    work = home / rival.name
    work.mkdir()
    (work / "rival.py").write_text(textwrap.dedent(rival.module))
    (work / "enqueue.py").write_text(textwrap.dedent(rival.enqueue))
    env = {"URL": url, "PATH": f"{run}:/usr/bin:/bin", "PYTHONPATH": str(work), "HOME": str(work)}
    with redis.Redis.from_url(url) as client:
        client.flushall()
        began = time.perf_counter()
        subprocess.run([run / "python", "enqueue.py", str(jobs)], cwd=work, env=env, check=True)
        yield f"{rival.name}: enqueue (with the start of its process)", jobs / (time.perf_counter() - began)
        words = [str(run / rival.worker[0]), *(word.format(url=url) for word in rival.worker[1:])]
        worker = subprocess.Popen(words, cwd=work, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await_count(client, 1, START_TIMEOUT_S)  # its start is not counted
            first, began = _done(client), time.perf_counter()
            _await_count(client, jobs, RUN_TIMEOUT_S)
            yield f"{rival.name}: process", (jobs - first) / (time.perf_counter() - began)
        finally:
            worker.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(20)
            worker.kill()
            worker.wait()


def _done(client: redis.Redis) -> int:
    return int(client.get("done") or 0)


def _await_count(client: redis.Redis, jobs: int, timeout_s: float) -> None:
    give_up = time.monotonic() + timeout_s
    while _done(client) < jobs:
        if time.monotonic() > give_up:
            raise TimeoutError(f"{_done(client)} of {jobs} jobs after {timeout_s:.0f} s")
        time.sleep(0.005)


@contextlib.contextmanager
def _tcp_server(home: Path) -> Iterator[str]:
    """Not every rival speaks to a Unix socket: the same kind of server, on loopback."""
    import socket

    from carbonq.scheduler.queue.server import find_server

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [str(find_server()), "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--save", ""]
    server = subprocess.Popen([*words, "--dir", str(home)], stdout=subprocess.DEVNULL)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        with redis.Redis.from_url(url) as client:
            give_up = time.monotonic() + 10
            while time.monotonic() < give_up:
                with contextlib.suppress(redis.ConnectionError):
                    client.ping()
                    break
                time.sleep(0.02)
        yield url
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    print(json.dumps(list(measure(int(sys.argv[1])))))
