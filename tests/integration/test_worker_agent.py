"""A worker on a real queue, with real processes: leases, runs, measures, reports."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from carbonq.domain.energy import Component, Provenance
from carbonq.domain.errors import InvalidInput
from carbonq.domain.job import JobState, Outcome
from carbonq.workers.agent import StopMode
from carbonq.workers.meters.fake import FakeMeter
from tests.worker_rig import Rig, until


@pytest.fixture
def rig(redis_url: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(redis_url, tmp_path)
    yield rig
    rig.close()


def test_a_due_job_runs_and_reports_what_it_used(rig: Rig) -> None:
    rig.work()
    job = rig.ended(rig.submit("echo hello; python3 -c 'sum(range(3_000_000))'"))
    measured = rig.measured(job.id)
    assert (job.state, measured.outcome, measured.exit_code) == (JobState.SUCCEEDED, Outcome.SUCCEEDED, 0)
    assert rig.log(job.id) == b"hello\n"
    assert [reading.component for reading in measured.readings] == [Component.CPU, Component.DRAM]
    assert measured.energy_j is not None
    assert measured.energy_j > 0
    assert sum(segment.energy_j for segment in measured.trace) == pytest.approx(measured.energy_j, rel=1e-9)
    assert measured.cpu_time_s is not None
    assert measured.cpu_time_s > 0.02
    assert (measured.trace[0].start, measured.trace[-1].end) == (measured.started_at, measured.ended_at)


def test_the_log_is_complete_when_the_job_counts_as_ended(rig: Rig) -> None:
    rig.work()
    job = rig.ended(rig.submit("for i in $(seq 1000); do echo line $i; done"))
    assert rig.log(job.id).splitlines()[-1] == b"line 1000"


@pytest.mark.parametrize(
    ("fields", "state", "outcome", "error"),
    [
        ({"run": "exit 3"}, JobState.FAILED, Outcome.FAILED, "exit code 3"),
        ({"run": "kill -SEGV $$"}, JobState.FAILED, Outcome.FAILED, "killed by SIGSEGV"),
        ({"run": "sleep 60", "timeout": "0.3s"}, JobState.FAILED, Outcome.TIMED_OUT, "stopped after its timeout"),
        ({"run": ["no-such-command"]}, JobState.FAILED, Outcome.COULD_NOT_START, "no-such-command"),
        ({"run": "no-such-command --now"}, JobState.FAILED, Outcome.COULD_NOT_START, "no-such-command"),
        ({"workdir": "no-such-folder"}, JobState.FAILED, Outcome.COULD_NOT_START, "does not exist on this worker"),
        ({"secrets": ["API_KEY"]}, JobState.FAILED, Outcome.COULD_NOT_START, "secret API_KEY is not known"),
    ],
)
def test_what_goes_wrong_is_called_by_its_name(
    rig: Rig, fields: dict[str, Any], state: JobState, outcome: Outcome, error: str
) -> None:
    rig.work()
    job = rig.ended(rig.submit(**fields))
    measured = rig.measured(job.id)
    assert (job.state, measured.outcome) == (state, outcome)
    assert error in job.error


def test_a_failure_is_tried_again_and_what_cannot_start_is_not(rig: Rig) -> None:
    rig.work()
    flaky = rig.submit('echo x >> tries; [ "$(wc -l < tries)" -ge 3 ]', retry={"max_attempts": 3})
    hopeless = rig.submit(["no-such-command"], retry={"max_attempts": 3})
    assert rig.ended(flaky).state is JobState.SUCCEEDED
    assert rig.ended(hopeless).attempts == 1
    outcomes = [measured.outcome for measured in rig.queue.measurements(flaky)]
    assert outcomes == [Outcome.FAILED, Outcome.FAILED, Outcome.SUCCEEDED]


def test_a_running_job_is_cancelled_with_its_whole_tree(rig: Rig) -> None:
    rig.work()
    job_id = rig.submit("(trap '' TERM; setsid sleep 300 & echo $! > child; wait) & wait")
    child = int(rig.file("child"))
    rig.queue.cancel(job_id, datetime.now(UTC))
    assert rig.ended(job_id).state is JobState.CANCELLED
    assert not Path(f"/proc/{child}").exists()


def test_a_script_whose_interpreter_is_missing_names_the_interpreter(rig: Rig) -> None:
    rig.work()
    job = rig.ended(rig.submit(script="#!/no/such/python3 -u\nprint(1)\n"))
    assert job.state is JobState.FAILED
    assert "its first line names /no/such/python3 -u, which may not be on this worker" in job.error


def test_a_stop_that_takes_its_time_is_told_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    rig.work()
    job_id = rig.submit("trap '' TERM; touch up; while :; do sleep 0.1; done")
    until((rig.folder / "up").exists, "the job runs")
    rig.queue.cancel(job_id, datetime.now(UTC))
    assert rig.ended(job_id).state is JobState.CANCELLED
    assert caplog.text.count("stopping it") == 1


def test_a_planned_job_starts_when_it_is_due(rig: Rig) -> None:
    rig.work()
    due = datetime.now(UTC) + timedelta(seconds=1)
    job = rig.ended(rig.submit("true", due=due))
    late_s = (rig.measured(job.id).real_started_at - due).total_seconds()
    assert 0 <= late_s < 0.3


def test_no_more_runs_at_once_than_there_is_room_for(rig: Rig) -> None:
    script = "echo begin >> trail; sleep 0.3; echo end >> trail"
    jobs = [rig.submit(script, resources={"cpus": 3}) for _ in range(3)]
    rig.work()
    for job_id in jobs:
        assert rig.ended(job_id).state is JobState.SUCCEEDED
    assert rig.file("trail").split() == [b"begin", b"end"] * 3


def test_jobs_run_beside_each_other_where_there_is_room(rig: Rig) -> None:
    """Each waits for the other: they can only end if both run at once."""
    one = rig.submit("touch one; until [ -e two ]; do sleep 0.02; done", timeout="20s")
    two = rig.submit("touch two; until [ -e one ]; do sleep 0.02; done", timeout="20s")
    rig.work()
    assert (rig.ended(one).state, rig.ended(two).state) == (JobState.SUCCEEDED, JobState.SUCCEEDED)


def test_the_environment_is_the_jobs_own(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNRELATED", "leaks")
    monkeypatch.setenv("CARBONQ_SECRET_TOKEN", "hush")
    rig.work()
    job = rig.ended(rig.submit("env -0 > seen", env={"DEPTH": 3}, secrets=["TOKEN"], resources={"cpus": 2}))
    seen = dict(item.split(b"=", 1) for item in rig.file("seen").split(b"\0") if item)
    assert seen[b"DEPTH"] == b"3"
    assert seen[b"TOKEN"] == b"hush"
    assert seen[b"OMP_NUM_THREADS"] == b"2"
    assert seen[b"CUDA_VISIBLE_DEVICES"] == b""
    assert seen[b"CARBONQ_JOB_ID"] == job.id.encode()
    assert b"UNRELATED" not in seen
    assert b"CARBONQ_SECRET_TOKEN" not in seen


def test_secrets_touch_no_file_and_no_command_line(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARBONQ_SECRET_TOKEN", "hush-hush")
    rig.work()
    job_id = rig.submit("touch up; sleep 60", secrets=["TOKEN"])
    until((rig.folder / "up").exists, "the job runs")
    files = [path for path in rig.settings.data_dir.rglob("*") if path.is_file()]
    lines = list(Path("/proc").glob("[0-9]*/cmdline"))
    assert [path for path in files if b"hush-hush" in path.read_bytes()] == []
    assert [path for path in lines if path.exists() and b"hush-hush" in _read(path)] == []
    rig.queue.cancel(job_id, datetime.now(UTC))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_script_runs_line_by_line_and_stops_at_the_first_failure(rig: Rig) -> None:
    rig.work()
    job = rig.ended(rig.submit(script="echo one\nfalse\necho two\n"))
    assert (rig.log(job.id), job.exit_code) == (b"one\n", 1)


def test_a_node_wide_meter_counts_for_the_job_by_its_share_of_cpu_time(rig: Rig) -> None:
    meter = FakeMeter(Component.CPU)
    meter.show("", 1000.0)
    rig.work(meter)
    job_id = rig.submit("touch up; until [ -e go ]; do :; done")
    until((rig.folder / "up").exists, "the job runs")
    meter.show("", 1010.0)
    (rig.folder / "go").touch()
    rig.ended(job_id)
    (reading,) = rig.measured(job_id).readings
    assert (reading.method, reading.provenance) == ("fake-cpu-share", Provenance.MEASURED)
    assert reading.energy_j is not None
    assert 0 < reading.energy_j <= 10


def test_a_worker_shows_itself_and_leaves_the_board_when_it_stops(rig: Rig) -> None:
    rig.work()
    (info,) = until(rig.board.workers, "the worker registers")
    assert (info.capacity.cpus, info.zone, info.meters) == (4, "DE", ("dram-size", "cpu-model"))
    rig.rest()
    assert rig.board.workers() == []


def test_a_stopping_worker_leaves_its_jobs_running_and_the_next_one_finds_them(rig: Rig) -> None:
    rig.work()
    job_id = rig.submit("touch up; until [ -e go ]; do sleep 0.02; done; echo done")
    until((rig.folder / "up").exists, "the job runs")
    rig.rest(StopMode.LEAVE)
    rig.work()
    (rig.folder / "go").touch()
    job = rig.ended(job_id)
    assert (job.state, job.attempts, rig.log(job_id)) == (JobState.SUCCEEDED, 1, b"done\n")


def test_a_worker_can_wait_for_its_jobs_or_hand_them_back(rig: Rig) -> None:
    rig.work()
    short = rig.submit("touch up; sleep 0.3")
    until((rig.folder / "up").exists, "the job runs")
    rig.rest(StopMode.WAIT)
    assert rig.queue.get(short).state is JobState.SUCCEEDED
    rig.work()
    long = rig.submit("touch up2; sleep 60")
    until((rig.folder / "up2").exists, "the job runs")
    rig.rest(StopMode.STOP)
    job = rig.queue.get(long)
    assert (job.state, job.lost_attempts, job.failed_attempts) == (JobState.READY, 1, 0)


def test_two_workers_never_share_a_data_folder(rig: Rig) -> None:
    rig.work()
    until(rig.board.workers, "the worker registers")
    second = rig.agent()
    with pytest.raises(InvalidInput, match="another worker uses"):
        second.run()


def test_a_worker_whose_disk_is_full_takes_no_job(rig: Rig) -> None:
    job_id = rig.submit()
    rig.work(min_free_disk_b=1 << 60)
    until(rig.board.workers, "the worker registers")
    rig.rest()
    assert rig.queue.get(job_id).attempts == 0


def test_an_attempt_that_lost_its_lease_stops_and_is_booked_as_lost(rig: Rig) -> None:
    rig.work()
    job_id = rig.submit("touch up; sleep 60")
    until((rig.folder / "up").exists, "the job runs")
    key = rig.store.keys.job(job_id)
    fence = rig.running(job_id).fence
    rig.store.call("HSET", key, "fence", fence + 1)  # as if another worker had been given it meanwhile
    measured = until(lambda: rig.queue.measurements(job_id), "the overhead is booked")
    assert [(item.outcome, item.fence) for item in measured] == [(Outcome.LOST, fence)]
    assert rig.queue.get(job_id).state is JobState.RUNNING


def test_the_worker_keeps_the_whole_log_and_the_attempts_account(rig: Rig) -> None:
    rig.work()
    job = rig.ended(rig.submit("echo kept"))
    folder = rig.settings.data_dir / "attempts" / f"{job.id}.{job.fence}"
    until((folder / "reported").exists, "the attempt is put away")
    assert (folder / "log").read_bytes() == b"kept\n"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert json.loads((folder / "exit.json").read_bytes())["exit_code"] == 0
    until(lambda: not list((rig.settings.data_dir / "spool").iterdir()), "the spool is empty")


def test_a_shim_that_somebody_terminates_hands_its_job_back(rig: Rig) -> None:
    rig.work()
    job_id = rig.submit("[ -e up ] && exit 0; touch up; sleep 60")
    until((rig.folder / "up").exists, "the job runs")
    folder = rig.settings.data_dir / "attempts" / f"{job_id}.{rig.running(job_id).fence}"
    os.kill(json.loads((folder / "shim.json").read_bytes())["shim"]["pid"], signal.SIGTERM)
    job = rig.ended(job_id)
    assert (job.state, job.lost_attempts) == (JobState.SUCCEEDED, 1)
