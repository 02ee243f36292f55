"""The shim reads a job's GPUs through NVIDIA's own binding; a driver that is slow, hung or absent never holds up a job."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from carbonq.workers.folder import AttemptFolder
from carbonq.workers.runner import Attempt, Command, Ending, Runner, gpu_readings
from carbonq.workers.shim import proc
from tests.nvml_stand_in import Call, Gpu, StandIn, Trace, build, compilers
from tests.worker_rig import until

SLOW_START = "void pause_here(void); int nvmlInitWithFlags(unsigned f) { pause_here(); return 0; }\n"
HUNG_COUNTER = """
void pause_here(void);
int nvmlInitWithFlags(unsigned f) { return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned n) { text[0] = '1'; text[1] = 0; return 0; }
int nvmlDeviceGetHandleByUUID(const char *u, void **d) { *d = (void *)1; return 0; }
static int calls;
int nvmlDeviceGetTotalEnergyConsumption(void *d, unsigned long long *mj) {
  if (calls++) pause_here();
  *mj = 5000; return 0;
}
"""
PAUSE = "#include <unistd.h>\nvoid pause_here(void) { for (;;) pause(); }\n"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(tmp_path / "attempts", prewarmed=0)
    yield runner
    runner.close()


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where a shim that is started now looks for NVIDIA's library."""
    folder = tmp_path / "nvml"
    folder.mkdir()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    return folder


def compile_driver(folder: Path, source: str) -> None:
    (folder / "driver.c").write_text(PAUSE + source)
    output = str(folder / "libnvidia-ml.so.1")
    subprocess.run([*compilers()[0], "-shared", "-fPIC", "-o", output, str(folder / "driver.c")], check=True)


def start(runner: Runner, script: str, *uuids: str, timeout_s: float | None = None) -> Attempt:
    folder = AttemptFolder(runner.attempts_dir / "job.1")
    folder.make()
    env = {"PATH": os.environ["PATH"], "CARBONQ_ATTEMPT_DIR": str(folder.path)}
    argv = ("sh", "-c", script)
    workdir = str(runner.attempts_dir.parent)
    return runner.start(folder, Command(argv, env, workdir, timeout_s=timeout_s, grace_s=0.2, gpu_uuids=uuids))


def shim_of(attempt: Attempt) -> int:
    """Its pid, once the job runs."""
    known = until(lambda: (found := attempt.folder.read("shim.json") or {}).get("job") and found, "the job runs")
    return int(known["shim"]["pid"])


def ended(attempt: Attempt) -> Ending:
    return until(attempt.poll, "the attempt ends")


def test_the_counters_differ_by_what_the_gpu_drew_between_the_readings(runner: Runner, library: Path) -> None:
    gpus = (Gpu("GPU-a", trace=Trace.constant(200.0)), Gpu("GPU-b").failing(Call.ENERGY, Call.FIELD_ENERGY))
    with StandIn(build(library) / "state", gpus):
        attempt = start(runner, "until [ -e go ]; do sleep 0.02; done", "GPU-a", "GPU-b", "GPU-unknown")
        until(lambda: len(attempt.folder.lines("gpus.jsonl")) > 3, "the counters are read")
        time.sleep(1)  # the GPU's clock is the machine's: this is what it draws for
        (runner.attempts_dir.parent / "go").touch()
        ending = ended(attempt)
    header, *_ = attempt.folder.lines("gpus.jsonl")
    readings = gpu_readings(attempt.folder)
    first, last = readings[0], ending.gpus[0]
    assert header == ["at_s", "uuid", "counter_j", {"boot_id": proc.boot_id(), "driver": "535.1"}]
    drawn_j, passed_s = (last.counter_j or 0) - (first.counter_j or 0), last.at_s - first.at_s
    assert tuple(readings[-3:]) == ending.gpus
    assert [row[1:] for row in ending.gpus[1:]] == [("GPU-b", None), ("GPU-unknown", None)]
    assert passed_s >= 1
    assert drawn_j == pytest.approx(200.0 * passed_s, abs=200.0 * 0.1)  # it ticks every 100 ms


def test_a_driver_that_never_starts_delays_neither_job_nor_timeout_nor_end(runner: Runner, library: Path) -> None:
    compile_driver(library, SLOW_START)
    attempt = start(runner, "echo there; sleep 60", "GPU-a", timeout_s=0.5)
    ending = ended(attempt)
    assert (ending.reason, ending.gpus, attempt.folder.log.read_bytes()) == ("timeout", (), b"there\n")
    assert ending.started_s is not None
    assert proc.now_s() - ending.started_s < 5


def test_a_driver_that_hangs_at_the_end_costs_a_second_and_leaves_the_reading_before(
    runner: Runner, library: Path
) -> None:
    compile_driver(library, HUNG_COUNTER)
    attempt = start(runner, "until [ -e go ]; do sleep 0.02; done", "GPU-a")
    until(lambda: len(attempt.folder.lines("gpus.jsonl")) > 1, "the counter is read")
    (runner.attempts_dir.parent / "go").touch()
    ending = ended(attempt)
    assert [row[1:] for row in ending.gpus] == [("GPU-a", 5.0)]
    assert ending.ended_s is not None
    assert proc.now_s() - ending.ended_s < 3


def test_without_a_driver_the_job_runs_and_the_reason_is_on_record(runner: Runner, library: Path) -> None:
    (library / "libnvidia-ml.so.1").write_text("not a library")
    ending = ended(start(runner, "sleep 0.2; exit 3", "GPU-a"))
    assert (ending.exit_code, ending.gpus) == (3, ())
    assert "no energy of the GPUs" in (runner.attempts_dir / "job.1" / "shim.err").read_text()


def test_what_a_killed_shim_had_read_is_not_lost(runner: Runner, library: Path) -> None:
    with StandIn(build(library) / "state", [Gpu("GPU-a")]):
        attempt = start(runner, "sleep 60", "GPU-a")
        until(lambda: gpu_readings(attempt.folder), "the counter is read")
        os.kill(shim_of(attempt), signal.SIGKILL)
        ending = ended(attempt)
    assert ending.reason == "shim-died"
    assert list(ending.gpus) == gpu_readings(attempt.folder)


def test_a_job_without_gpus_loads_no_binding(runner: Runner, library: Path) -> None:
    attempt = start(runner, "until [ -e go ]; do sleep 0.02; done")
    shim = Path("/proc") / str(shim_of(attempt))
    threads, maps = list((shim / "task").iterdir()), (shim / "maps").read_text()
    (runner.attempts_dir.parent / "go").touch()
    ended(attempt)
    assert (len(threads), "libnvidia-ml" in maps) == (1, False)
    assert not (attempt.folder.path / "gpus.jsonl").exists()
