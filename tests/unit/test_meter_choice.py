"""The best meter there is gets the job, and memory without a counter is modelled."""

from pathlib import Path

import pytest

from carbonq.domain.energy import Component, Rung
from carbonq.workers.meters.choice import Preference, cpu_meter, node_meters
from carbonq.workers.meters.cpu_model import CpuConstants, CpuModelMeter, save_constants
from tests.powercap_tree import PowercapTree


def test_rapl_goes_before_the_model(tmp_path: Path) -> None:
    assert cpu_meter(tmp_path).name == "cpu-model"
    PowercapTree(tmp_path).add("intel-rapl:0", "package-0")
    assert cpu_meter(tmp_path).name == "rapl"
    assert cpu_meter(tmp_path, "model").name == "cpu-model"


@pytest.mark.parametrize("prefer", ["rapl", "pyrapl"])
def test_what_cannot_be_read_leaves_its_place_to_the_model(tmp_path: Path, prefer: Preference) -> None:
    PowercapTree(tmp_path).add("intel-rapl:0", "package-0").unlink()
    assert cpu_meter(tmp_path, prefer).name in {"cpu-model", "pyrapl"}


def test_constants_fitted_on_this_node_go_before_the_table(tmp_path: Path) -> None:
    fitted = CpuConstants(10.0, 100.0, 0.8, 0.05, Rung.FITTED_MODEL, "fitted on this node")
    save_constants(tmp_path, fitted)
    meter = cpu_meter(tmp_path / "none", data_dir=tmp_path)
    assert isinstance(meter, CpuModelMeter)
    assert meter.constants == fitted


def test_memory_is_modelled_only_where_no_counter_shows_it(tmp_path: Path) -> None:
    tree = PowercapTree(tmp_path)
    tree.add("intel-rapl:0", "package-0")
    modelled = node_meters(tmp_path, 64 * 10**9)
    assert [counter.component for meter in modelled for counter in meter.read()] == [Component.CPU, Component.DRAM]
    assert [meter.name for meter in modelled] == ["rapl", "dram-size"]
    assert [meter.name for meter in node_meters(tmp_path, None)] == ["rapl"]
    tree.add("intel-rapl:0:0", "dram")
    assert [meter.name for meter in node_meters(tmp_path, 64 * 10**9)] == ["rapl"]
