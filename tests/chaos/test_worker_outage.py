"""The queue's server goes away in the middle: jobs run on, their ends wait on disk, and each is booked once."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from carbonq.domain.job import JobState
from tests.conftest import KillableServer
from tests.worker_rig import Rig, until


@pytest.fixture
def rig(fresh_server: KillableServer, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(fresh_server.url, tmp_path)
    yield rig
    if not fresh_server.is_running():
        fresh_server.start()
    rig.close()


def test_a_job_that_ends_during_an_outage_is_reported_once_afterwards(rig: Rig, fresh_server: KillableServer) -> None:
    rig.work()
    job_id = rig.submit("touch up; until [ -e go ]; do sleep 0.02; done; echo done; touch down")
    until((rig.folder / "up").exists, "the job runs")
    fresh_server.kill()
    (rig.folder / "go").touch()
    until((rig.folder / "down").exists, "the job ends")
    spool = rig.settings.data_dir / "spool"
    until(lambda: list(spool.glob("*.json")), "its measurement waits on disk")
    fresh_server.start()
    job = rig.ended(job_id)
    assert (job.state, job.attempts, job.lost_attempts) == (JobState.SUCCEEDED, 1, 0)
    assert len(rig.queue.measurements(job_id)) == 1
    assert rig.log(job_id) == b"done\n"
    until(lambda: not list(spool.iterdir()), "the spool is empty")


def test_a_job_runs_through_an_outage_longer_than_its_lease(rig: Rig, fresh_server: KillableServer) -> None:
    rig.work()
    job_id = rig.submit("echo begin >> trail; touch up; until [ -e go ]; do sleep 0.02; done; echo end >> trail")
    until((rig.folder / "up").exists, "the job runs")
    fresh_server.kill()
    time.sleep(rig.settings.lease_s + 0.5)  # nothing happens that could be awaited: that is the point
    fresh_server.start()
    until(lambda: rig.queue.recover(datetime.now(UTC)) or rig.renewed(job_id), "the lease is renewed")
    (rig.folder / "go").touch()
    job = rig.ended(job_id)
    assert (job.state, job.attempts, rig.file("trail")) == (JobState.SUCCEEDED, 1, b"begin\nend\n")


def test_what_was_spooled_survives_the_worker_too(rig: Rig, fresh_server: KillableServer) -> None:
    worker = rig.spawn()
    job_id = rig.submit("touch up; until [ -e go ]; do sleep 0.02; done")
    until((rig.folder / "up").exists, "the job runs")
    fresh_server.kill()
    (rig.folder / "go").touch()
    until(lambda: list((rig.settings.data_dir / "spool").glob("*.json")), "its measurement waits on disk")
    worker.kill()
    worker.wait()
    fresh_server.start()
    rig.spawn()
    job = rig.ended(job_id)
    assert (job.state, job.attempts, len(rig.queue.measurements(job_id))) == (JobState.SUCCEEDED, 1, 1)


def test_a_worker_that_starts_before_its_server_waits_for_it(rig: Rig, fresh_server: KillableServer) -> None:
    fresh_server.kill()
    rig.work()
    fresh_server.start()
    assert rig.ended(rig.submit("true")).state is JobState.SUCCEEDED
