"""The NVML meter against NVIDIA's own binding and a stand-in of the library behind it."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from carbonq.workers.meters.nvml import poll_interval_s
from tests.nvml_stand_in import FUNCTION_NOT_FOUND, Call, Gpu, Process, Sensor, Slice, StandIn, Trace, build

START = """
import json
from carbonq.workers import inventory
from carbonq.workers.meters import nvml
library = nvml.start()
gpus = inventory.find_gpus(library)
meter = nvml.NvmlMeter(library, [gpu.uuid for gpu in gpus])
"""
FOUND = "print(json.dumps([[g.uuid, g.model, g.memory_b] for g in gpus]))"
READ = "print(json.dumps([[c.device, c.energy_j, c.power_w, c.method, c.provenance] for c in meter.read()]))"
TWICE = "meter.read()\n" + READ

ALWAYS = Sensor(period_s=0.0)
STEADY = Gpu("GPU-aaaa", Trace.constant(300.0), ALWAYS, counter_base_j=5.0)


@pytest.fixture(scope="module")
def library_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


def run(folder: Path, gpus: Iterable[Gpu], program: str) -> Any:
    with StandIn(folder / "state", gpus, now_s=1000.0):
        printed = subprocess.run(
            [sys.executable, "-c", START + program],
            env={"LD_LIBRARY_PATH": str(folder)},
            capture_output=True,
            text=True,
            check=True,
        )
    return json.loads(printed.stdout)


def test_gpus_are_found_with_their_model_and_memory(library_folder: Path) -> None:
    assert run(library_folder, [STEADY, Gpu("GPU-bbbb")], FOUND) == [
        ["GPU-aaaa", "NVIDIA Stand-In", 1024],
        ["GPU-bbbb", "NVIDIA Stand-In", 1024],
    ]


def test_energy_is_read_in_joules_and_power_in_watts(library_folder: Path) -> None:
    assert run(library_folder, [STEADY], READ) == [["GPU-aaaa", 5.0, 300.0, "nvml-counter", "measured"]]


@pytest.mark.parametrize("code", [3, FUNCTION_NOT_FOUND, 2])
def test_a_driver_without_the_fields_is_asked_by_its_older_calls(library_folder: Path, code: int) -> None:
    gpu = STEADY.failing(Call.FIELD_ENERGY, Call.FIELD_INSTANT, code=code)
    assert run(library_folder, [gpu], READ) == [["GPU-aaaa", 5.0, 300.0, "nvml-counter", "measured"]]


def test_a_driver_without_field_values_is_asked_by_its_older_calls(library_folder: Path) -> None:
    gpu = STEADY.failing(Call.FIELDS, code=FUNCTION_NOT_FOUND)
    assert run(library_folder, [gpu], TWICE) == [["GPU-aaaa", 5.0, 300.0, "nvml-counter", "measured"]]


def test_a_gpu_without_a_counter_has_its_power(library_folder: Path) -> None:
    gpu = STEADY.failing(Call.ENERGY, Call.FIELD_ENERGY)  # as before Volta
    assert run(library_folder, [gpu], TWICE) == [["GPU-aaaa", None, 300.0, "nvml-power-integral", "measured"]]


def test_what_failed_once_for_a_passing_reason_is_asked_again(library_folder: Path) -> None:
    gpu = STEADY.failing(Call.FIELD_ENERGY, code=999)
    assert run(library_folder, [gpu], TWICE) == [["GPU-aaaa", None, 300.0, "nvml-power-integral", "measured"]]


def test_a_lost_gpu_is_unknown_and_the_others_are_read_on(library_folder: Path) -> None:
    program = "meter = nvml.NvmlMeter(library, ['GPU-lost', 'GPU-aaaa', 'GPU-gone'])\n" + READ
    lost = Gpu("GPU-lost", lost_s=999.0)
    assert run(library_folder, [STEADY, lost], program) == [
        ["GPU-lost", None, None, "nvml-counter", "measured"],
        ["GPU-aaaa", 5.0, 300.0, "nvml-counter", "measured"],
        ["GPU-gone", None, None, "nvml-counter", "measured"],
    ]


def test_a_lost_gpu_is_not_offered(library_folder: Path) -> None:
    found = run(library_folder, [Gpu("GPU-lost", lost_s=999.0), STEADY], FOUND)
    assert found == [["GPU-aaaa", "NVIDIA Stand-In", 1024]]


def test_a_gpu_in_mig_mode_is_offered_by_slices_that_share_its_energy_by_their_multiprocessors(
    library_folder: Path,
) -> None:
    slices = [Slice("MIG-three", 1, sm_count=42, gpu_slices=3), Slice("MIG-one", 2, sm_count=14)]
    gpu = Gpu("GPU-aaaa", Trace.constant(400.0), ALWAYS, counter_base_j=8.0, slices=slices)
    assert run(library_folder, [gpu], READ) == [
        ["MIG-three", 6.0, 300.0, "nvml-mig-share", "modelled"],
        ["MIG-one", 2.0, 100.0, "nvml-mig-share", "modelled"],
    ]


def test_the_power_limit_is_read_in_watts_and_a_slice_has_its_share_of_it(library_folder: Path) -> None:
    limits = "print(json.dumps([meter.power_limit_w(gpu.uuid) for gpu in gpus]))"
    gpus = [Gpu(limit_w=350.0), Gpu("GPU-bbbb").failing(Call.LIMITS)]
    assert run(library_folder, gpus, limits) == [350.0, None]
    halves = [Slice("MIG-a", 1), Slice("MIG-b", 2)]
    assert run(library_folder, [Gpu(limit_w=350.0, slices=halves)], limits) == [175.0, 175.0]


def test_sm_time_is_told_by_process_and_an_idle_resident_is_listed(library_folder: Path) -> None:
    shares = "print(json.dumps([meter.sm_percent(gpu.uuid, 0.0) for gpu in gpus]))"
    gpus = [
        Gpu(processes=[Process(11, sm_pct=60), Process(12, sm_pct=20)]),
        Gpu("GPU-bbbb"),
        Gpu("GPU-cccc").failing(Call.SM_UTILIZATION),
    ]
    assert run(library_folder, gpus, shares) == [{"11": 60.0, "12": 20.0}, {}, None]


def calls(folder: Path, program: str) -> int:
    with StandIn(folder / "state", [STEADY, Gpu("GPU-bbbb")], now_s=1000.0) as stand_in:
        subprocess.run([sys.executable, "-c", START + program], env={"LD_LIBRARY_PATH": str(folder)}, check=True)
        return stand_in.calls


def test_a_reading_costs_one_call_a_gpu(library_folder: Path) -> None:
    starting = calls(library_folder, "")
    assert calls(library_folder, "for _ in range(11): meter.read()") == starting + 11 * 2


def test_power_is_polled_as_often_as_the_model_renews_it() -> None:
    models = ("Tesla V100-SXM2-16GB", "Tesla P100-PCIE-16GB", "NVIDIA H100 80GB HBM3")
    assert [poll_interval_s(model) for model in models] == [0.02, 0.02, 0.1]


def test_a_machine_without_the_driver_has_no_meter(tmp_path: Path) -> None:
    program = "from carbonq.workers.meters import nvml; print(nvml.start())"
    printed = subprocess.run([sys.executable, "-c", program], env={}, capture_output=True, text=True, check=True)
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has NVIDIA's driver")
    assert printed.stdout == "None\n"
