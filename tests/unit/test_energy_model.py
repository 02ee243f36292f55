"""Runs foretold from past runs of their kin: the middle, the interval, what is kept, and the figures on measured runs."""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import pytest

from carbonq.forecasters.energy.conformal import reaches, student
from carbonq.forecasters.energy.model import EnergyModel, RunRecord, Target
from carbonq.forecasters.energy.priors import drawable_w, gpu_rated_w, known_rated_w
from carbonq.forecasters.energy.runs import MAX_OF_KIND, MAX_OF_SETTING, MAX_RUNS, Kind, RunStore

DATA = Path(__file__).parents[3] / "shared" / "data" / "energy"
measured = pytest.mark.skipif(not DATA.is_dir(), reason="the reference measurements are not beside the project")


def make_run(**fields: Any) -> RunRecord:
    """A job of 200 W that needs a second for a unit of work."""
    work = fields.get("work", 100.0)
    given = {"family": "bert", "gpu_model": "A100", "gpus": 1, "work": work}
    taken = {"duration_s": work, "energy_j": 200.0 * work} if work else {}
    return RunRecord(**(given | taken | fields))


def learned(runs: Sequence[RunRecord]) -> EnergyModel:
    model = EnergyModel()
    model.fit(runs)
    return model


def asked(run: RunRecord) -> RunRecord:
    return run._replace(energy_j=None, duration_s=None)


def test_energy_and_duration_grow_with_the_work() -> None:
    model = learned([make_run(work=work) for work in (50.0, 100.0, 200.0)] * 3)
    assert model.predict(asked(make_run(work=1000.0))).p50 == pytest.approx(200_000, rel=0.1)
    assert model.predict(asked(make_run(work=1000.0)), target="duration_s").p50 == pytest.approx(1000, rel=0.1)


def test_the_interval_grows_with_the_distance_to_the_work_seen() -> None:
    model = learned([make_run(work=work) for work in (50.0, 100.0, 200.0)] * 3)
    found = [model.predict(asked(make_run(work=work))) for work in (100.0, 1e3, 1e4, 1e6)]
    widths = [one.p95 / one.p05 for one in found]
    assert widths == sorted(set(widths))


def test_a_kind_that_was_never_seen_is_told_by_the_gpus_limits_wide_and_labelled() -> None:
    found = EnergyModel().predict(RunRecord("new", "NVIDIA A40", 2))
    assert (found.method, found.runs) == ("prior", 0)
    assert found.p50 == pytest.approx(2 * 300 * 0.63 * 3600 * 2**-0.9)
    assert found.p95 / found.p05 > 100


def test_the_count_is_of_the_same_gpu_or_of_any_where_there_is_none_on_it() -> None:
    model = learned([make_run()] * 3 + [make_run(gpu_model="T4")])
    counts = [model.predict(make_run(gpu_model=gpu)).runs for gpu in ("A100", "T4", "V100")]
    assert counts == [3, 1, 4]


def test_a_run_of_unknown_work_is_told_by_whole_runs() -> None:
    model = learned([make_run(work=work) for work in (90.0, 100.0, 110.0)] * 3)
    assert model.predict(make_run(work=None)).p50 == pytest.approx(20_000, rel=0.1)


def test_whole_runs_without_an_amount_tell_nothing_of_a_unit() -> None:
    model = learned([make_run(work=None, energy_j=1e6, duration_s=5e3)] * 5)
    found = model.predict(make_run(work=10.0))
    assert found.p95 / found.p05 > 100


def test_one_nonsense_run_among_many_moves_the_middle_little() -> None:
    scatter = np.random.default_rng(0).normal(0, 0.03, 20)
    runs = [make_run(energy_j=20_000 * math.exp(one)) for one in scatter]
    model = learned([*runs, make_run(energy_j=1e12)])
    found = model.predict(asked(make_run()))
    assert found.p50 == pytest.approx(20_000, rel=0.1)
    assert found.p95 / found.p05 < 2


def test_power_stays_within_what_the_machine_can_draw() -> None:
    model = learned([make_run(gpu_model="L4", energy_j=1e9, duration_s=100.0)] * 5)
    energy = model.predict(make_run(gpu_model="L4"))
    duration = model.predict(make_run(gpu_model="L4"), target="duration_s")
    assert energy.p50 / duration.p50 == pytest.approx(drawable_w(1, "L4", None)[1])


