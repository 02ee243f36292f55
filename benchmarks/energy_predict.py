"""How well carbonq foretells a run's energy, beside its rivals, and how fast: `python benchmarks/energy_predict.py`.

Data, beside the project under ../shared/data/energy (without it this prints why it skips, and measures the times alone):
  zeus_nsdi23      one epoch of six trainings on A40, P100 and RTX 6000, over batch sizes and power limits
  gaissa_seaa2023  309 whole trainings of five networks on RTX 3070 and RTX 3090, ended by early stopping

Rivals, learning from the same rows in the same run:
  tdp          power limit x the middle time of a unit of work; `tdp x time`: x the run's true time, which nobody knows before
  family-mean  the family's mean of a unit of work, on that GPU where it was seen
  knn5         the mean of the five nearest runs
  lightgbm     boosted trees, where installed (pip install lightgbm)
Their intervals are of fixed noise: the spread of their errors on rows left out.

Figures are means over the seeds of the median absolute error, then of the share of actual values inside the 90 % interval.
Exits 1 where carbonq misses an aim that is printed beside it.
"""

import argparse
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import gaissa_runs
import zeus_runs

from carbonq.cli.historical import compute_alike

compute_alike()  # before numpy is loaded

from carbonq.forecasters.carbon.tables import read_table  # noqa: E402  # see above
from carbonq.forecasters.energy import scoring  # noqa: E402
from carbonq.forecasters.energy.model import EnergyModel, Target  # noqa: E402
from carbonq.forecasters.energy.rivals import rated_w  # noqa: E402
from carbonq.forecasters.energy.run_files import read_runs  # noqa: E402
from carbonq.forecasters.energy.runs import RunRecord  # noqa: E402

Split = tuple[list[RunRecord], list[RunRecord]]
TRUE_TIME = "tdp x time"
PREDICT_MS, UPDATE_MS, PAST_RUNS = 20.0, 5.0, 100_000


class Case(NamedTuple):
    name: str
    aim_pct: float | None
    covers: tuple[float, float] | None  # the aim for the share inside the interval
    split: Callable[[random.Random], Split]


# --- how runs are kept aside


def some_seen(runs: Sequence[RunRecord], count: int) -> Callable[[random.Random], Split]:
    def split(draw: random.Random) -> Split:
        shuffled = draw.sample(runs, len(runs))
        return shuffled[:count], shuffled[count:]

    return split


def new_gpu(runs: Sequence[RunRecord], samples: int) -> Callable[[random.Random], Split]:
    """One GPU is new, each in turn by the seed: of it, so many samples a family are seen."""
    gpus = sorted({one.gpu_model for one in runs})

    def split(draw: random.Random) -> Split:
        new = draw.choice(gpus)
        known = [one for one in runs if one.gpu_model != new]
        return few_of_each([one for one in runs if one.gpu_model == new], samples, draw, family_of, known)

    return split


def setting_of(run: RunRecord) -> tuple[str, ...]:
    return run.family, run.gpu_model


def family_of(run: RunRecord) -> tuple[str, ...]:
    return (run.family,)


def few_of_each(
    runs: Sequence[RunRecord],
    samples: int,
    draw: random.Random,
    kind_of: Callable[[RunRecord], tuple[str, ...]],
    known: Sequence[RunRecord] = (),
) -> Split:
    kinds: defaultdict[tuple[str, ...], list[RunRecord]] = defaultdict(list)
    for one in draw.sample(runs, len(runs)):
        kinds[kind_of(one)].append(one)
    seen = [one for its_runs in kinds.values() for one in its_runs[:samples]]
    return [*known, *seen], [one for its_runs in kinds.values() for one in its_runs[samples:]]


