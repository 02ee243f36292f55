"""The GAISSA training runs (SEAA 2023) as a table of runs: `python benchmarks/gaissa_runs.py [--no-epochs] [FILE] > runs.csv`.

Whole training runs of five networks on two GPUs, about 30 of each setting, ended by early stopping. Work is the epochs
trained; with `--no-epochs` it is left empty, as for who does not know how long a training will go on. The file lies at
`../shared/data/energy/gaissa_seaa2023/training_runs.csv`, beside the project.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from zeus_runs import COLUMNS, write

FILE = Path(__file__).parents[2] / "shared" / "data" / "energy" / "gaissa_seaa2023" / "training_runs.csv"


def rows(file: Path = FILE, *, epochs: bool = True) -> Iterator[dict[str, object]]:
    """Raises OSError where the file is not there."""
    with file.open(newline="") as lines:
        for one in csv.DictReader(lines):
            yield {
                "family": one["architecture"],
                "gpu_model": one["gpu model"],
                "gpus": 1,
                "work": int(one["trained epochs"]) if epochs else "",
                "energy_j": float(one["energy (MJ)"]) * 1e6,
                "duration_s": float(one["training duration (h)"]) * 3600,
                "power_limit_w": float(one["max power limit (W)"]),
                "batch_size": int(one["batch size"]),
            }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=FILE)
    parser.add_argument("--no-epochs", action="store_true", help="leave the work empty")
    given = parser.parse_args(arguments)
    if not given.file.is_file():
        print(f"skipped: the GAISSA runs are not at {given.file}", file=sys.stderr)
        return 0
    write(rows(given.file, epochs=not given.no_epochs), COLUMNS, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