def test_a_further_number_that_tells_is_learnt() -> None:
    runs = [
        make_run(energy_j=1e4 * size**0.5, numbers={"size": size}) for size in (1.0, 4.0, 16.0, 64.0) for _ in range(4)
    ]
    model = learned(runs)
    low, high = (model.predict(make_run(numbers={"size": size})).p50 for size in (1.0, 64.0))
    assert high / low > 5


def test_a_further_label_that_tells_is_learnt() -> None:
    runs = [
        make_run(energy_j=joules, labels={"precision": word}) for word, joules in (("half", 1e4), ("full", 2e4))
    ] * 6
    model = learned(runs)
    found = [model.predict(make_run(labels={"precision": word})).p50 for word in ("half", "full")]
    assert found == pytest.approx([1e4, 2e4], rel=0.1)


def test_missing_and_strange_features_are_borne() -> None:
    runs = [
        make_run(batch_size=8.0, numbers={"size": 1.0}),
        make_run(numbers={"size": math.nan}),
        make_run(energy_j=None),
    ]
    found = learned(runs).predict(make_run(batch_size=1e30, power_limit_w=1e9, gpus=10_000, numbers={"other": -1e300}))
    assert all(math.isfinite(value) and value > 0 for value in found[:5])


def test_many_answers_at_once_are_those_of_one_at_a_time() -> None:
    model = learned([make_run(work=work, gpu_model=gpu) for work in (50.0, 100.0) for gpu in ("A100", "T4")])
    wanted = [make_run(gpu_model="T4"), make_run(work=None), make_run(family="other"), make_run(work=5.0)]
    together = np.array([one[:5] for one in model.predict_many(wanted)])
    assert together == pytest.approx(np.array([model.predict(one)[:5] for one in wanted]), rel=1e-9)
    assert model.predict_many([]) == []


def test_a_state_read_back_gives_the_same_answers() -> None:
    model = learned([make_run(work=float(work), numbers={"size": 2.0}, labels={"a": "b"}) for work in range(1, 60)])
    again = EnergyModel.from_state(json.loads(json.dumps(model.to_state())))
    assert again.predict(make_run()) == model.predict(make_run())
    assert again.to_state() == model.to_state()


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 0"):
        EnergyModel.from_state({"version": 0})


def test_what_is_kept_is_bounded_whatever_comes() -> None:
    same, other, kinds = RunStore(), RunStore(), RunStore()
    for at in range(2 * MAX_RUNS):
        same.add(make_run())
        other.add(make_run(batch_size=float(at + 1)))
        kinds.add(make_run(family=str(at)))
    assert (len(same), len(other), len(kinds)) == (MAX_OF_SETTING, MAX_OF_KIND, MAX_RUNS)
    assert same.count(Kind("bert", "A100")) == 2 * MAX_RUNS
    assert [len(list(one)) for one in (same, other, kinds)] == [len(same), len(other), len(kinds)]


def test_the_closest_kin_come_first() -> None:
    store = RunStore()
    far = [make_run(family="x", gpu_model="T4"), make_run(family="x"), make_run(gpu_model="T4")]
    for run in [*far, make_run(batch_size=1.0), make_run(batch_size=2.0), make_run(batch_size=2.0, energy_j=None)]:
        store.add(run)
    found = store.near(Kind("bert", "A100"), {"energy_j": True})
    assert found == [make_run(batch_size=2.0), make_run(batch_size=1.0), *reversed(far)]


def test_reaches_hold_their_share_of_the_errors_and_are_wider_for_few() -> None:
    errors = np.abs(np.random.default_rng(1).normal(size=2000))
    assert reaches(errors, 2000) == pytest.approx((1.2816, 1.6449), rel=0.05)
    assert reaches(errors, 3).of_90 > reaches(errors, 30).of_90 > reaches(errors, 2000).of_90
    assert reaches(errors[:4], 4).of_90 > 1.1 * 1.6449


def test_students_quantile_is_that_of_the_tables() -> None:
    assert [student(1.6448536, freedom) for freedom in (5, 10, 30)] == pytest.approx([2.015, 1.812, 1.697], rel=0.01)


@pytest.mark.parametrize(
    ("name", "rated_w"), [("NVIDIA RTX6000", 260.0), ("Tesla V100-SXM2-16GB", 300.0), ("no such", None)]
)
def test_a_gpus_name_is_known_however_it_is_joined(name: str, rated_w: float | None) -> None:
    assert known_rated_w(name) == rated_w
    assert gpu_rated_w(name) == (rated_w or 300.0)


# --- the figures on measured runs


