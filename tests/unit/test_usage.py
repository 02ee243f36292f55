"""An attempt's CPU time as the worker sees it: by its control group or its tree, while it runs and after its end."""

import os
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carbonq.workers import usage
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.runner import Attempt, Command, Ending, Runner
from carbonq.workers.shim import cgroup
from carbonq.workers.shim.proc import now_s
from tests.worker_rig import until

BURN = "while time.process_time() < {s}: pass\n"
CHILDREN = """
import os, sys, time
for _ in range({count}):
    if os.fork() == 0:
        {child}
        os._exit(0)
    {reap}
{after}
"""


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(tmp_path / "attempts", prewarmed=0)
    yield runner
    runner.close()


def start(runner: Runner, program: str, name: str = "job.1") -> Attempt:
    folder = AttemptFolder(runner.attempts_dir / name)
    folder.make()
    env = {"PATH": os.environ["PATH"], "CARBONQ_ATTEMPT_DIR": str(folder.path)}
    argv = (sys.executable, "-I", "-S", "-c", program)
    return runner.start(folder, Command(argv=argv, env=env, workdir=str(runner.attempts_dir.parent)))


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def ended(attempt: Attempt) -> Ending:
    return until(attempt.poll, "the attempt ends")


def identity(attempt: Attempt) -> dict[str, dict[str, int]]:
    def look() -> dict[str, dict[str, int]] | None:
        known = attempt.folder.read("shim.json")
        return known if known and "job" in known else None

    return until(look, "the job is recorded")


def group_of(attempt: Attempt) -> str:
    path = str(identity(attempt).get("cgroup", ""))
    if not path:
        attempt.stop("test")
        pytest.skip("no control group may be made here")
    return path


def test_a_thousand_short_children_are_counted_as_the_kernel_counts_them(runner: Runner, tmp_path: Path) -> None:
    """Each of some milliseconds, none of them seen by a sample; the group's own figure is the truth."""
    child = "begin = time.process_time()\n        while time.process_time() < begin + 0.003: pass"
    wait = f"open({str(tmp_path / 'done')!r}, 'w').close(); time.sleep(60)"
    attempt = start(runner, CHILDREN.format(count=1000, child=child, reap="os.wait()", after=wait))
    group = group_of(attempt)
    until((tmp_path / "done").exists, "the children are through", 60)
    truth_s = cgroup.usage_s(group)
    assert truth_s is not None
    assert truth_s > 3.0
    seen_s = usage.cpu_s(attempt.folder)
    tree_s = usage._tree_s(identity(attempt)["shim"]["pid"])
    attempt.stop("test")
    assert seen_s == pytest.approx(truth_s, rel=0.01)
    assert tree_s == pytest.approx(truth_s, rel=0.05)
    assert ended(attempt).cpu_s == pytest.approx(truth_s, rel=0.05)


def test_children_that_nobody_waits_for_are_counted_where_there_is_a_group(runner: Runner) -> None:
    """A parent that ignores SIGCHLD leaves no account of its children in the tree."""
    child = "begin = time.process_time()\n        while time.process_time() < begin + 0.05: pass"
    ignore = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    wait = "while True:\n    try: os.wait()\n    except ChildProcessError: break"
    attempt = start(runner, ignore + CHILDREN.format(count=20, child=child, reap="", after=wait))
    group_of(attempt)
    assert (ended(attempt).cpu_s or 0) >= 1.0


def test_a_daemon_that_left_its_parent_and_session_is_counted(runner: Runner, tmp_path: Path) -> None:
    daemon = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        while time.process_time() < 0.3: pass\n"
        f"        open({str(tmp_path / 'done')!r}, 'w').close()\n"
        "    else: os._exit(0)\n"
        "time.sleep(60)\n"
    )
    attempt = start(runner, daemon)
    until((tmp_path / "done").exists, "the daemon has worked")
    seen_s = usage.cpu_s(attempt.folder)
    tree_s = usage._tree_s(identity(attempt)["shim"]["pid"])
    attempt.stop("test")
    assert (seen_s or 0) >= 0.29
    assert (tree_s or 0) >= 0.29
    assert (ended(attempt).cpu_s or 0) >= 0.29


def test_a_killed_jobs_time_is_whole_and_its_group_goes(runner: Runner, tmp_path: Path) -> None:
    program = f"import time\n{BURN.format(s=0.2)}open({str(tmp_path / 'done')!r}, 'w').close(); time.sleep(60)"
    attempt = start(runner, program)
    group = group_of(attempt)
    until((tmp_path / "done").exists, "the job has worked")
    os.kill(identity(attempt)["job"]["pid"], signal.SIGKILL)
    ending = ended(attempt)
    assert ending.signal == signal.SIGKILL
    assert (ending.cpu_s or 0) >= 0.19
    assert usage.cpu_s(attempt.folder) == ending.cpu_s
    until(lambda: not Path(group).exists(), "the group is removed")


def test_a_killed_shim_loses_neither_time_nor_group_nor_a_process_without_a_marker(
    runner: Runner, tmp_path: Path
) -> None:
    """The process that emptied its environment and left the tree is found by its group."""
    program = (
        "import os, time\n"
        f"{BURN.format(s=0.2)}"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        f"    os.execve('/bin/sh', ['sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 300'], {{}})\n"
        "time.sleep(60)\n"
    )
    attempt = start(runner, program)
    group = group_of(attempt)
    pid = int(until(lambda: read(tmp_path / "pid"), "the child runs"))
    left = os.pidfd_open(pid)
    os.kill(identity(attempt)["shim"]["pid"], signal.SIGKILL)
    killed_s = now_s()
    ending = ended(attempt)
    last = attempt.folder.lines("meter.jsonl")[-1]
    assert ending.reason == "shim-died"
    assert (ending.cpu_s or 0) >= 0.19
    assert [ending.ended_s, ending.cpu_s] == last[:2]
    assert killed_s <= last[0] <= now_s()
    assert not Path(group).exists()
    assert select.select([left], [], [], 10)[0] == [left]  # it is dead
    os.close(left)


def test_nothing_is_known_before_a_job_runs(tmp_path: Path) -> None:
    folder = AttemptFolder(tmp_path / "job.1")
    folder.make()
    assert usage.cpu_s(folder) is None
    folder.write("shim.json", {"boot_id": "another", "shim": {"pid": 1, "start_ticks": 1}})
    assert usage.cpu_s(folder) is None


def test_carbonqs_own_time_never_falls_when_a_shim_goes(runner: Runner) -> None:
    own = usage.OwnTime()
    attempt = start(runner, "import time; time.sleep(60)")
    identity(attempt)
    first_s = own.read([attempt.folder])
    attempt.stop("test")
    ended(attempt)
    attempt.dismiss()
    runner.close()
    assert own.read([attempt.folder]) >= first_s
    assert own.read([]) >= first_s
