"""Workers and jobs are killed in the middle of measuring: every joule that the packages' counter counted is still accounted for."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from carbonq.domain.energy import Component
from carbonq.domain.job import ComponentAccount, JobState, Outcome
from tests.worker_rig import Rig, until

POWER_W = 100.0
RANGE_UJ = 262_143_328_850
BUSY = "touch up; until [ -e go ]; do :; done"


class Package:
    """A processor's counter in a powercap tree of its own, counting 100 W until the test is over."""

    def __init__(self, root: Path) -> None:
        self.root, zone = root, root / "intel-rapl:0"
        zone.mkdir(parents=True)
        (zone / "name").write_text("package-0\n")
        (zone / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        self._file, self._stopping = zone / "energy_uj", threading.Event()
        self._started_s = time.monotonic()
        self._count()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _count(self) -> None:
        counted_uj = int((time.monotonic() - self._started_s) * POWER_W * 1e6) % RANGE_UJ
        new = self.root / "new"
        new.write_text(f"{counted_uj}\n")
        new.replace(self._file)

    def _run(self) -> None:
        while not self._stopping.wait(0.01):
            self._count()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


@pytest.fixture
def rig(redis_url: str, tmp_path: Path) -> Iterator[Rig]:
    package = Package(tmp_path / "powercap")
    rig = Rig(redis_url, tmp_path, powercap_dir=package.root)
    yield rig
    rig.close()
    package.stop()


def packages(rig: Rig) -> ComponentAccount | None:
    """The worker's account of the packages, once it has one."""
    for info in rig.board.workers():
        for component in info.account.components if info.account else ():
            if component.component is Component.CPU:
                return component
    return None


def accounted(rig: Rig, at_least_j: float) -> ComponentAccount:
    def look() -> ComponentAccount | None:
        found = packages(rig)
        return found if found is not None and found.jobs_j >= at_least_j else None

    return until(look, f"{at_least_j:g} J are booked to jobs")


def job_pid(rig: Rig, job_id: str) -> int:
    path = rig.settings.data_dir / "attempts" / f"{job_id}.{rig.running(job_id).fence}" / "shim.json"
    return int(until(lambda: json.loads(path.read_bytes()).get("job"), "the job is recorded")["pid"])


def test_a_job_that_ends_while_no_worker_lives_is_accounted_for_whole(rig: Rig) -> None:
    worker = rig.spawn()
    job_id = rig.submit(BUSY)
    until((rig.folder / "up").exists, "the job runs")
    rig.running(job_id)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    time.sleep(1.0)  # what is to be bridged: a stretch of the job's own work
    os.kill(job_pid(rig, job_id), signal.SIGKILL)
    folder = rig.settings.data_dir / "attempts" / f"{job_id}.{rig.queue.get(job_id).fence}"
    until((folder / "exit.json").exists, "the shim records the end")
    time.sleep(0.5)  # nobody runs: what is counted now is nobody's
    rig.spawn()
    assert rig.ended(job_id).state is JobState.FAILED
    measured = rig.measured(job_id)
    (reading,) = (one for one in measured.readings if one.component is Component.CPU)
    duration_s = (measured.real_ended_at - measured.real_started_at).total_seconds()
    assert measured.outcome is Outcome.FAILED
    assert reading.method == "rapl-cpu-share"
    assert reading.energy_j is not None
    assert 0.2 * POWER_W * duration_s < reading.energy_j <= 1.01 * POWER_W * duration_s
    assert any("bridged" in flag for flag in reading.flags)
    assert sum(segment.energy_j for segment in measured.trace) == pytest.approx(measured.energy_j)
    account = accounted(rig, reading.energy_j)
    assert account.jobs_j + account.carbonq_j + account.unattributed_j == pytest.approx(account.counted_j, rel=1e-9)
    assert account.jobs_j == pytest.approx(reading.energy_j, rel=1e-9)


def test_the_account_goes_on_where_a_killed_worker_left_it(rig: Rig) -> None:
    worker = rig.spawn()
    first = rig.submit(BUSY)
    until((rig.folder / "up").exists, "the job runs")
    (rig.folder / "go").touch()
    rig.ended(first)
    first_j = sum(one.energy_j or 0.0 for one in rig.measured(first).readings if one.component is Component.CPU)
    before = accounted(rig, first_j)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    rig.spawn()
    second = rig.submit(["true"])
    rig.ended(second)
    after = accounted(rig, first_j)
    assert after.counted_j >= before.counted_j
    assert after.jobs_j >= before.jobs_j
    assert after.jobs_j + after.carbonq_j + after.unattributed_j == pytest.approx(after.counted_j, rel=1e-9)
