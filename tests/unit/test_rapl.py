"""RAPL is used where it can be read, and says how sure it is."""

from pathlib import Path

import pytest

from carbonq.domain.energy import Component
from carbonq.workers.meters.rapl import AMD_UNCERTAINTY_REL, UNCERTAINTY_REL, RaplMeter
from tests.powercap_tree import PowercapTree


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
