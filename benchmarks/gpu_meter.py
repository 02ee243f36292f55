"""What a GPU's meter makes of a known truth: carbonq beside zeus, codecarbon and a power poll, in one run.

    python benchmarks/gpu_meter.py [--windows 20] [--install-rivals | --rivals-python PYTHON] [--phases 400]

Three tables. First, in real time: every meter measures the same windows of one GPU, all at once, each in a process of
its own, through NVIDIA's own binding and the tests' stand-in of the library behind it (a counter that ticks every
100 ms; what a window's phase in it is, chance decides). Second, carbonq alone on a virtual clock, over many more phases;
its aims are checked here. Third, recordings of real boards by an external meter, played through sensors such as those
boards have; the recordings lie in ../shared/data/energy/gpu_power_benchmark beside the project, without them this part
is skipped and says so.

zeus and codecarbon are no dependencies of carbonq. `--install-rivals` makes a virtual environment of them (some 1 GB,
from PyPI, in the cache folder; made once), `--rivals-python` names an interpreter that has them; without either, or where one
does not start, its column says so.
"""

import argparse
import csv
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from carbonq.workers.shim.proc import now_s
from tests.gpu_cases import CASES, Case, follow, measure, watch_window
from tests.nvml_stand_in import Gpu, Sensor, StandIn, Trace, build, load

METERS = Path(__file__).parent / "rivals" / "gpu_meters.py"
RECORDINGS = Path(__file__).parents[2] / "shared" / "data" / "energy" / "gpu_power_benchmark"
RIVALS = ("zeus==0.16.0", "codecarbon==3.3.2")
START_S, LONGEST_IN_REAL_TIME_S = 1000.0, 10.0
chance = random.Random(4)


# --- in real time, beside the rivals


class Measured(NamedTuple):
    energy_j: float
    truth_j: float
    cross_check_j: float | None
    flags: Sequence[str]

    @property
    def error_rel(self) -> float:
        return self.energy_j / self.truth_j - 1


