"""The packages' counters wrap, vanish, come back and are set back; what is read of them stays true."""

from pathlib import Path

import pytest

from carbonq.workers.shim.powercap import Powercap, passed_uj, zones
from tests.powercap_tree import RANGE_UJ, PowercapTree

HOUR_S = 3600.0


@pytest.fixture
def tree(tmp_path: Path) -> PowercapTree:
    return PowercapTree(tmp_path / "powercap")


def zone_names(tree: PowercapTree) -> list[tuple[str, str]]:
    return [(component, Path(folder).name) for component, folder in zones(str(tree.root))]


def test_two_packages_and_their_memory_are_found_and_nothing_that_counts_the_same_energy_again(
    tree: PowercapTree,
) -> None:
    for zone, name in {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "uncore",
        "intel-rapl:0:2": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:1:0": "dram",
        "intel-rapl:2": "psys",
        "intel-rapl-mmio:0": "package-0",
    }.items():
        tree.add(zone, name)
    expected = [
        ("cpu", "intel-rapl:0"),
        ("dram", "intel-rapl:0:2"),
        ("cpu", "intel-rapl:1"),
        ("dram", "intel-rapl:1:0"),
    ]
    assert sorted(zone_names(tree)) == sorted(expected)


def test_each_die_of_a_package_counts(tree: PowercapTree) -> None:
    for number in range(4):
        tree.add(f"intel-rapl:{number}", f"package-{number // 2}-die-{number % 2}", 1000)
    meter = Powercap(str(tree.root))
    assert meter.read() == {"cpu": 0.0}
    for number in range(4):
        (tree.root / f"intel-rapl:{number}" / "energy_uj").write_text("1500001\n")
    assert meter.read() == {"cpu": 4 * 1.499001}


def test_subzones_are_found_also_where_they_are_shown_only_within_their_package(tree: PowercapTree) -> None:
    tree.add("intel-rapl:0", "package-0")
    tree.add("intel-rapl:0:2", "dram")
    (tree.root / "intel-rapl:0:2").unlink()
    assert zone_names(tree) == [("cpu", "intel-rapl:0"), ("dram", "intel-rapl:0:2")]


def test_a_counter_that_wraps_goes_on_counting(tree: PowercapTree) -> None:
    counter = tree.add("intel-rapl:0", "package-0", RANGE_UJ - 93_000)
    meter = Powercap(str(tree.root))
    meter.read()
    counter.write_text("6999")
    assert meter.read() == {"cpu": 0.1}


def test_a_read_that_fails_is_unknown_and_loses_and_doubles_nothing(tree: PowercapTree) -> None:
    first, second = tree.add("intel-rapl:0", "package-0"), tree.add("intel-rapl:1", "package-1")
    meter = Powercap(str(tree.root))
    meter.read()
    first.write_text("1000000")
    second.rename(second.with_name("away"))
    assert meter.read() == {"cpu": None}
    first.write_text("3000000")
    second.with_name("away").rename(second)
    second.write_text("500000")
    assert meter.read() == {"cpu": 3.5}
    assert meter.read() == {"cpu": 3.5}


@pytest.mark.parametrize("content", ["", "n/a", "1.5", "\xff"])
def test_what_is_no_number_is_unknown(tree: PowercapTree, content: str) -> None:
    counter = tree.add("intel-rapl:0", "package-0")
    meter = Powercap(str(tree.root))
    meter.read()
    counter.write_text(content, encoding="latin-1")
    assert meter.read() == {"cpu": None}
    counter.write_text("2000000")
    assert meter.read() == {"cpu": 2.0}


def test_memory_that_cannot_be_read_leaves_the_packages_known(tree: PowercapTree) -> None:
    package, memory = tree.add("intel-rapl:0", "package-0"), tree.add("intel-rapl:0:1", "dram")
    meter = Powercap(str(tree.root))
    meter.read()
    memory.unlink()
    package.write_text("1000000")
    assert meter.read() == {"cpu": 1.0, "dram": None}


def test_a_counter_set_back_by_a_sleep_is_no_wrap(tree: PowercapTree) -> None:
    counter, moments = tree.add("intel-rapl:0", "package-0", 100_000_000_000), iter([0.0, 1.0])
    meter = Powercap(str(tree.root), lambda: next(moments))
    meter.read()
    counter.write_text("40000000")
    assert meter.read() == {"cpu": 40.0}


def test_a_fall_is_a_wrap_where_the_package_can_have_drawn_as_much_meanwhile() -> None:
    assert passed_uj(100_000_000_000, 40_000_000, RANGE_UJ, HOUR_S) == RANGE_UJ + 1 - 100_000_000_000 + 40_000_000


def test_a_fall_below_an_unknown_or_smaller_range_is_no_wrap() -> None:
    assert passed_uj(500, 20, 0, 1.0) == 20
    assert passed_uj(500, 20, 300, 1.0) == 20


def test_a_counter_without_a_range_is_read_until_it_is_set_back(tree: PowercapTree) -> None:
    counter = tree.add("intel-rapl:0", "package-0", 1_000_000)
    (counter.parent / "max_energy_range_uj").unlink()
    meter = Powercap(str(tree.root))
    meter.read()
    counter.write_text("3000000")
    assert meter.read() == {"cpu": 2.0}
    counter.write_text("500000")
    assert meter.read() == {"cpu": 2.5}


def test_a_machine_without_powercap_shows_nothing(tmp_path: Path) -> None:
    assert Powercap(str(tmp_path / "missing")).read() == {}
