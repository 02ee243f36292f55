"""`carbonq up`: one command, one machine; and what Ctrl-C, kill -9 and a second one do."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
import redis

from .conftest import Machine

pytestmark = pytest.mark.timeout(240)


def start_up(machine: Machine) -> subprocess.Popen[bytes]:
    up = machine.start("up")
    machine.until(lambda: machine.json_or_none("status") is not None and machine.json_or_none("doctor"), "up is up")
    return up


def submit(machine: Machine, run: str, name: str = "job") -> str:
    text = f"name: {name}\nrun: {run}\ndeadline: 2h\nduration: 10m\ncarbon: {{policy: immediate}}\n"
    Path(machine.home, "job.yaml").write_text(text)
    return str(machine.json("submit", "job.yaml")["job_id"])


def test_up_runs_a_job_and_leaves_nothing_behind(machine: Machine) -> None:
    up = start_up(machine)
    job_id = submit(machine, "echo hello")
    machine.run("wait", job_id)
    assert machine.run("logs", job_id).stdout == "hello\n"
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 0
    assert machine.left_running() == []


def test_ctrl_c_lets_a_running_job_end_and_keeps_a_waiting_one(machine: Machine) -> None:
    up = start_up(machine)
    running = submit(machine, "touch begun; sleep 3; touch ended", "short")
    machine.until((machine.home / "begun").exists, "the job begins")
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    assert (machine.home / "ended").exists()
    up = start_up(machine)
    assert machine.json("show", running)["job"]["state"] == "succeeded"


def test_what_is_killed_with_up_goes_on_and_is_found_again(machine: Machine) -> None:
    up = start_up(machine)
    job_id = submit(machine, "echo begin >> runs; sleep 8; echo end >> runs")
    machine.until((machine.home / "runs").exists, "the job begins")
    up.kill()
    up.wait()
    start_up(machine)
    machine.run("wait", job_id)
    assert (machine.home / "runs").read_text() == "begin\nend\n"
    assert machine.json("show", job_id)["job"]["attempts"] == 1


def test_a_second_up_shares_the_server_and_says_why_its_worker_does_not_start(machine: Machine) -> None:
    start_up(machine)
    second = machine.start("up")
    logs = machine.home / "share" / "carbonq" / "logs" / "worker.log"
    machine.until(lambda: "another worker" in logs.read_text(), "the second worker is refused")
    second.send_signal(signal.SIGINT)
    assert second.wait(30) == 0
    job_id = submit(machine, "echo still here")
    machine.run("wait", job_id)
    assert machine.run("logs", job_id).stdout == "still here\n"


def test_a_scheduler_that_dies_under_up_is_started_again(machine: Machine) -> None:
    start_up(machine)
    before = machine.pids("scheduler")
    os.kill(before[0], signal.SIGKILL)
    machine.until(lambda: machine.pids("scheduler") not in ([], before), "the scheduler is back")
    job_id = submit(machine, "echo on")
    machine.run("wait", job_id)
    machine.until(lambda: machine.json("show", job_id)["receipt"], "the receipt is booked")


def test_a_server_killed_under_up_comes_back_and_the_running_job_is_reported(machine: Machine) -> None:
    start_up(machine)
    job_id = submit(machine, "echo begin >> runs; until [ -e go ]; do sleep 0.1; done; echo end >> runs")
    machine.until((machine.home / "runs").exists, "the job begins")
    with redis.Redis(unix_socket_path=str(next((machine.home / "run" / "carbonq").glob("*.sock")))) as client:
        killed = int(client.info("server")["process_id"])
    os.kill(killed, signal.SIGKILL)
    machine.until(lambda: machine.json_or_none("show", job_id), "the queue answers again")
    (machine.home / "go").touch()
    machine.run("wait", job_id)
    assert (machine.home / "runs").read_text() == "begin\nend\n"
    assert machine.json("show", job_id)["job"]["attempts"] == 1


def test_what_a_job_used_foretells_the_next_and_larger_one(machine: Machine) -> None:
    start_up(machine)
    text = "name: {0}\nrun: sleep 1\ndeadline: 2h\ncarbon: {{policy: immediate}}\nworkload: {{family: sleeps, work: {1}}}\n"
    Path(machine.home, "job.yaml").write_text(text.format("small", 1))
    Path(machine.home, "large.yaml").write_text(text.format("large", 10))
    assert machine.json("predict", "large.yaml")["runs"] == 0
    machine.run("wait", str(machine.json("submit", "job.yaml")["job_id"]))
    machine.until(lambda: machine.json("predict", "large.yaml")["runs"] == 1, "the scheduler has learnt")
    foretold = machine.json("predict", "large.yaml")["duration_s"]
    assert foretold["p05"] < 10 < foretold["p95"]
