"""RAPL is used where it can be read, and says how sure it is."""

import json
from pathlib import Path

import pytest

from carbonq.domain.energy import Component
from carbonq.workers.meters.rapl import AMD_UNCERTAINTY_REL, UNCERTAINTY_REL, RaplMeter
from tests.powercap_tree import RANGE_UJ, PowercapTree


def test_it_is_available_only_where_the_packages_can_be_read(tmp_path: Path) -> None:
    assert not RaplMeter(tmp_path / "missing").is_available
    counter = PowercapTree(tmp_path).add("intel-rapl:0", "package-0")
    assert RaplMeter(tmp_path).is_available
    counter.unlink()
    assert not RaplMeter(tmp_path).is_available


def test_packages_and_memory_are_two_counters_in_joules(tmp_path: Path) -> None:
    tree = PowercapTree(tmp_path)
    package, memory = tree.add("intel-rapl:0", "package-0"), tree.add("intel-rapl:0:0", "dram")
    meter = RaplMeter(tmp_path)
    meter.read()
    package.write_text("2500000")
    memory.write_text("500000")
    assert {counter.component: counter.energy_j for counter in meter.read()} == {
        Component.CPU: 2.5,
        Component.DRAM: 0.5,
    }


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        ("AMD EPYC 7763 64-Core Processor", AMD_UNCERTAINTY_REL),
        ("Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz", UNCERTAINTY_REL),
    ],
)
def test_a_counter_that_the_chip_models_is_less_certain(tmp_path: Path, cpu: str, expected: float) -> None:
    PowercapTree(tmp_path).add("intel-rapl:0", "package-0")
    assert [counter.uncertainty_rel for counter in RaplMeter(tmp_path, cpu).read()] == [expected]


def test_another_process_counts_on_over_a_wrap_while_none_ran(tmp_path: Path) -> None:
    package = PowercapTree(tmp_path).add("intel-rapl:0", "package-0", RANGE_UJ - 1_499_999)
    meter = RaplMeter(tmp_path)
    meter.read()
    package.write_text(str(RANGE_UJ - 499_999))
    assert [counter.energy_j for counter in meter.read()] == [1.0]
    kept = json.loads(json.dumps(meter.state()))
    package.write_text("500000")
    successor = RaplMeter(tmp_path)
    successor.resume(kept)
    assert [counter.energy_j for counter in successor.read()] == [2.0]


def test_a_counter_that_no_earlier_process_knew_starts_at_nothing(tmp_path: Path) -> None:
    PowercapTree(tmp_path).add("intel-rapl:0", "package-0", 7_000_000)
    meter = RaplMeter(tmp_path)
    meter.resume({"/gone/energy_uj": (1, 2, 3.0)})
    assert [counter.energy_j for counter in meter.read()] == [0.0]
