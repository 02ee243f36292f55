"""The NVML meter against NVIDIA's own binding and a stand-in of the library behind it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nvml_stand_in import Call, Gpu, Sensor, StandIn, Trace, build

PROGRAM = """
import json
from carbonq.workers import inventory
from carbonq.workers.meters import nvml
library = nvml.start()
gpus = inventory.find_gpus(library)
meter = nvml.NvmlMeter(library, [gpu.uuid for gpu in gpus])
read = [[(c.component, c.device, c.energy_j) for c in meter.read()] for _ in range(2)]
print(json.dumps({"gpus": [[g.uuid, g.model, g.memory_b] for g in gpus], "read": read}))
"""


GPUS = (
    Gpu("GPU-aaaa", Trace.constant(300.0), Sensor(period_s=0.0), counter_base_j=5.0),
    Gpu("GPU-bbbb").failing(Call.ENERGY, Call.FIELD_ENERGY),  # as before Volta
)


@pytest.fixture(scope="module")
def library_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


def test_gpus_and_their_counters_are_read_in_joules_and_an_absent_counter_is_unknown(library_folder: Path) -> None:
    with StandIn(library_folder / "state", GPUS, now_s=1000.0):
        printed = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"LD_LIBRARY_PATH": str(library_folder)},
            capture_output=True,
            text=True,
            check=True,
        )
    assert json.loads(printed.stdout) == {
        "gpus": [["GPU-aaaa", "NVIDIA Stand-In", 1024], ["GPU-bbbb", "NVIDIA Stand-In", 1024]],
        "read": [
            [["gpu", "GPU-aaaa", 5.0], ["gpu", "GPU-bbbb", None]],
            [["gpu", "GPU-aaaa", 5.0], ["gpu", "GPU-bbbb", None]],
        ],
    }


def test_a_machine_without_the_driver_has_no_meter(tmp_path: Path) -> None:
    program = "from carbonq.workers.meters import nvml; print(nvml.start())"
    printed = subprocess.run([sys.executable, "-c", program], env={}, capture_output=True, text=True, check=True)
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has NVIDIA's driver")
    assert printed.stdout == "None\n"
