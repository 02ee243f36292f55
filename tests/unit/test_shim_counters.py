"""The time of processes that are gone is counted, and a journal says what it holds."""

import json
import os
import subprocess
import sys
from pathlib import Path

from carbonq.workers.shim.counters import COLUMNS, JobTime, Journal, node_busy_s
from carbonq.workers.shim.powercap import Powercap
from carbonq.workers.shim.proc import boot_id, descendants, now_s, start_ticks


def test_the_tree_counts_children_that_are_gone() -> None:
    """Many short processes: none of them lives long enough to be seen by a sample."""
    program = (
        "import os, sys, time\n"
        "sys.path.append(sys.argv[1])\n"
        "from shim.counters import JobTime\n"
        "for _ in range(5):\n"
        "    if os.fork() == 0:\n"
        "        while time.process_time() < 0.05: pass\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "print(JobTime().read())\n"
    )
    workers = Path(__file__).parents[2] / "workers"
    printed = subprocess.run([sys.executable, "-I", "-S", "-c", program, str(workers)], capture_output=True, check=True)
    assert 0.25 <= float(printed.stdout) < 0.6


def test_the_tree_counts_what_still_runs() -> None:
    before_s = JobTime().read()
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as busy:
        until_s = now_s() + 20
        tree = JobTime()
        while tree.read() < before_s + 0.1 and now_s() < until_s:
            pass
        seen_s = tree.read()
        busy.kill()
    assert seen_s >= before_s + 0.1


def test_the_nodes_busy_time_grows() -> None:
    begin_s = node_busy_s()
    assert begin_s is not None
    until_s = now_s() + 0.2
    while now_s() < until_s:
        pass
    assert (node_busy_s() or 0.0) > begin_s


def test_a_journal_says_what_it_holds_and_on_which_boot(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "meter.jsonl"), Powercap(str(tmp_path)), 0.5, 8)
    for _ in range(3):
        journal.tick(keep=True)
    header, *rows = [json.loads(line) for line in (tmp_path / "meter.jsonl").read_text().splitlines()]
    assert header == [*COLUMNS, {"boot_id": boot_id()}]
    assert [len(row) for row in rows] == [len(COLUMNS)] * 3
    assert [list(row) for row in journal.ends()] == [rows[0], rows[-1]]


def test_a_process_is_known_by_its_start_and_its_children_are_found() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        tree = descendants(os.getpid())
        started = start_ticks(shell.pid)
        shell_children = descendants(shell.pid)
        assert len(shell_children) == 1
        assert {shell.pid, *shell_children} <= set(tree)
        os.kill(shell_children[0], 9)
    assert started is not None
    assert start_ticks(shell.pid) is None
