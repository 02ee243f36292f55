"""The stand-in through NVIDIA's own binding: what it shows is what its sensors' model makes of a known truth."""

import importlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nvml_stand_in import (
    FUNCTION_NOT_FOUND,
    Call,
    Gpu,
    Process,
    Sensor,
    Slice,
    StandIn,
    Trace,
    build,
    compilers,
    load,
)

START_S = 1000.0
pynvml: Any = importlib.import_module("pynvml")  # makes its errors' classes as it is imported: no checker knows them
Show = Callable[..., tuple[StandIn, Any]]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build(tmp_path_factory.mktemp("nvml"))
    load(folder)
    return folder


@pytest.fixture
def show(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Show]:
    """Shows GPUs on a virtual clock and gives their state with the first one's handle."""
    shown = []

    def shows(*gpus: Gpu) -> tuple[StandIn, Any]:
        stand_in = StandIn(tmp_path / "state", gpus, now_s=START_S)
        shown.append(stand_in)
        monkeypatch.setenv("NVML_STAND_IN", os.fspath(stand_in.path))
        pynvml.nvmlInit()
        return stand_in, pynvml.nvmlDeviceGetHandleByIndex(0)

    yield shows
    for stand_in in shown:
        pynvml.nvmlShutdown()
        stand_in.close()


TRACES = (
    Trace.constant(300.0),
    Trace.square(100.0, 700.0, 0.5, duty=0.3, origin_s=-0.17),
    Trace.ramp(60.0, 400.0, 3.0, origin_s=2000.0),
    Trace.table([(0.0, 50.0), (1.5, 500.0), (1.75, 90.0)], origin_s=START_S + 1),
)


@pytest.mark.parametrize("trace", TRACES)
def test_the_counter_counts_the_true_energy_up_to_its_last_update(trace: Trace, show: Show) -> None:
    gpu = Gpu(trace=trace, counter=Sensor(0.1, 0.03, gain=1.05), counter_base_j=20.0)
    stand_in, handle = show(gpu)
    chance = random.Random(1)
    for _ in range(200):
        stand_in.advance(chance.uniform(0.0, 0.3))
        tick_s = (stand_in.now_s() - 0.03) // 0.1 * 0.1 + 0.03
        expected = 20_000 + 1000 * max(0.0, gpu.counted_energy_j(START_S, tick_s))
        assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) == pytest.approx(expected, abs=1.01)


def test_power_is_the_mean_of_the_window_before_the_last_update(show: Show) -> None:
    gpu = Gpu(trace=Trace.square(100.0, 700.0, 0.5, origin_s=START_S), instant=Sensor(0.1, 0.0, 0.025, gain=0.95))
    stand_in, handle = show(gpu)
    stand_in.advance(0.2601)  # the last update was 0.2 s into the high half; 1 s is two periods
    (instant,) = pynvml.nvmlDeviceGetFieldValues(handle, [pynvml.NVML_FI_DEV_POWER_INSTANT])
    assert (instant.value.uiVal, pynvml.nvmlDeviceGetPowerUsage(handle)) == (665_000, 400_000)


def test_a_counter_with_a_window_knows_no_more_than_its_sensor(show: Show) -> None:
    trace = Trace.square(100.0, 700.0, 0.1, duty=0.25, origin_s=START_S)  # high for 25 ms that the sensor never sees
    stand_in, handle = show(Gpu(trace=trace, counter=Sensor(0.1, 0.0, 0.025), counter_base_j=0.0))
    stand_in.advance(2.05)
    assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) == pytest.approx(200_000, abs=1.01)
    stand_in.advance(1.0)
    assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) == pytest.approx(300_000, abs=1.01)


def test_a_reset_counter_starts_from_nothing(show: Show) -> None:
    stand_in, handle = show(Gpu(reset_s=START_S + 1.0, counter_base_j=1000.0))
    stand_in.advance(0.95)
    before = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    stand_in.advance(0.1)
    at_once = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    stand_in.advance(1.0)
    after = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    assert (before / 1000, at_once / 1000, after / 1000) == (pytest.approx(1270.0), 0.0, pytest.approx(300.0))


