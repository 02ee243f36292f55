"""The Zeus power tables (NSDI'23) as runs of one epoch each: `python benchmarks/zeus_runs.py [FOLDER] > runs.csv`.

Measured once each: average power and time per epoch of six training jobs on three GPUs, over batch sizes and power limits.
A family is a network on a data set. The tables lie in `../shared/data/energy/zeus_nsdi23`, beside the project.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "energy" / "zeus_nsdi23"
GPUS = {"a40": "NVIDIA A40", "p100": "Tesla P100", "rtx6000": "Quadro RTX 6000"}
COLUMNS = ("family", "gpu_model", "gpus", "work", "energy_j", "duration_s", "power_limit_w", "batch_size")


def rows(folder: Path = FOLDER) -> Iterator[dict[str, object]]:
    """Raises OSError where the tables are not there."""
    for word, gpu_model in GPUS.items():
        with (folder / f"summary_power_{word}.csv").open(newline="") as lines:
            for one in csv.DictReader(lines):
                duration_s = float(one["time_per_epoch"])
                yield {
                    "family": f"{one['dataset']}-{one['network']}",
                    "gpu_model": gpu_model,
                    "gpus": 1,
                    "work": 1,
                    "energy_j": duration_s * float(one["average_power"]),
                    "duration_s": duration_s,
                    "power_limit_w": float(one["power_limit"]),
                    "batch_size": int(one["batch_size"]),
                }


def write(rows: Iterator[Mapping[str, object]], columns: Sequence[str], to: TextIO) -> None:
    table = csv.DictWriter(to, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    folder = parser.parse_args(arguments).folder
    if not folder.is_dir():
        print(f"skipped: the Zeus tables are not at {folder}", file=sys.stderr)
        return 0
    write(rows(folder), COLUMNS, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
