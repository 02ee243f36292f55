"""A real queue on a real server, and workers on it: in this process, or in one of their own that a test may kill."""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from carbonq.clock import SystemClock
from carbonq.domain.job import TERMINAL, Job, JobState, Lease, Measurement
from carbonq.domain.ports import Meter
from carbonq.jobfile import parse
from carbonq.scheduler.queue.board import RedisBoard
from carbonq.scheduler.queue.connection import Store
from carbonq.scheduler.queue.logtail import RedisLogTail
from carbonq.scheduler.queue.redis_queue import RedisQueue
from carbonq.testing import make_job
from carbonq.workers.agent import Agent, StopMode
from carbonq.workers.settings import Keepalive, WorkerSettings

T = TypeVar("T")

PATIENCE_S = 30.0


def until(look: Callable[[], T | None], what: str, patience_s: float = PATIENCE_S) -> T:
    """What `look` finds, as soon as it finds something."""
    end_s = time.monotonic() + patience_s
    while time.monotonic() < end_s:
        if found := look():
            return found
        time.sleep(0.005)
    raise AssertionError(f"waited {patience_s:g} s in vain: {what}")


class Rig:
    """One queue and one worker's data folder."""

    def __init__(self, url: str, folder: Path, **settings: Any) -> None:
        self.url, self.folder = url, folder
        self.store = Store.connect(url)
        self.queue, self.board, self.tail = RedisQueue(self.store), RedisBoard(self.store), RedisLogTail(self.store)
        defaults: dict[str, Any] = {
            "data_dir": folder / "worker",
            "zone": "DE",
            "cpus": 4,
            "lease_s": 3.0,
            "heartbeat_s": 0.1,
            "grace_s": 0.5,
            "max_wait_s": 0.5,
            "log_interval_s": 0.05,
            "sample_interval_s": 0.1,
            "retry_backoff_s": 0.1,
            "linger_s": 30.0,
            "gpu_lock_dir": folder,
            "use_gpus": False,
        }
        self.settings = WorkerSettings(**(defaults | settings))
        self.jobs = 0
        self.agents: list[tuple[Agent, threading.Thread]] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    # jobs

    def submit(self, run: object = None, *, due: datetime | None = None, **fields: Any) -> str:
        """A job that is due at once, or planned to start at `due`."""
        self.jobs += 1
        job_id = f"job-{self.jobs}"
        command = {} if "script" in fields else {"run": run or ["true"]}
        document = json.dumps({"name": "job", "deadline": "2h"} | command | fields).encode()
        spec = parse(document, "job.yaml")
        now = datetime.now(UTC)
        sha = hashlib.sha256(document).hexdigest()
        job = make_job(
            job_id,
            name=spec.name,
            spec_sha256=sha,
            folder=str(self.folder),
            submitted_at=now,
            deadline=now + timedelta(hours=2),
            latest_start=now + timedelta(hours=1),
            planned_start=due or now,
            requirement=spec.requirement,
            max_attempts=spec.retry.max_attempts,
            retry_on=spec.retry.outcomes,
        )
        self.queue.submit([job], {sha: document})
        return job_id

    def ended(self, job_id: str, patience_s: float = PATIENCE_S) -> Job:
        def look() -> Job | None:
            job = self.queue.get(job_id)
            return job if job.state in TERMINAL else None

        return until(look, f"{job_id} ends", patience_s)

    def running(self, job_id: str) -> Job:
        def look() -> Job | None:
            job = self.queue.get(job_id)
            return job if job.state is JobState.RUNNING else None

        return until(look, f"{job_id} runs")

    def renewed(self, job_id: str) -> bool:
        """Whether its lease still has some time to run."""
        expires_at = self.queue.get(job_id).lease_expires_at
        return expires_at is not None and expires_at > datetime.now(UTC)

    def measured(self, job_id: str) -> Measurement:
        (measurement,) = self.queue.measurements(job_id)
        return measurement

    def log(self, job_id: str) -> bytes:
        return self.tail.read(job_id)[0]

    def file(self, name: str) -> bytes:
        """A file that a job writes, once it is there and not empty."""
        path = self.folder / name
        return until(lambda: path.read_bytes() if path.exists() else b"", f"{name} appears")

    # workers

    def keepalive(self, lease: Lease, lease_s: float) -> Keepalive:
        command = tuple(str(word) for word in self.queue.keepalive_command(lease, lease_s))
        return Keepalive(command=command, unix_socket=urlsplit(self.url).path)

    def agent(self, *meters: Meter, **settings: Any) -> Agent:
        return Agent(
            dataclasses.replace(self.settings, **settings),
            queue=self.queue,
            board=self.board,
            log_tail=self.tail,
            clock=SystemClock(),
            keepalive=self.keepalive,
            meters=meters or None,
        )

    def work(self, *meters: Meter, **settings: Any) -> Agent:
        """A worker in a thread of this process."""
        agent = self.agent(*meters, **settings)
        thread = threading.Thread(target=agent.run)
        thread.start()
        self.agents.append((agent, thread))
        return agent

    def rest(self, mode: StopMode = StopMode.LEAVE) -> None:
        """Stop the workers of this process, and wait until they have."""
        for agent, _ in self.agents:
            agent.stop(mode)
        for _, thread in self.agents:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        self.agents.clear()

    def spawn(self, **env: str) -> "subprocess.Popen[bytes]":
        """A worker in a process of its own, with these environment variables besides ours."""
        settings = dataclasses.asdict(self.settings)
        order = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
        process = subprocess.Popen(
            [sys.executable, __file__, self.url, str(self.folder), json.dumps(order)], env=os.environ | env
        )
        self.processes.append(process)
        return process

    def close(self) -> None:
        self.rest(StopMode.STOP)
        for process in self.processes:
            process.kill()
            process.wait()
        if self.processes:  # whatever they left is stopped by one last worker
            self.work()
            self.rest(StopMode.STOP)
        self.store.close()


def main(url: str, folder: str, order: str) -> None:
    paths = {"data_dir", "gpu_lock_dir", "secrets_dir", "powercap_dir"}
    settings = {
        name: Path(value) if name in paths and value is not None else value for name, value in json.loads(order).items()
    }
    agent = Rig(url, Path(folder), **settings).agent()
    signal.signal(signal.SIGTERM, lambda *_: agent.stop(StopMode.LEAVE))
    agent.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
