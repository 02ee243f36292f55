"""What an array of many tasks costs a person at each command, beside what the same server does for a bare script.

    python benchmarks/array_submit.py [--tasks 10000] [--json]

One run, one private server on a Unix socket with its AOF (everysec); the client works in this process, so the start of
an interpreter is not in it but for the rows marked `command`. The baseline is EVALSHA, one connection, pipelined: a
script that stores a task's record and its indexes, without any rule.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import redis

from carbonq import bootstrap
from carbonq.cli import listing
from carbonq.cli.jobfiles import load_all
from carbonq.client import Client
from carbonq.scheduler.queue.server import EmbeddedServer

JOB = "version: 1\nname: {name}\nrun: 'true'\ndeadline: 20h\nduration: 1m\narray: {tasks}\n"
PIPELINE = 500

BASELINE = """
local id = ARGV[1]
redis.call('HSET', 'job:' .. id, 'ask', ARGV[2], 'state', 'scheduled', 'planned', 1, 'array', 'a')
for _, index in ipairs({'state', 'project', 'array', 'waiting'}) do redis.call('ZADD', index, ARGV[3], id) end
redis.call('XADD', 'events', 'MAXLEN', '~', 100000, '*', 'type', 'submitted', 'job', id)
return 'new'
"""


class Part(NamedTuple):
    what: str
    seconds: float


def main() -> None:
    options = _options()
    with (
        tempfile.TemporaryDirectory(prefix="cq-", dir="/tmp") as folder,
        EmbeddedServer(Path(folder, "data"), socket=Path(folder, "s", "redis.sock")) as server,
    ):
        parts = list(_parts(server, Path(folder), options.tasks))
    print(json.dumps([part._asdict() for part in parts], indent=2) if options.json else _table(parts))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _parts(server: EmbeddedServer, folder: Path, tasks: int) -> Iterator[Part]:
    yield _timed(f"baseline: a bare script, {tasks:,} times", lambda: _baseline(server, tasks))
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    files = {name: folder / f"{name}.yaml" for name in ("big", "more")}
    for name, file in files.items():
        file.write_text(JOB.format(name=name, tasks=tasks), encoding="utf-8")
    client_ = bootstrap.client(bootstrap.settings({"redis_url": server.url}))
    env = os.environ | {"CARBONQ_REDIS_URL": server.url, "CARBONQ_DATA_DIR": str(folder / "home")}
    command = [sys.executable, "-m", "carbonq"]

    def run(*words: str) -> None:
        subprocess.run([*command, *words], env=env, check=True, capture_output=True)

    yield _timed("command: status of an empty queue", lambda: run("status"))
    yield _timed("command: submit", lambda: run("submit", str(files["big"])))
    yield _timed("command: status", lambda: run("status"))
    yield from _in_process(client_, str(files["more"]))


def _in_process(client: Client, file: str) -> Iterator[Part]:
    ((_, loaded),) = load_all([file])
    yield _timed("submit of another one (plans around the first)", lambda: client.submit(loaded, job_id="more"))
    yield _timed("status: its rows", lambda: listing.rows(client, None, None, limit=20, every=False))
    yield _timed("ids by a beginning", lambda: client.task_ids("mor"))
    yield _timed("every task read", lambda: client.tasks("more"))
    yield _timed("run-now of all tasks", lambda: client.run_now(["more"]))
    yield _timed("cancel of all tasks", lambda: client.cancel(["more"]))
    yield _timed("wait for all tasks, which have ended", lambda: list(client.wait(["more"])))


def _baseline(server: EmbeddedServer, tasks: int) -> None:
    ask = json.dumps({"id": "a", "padding": "x" * 700})
    with redis.Redis.from_url(server.url) as client:
        script = str(client.script_load(BASELINE))
        for first in range(0, tasks, PIPELINE):
            with client.pipeline(transaction=False) as pipeline:
                for number in range(first, min(first + PIPELINE, tasks)):
                    pipeline.evalsha(script, 0, f"a.{number}", ask, str(number))
                pipeline.execute()


def _timed(what: str, work: Callable[[], object]) -> Part:
    began = time.perf_counter()
    work()
    return Part(what, time.perf_counter() - began)


def _table(parts: list[Part]) -> str:
    width = max(len(part.what) for part in parts)
    return "\n".join(f"{part.what:<{width}}  {part.seconds:7.2f} s" for part in parts)


if __name__ == "__main__":
    main()
