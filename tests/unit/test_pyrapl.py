"""pyRAPL's readings become joules that never fall, and where it cannot be used it says why."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from carbonq.domain.energy import Component
from carbonq.workers.meters.pyrapl import PyRaplMeter
from carbonq.workers.settings import POWERCAP

POWERCAP_ENTRY = POWERCAP / "intel-rapl"
needs_pyrapl = pytest.mark.skipif(importlib.util.find_spec("pyRAPL") is None, reason="pyRAPL is not installed")


class Scripted:
    """Stands where pyRAPL's sensor does, and shows one reading after the other; None is a file that cannot be read."""

    def __init__(self, *readings: list[float] | None) -> None:
        self.readings = iter(readings)

    def energy(self) -> list[float]:
        reading = next(self.readings)
        if reading is None:
            raise OSError("the zone is gone")
        return reading


def energies_j(meter: PyRaplMeter, component: Component = Component.CPU) -> list[float | None]:
    return [counter.energy_j for counter in meter.read() if counter.component is component]


def test_sockets_add_up_and_absent_ones_do_not_count() -> None:
    first = [5e6, -1, -1, -1, 7e6, 1e6]
    meter = PyRaplMeter(Scripted(first, first, [6e6, -1, -1, -1, 9e6, 1.5e6]))
    assert energies_j(meter) == [0.0]
    assert {counter.component: counter.energy_j for counter in meter.read()} == {
        Component.CPU: 3.0,
        Component.DRAM: 0.5,
    }


def test_a_counter_that_fell_is_unknown_and_then_counted_anew() -> None:
    readings: list[list[float]] = [[9e6, -1], [9e6, -1], [10e6, -1], [1e6, -1], [3e6, -1]]
    meter = PyRaplMeter(Scripted(*readings))
    assert [energies_j(meter) for _ in range(4)] == [[0.0], [1.0], [None], [2.0]]


def test_a_reading_that_fails_is_unknown_and_made_up_for() -> None:
    meter = PyRaplMeter(Scripted([0.0, -1], [0.0, -1], None, [-1, -1], [4e6, -1]))
    assert [energies_j(meter) for _ in range(4)] == [[0.0], [None], [None], [4.0]]


def test_memory_that_pyrapl_does_not_find_is_left_out() -> None:
    reading: list[float] = [1e6, -1]
    meter = PyRaplMeter(Scripted(reading, reading))
    assert [counter.component for counter in meter.read()] == [Component.CPU]


@needs_pyrapl
@pytest.mark.skipif(POWERCAP_ENTRY.exists(), reason="this machine has powercap counters")
def test_without_its_hardware_pyrapl_says_so() -> None:
    meter = PyRaplMeter()
    assert meter.problem.startswith("pyRAPL finds no package counter")
    assert (meter.is_available, list(meter.read())) == (False, [])


@needs_pyrapl
@pytest.mark.skipif(
    not POWERCAP_ENTRY.exists(), reason="pyRAPL reads nothing but Linux' own powercap files, and there are none"
)
def test_with_its_hardware_pyrapl_reads_or_says_why_not() -> None:
    meter = PyRaplMeter()
    assert meter.is_available is not bool(meter.problem)


PROGRAM = """
import json
from pathlib import Path
from carbonq.workers.meters.pyrapl import PyRaplMeter
from carbonq.workers.meters.rapl import RaplMeter
from tests.powercap_tree import RANGE_UJ, PowercapTree
root = Path("/sys/class/powercap")
tree = PowercapTree(root)
package, memory = tree.add("intel-rapl:0", "package-0", RANGE_UJ - 500_000), tree.add("intel-rapl:0:0", "dram", 5)
meters = PyRaplMeter(), RaplMeter(root)
read = [[[counter.energy_j for counter in meter.read()] for meter in meters]]
for package_uj, memory_uj in ((RANGE_UJ - 100_000, 5), (899_999, 5), (1_899_999, 2_000_005)):
    package.write_text(str(package_uj))
    memory.write_text(str(memory_uj))
    read.append([[counter.energy_j for counter in meter.read()] for meter in meters])
print(json.dumps(read))
"""
NO_NAMESPACE = 7


@needs_pyrapl
def test_over_a_wrap_pyrapl_is_unknown_where_the_own_reader_is_exact() -> None:
    """pyRAPL knows one path only: it is given a file system of its own, with counters at that path."""
    inner = f'mount -t tmpfs tmpfs /sys/class && mkdir /sys/class/powercap || exit {NO_NAMESPACE}; exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", inner, "sh", sys.executable, "-c", PROGRAM]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])}
    run = subprocess.run(command, env=env, capture_output=True, text=True)
    if run.returncode == NO_NAMESPACE or "unshare" in run.stderr:
        pytest.skip("this user may not mount a file system, so pyRAPL's path cannot be stood in for")
    assert (run.stderr, run.returncode) == ("", 0)
    assert json.loads(run.stdout) == [
        [[0.0, 0.0], [0.0, 0.0]],
        [[0.4, 0.0], [0.4, 0.0]],
        [[None, 0.0], [1.4, 0.0]],
        [[1.0, 2.0], [2.4, 2.0]],
    ]


@pytest.mark.skipif(importlib.util.find_spec("pyRAPL") is not None, reason="pyRAPL is installed")
def test_without_the_package_it_says_how_to_get_it() -> None:
    assert PyRaplMeter().problem == "pyRAPL is not installed: pip install 'carbonq[rapl]'"