def zeus() -> list[RunRecord]:
    """One epoch each."""
    runs = []
    for word, gpu_model in {"a40": "NVIDIA A40", "p100": "Tesla P100", "rtx6000": "Quadro RTX 6000"}.items():
        with (DATA / "zeus_nsdi23" / f"summary_power_{word}.csv").open(newline="") as lines:
            for row in csv.DictReader(lines):
                took_s = float(row["time_per_epoch"])
                runs.append(
                    RunRecord(
                        family=f"{row['dataset']} {row['network']}",
                        gpu_model=gpu_model,
                        gpus=1,
                        work=1.0,
                        energy_j=took_s * float(row["average_power"]),
                        duration_s=took_s,
                        power_limit_w=float(row["power_limit"]),
                        batch_size=float(row["batch_size"]),
                    )
                )
    return runs


def gaissa(*, epochs: bool) -> list[RunRecord]:
    with (DATA / "gaissa_seaa2023" / "training_runs.csv").open(newline="") as lines:
        return [
            RunRecord(
                family=row["architecture"],
                gpu_model=row["gpu model"],
                gpus=1,
                work=float(row["trained epochs"]) if epochs else None,
                energy_j=float(row["energy (MJ)"]) * 1e6,
                duration_s=float(row["training duration (h)"]) * 3600,
            )
            for row in csv.DictReader(lines)
        ]


def score(train: Sequence[RunRecord], test: Sequence[RunRecord], target: Target = "energy_j") -> tuple[float, float]:
    """The median error and the coverage of the 90 % interval, in percent."""
    found = learned(train).predict_many([asked(run) for run in test], target=target)
    pairs = [(one, getattr(run, target)) for one, run in zip(found, test, strict=True)]
    error = median(abs(one.p50 / actual - 1) for one, actual in pairs)
    return 100 * error, 100 * fmean(one.p05 <= actual <= one.p95 for one, actual in pairs)


def drawn(runs: Sequence[RunRecord], seen: int, seed: int) -> tuple[list[RunRecord], list[RunRecord]]:
    order = [runs[at] for at in np.random.default_rng(seed).permutation(len(runs))]
    return order[:seen], order[seen:]


def drawn_of_each(runs: Sequence[RunRecord], seen: int, seed: int) -> tuple[list[RunRecord], list[RunRecord]]:
    kinds: defaultdict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for run in runs:
        kinds[run.family, run.gpu_model].append(run)
    parts = [drawn(alike, seen, seed) for alike in kinds.values()]
    return [run for part, _ in parts for run in part], [run for _, part in parts for run in part]


@measured
@pytest.mark.parametrize(("seen", "error"), [(24, 29.0), (96, 9.5), (400, 5.7)])
def test_few_epochs_seen_foretell_the_others(seen: int, error: float) -> None:
    scores = [score(*drawn(zeus(), seen, seed)) for seed in range(8)]
    assert fmean(one for one, _ in scores) <= error
    if seen >= 50:
        assert 88 <= fmean(one for _, one in scores) <= 94


@measured
@pytest.mark.parametrize(("seen", "error"), [(1, 20.0), (3, 11.0), (5, 8.0)])
def test_a_new_gpu_is_told_by_the_others_and_a_few_runs_of_its_own(seen: int, error: float) -> None:
    errors = []
    for gpu_model in ("NVIDIA A40", "Tesla P100", "Quadro RTX 6000"):
        old = [run for run in zeus() if run.gpu_model != gpu_model]
        for seed in range(3):
            own, rest = drawn_of_each([run for run in zeus() if run.gpu_model == gpu_model], seen, seed)
            errors.append(score([*old, *own], rest)[0])
    assert fmean(errors) <= error


@measured
def test_small_batches_foretell_larger_ones() -> None:
    sizes: defaultdict[tuple[str, str], set[float]] = defaultdict(set)
    for run in zeus():
        sizes[run.family, run.gpu_model].add(run.batch_size or 0)
    middle = {kind: sorted(seen)[(len(seen) + 1) // 2 - 1] for kind, seen in sizes.items()}
    small = [run for run in zeus() if (run.batch_size or 0) <= middle[run.family, run.gpu_model]]
    error, coverage = score(small, [run for run in zeus() if run not in small])
    assert error <= 17
    assert coverage >= 85


@measured
def test_three_training_runs_foretell_the_next_by_its_epochs() -> None:
    assert fmean(score(*drawn_of_each(gaissa(epochs=True), 3, seed))[0] for seed in range(8)) <= 3.8


@measured
def test_the_interval_holds_where_training_stops_early_at_an_unknown_epoch() -> None:
    assert 87 <= fmean(score(*drawn_of_each(gaissa(epochs=False), 3, seed))[1] for seed in range(8)) <= 94
