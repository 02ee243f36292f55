"""How long a due job waits for its command to run: from its planned start to the command's own first instruction.

    python benchmarks/start_latency.py [--jobs 100] [--spacing 0.25]

A real server, a real worker, real processes. Each job is planned for a moment of its own and compares that moment with
the clock it sees; the figures are printed as one line of JSON. Aim: p99 <= 100 ms on an idle machine.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from carbonq.scheduler.queue.server import EmbeddedServer
from tests.worker_rig import Rig, until

AIM_S = 0.1


def measure(jobs: int, spacing_s: float, folder: Path) -> list[float]:
    """Seconds between each job's planned start and its command's first instruction, as the command's clock shows it."""
    with EmbeddedServer(folder / "data", socket=folder / "s" / "redis.sock") as server:
        rig = Rig(server.url, folder, max_wait_s=1.0, lease_s=30.0, heartbeat_s=1.0, log_interval_s=0.2)
        rig.work()
        until(rig.board.workers, "the worker registers")
        first = datetime.now(UTC) + timedelta(seconds=1)
        due = [first + timedelta(seconds=i * spacing_s) for i in range(jobs)]
        ids = [rig.submit(["date", "+%s.%N"], due=moment) for moment in due]
        time.sleep(max(0.0, (due[-1] - datetime.now(UTC)).total_seconds()))
        for job_id in ids:
            rig.ended(job_id)
        latencies = [float(rig.log(job_id)) - moment.timestamp() for job_id, moment in zip(ids, due, strict=True)]
        rig.close()
    return latencies


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--spacing", type=float, default=0.25, metavar="SECONDS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cq-", dir="/tmp") as folder:
        latencies = sorted(measure(options.jobs, options.spacing, Path(folder)))
    percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
    figures = {"p50_s": percentiles[49], "p90_s": percentiles[89], "p99_s": percentiles[98], "max_s": latencies[-1]}
    passed = figures["p99_s"] <= AIM_S
    print(
        json.dumps(
            {"benchmark": "start_latency", "jobs": options.jobs}
            | {name: round(value, 4) for name, value in figures.items()}
            | {"aim_p99_s": AIM_S, "passed": passed}
        )
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
