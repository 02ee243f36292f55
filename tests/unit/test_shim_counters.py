"""Counters wrap, vanish and fill their bound; what is read of them stays true."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from carbonq.workers.shim.counters import COLUMNS, Journal, Powercap, TreeTime, node_busy_s
from carbonq.workers.shim.proc import descendants, now_s, start_ticks

RANGE_UJ = 1_000_000


def add_domain(root: Path, folder: str, name: str, energy_uj: int) -> Path:
    domain = root / folder
    domain.mkdir(parents=True)
    (domain / "name").write_text(name + "\n")
    (domain / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    (domain / "energy_uj").write_text(f"{energy_uj}\n")
    return domain / "energy_uj"


@pytest.fixture
def powercap(tmp_path: Path) -> dict[str, Path]:
    """Two packages, one memory domain, and three things that would count energy twice."""
    return {
        "package-0": add_domain(tmp_path, "intel-rapl:0", "package-0", 900_000),
        "package-1": add_domain(tmp_path, "intel-rapl:1", "package-1", 100),
        "dram": add_domain(tmp_path, "intel-rapl:0:1", "dram", 5),
        "core": add_domain(tmp_path, "intel-rapl:0:0", "core", 7),
        "psys": add_domain(tmp_path, "intel-rapl:2", "psys", 7),
        "mmio": add_domain(tmp_path, "intel-rapl-mmio:0", "package-0", 900_000),
    }


def test_packages_add_up_in_joules_from_the_first_reading(tmp_path: Path, powercap: dict[str, Path]) -> None:
    meter = Powercap(str(tmp_path))
    assert meter.read() == {"cpu": 0.0, "dram": 0.0}
    powercap["package-0"].write_text("950000")
    powercap["package-1"].write_text("250100")
    powercap["dram"].write_text("1005")
    assert meter.read() == pytest.approx({"cpu": 0.3, "dram": 0.001})


def test_a_counter_that_wraps_goes_on_counting(tmp_path: Path, powercap: dict[str, Path]) -> None:
    meter = Powercap(str(tmp_path))
    meter.read()
    powercap["package-0"].write_text("99999")
    assert meter.read()["cpu"] == pytest.approx((RANGE_UJ + 1 - 900_000 + 99_999) / 1e6)


def test_a_counter_that_cannot_be_read_is_unknown_and_is_bridged_afterwards(
    tmp_path: Path, powercap: dict[str, Path]
) -> None:
    meter = Powercap(str(tmp_path))
    meter.read()
    powercap["package-1"].rename(tmp_path / "gone")
    assert meter.read()["cpu"] is None
    (tmp_path / "gone").rename(powercap["package-1"])
    powercap["package-0"].write_text("910000")
    assert meter.read()["cpu"] == pytest.approx(0.01)


def test_a_machine_without_powercap_shows_nothing(tmp_path: Path) -> None:
    assert Powercap(str(tmp_path / "missing")).read() == {}


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
