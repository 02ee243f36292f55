"""How soon the command line answers, against what its own libraries cost to load: `python benchmarks/cli_startup.py`.

Every round runs each command once, in turn, so that a busy machine slows all of them alike; the medians and the best of the
rounds are compared. `status` asks a real server that holds jobs of every state. Exits 1 where a ratio is above the aim.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from carbonq import bootstrap, jobfile
from carbonq.domain.spec import JobFile
from carbonq.scheduler.queue.server import EmbeddedServer

BASE = "python -c 'import typer, redis'"
AIM = 2.5
JOB = b"name: bench\nrun: 'true'\ndeadline: 12h\narray: 50\n"
ONE = b"name: one\nrun: 'true'\ndeadline: 12h\n"
JOB_FILE = "BENCHMARK_JOB_FILE"


@contextmanager
def queue_with_jobs() -> Iterator[dict[str, str]]:
    """The environment of a command that talks to a private server with fifty waiting tasks."""
    with tempfile.TemporaryDirectory(prefix="cq-", dir="/tmp") as folder:
        server = EmbeddedServer(Path(folder, "data"), socket=Path(folder, "redis.sock"))
        server.start()
        try:
            client = bootstrap.client(bootstrap.settings({"redis_url": server.url, "zone": "FR", "sources": "typical"}))
            client.submit(JobFile(jobfile.parse(JOB), JOB, folder))
            job = Path(folder, "job.yaml")
            job.write_bytes(ONE)
            yield dict(os.environ) | {
                "CARBONQ_REDIS_URL": server.url,
                "CARBONQ_ZONE": "FR",
                "CARBONQ_SOURCES": "typical",
                JOB_FILE: str(job),
            }
        finally:
            server.stop()


def commands(job: str) -> dict[str, list[str]]:
    carbonq = [sys.executable, "-m", "carbonq"]
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        BASE: [sys.executable, "-c", "import typer, redis"],
        "carbonq --help": [*carbonq, "--help"],
        "carbonq status": [*carbonq, "status"],
        "carbonq forecast": [*carbonq, "forecast"],
        "carbonq submit": [*carbonq, "submit", job],
    }


def measure(commands: dict[str, list[str]], env: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """Seconds of each command in each round, after one round that warms the file cache."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, env=env, check=True, capture_output=True)
            if number:
                taken[name].append(time.perf_counter() - began)
    return taken


def show(taken: dict[str, list[float]]) -> bool:
    """Print the table; whether the aim is met."""
    print(f"{'command':<34}{'median':>9}{'best':>9}{'ratio':>8}   (of the medians; aim: at most {AIM})")
    base = statistics.median(taken[BASE])
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        print(f"{name:<34}{median * 1e3:>6.0f} ms{min(seconds) * 1e3:>6.0f} ms{median / base:>8.2f}")
    return all(statistics.median(taken[name]) <= AIM * base for name in ("carbonq --help", "carbonq status"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args(arguments).rounds
    with queue_with_jobs() as env:
        return 0 if show(measure(commands(env[JOB_FILE]), env, rounds)) else 1


if __name__ == "__main__":
    sys.exit(main())
