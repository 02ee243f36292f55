"""A worker with GPUs, as NVIDIA's library shows them: handed out by UUID, measured by their own counters."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from carbonq.domain.energy import Component, Provenance, Rung
from carbonq.domain.job import JobState
from tests.nvml_stand_in import Call, Gpu, StandIn, build
from tests.worker_rig import Rig, until

GPUS = (Gpu("GPU-aaaa"), Gpu("GPU-bbbb").failing(Call.ENERGY, Call.FIELD_ENERGY))  # the second as before Volta


@pytest.fixture
def rig(redis_url: str, tmp_path: Path) -> Iterator[Rig]:
    folder = tmp_path / "nvml"
    folder.mkdir()
    with StandIn(build(folder) / "state", GPUS):
        rig = Rig(redis_url, tmp_path, use_gpus=True)
        rig.spawn(LD_LIBRARY_PATH=str(folder))
        until(rig.board.workers, "the worker registers")
        yield rig
        rig.close()


def test_the_workers_gpus_are_on_the_board(rig: Rig) -> None:
    (info,) = rig.board.workers()
    assert (info.capacity.gpus, info.capacity.gpu_model, info.gpu_uuids) == (
        2,
        "NVIDIA Stand-In",
        ("GPU-aaaa", "GPU-bbbb"),
    )
    assert info.meters == ("nvml-counter", "dram-size", "cpu-model")


def test_a_job_sees_its_gpu_alone_and_is_charged_what_its_counter_counted(rig: Rig) -> None:
    job_id = rig.submit('echo "$CUDA_VISIBLE_DEVICES"; sleep 0.5', resources={"gpus": 1})
    assert rig.ended(job_id).state is JobState.SUCCEEDED
    gpu = rig.measured(job_id).readings[0]
    assert rig.log(job_id) == b"GPU-aaaa\n"
    assert (gpu.component, gpu.provenance, gpu.method) == (Component.GPU, Provenance.MEASURED, "nvml-counter")
    assert gpu.energy_j is not None
    assert gpu.energy_j > 0


def test_two_jobs_get_two_gpus_and_one_without_a_counter_is_known_by_its_power(rig: Rig) -> None:
    script = 'echo "$CUDA_VISIBLE_DEVICES"; touch "$NAME"; until [ -e "$OTHER" ]; do sleep 0.02; done'
    one = rig.submit(script, resources={"gpus": 1}, env={"NAME": "a", "OTHER": "b"})
    two = rig.submit(script, resources={"gpus": 1}, env={"NAME": "b", "OTHER": "a"})
    rig.ended(one)
    rig.ended(two)
    assert {rig.log(one), rig.log(two)} == {b"GPU-aaaa\n", b"GPU-bbbb\n"}
    blind = one if rig.log(one) == b"GPU-bbbb\n" else two
    gpu = rig.measured(blind).readings[0]
    assert (gpu.component, gpu.method, gpu.rung) == (Component.GPU, "nvml-power-integral", Rung.POWER_INTEGRAL)
    assert gpu.energy_j is not None
    assert gpu.energy_j > 0


def test_a_job_shorter_than_the_counters_period_reads_what_it_used(rig: Rig) -> None:
    """The counter moves every 100 ms: subtracting two plain reads would give nothing, or double."""
    jobs = [rig.submit("sleep 0.05", resources={"gpus": 1}) for _ in range(2)]
    for job_id in jobs:
        rig.ended(job_id)
        measured = rig.measured(job_id)
        duration_s = (measured.real_ended_at - measured.real_started_at).total_seconds()
        assert measured.readings[0].energy_j == pytest.approx(300.0 * duration_s, rel=0.05)


def test_neither_the_workers_nor_the_jobs_death_loses_energy_of_the_gpu(rig: Rig) -> None:
    (worker,) = rig.processes
    job_id = rig.submit("sleep 1; touch up; sleep 60", resources={"gpus": 1})
    until((rig.folder / "up").exists, "the job runs")
    folder = rig.settings.data_dir / "attempts" / f"{job_id}.{rig.running(job_id).fence}"
    until((folder / "gpus.jsonl").exists, "the shim reads the counter")
    worker.kill()
    worker.wait()
    os.kill(int(json.loads((folder / "shim.json").read_bytes())["job"]["pid"]), signal.SIGKILL)
    until((folder / "exit.json").exists, "the shim records the end")
    rig.spawn(LD_LIBRARY_PATH=str(rig.folder / "nvml"))
    assert rig.ended(job_id).state is JobState.FAILED
    measured = rig.measured(job_id)
    gpu = measured.readings[0]
    duration_s = (measured.real_ended_at - measured.real_started_at).total_seconds()
    assert (gpu.component, gpu.provenance) == (Component.GPU, Provenance.MEASURED)
    a_tick_j = 300.0 * 0.1  # where in the counter's period the end lay, the shim's plain read cannot tell
    assert gpu.energy_j == pytest.approx(300.0 * duration_s, abs=a_tick_j)
    assert any("bridged" in flag for flag in gpu.flags)
