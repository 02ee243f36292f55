"""How far a CPU model is off: `python benchmarks/cpu_model.py --data FOLDER` prints errors and the constants they lead to.

FOLDER holds codecarbon's runs of CPU load beside RAPL power (`compare_cpu_load_and_RAPL-*.csv`, mlco2/codecarbon, MIT). Four
CPUs, each under a load on all threads and under one on some. Idle rows are left out: their power (0.2 to 1.4 W) is not that of
a whole package, so no idle power can be learnt from them; the model's stays at its own source's.

Errors are modelled over measured power, less 1. The prior is scored on each CPU with constants fitted on the three others; the
fit of one node on each point with constants fitted on that CPU's other points. codecarbon's is the estimate that the files hold.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

from carbonq.workers.meters import cpu_model, cpu_table
from carbonq.workers.meters.cpu_model import EXPONENT, IDLE_OF_RATED, rms

OWN_CURVE = "Ryzen Threadripper 1950X"  # codecarbon has a formula for this one CPU, and takes the rest for linear
DATA = Path(__file__).parents[2] / "shared" / "data" / "energy" / "cpu_power"
SHARES = [round(0.4 + step / 50, 2) for step in range(51)]


class Point(NamedTuple):
    """One load held for 30 s."""

    utilisation: float
    measured_w: float
    codecarbon_w: float


class Node(NamedTuple):
    """One of the machines, with what its packages are rated together."""

    threads: int
    rated_w: float
    points: tuple[Point, ...]


class Constants(NamedTuple):
    """What the model's module should say."""

    max_of_rated: float
    prior_uncertainty_rel: float
    rated_w_per_thread: float
    unknown_uncertainty_rel: float


def read(folder: Path) -> dict[str, Node]:
    """Every CPU of the files, by its name in the table."""
    rows: dict[str, list[dict[str, str]]] = {}
    for path in sorted(folder.glob("compare_cpu_load_and_RAPL-*.csv")):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                rows.setdefault(row["cpu_name"], []).append(row)
    return dict(_node(name, of_cpu) for name, of_cpu in rows.items())


def _node(name: str, rows: Sequence[Mapping[str, str]]) -> tuple[str, Node]:
    cpu = cpu_table.look_up(name)
    if cpu is None:
        raise SystemExit(f"{name} is not in workers/meters/cpu_table.py: add its row")
    threads = max(int(row["cores_used"]) for row in rows)
    points = tuple(
        Point(float(row["cpu_load"]) / 100, float(row["rapl_power"]), float(row["estimated_power"]))
        for row in rows
        if not row["task_name"].startswith("Load for 0 ")
    )
    return cpu.name, Node(threads, threads * cpu.rated_w_per_thread, points)


def errors(rated_w: float, points: Sequence[Point], max_of_rated: float) -> list[float]:
    rise = max_of_rated - IDLE_OF_RATED
    return [rated_w * (IDLE_OF_RATED + rise * point.utilisation**EXPONENT) / point.measured_w - 1 for point in points]


def fit_prior(nodes: Sequence[Node]) -> float:
    """The share of rated power at full load that errs least, every CPU counting the same. Four CPUs carry no second constant:
    an exponent fitted beside it makes the CPU left out worse."""
    return min(SHARES, key=lambda share: sum(rms(errors(node.rated_w, node.points, share)) ** 2 for node in nodes))


def left_out(nodes: Mapping[str, Node]) -> dict[str, float]:
    """For each CPU the share that the others lead to."""
    return {name: fit_prior([node for other, node in nodes.items() if other != name]) for name in nodes}


def score(nodes: Mapping[str, Node]) -> dict[str, dict[str, list[float]]]:
    """Method -> CPU -> the errors on its points."""
    without, per_thread_w = left_out(nodes), rated_w_per_thread()
    return {
        "prior": {name: errors(node.rated_w, node.points, without[name]) for name, node in nodes.items()},
        "unknown CPU": {
            name: errors(node.threads * per_thread_w, node.points, without[name]) for name, node in nodes.items()
        },
        "fitted": {name: _fitted(node) for name, node in nodes.items()},
        "codecarbon": {
            name: [point.codecarbon_w / point.measured_w - 1 for point in node.points] for name, node in nodes.items()
        },
    }


def _fitted(node: Node) -> list[float]:
    pairs = [(point.utilisation, point.measured_w) for point in node.points]
    return cpu_model.left_out_errors(pairs, node.rated_w * IDLE_OF_RATED)


def rated_w_per_thread() -> float:
    return round(median(cpu.rated_w_per_thread for cpu in cpu_table.TABLE), 1)


def table_spread() -> float:
    """How far the table's median is off for a processor of the table."""
    return rms([rated_w_per_thread() / cpu.rated_w_per_thread - 1 for cpu in cpu_table.TABLE])


def overall(by_cpu: Mapping[str, Sequence[float]]) -> float:
    return sqrt(fmean(rms(of_cpu) ** 2 for of_cpu in by_cpu.values()))


def constants(nodes: Mapping[str, Node]) -> Constants:
    scored = score(nodes)
    prior, unknown = overall(scored["prior"]), overall(scored["unknown CPU"])
    return Constants(
        fit_prior(list(nodes.values())),
        round(prior, 2),
        rated_w_per_thread(),
        round(max(unknown, sqrt(prior**2 + table_spread() ** 2)), 2),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=DATA, help="the folder of codecarbon's runs (default: %(default)s)"
    )
    nodes = read(parser.parse_args().data)
    if not nodes:
        raise SystemExit("no compare_cpu_load_and_RAPL-*.csv in that folder: name another with --data")
    print(f"{'relative error':<34}" + "".join(f"{method:>24}" for method in score(nodes)))
    print(f"{'':<34}" + f"{'rms':>14}{'mean':>10}" * len(score(nodes)))
    for name in nodes:
        cells = [of_method[name] for of_method in score(nodes).values()]
        print(f"{name:<34}" + "".join(f"{rms(cell):>14.3f}{fmean(cell):>+10.3f}" for cell in cells))
    for label, left in (("all", ""), (f"all but {OWN_CURVE}", OWN_CURVE)):
        kept = [{name: cell for name, cell in of_cpu.items() if name != left} for of_cpu in score(nodes).values()]
        print(f"{label:<34}" + "".join(f"{overall(of_cpu):>14.3f}{'':>10}" for of_cpu in kept))
    print()
    for label, value in constants(nodes)._asdict().items():
        print(f"{label:<34}{value:>14g}")
    print(f"{'spread of the table':<34}{table_spread():>14.2f}")


if __name__ == "__main__":
    main()
