"""NVIDIA's management library as far as carbonq calls it, compiled where there is a C compiler: two GPUs, one counter."""

import shutil
import subprocess
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
ret nvmlSystemGetDriverVersion(char *text, unsigned length) { strncpy(text, "535.1", length); return 0; }
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


def build(folder: Path) -> Path:
    """The folder to put into LD_LIBRARY_PATH. Skips the test where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build the stand-in with")
    (folder / "nvml.c").write_text(STAND_IN)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-w", "-o", folder / "libnvidia-ml.so.1", folder / "nvml.c"], check=True
    )
    return folder