class MeterProcess:
    """A meter in a process of its own, which finds the stand-in as its libnvidia-ml.so.1."""

    def __init__(self, name: str, python: str, folder: Path) -> None:
        environment = {"LD_LIBRARY_PATH": str(folder), "PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder)}
        self.name = name
        with (folder / f"{name}.log").open("w") as log:
            self._process = subprocess.Popen(
                [python, str(METERS), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        self.works = self._answer() == "ready"

    def ask(self, start_s: float, length_s: float) -> None:
        assert self._process.stdin
        print(start_s, length_s, file=self._process.stdin, flush=True)

    def measured(self, gpu: Gpu) -> Measured:
        answer = json.loads(self._answer())
        truth_j = gpu.counted_energy_j(answer["begin_s"], answer["end_s"])
        return Measured(answer["energy_j"], truth_j, answer["cross_check_j"], answer["flags"])

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


def in_real_time(windows: int, rivals_python: str | None) -> None:
    with tempfile.TemporaryDirectory(prefix="carbonq-nvml-") as name:
        folder = build(Path(name))
        (folder / "nvidia-smi").write_text("#!/bin/sh\n")  # codecarbon looks for NVIDIA's GPUs only where this runs
        (folder / "nvidia-smi").chmod(0o755)
        with StandIn(folder / "state", [Gpu()]) as stand_in:
            meters = [MeterProcess(name, sys.executable, folder) for name in ("carbonq", "poll")]
            if rivals_python:
                meters += [MeterProcess(name, rivals_python, folder) for name in ("zeus", "codecarbon")]
            for meter in meters:
                if not meter.works:
                    print(f"{meter.name} did not start: {(folder / f'{meter.name}.log').read_text()[-300:]}")
            working = [meter for meter in meters if meter.works]
            _print_real_time(windows, working, stand_in)
            for meter in meters:
                meter.close()


def _print_real_time(windows: int, meters: Sequence[MeterProcess], stand_in: StandIn) -> None:
    print(f"\nIn real time, {windows} windows each: median and worst error")
    print("| case |" + "".join(f" {'1 s power poll' if meter.name == 'poll' else meter.name} |" for meter in meters))
    print("|---|" + "---|" * len(meters))
    for case in CASES:
        if case.length_s > LONGEST_IN_REAL_TIME_S:
            continue
        stand_in.set([case.gpu()])
        found: dict[str, list[Measured]] = {meter.name: [] for meter in meters}
        for _ in range(windows):
            start_s = now_s() + 0.4 + chance.uniform(0.0, 0.5)
            if case.is_reset:
                stand_in.reset_at(start_s + case.length_s / 2)
            for meter in meters:
                meter.ask(start_s, case.length_s)
            for meter in meters:
                found[meter.name].append(meter.measured(stand_in.gpus[0]))
        print(f"| {case.name} |" + "".join(f" {_summary(found[meter.name])} |" for meter in meters), flush=True)


def _summary(measured: Sequence[Measured]) -> str:
    worst = max(measured, key=lambda one: abs(one.error_rel))
    if abs(worst.error_rel) > 10:
        return f"{worst.energy_j:,.0f} J of {worst.truth_j:,.0f} J"
    return f"{statistics.median(abs(one.error_rel) for one in measured):.2%}, {worst.error_rel:+.2%}"


# --- carbonq alone, on a virtual clock


def over_phases(phases: int, stand_in: StandIn) -> bool:
    print(f"\nOn a virtual clock, {phases} random phases each: carbonq's error, beside the power integral's")
    print("| case | median | worst | aim | power integral, median | flagged |")
    print("|---|---|---|---|---|---|")
    held = [_case_holds(case, phases, stand_in) for case in CASES]
    return all(held)


def _case_holds(case: Case, phases: int, stand_in: StandIn) -> bool:
    seen = [measure(case, stand_in, seed) for seed in range(phases)]
    errors = [one.error_rel for one in seen]
    integrals = [one.energy.integral_j / one.truth_j - 1 for one in seen if one.energy.integral_j is not None]
    flagged = sum(bool(one.energy.flags) for one in seen) / phases
    worst = max(errors, key=abs)
    print(
        f"| {case.name} | {statistics.median(map(abs, errors)):.3%} | {worst:+.3%} | {case.aim_rel:.1%} "
        f"| {f'{statistics.median(integrals):+.2%}' if integrals else 'none'} | {flagged:.0%} |"
    )
    return abs(worst) <= case.aim_rel


# --- recordings of real boards


class Card(NamedTuple):
    """A recorded card. Its sensor as its row of sensor_table.csv has it (driver 535.54.03, instant power)."""

    name: str
    sensor: str
    recordings: tuple[str, ...]


CARDS = (
    Card("A100", "NVIDIA_A100-PCIE-40GB", ("a100_5050_truth_5ms.csv", "a100_transient_truth_5ms.csv")),
    Card("RTX 3090", "NVIDIA_GeForce_RTX_3090", ("rtx3090_5050_truth_5ms.csv",)),
)


def over_recordings(windows: int, stand_in: StandIn) -> None:
    if not RECORDINGS.exists():
        print(f"\nskipped: no recordings in {RECORDINGS}")
        return
    print(
        f"\nRecordings of real boards, {windows} windows of 1 to 8 s each: median and 95th percentile of the error's size"
    )
    print("against the wall's truth, the sensor's gain apart (by it every reading is off by a fixed share, as shown)")
    print(
        "| recording | sensor sees | its gain | carbonq, a counter of all | carbonq, a counter of what the sensor sees | 1 s power poll |"
    )
    print("|---|---|---|---|---|---|")
    for card in CARDS:
        sensor, gain = _sensor(card.sensor)
        for recording in card.recordings:
            trace = Trace.replay(RECORDINGS / recording, step_s=0.005, origin_s=START_S)
            columns = (
                _errors(
                    Gpu(trace=trace, counter=sensor._replace(window_s=0.0), instant=sensor),
                    windows,
                    stand_in,
                    _carbonq_j,
                ),
                _errors(Gpu(trace=trace, counter=sensor, instant=sensor), windows, stand_in, _carbonq_j),
                _errors(Gpu(trace=trace, instant=sensor, power_is_average=False), windows, stand_in, _poll_j),
            )
            print(
                f"| {card.name}, {recording.split('_')[1]} | {sensor.window_s * 1000:.0f} of {sensor.period_s * 1000:.0f} ms "
                f"| {gain - 1:+.1%} |" + "".join(f" {_sizes(errors)} |" for errors in columns)
            )


def _sensor(gpu: str) -> tuple[Sensor, float]:
    """The card's sensor with a gain of 1, and its gain."""
    with (RECORDINGS / "sensor_table.csv").open(newline="") as file:
        row = next(
            row
            for row in csv.DictReader(file)
            if (row["gpu"], row["driver"], row["option"]) == (gpu, "535.54.03", "power.draw.instant")
        )
    return Sensor(float(row["update_ms"]) / 1000, 0.0, float(row["win_mean_ms"]) / 1000), float(row["ss_gradient"])


def _errors(
    gpu: Gpu, windows: int, stand_in: StandIn, energy_j: Callable[[StandIn, float, float], float]
) -> list[float]:
    found = []
    for seed in range(windows):
        draw = random.Random(seed)
        phase_s, length_s = draw.uniform(0.0, 0.1), draw.uniform(1.0, 8.0)
        shown = replace(
            gpu, counter=gpu.counter._replace(phase_s=phase_s), instant=gpu.instant._replace(phase_s=phase_s)
        )
        stand_in.set([shown])
        start_s = stand_in.now_s() + 1 + draw.uniform(0.0, gpu.trace.length_s)
        end_s = start_s + length_s
        found.append(energy_j(stand_in, start_s, end_s) / gpu.true_energy_j(start_s, end_s) - 1)
    return found


def _carbonq_j(stand_in: StandIn, start_s: float, end_s: float) -> float:
    found_j = watch_window(stand_in, start_s, end_s).energy_j
    assert found_j is not None
    return found_j


def _poll_j(stand_in: StandIn, start_s: float, end_s: float) -> float:
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    moments_s = [*itertools.takewhile(lambda at_s: at_s < end_s, itertools.count(start_s + 1.0)), end_s]
    powers_w: list[float] = []
    follow(stand_in, moments_s, lambda: powers_w.append(pynvml.nvmlDeviceGetPowerUsage(handle) / 1000))
    pynvml.nvmlShutdown()
    return sum(
        power_w * (at_s - before_s)
        for power_w, before_s, at_s in zip(powers_w, [start_s, *moments_s], moments_s, strict=False)
    )


def _sizes(errors: Sequence[float]) -> str:
    sizes = sorted(map(abs, errors))
    return f"{statistics.median(sizes):.2%}, {sizes[round(0.95 * (len(sizes) - 1))]:.2%}"


# --- the command


def install_rivals() -> str:
    """The interpreter of a virtual environment with the rivals in it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "carbonq-benchmarks" / "gpu-meters"
    python = cache / "bin" / "python"
    if not python.exists():
        venv.create(cache, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *RIVALS], check=True)
    return str(python)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--windows", type=int, default=20, help="of each case in real time (default 20: some 8 minutes)"
    )
    parser.add_argument("--phases", type=int, default=400, help="of each case on the virtual clock (default 400)")
    rivals = parser.add_mutually_exclusive_group()
    rivals.add_argument("--rivals-python", metavar="PYTHON", help="an interpreter that has zeus and codecarbon")
    rivals.add_argument("--install-rivals", action="store_true", help="make a virtual environment of them, once")
    options = parser.parse_args()
    if options.windows:
        in_real_time(options.windows, install_rivals() if options.install_rivals else options.rivals_python)
    with tempfile.TemporaryDirectory(prefix="carbonq-nvml-") as name:
        load(build(Path(name)))
        with StandIn(Path(name) / "state", [Gpu()], now_s=START_S) as stand_in:
            os.environ |= stand_in.environment
            passed = over_phases(options.phases, stand_in)
            over_recordings(options.phases // 2, stand_in)
    print(json.dumps({"benchmark": "gpu_meter", "phases": options.phases, "passed": passed}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
