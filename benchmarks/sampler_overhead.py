"""What watching GPUs costs the worker: CPU time of polling 8 of them at 10 Hz, as a share of one core.

    python benchmarks/sampler_overhead.py [--gpus 8] [--rate 10] [--seconds 20]

NvmlMeter through NVIDIA's own binding, and a GpuTrack for each GPU, in a process that does nothing else. The library
behind the binding is the tests' stand-in, which answers in about a microsecond: what a driver spends in the kernel comes
on top, and is not seen here. Prints one line of JSON. Aim: below 0.5 % of one core.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from carbonq.workers.gpu_polls import GpuTrack, Sighting
from carbonq.workers.meters import nvml
from tests.nvml_stand_in import Gpu, Sensor, StandIn, Trace, build, load

AIM = 0.005


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(gpus: int, rate_hz: float, seconds: float) -> dict[str, float]:
    """CPU seconds for each second: of the meter, of the tracks, and of the whole loop with its sleeps."""
    library = nvml.start()
    if library is None:
        raise RuntimeError("the stand-in did not load")
    uuids = [library.nvmlDeviceGetUUID(library.nvmlDeviceGetHandleByIndex(index)) for index in range(gpus)]
    meter, tracks = nvml.NvmlMeter(library, uuids), {uuid: GpuTrack(uuid) for uuid in uuids}
    points, reading_s, tracking_s = 0, 0.0, 0.0
    begun_s, begun_cpu_s = time.monotonic(), cpu_s()
    for poll in range(1, round(seconds * rate_hz) + 1):
        begin_s = time.thread_time()
        counters = meter.read()
        read_s = time.thread_time()
        for counter in counters:
            points += len(tracks[counter.device].see(Sighting(counter.monotonic_s, counter.energy_j, counter.power_w)))
        reading_s, tracking_s = reading_s + read_s - begin_s, tracking_s + time.thread_time() - read_s
        time.sleep(max(0.0, begun_s + poll / rate_hz - time.monotonic()))
    wall_s = time.monotonic() - begun_s
    return {
        "meter": reading_s / wall_s,
        "tracks": tracking_s / wall_s,
        "whole": (cpu_s() - begun_cpu_s) / wall_s,
        "points_per_s": points / wall_s,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--rate", type=float, default=10.0, metavar="HZ")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    trace = Trace.square(100.0, 700.0, 0.5)
    gpus = [Gpu(f"GPU-{at}", trace, Sensor(phase_s=at / 100)) for at in range(options.gpus)]
    with tempfile.TemporaryDirectory(prefix="carbonq-nvml-") as name:
        load(build(Path(name)))
        with StandIn(Path(name) / "state", gpus) as stand_in:
            os.environ |= stand_in.environment
            found = measure(options.gpus, options.rate, options.seconds)
    passed = found["whole"] < AIM
    shares = {f"{part}_core_share": round(found[part], 6) for part in ("meter", "tracks", "whole")}
    print(
        json.dumps(
            {"benchmark": "sampler_overhead", "gpus": options.gpus, "rate_hz": options.rate}
            | shares
            | {"points_per_s": round(found["points_per_s"], 1), "aim": AIM, "passed": passed}
        )
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