def test_a_lost_gpu_refuses_every_call_until_it_is_found(show: Show) -> None:
    stand_in, handle = show(Gpu(lost_s=START_S + 1, found_s=START_S + 2))
    stand_in.advance(1.5)
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    stand_in.advance(1.0)
    assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) > 0


def test_one_call_can_be_missing_and_one_field_unsupported(show: Show) -> None:
    gpu = Gpu().failing(Call.ENERGY, code=FUNCTION_NOT_FOUND).failing(Call.FIELD_INSTANT)
    _, handle = show(gpu)
    with pytest.raises(pynvml.NVMLError_FunctionNotFound):
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    energy, instant = pynvml.nvmlDeviceGetFieldValues(handle, [83, 186])
    assert (energy.nvmlReturn, energy.value.ullVal) == (0, 1_000_000_000)
    assert instant.nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_processes_come_and_go_with_their_share_of_the_multiprocessors(show: Show) -> None:
    early, late = Process(11, 60), Process(22, 30, start_s=START_S + 1)
    stand_in, handle = show(Gpu(processes=(early, late)))
    running = [{p.pid for p in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)}]
    stand_in.advance(3.0)
    running.append({p.pid for p in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)})
    shares = pynvml.nvmlDeviceGetProcessUtilization(handle, 0)
    assert running == [{11}, {11, 22}]
    assert {share.pid: share.smUtil for share in shares} == {11: 60, 22: 30}
    with pytest.raises(pynvml.NVMLError_NotFound):  # nothing newer
        pynvml.nvmlDeviceGetProcessUtilization(handle, shares[0].timeStamp)


def test_a_slice_knows_its_gpu_and_has_no_counter_of_its_own(show: Show) -> None:
    slices = (Slice("MIG-one", 7), Slice("MIG-two", 9, gpu_slices=3))
    _, handle = show(Gpu(slices=slices, processes=(Process(5, 20, gpu_instance=9, compute_instance=0),)))
    mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, 1)
    parent = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(mig)
    assert pynvml.nvmlDeviceGetMigMode(handle) == [1, 1]
    assert (pynvml.nvmlDeviceGetUUID(mig), pynvml.nvmlDeviceGetUUID(parent)) == ("MIG-two", "GPU-aaaa")
    assert [p.pid for p in pynvml.nvmlDeviceGetComputeRunningProcesses(mig)] == [5]
    assert pynvml.nvmlDeviceGetAttributes(mig).gpuInstanceSliceCount == 3
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetTotalEnergyConsumption(mig)


def test_the_sm_share_between_two_samples_is_the_mean_over_time(show: Show) -> None:
    stand_in, handle = show(Gpu(processes=(Process(5, 80, end_s=START_S + 1),)))
    metrics = pynvml.c_nvmlGpmMetricsGet_t(version=pynvml.NVML_GPM_METRICS_GET_VERSION, numMetrics=1)
    metrics.metrics[0].metricId = pynvml.NVML_GPM_METRIC_SM_UTIL
    metrics.sample1 = pynvml.nvmlGpmSampleGet(handle, pynvml.nvmlGpmSampleAlloc())
    stand_in.advance(4.0)
    metrics.sample2 = pynvml.nvmlGpmSampleGet(handle, pynvml.nvmlGpmSampleAlloc())
    assert pynvml.nvmlGpmMetricsGet(metrics).metrics[0].value == pytest.approx(20.0)
    pynvml.nvmlGpmSampleFree(metrics.sample1)
    pynvml.nvmlGpmSampleFree(metrics.sample2)


def test_without_a_state_there_is_no_driver(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NVML_STAND_IN", raising=False)
    assert not (library / "state").exists()
    with pytest.raises(pynvml.NVMLError_DriverNotLoaded):
        pynvml.nvmlInit()


@pytest.mark.parametrize("compiler", compilers(), ids=lambda command: Path(command[-1]).name)
def test_each_compiler_found_here_builds_it_without_a_warning(compiler: list[str], tmp_path: Path) -> None:
    assert (build(tmp_path, compiler) / "libnvidia-ml.so.1").stat().st_size > 0
