"""From submit to report through the installed command line, and through the deaths of its parts."""

import os
import signal
from pathlib import Path

import pytest

from .conftest import Machine

pytestmark = pytest.mark.timeout(240)

LOUD_JOB = """\
name: loud
run: |
  echo begin >> runs.txt
  for step in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "step $step"; sleep 0.5; done
  echo end >> runs.txt
deadline: 4h
duration: 1h
carbon: {policy: immediate}
"""


def submit(machine: Machine, text: str, *flags: str) -> str:
    Path(machine.home, "job.yaml").write_text(text)
    answer = machine.json("submit", "job.yaml", *flags)
    return str(answer["job_id"])


def state(machine: Machine, job_id: str) -> str:
    return str(machine.json("show", job_id)["job"]["state"])


def start_scheduler(machine: Machine) -> None:
    machine.start("scheduler")
    machine.until(lambda: machine.run("status", check=False).returncode == 0, "the queue answers")


def test_a_job_survives_the_death_of_its_worker_and_completes_once(machine: Machine) -> None:
    start_scheduler(machine)
    worker = machine.start("worker")
    job_id = submit(machine, LOUD_JOB)
    runs = machine.home / "runs.txt"
    machine.until(runs.exists, "the job begins")

    worker.send_signal(signal.SIGKILL)
    worker.wait()
    machine.start("worker")
    machine.run("wait", job_id)

    assert runs.read_text() == "begin\nend\n"
    receipt = machine.until(lambda: machine.json("show", job_id)["receipt"], "the receipt is booked")
    assert receipt["state"] == "succeeded"
    assert receipt["attempts"] == 1
    assert receipt["energy_j"] > 0
    assert receipt["emissions_g"] > 0
    assert receipt["deadline_met"] is True
    assert receipt["duration_s"] >= 6
    assert sum(slot["energy_j"] for slot in receipt["slots"]) == pytest.approx(receipt["energy_j"], rel=1e-9)
    log = machine.run("logs", job_id).stdout
    assert [line for line in log.splitlines() if line.startswith("step")] == [f"step {n}" for n in range(1, 13)]


def test_a_due_job_starts_with_the_scheduler_dead(machine: Machine) -> None:
    scheduler = machine.start("scheduler")
    machine.until(lambda: machine.run("status", check=False).returncode == 0, "the queue answers")
    machine.start("worker")
    os.kill(scheduler.pid, signal.SIGKILL)
    scheduler.wait()

    job_id = submit(machine, "name: due\nrun: echo ran\ndeadline: 2h\ncarbon: {policy: immediate}\n")
    machine.run("wait", job_id)

    assert state(machine, job_id) == "succeeded"
    assert machine.run("logs", job_id).stdout == "ran\n"


def test_a_waiting_job_is_forced_by_its_deadline_with_the_scheduler_dead(machine: Machine) -> None:
    """The plan may say later than is safe, or nothing at all: the latest safe start, written at submit, decides."""
    scheduler = machine.start("scheduler")
    machine.until(lambda: machine.run("status", check=False).returncode == 0, "the queue answers")
    os.kill(scheduler.pid, signal.SIGKILL)
    scheduler.wait()
    job_id = submit(machine, "name: tight\nrun: echo ran\nduration: 10s\ndeadline: 75s\n")
    machine.start("worker")
    machine.run("wait", job_id)
    shown = machine.json("show", job_id)["job"]
    assert shown["state"] == "succeeded"
    assert shown["finished_at"] <= shown["deadline"]


def test_an_impossible_deadline_exits_5_and_says_when_it_could_be_done(machine: Machine) -> None:
    start_scheduler(machine)
    Path(machine.home, "job.yaml").write_text("name: late\nrun: echo late\nduration: 3h\ndeadline: 1h\n")
    done = machine.run("submit", "job.yaml", check=False)
    assert done.returncode == 5
    assert "earliest" in done.stderr
    assert machine.json("status", "--all") == [] or not machine.json("status", "--all")


def test_without_a_server_every_command_exits_4_and_names_up(machine: Machine) -> None:
    for command in (("status",), ("wait", "x"), ("cancel", "x"), ("report",)):
        done = machine.run(*command, check=False)
        assert done.returncode == 4, command
        assert "carbonq up" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_workers_install_needs_no_solver_no_web_and_no_forecasting_libraries(machine: Machine) -> None:
    python = machine.bin / "python"
    import subprocess

    code = "import sys, carbonq.workers.agent, carbonq.bootstrap; print(sorted(m for m in ('numpy','scipy','sklearn','fastapi','pandas') if m in sys.modules))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, env=machine.env)
    assert done.stdout.strip() == "[]", done.stderr
