"""The time of processes that are gone is counted, and a journal fills its bound without losing its first reading."""

import json
import os
import subprocess
import sys
from pathlib import Path

from carbonq.workers.shim.counters import COLUMNS, Journal, TreeTime, node_busy_s
from carbonq.workers.shim.powercap import Powercap
from carbonq.workers.shim.proc import descendants, now_s, start_ticks


def test_the_tree_counts_children_that_are_gone() -> None:
    """Many short processes: none of them lives long enough to be seen by a sample."""
    program = (
        "import os, sys, time\n"
        "sys.path.append(sys.argv[1])\n"
        "from shim.counters import TreeTime\n"
        "for _ in range(5):\n"
        "    if os.fork() == 0:\n"
        "        while time.process_time() < 0.05: pass\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "print(TreeTime().read())\n"
    )
    workers = Path(__file__).parents[2] / "workers"
    printed = subprocess.run([sys.executable, "-I", "-S", "-c", program, str(workers)], capture_output=True, check=True)
    assert 0.25 <= float(printed.stdout) < 0.6


def test_the_tree_counts_what_still_runs() -> None:
    before_s = TreeTime().read()
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as busy:
        until_s = now_s() + 20
        tree = TreeTime()
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


def test_a_journal_thins_itself_out_and_keeps_its_first_reading(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "meter.jsonl"), Powercap(str(tmp_path)), 0.5, 8)
    for _ in range(30):
        journal.tick(keep=True)
    lines = [json.loads(line) for line in (tmp_path / "meter.jsonl").read_text().splitlines()]
    assert tuple(lines[0]) == COLUMNS
    assert [tuple(line) for line in lines[1:]] == journal.points
    assert len(journal.points) <= 8
    assert journal.interval_s > 0.5
    moments = [point[0] for point in journal.points]
    assert moments == sorted(moments)


def test_readings_between_two_entries_are_taken_but_not_kept(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "meter.jsonl"), Powercap(str(tmp_path)), 3600, 8)
    journal.tick()
    journal.tick()
    assert len(journal.points) == 1


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
