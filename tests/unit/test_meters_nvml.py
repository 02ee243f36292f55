"""The NVML meter against NVIDIA's own binding and a stand-in of the library behind it, compiled here."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STAND_IN = r"""
#include <string.h>
typedef int ret; typedef struct { int index; } device;
typedef struct { unsigned long long total, free, used; } memory;
static device devices[2] = {{0}, {1}};
static unsigned long long millijoules[2] = {5000, 7000};
static const char *uuids[2] = {"GPU-aaaa", "GPU-bbbb"};
ret nvmlInit_v2(void) { return 0; }
ret nvmlInitWithFlags(unsigned flags) { return 0; }
ret nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(ret code) { return code == 3 ? "Not Supported" : "Unknown"; }
ret nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
ret nvmlDeviceGetHandleByIndex_v2(unsigned index, device **out) { if (index > 1) return 2; *out = &devices[index]; return 0; }
ret nvmlDeviceGetHandleByUUID(const char *uuid, device **out) {
  for (int i = 0; i < 2; i++) if (!strcmp(uuid, uuids[i])) { *out = &devices[i]; return 0; }
  return 6;
}
ret nvmlDeviceGetUUID(device *d, char *text, unsigned length) { strncpy(text, uuids[d->index], length); return 0; }
ret nvmlDeviceGetName(device *d, char *text, unsigned length) { strncpy(text, "NVIDIA Stand-In", length); return 0; }
ret nvmlDeviceGetMemoryInfo(device *d, memory *m) { m->total = 1024; m->free = 1024; m->used = 0; return 0; }
ret nvmlDeviceGetTotalEnergyConsumption(device *d, unsigned long long *energy) {
  if (d->index == 1) return 3; /* not supported, as before Volta */
  *energy = millijoules[0]; millijoules[0] += 1500; return 0;
}
"""

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


@pytest.fixture(scope="module")
def library_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build the stand-in with")
    folder = tmp_path_factory.mktemp("nvml")
    (folder / "nvml.c").write_text(STAND_IN)
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", library, folder / "nvml.c"], check=True)
    return folder


def test_gpus_and_their_counters_are_read_in_joules_and_an_absent_counter_is_unknown(library_folder: Path) -> None:
    import json

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
            [["gpu", "GPU-aaaa", 6.5], ["gpu", "GPU-bbbb", None]],
        ],
    }


def test_a_machine_without_the_driver_has_no_meter(tmp_path: Path) -> None:
    program = "from carbonq.workers.meters import nvml; print(nvml.start())"
    printed = subprocess.run([sys.executable, "-c", program], env={}, capture_output=True, text=True, check=True)
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has NVIDIA's driver")
    assert printed.stdout == "None\n"
