"""Schedulers that are killed, servers that go away under them: jobs are planned all the same."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from carbonq.domain.errors import QueueUnreachable
from carbonq.domain.job import Job
from carbonq.scheduler.queue.board import RedisBoard
from carbonq.scheduler.queue.connection import Store
from carbonq.scheduler.queue.redis_queue import RedisQueue
from carbonq.scheduler.queue.server import EmbeddedServer
from carbonq.testing import make_job, make_worker

SCRIPT = Path(__file__).with_name("scheduler_process.py")
SPEC = b"name: job"
SHA = sha256(SPEC).hexdigest()


class Site:
    """A server of this test's own, and schedulers in processes of their own."""

    def __init__(self, url: str, stack: ExitStack, folder: Path) -> None:
        self.url, self._stack, self._folder = url, stack, folder
        store = Store.connect(url)
        stack.callback(store.close)
        self.queue, self.board = RedisQueue(store), RedisBoard(store)

    def scheduler(self, holder: str) -> "subprocess.Popen[bytes]":
        return self._stack.enter_context(_process(self.url, holder, self._folder / f"{holder}.log"))

    def log(self, holder: str) -> str:
        return (self._folder / f"{holder}.log").read_text()

    def submit(self, job_id: str) -> None:
        now = datetime.now(UTC)
        job = make_job(
            job_id,
            spec_sha256=SHA,
            submitted_at=now,
            deadline=now + timedelta(hours=20),
            latest_start=now + timedelta(hours=18),
        )
        self.queue.submit([job], {SHA: SPEC})

    def planned(self, job_id: str) -> Job:
        """Waits until the job has its start."""
        until(lambda: self.queue.get(job_id).planned_start)
        return self.queue.get(job_id)


@contextmanager
def _process(url: str, holder: str, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    with (
        log.open("wb") as out,
        subprocess.Popen([sys.executable, str(SCRIPT), url, holder], stdout=out, stderr=subprocess.STDOUT) as process,
    ):
        yield process
        if process.poll() is None:
            process.kill()


def until(holds: Callable[[], Any], within_s: float = 20.0) -> Any:
    """What it returns once that is true. An unreachable server is nothing yet."""
    over = time.monotonic() + within_s
    while True:
        try:
            if found := holds():
                return found
        except QueueUnreachable:
            pass
        assert time.monotonic() < over, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def site(fresh_server: EmbeddedServer, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        site = Site(fresh_server.url, stack, tmp_path)
        site.board.put_worker(make_worker(), ttl_s=3600)
        yield site


def test_when_the_leader_is_killed_the_second_takes_over(site: Site) -> None:
    first = site.scheduler("first")
    until(lambda: "first leads" in site.log("first"))
    site.scheduler("second")
    site.submit("before")
    site.planned("before")

    first.kill()
    site.submit("after")

    assert site.planned("after").planned_start is not None
    assert "second leads" in site.log("second")
    assert "second leads" not in site.log("first")


def test_a_server_that_is_killed_and_restarted_is_gone_on_with(site: Site, fresh_server: Any) -> None:
    process = site.scheduler("only")
    site.submit("before")
    planned = site.planned("before")

    fresh_server.kill()
    until(lambda: "cannot be reached" in site.log("only"))
    fresh_server.start()
    until(lambda: site.log("only").count("only leads") == 2)
    site.submit("after")

    assert site.planned("after").planned_start is not None
    assert site.queue.get("before").planned_start == planned.planned_start
    assert (process.poll(), site.log("only").count("cannot be reached")) == (None, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_in_order_and_frees_the_lead(site: Site, number: signal.Signals) -> None:
    process = site.scheduler("leaving")
    site.submit("job")
    site.planned("job")

    os.kill(process.pid, number)

    assert process.wait(10) == 0
    assert site.board.lead("next", 5.0)
    assert "leaving has stopped" in site.log("leaving")
    assert "Traceback" not in site.log("leaving")


def test_a_scheduler_that_hung_past_its_lead_stands_by_afterwards(site: Site) -> None:
    hung = site.scheduler("hung")
    until(lambda: "hung leads" in site.log("hung"))

    os.kill(hung.pid, signal.SIGSTOP)
    try:
        until(lambda: site.board.lead("other", 30.0))
    finally:
        os.kill(hung.pid, signal.SIGCONT)

    until(lambda: "no longer leads" in site.log("hung"))