def larger_batches(runs: Sequence[RunRecord]) -> Callable[[random.Random], Split]:
    """Of every setting the smaller half of its batch sizes is seen, of which nine rows in ten; the larger ones are asked."""
    sizes: defaultdict[tuple[str, ...], set[float]] = defaultdict(set)
    for one in runs:
        sizes[setting_of(one)].add(one.batch_size or 0.0)
    most = {setting: sorted(its_sizes)[(len(its_sizes) - 1) // 2] for setting, its_sizes in sizes.items()}
    small = [one for one in runs if (one.batch_size or 0.0) <= most[setting_of(one)]]
    large = [one for one in runs if (one.batch_size or 0.0) > most[setting_of(one)]]

    def split(draw: random.Random) -> Split:
        return draw.sample(small, round(0.9 * len(small))), large

    return split


def earlier_runs(runs: Sequence[RunRecord], samples: int) -> Callable[[random.Random], Split]:
    return lambda draw: few_of_each(runs, samples, draw, setting_of)


def cases(zeus: Sequence[RunRecord], with_epochs: Sequence[RunRecord], without: Sequence[RunRecord]) -> list[Case]:
    band = (0.88, 0.93)
    return [
        Case("zeus, 24 rows seen", 29.0, None, some_seen(zeus, 24)),
        Case("zeus, 96 rows seen", 9.5, band, some_seen(zeus, 96)),
        Case("zeus, 400 rows seen", 5.7, band, some_seen(zeus, 400)),
        Case("zeus, a GPU never seen", None, None, new_gpu(zeus, 0)),
        Case("zeus, then 1 sample a family", 20.0, None, new_gpu(zeus, 1)),
        Case("zeus, then 3 samples", 11.0, None, new_gpu(zeus, 3)),
        Case("zeus, then 5 samples", 8.0, None, new_gpu(zeus, 5)),
        Case("zeus, small batches seen, larger asked", 17.0, None, larger_batches(zeus)),
        Case("gaissa, 3 earlier runs, epochs given", 3.8, None, earlier_runs(with_epochs, 3)),
        Case("gaissa, 3 earlier runs, epochs unknown", None, band, earlier_runs(without, 3)),
        Case("gaissa, 10 earlier runs, epochs unknown", None, band, earlier_runs(without, 10)),
    ]


# --- the table


def measured(case: Case, seeds: int, target: Target) -> dict[str, tuple[float, float | None]]:
    """By model: the mean over the seeds of the median error in percent, and of the share inside the interval."""
    errors: defaultdict[str, list[float]] = defaultdict(list)
    inside: defaultdict[str, list[float]] = defaultdict(list)
    for seed in range(seeds):
        train, test = case.split(random.Random(seed))
        actual = [getattr(one, target) for one in test]
        for trial in scoring.split(train, test, target, timer=time.perf_counter):
            score = trial.score(actual)
            assert score.median_ape_pct is not None
            assert score.coverage_90 is not None
            errors[trial.name].append(score.median_ape_pct)
            inside[trial.name].append(score.coverage_90)
        if target == "energy_j":
            errors[TRUE_TIME].append(statistics.median(map(true_time_error_pct, test)))
    return {
        name: (statistics.fmean(found), statistics.fmean(inside[name]) if name in inside else None)
        for name, found in errors.items()
    }


def true_time_error_pct(run: RunRecord) -> float:
    assert run.energy_j is not None
    assert run.duration_s is not None
    return 100 * abs(rated_w(run) * run.duration_s - run.energy_j) / run.energy_j


def table(all_cases: Sequence[Case], seeds: int, target: Target) -> bool:
    """Print a line a case as it is done; whether every aim is met. The aims are of energy."""
    names: list[str] = []
    met = True
    for case in all_cases:
        found = measured(case, seeds, target)
        if not names:
            names = list(found)
            head = "".join(f"{name:>18}" for name in names)
            print(f"{f'{target}, mean of {seeds} seeds':<42}{head}{'aim':>20}")
        cells = "".join(f"{cell(*found[name]):>18}" for name in names)
        print(f"{case.name:<42}{cells}{aim(case) if target == 'energy_j' else '':>20}", flush=True)
        met &= target != "energy_j" or meets(case, *found["carbonq"])
    return met


def cell(error_pct: float, inside: float | None) -> str:
    return f"{error_pct:.1f} %" + (f" ({100 * inside:.0f} %)" if inside is not None else "       ")


def aim(case: Case) -> str:
    error = f"{case.aim_pct:g} %" if case.aim_pct is not None else ""
    return error + (f" ({100 * case.covers[0]:.0f}-{100 * case.covers[1]:.0f} %)" if case.covers else "")


def meets(case: Case, error_pct: float, inside: float | None) -> bool:
    near = case.aim_pct is None or error_pct <= case.aim_pct
    return near and (case.covers is None or (inside is not None and case.covers[0] <= inside <= case.covers[1]))


# --- the times


def made_up(count: int, draw: random.Random) -> Iterator[RunRecord]:
    """Runs of 200 families on four GPUs."""
    for index in range(count):
        family, work = draw.randrange(200), float(draw.choice([1, 3, 10, 30, 100]))
        power_w, pace_s = draw.uniform(100, 300), 20 * (1 + family % 17)
        duration_s = work * pace_s * draw.lognormvariate(0, 0.05)
        yield RunRecord(
            family=f"family-{family}",
            gpu_model=("NVIDIA A100", "NVIDIA H100", "NVIDIA A40", "Tesla V100")[index % 4],
            gpus=1,
            work=work,
            energy_j=power_w * duration_s,
            duration_s=duration_s,
            power_limit_w=None,
            batch_size=float(draw.choice([32, 64, 128])),
            numbers={},
            labels={},
        )


def times() -> bool:
    """Print how long an answer and an update take with many past runs; whether both are quick enough."""
    draw = random.Random(1)
    model = EnergyModel()
    runs = list(made_up(PAST_RUNS, draw))
    began = time.perf_counter()
    model.fit(runs)
    print(f"\n{PAST_RUNS:,} past runs, learnt at once: {time.perf_counter() - began:.1f} s")
    fresh = list(made_up(200, draw))
    answers = [timed_ms(partial(model.predict, scoring.asked(one), target="energy_j")) for one in fresh]
    updates = [timed_ms(partial(model.update, one)) for one in fresh]
    for what, taken, most in (("an answer", answers, PREDICT_MS), ("an update", updates, UPDATE_MS)):
        print(
            f"{what:<12}median {statistics.median(taken):6.2f} ms, worst of 200 {max(taken):6.2f} ms, aim {most:g} ms"
        )
    return statistics.median(answers) <= PREDICT_MS and statistics.median(updates) <= UPDATE_MS


def timed_ms(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return 1e3 * (time.perf_counter() - began)


def records(rows: Iterator[dict[str, object]], folder: Path) -> tuple[RunRecord, ...]:
    """Through the very file that `carbonq predict` reads."""
    file = folder / "runs.csv"
    with file.open("w") as to:
        zeus_runs.write(rows, zeus_runs.COLUMNS, to)
    return read_runs(read_table(file), target="energy_j").records


def main(arguments: Sequence[str] | None = None) -> int:
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--target", choices=("energy_j", "duration_s"), default="energy_j", help="aims are of energy_j")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases with this in their name")
    given = parser.parse_args(arguments)
    met = True
    if not (zeus_runs.FOLDER.is_dir() and gaissa_runs.FILE.is_file()):
        print(f"skipped: no measured runs at {zeus_runs.FOLDER} and {gaissa_runs.FILE}; the times alone:")
    else:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            found = cases(
                records(zeus_runs.rows(), folder),
                records(gaissa_runs.rows(), folder),
                records(gaissa_runs.rows(epochs=False), folder),
            )
        met = table([case for case in found if given.only in case.name], given.seeds, given.target)
    return 0 if times() and met else 1


if __name__ == "__main__":
    sys.exit(main())
