"""Workers, shims and machines' disks die in the middle; jobs complete once, and nothing that was used goes uncounted."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from carbonq.domain.job import JobState, Outcome
from tests.worker_rig import Rig, until

TWO_LIVES = """
echo begin >> trail
touch up
until [ -e go ]; do sleep 0.02; done
echo end >> trail
echo the end
"""


@pytest.fixture
def rig(redis_url: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(redis_url, tmp_path)
    yield rig
    rig.close()


def read_job(path: Path) -> Any:
    known = json.loads(path.read_bytes())
    return known if "job" in known else None


def identity(rig: Rig, job_id: str) -> dict[str, dict[str, int]]:
    path = rig.settings.data_dir / "attempts" / f"{job_id}.{rig.running(job_id).fence}" / "shim.json"
    known: dict[str, dict[str, int]] = until(lambda: read_job(path), "the job is recorded")
    return known


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def test_a_job_outlives_its_worker_and_its_successor_reports_it_whole(rig: Rig) -> None:
    first = rig.spawn()
    job_id = rig.submit(TWO_LIVES)
    until((rig.folder / "up").exists, "the job runs")
    first.send_signal(signal.SIGKILL)
    first.wait()
    rig.spawn()
    (rig.folder / "go").touch()
    job = rig.ended(job_id)
    measured = rig.measured(job_id)
    assert (job.state, job.attempts, rig.file("trail")) == (JobState.SUCCEEDED, 1, b"begin\nend\n")
    assert rig.log(job_id) == b"the end\n"
    assert measured.energy_j is not None
    assert sum(segment.energy_j for segment in measured.trace) == pytest.approx(measured.energy_j, rel=1e-9)


def test_the_lease_is_kept_while_no_worker_is_there_even_after_the_job_has_ended(rig: Rig) -> None:
    """Three leases long nobody but the shim is there; a second worker elsewhere would gladly take the job."""
    first = rig.spawn()
    job_id = rig.submit(TWO_LIVES)
    until((rig.folder / "up").exists, "the job runs")
    first.send_signal(signal.SIGKILL)
    first.wait()
    (rig.folder / "go").touch()
    fence = rig.running(job_id).fence
    ended = rig.settings.data_dir / "attempts" / f"{job_id}.{fence}" / "exit.json"
    until(ended.exists, "the job ends with no worker there")
    first_expiry = rig.running(job_id).lease_expires_at
    assert first_expiry is not None

    def renewed_past_three_leases() -> bool:
        assert rig.queue.recover(datetime.now(UTC)) == []
        expires_at = rig.queue.get(job_id).lease_expires_at
        return expires_at is not None and (expires_at - first_expiry).total_seconds() > 3 * rig.settings.lease_s

    until(renewed_past_three_leases, "the shim renews the lease")
    rig.spawn()
    job = rig.ended(job_id)
    assert (job.state, job.attempts, job.lost_attempts) == (JobState.SUCCEEDED, 1, 0)


def test_the_account_ends_when_the_job_did_not_when_it_was_found(rig: Rig) -> None:
    first = rig.spawn()
    job_id = rig.submit(TWO_LIVES)
    until((rig.folder / "up").exists, "the job runs")
    first.send_signal(signal.SIGKILL)
    first.wait()
    (rig.folder / "go").touch()
    record = rig.settings.data_dir / "attempts" / f"{job_id}.{rig.running(job_id).fence}" / "exit.json"
    until(record.exists, "the job ends")
    known = json.loads(record.read_bytes())
    rig.spawn()
    rig.ended(job_id)
    measured = rig.measured(job_id)
    duration_s = (measured.real_ended_at - measured.real_started_at).total_seconds()
    assert duration_s == pytest.approx(known["ended_s"] - known["started_s"], abs=1e-5)


def test_a_killed_shim_loses_the_attempt_and_every_process_of_its_job(rig: Rig) -> None:
    """Also those that left its session, ignore SIGTERM, or were orphaned on purpose."""
    rig.work()
    job_id = rig.submit(
        "[ -e up ] && exit 0; trap '' TERM; echo $$ >> pids;"
        " (setsid sh -c 'trap \"\" TERM; echo $$ >> pids; sleep 300 & echo $! >> pids; touch up; wait' &) ; sleep 300"
    )
    until((rig.folder / "up").exists, "the job runs")
    pids = [int(pid) for pid in rig.file("pids").split()]
    assert all(map(is_alive, pids))
    journal = rig.settings.data_dir / "attempts" / f"{job_id}.{rig.running(job_id).fence}" / "meter.jsonl"
    until(lambda: len(journal.read_text().splitlines()) > 3, "some readings are taken")
    os.kill(identity(rig, job_id)["shim"]["pid"], signal.SIGKILL)
    job = rig.ended(job_id)
    lost, succeeded = rig.queue.measurements(job_id)
    assert (job.state, job.lost_attempts, job.failed_attempts) == (JobState.SUCCEEDED, 1, 0)
    assert (lost.outcome, succeeded.outcome) == (Outcome.LOST, Outcome.SUCCEEDED)
    assert lost.energy_j is not None
    assert not any(map(is_alive, pids))


def test_worker_and_shim_killed_together_leave_nothing_running(rig: Rig) -> None:
    first = rig.spawn()
    job_id = rig.submit("[ -e up ] && exit 0; setsid sleep 300 & echo $! > pid; touch up; sleep 300")
    until((rig.folder / "up").exists, "the job runs")
    shim = identity(rig, job_id)["shim"]["pid"]
    pid = int(rig.file("pid"))
    first.send_signal(signal.SIGKILL)
    first.wait()
    os.kill(shim, signal.SIGKILL)
    rig.spawn()
    job = rig.ended(job_id)
    assert (job.state, job.lost_attempts, is_alive(pid)) == (JobState.SUCCEEDED, 1, False)


def test_a_job_that_forks_without_end_is_ended(rig: Rig) -> None:
    """It forks faster than one can count, in new sessions, and ignores what asks it to stop."""
    rig.work()
    program = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "generation = 0\n"
        "while generation < 400:\n"
        "    generation += 1\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "    else:\n"
        "        time.sleep(0.005)\n"
        "        os._exit(0) if generation > 1 else time.sleep(60)\n"
        "time.sleep(60)\n"
    )
    job_id = rig.submit(["python3", "-c", program], timeout="0.5s")
    rig.ended(job_id)
    assert rig.measured(job_id).outcome is Outcome.TIMED_OUT
    folder = rig.settings.data_dir / "attempts" / f"{job_id}.{rig.measured(job_id).fence}"
    marker = f"CARBONQ_ATTEMPT_DIR={folder}".encode()
    assert [path for path in Path("/proc").glob("[0-9]*/environ") if marker in environ(path)] == []


def environ(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\0")
    except OSError:
        return []


def test_what_a_finished_job_left_in_the_background_ends_with_it(rig: Rig) -> None:
    rig.work()
    job_id = rig.submit("setsid sleep 300 & echo $! > pid")
    assert rig.ended(job_id).state is JobState.SUCCEEDED
    assert not is_alive(int(rig.file("pid")))


def test_a_reused_pid_is_nobody_to_kill(rig: Rig) -> None:
    """After a restart of the machine the recorded pids belong to others."""
    first = rig.spawn()
    job_id = rig.submit("[ -e up ] && exit 0; touch up; sleep 300")
    until((rig.folder / "up").exists, "the job runs")
    known = identity(rig, job_id)
    first.send_signal(signal.SIGKILL)
    first.wait()
    os.kill(known["shim"]["pid"], signal.SIGKILL)
    with subprocess.Popen(["sleep", "300"]) as bystander:
        path = rig.settings.data_dir / "attempts" / f"{job_id}.{rig.running(job_id).fence}" / "shim.json"
        for name in ("shim", "job"):
            known[name] = {"pid": bystander.pid, "start_ticks": known[name]["start_ticks"]}
        path.write_text(json.dumps(known))
        rig.spawn()
        job = rig.ended(job_id)
        assert (job.state, job.lost_attempts, bystander.poll()) == (JobState.SUCCEEDED, 1, None)
        bystander.kill()


@pytest.fixture
def small_disk(redis_url: str, tmp_path: Path) -> Iterator[Rig]:
    """A rig whose worker keeps its data on a real file system of 1 MiB."""
    folder = tmp_path / "worker"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    rig = Rig(redis_url, tmp_path, min_free_disk_b=100_000)
    yield rig
    rig.close()
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_job_on_a_full_disk_can_still_be_cancelled(small_disk: Rig) -> None:
    rig = small_disk
    rig.work()
    job_id = rig.submit("head -c 3000000 /dev/zero | tr '\\0' x; touch up; sleep 300")
    until((rig.folder / "up").exists, "the disk is full")
    rig.queue.cancel(job_id, datetime.now(UTC))
    assert rig.ended(job_id).state is JobState.CANCELLED


def test_a_full_disk_costs_output_and_never_the_job(small_disk: Rig) -> None:
    rig = small_disk
    rig.work()
    job_id = rig.submit("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo through; exit 0")
    job = rig.ended(job_id)
    assert (job.state, job.attempts, job.exit_code) == (JobState.SUCCEEDED, 1, 0)
    assert rig.measured(job_id).log_lost_b > 1_500_000
