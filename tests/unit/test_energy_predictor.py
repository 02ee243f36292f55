"""Energy and duration before a job runs: what is declared, what is learnt from past runs, and what is assumed without either."""

import csv
import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from carbonq.domain.energy import Component, EnergyReading, Provenance
from carbonq.domain.job import Measurement, Outcome, Requirement
from carbonq.domain.spec import JobSpec
from carbonq.forecasters.energy.predictor import MAX_RUNS, RunHistoryPredictor, expected
from carbonq.forecasters.energy.priors import GPU_SHARE, gpu_rated_w, prior_power_w
from carbonq.testing import MIDNIGHT

ZEUS = Path(__file__).parents[3] / "shared" / "data" / "energy" / "zeus_nsdi23"


def make_spec(**fields: Any) -> JobSpec:
    return JobSpec(**({"name": "train", "run": "true", "deadline": 36_000.0} | fields))


def measured(
    job_id: str = "a",
    duration_s: float = 3600.0,
    power_w: float | None = 200.0,
    *,
    fence: int = 1,
    outcome: Outcome = Outcome.SUCCEEDED,
    speed: float = 1.0,
) -> Measurement:
    """One attempt of `duration_s` of grid time with `power_w` over it."""
    known = power_w is not None
    return Measurement(
        job_id=job_id,
        fence=fence,
        attempt=1,
        worker_id="w",
        pool="default",
        zone="FR",
        outcome=outcome,
        started_at=MIDNIGHT,
        ended_at=MIDNIGHT + timedelta(seconds=duration_s),
        real_started_at=MIDNIGHT,
        real_ended_at=MIDNIGHT + timedelta(seconds=duration_s / speed),
        readings=(
            EnergyReading(
                component=Component.GPU,
                energy_j=power_w * duration_s if power_w is not None else None,
                provenance=Provenance.MEASURED if known else Provenance.UNKNOWN,
                method="test",
            ),
        ),
    )


def after(spec: JobSpec, *measurements: Measurement) -> RunHistoryPredictor:
    predictor = RunHistoryPredictor()
    predictor.learn(spec, measurements)
    return predictor


def test_what_is_declared_is_taken_even_where_past_runs_say_otherwise() -> None:
    spec = make_spec(duration=1800.0, energy={"power_w": 350.0})
    profile = after(spec, measured()).predict(spec)
    assert (profile.power_w.p50, profile.power_method) == (350, "declared")
    assert (profile.duration_s.p50, profile.duration_method) == (1800, "declared")


def test_without_anything_known_the_power_is_a_prior_and_the_duration_assumed() -> None:
    profile = RunHistoryPredictor(default_duration_s=7200).predict(make_spec())
    assert (profile.power_method, profile.duration_method) == ("prior", "assumed")
    assert profile.duration_s.p50 == 7200
    assert profile.duration_s.p90 >= 4 * profile.duration_s.p50


def test_the_middle_of_past_runs_is_expected_again() -> None:
    spec = make_spec()
    profile = after(spec, measured("a", 3000, 190), measured("b", 3600, 200), measured("c", 9000, 210)).predict(spec)
    assert (profile.power_method, profile.duration_method) == ("past-runs", "past-runs")
    assert profile.power_w.p50 == pytest.approx(200)
    assert profile.duration_s.p50 == 3600


def test_duration_grows_with_the_amount_of_work() -> None:
    def epochs(work: float) -> JobSpec:
        return make_spec(workload={"family": "resnet", "work": work, "unit": "epochs"})

    predictor = after(epochs(2), measured("a", 600))
    predictor.learn(epochs(10), [measured("b", 3000)])
    profile = predictor.predict(epochs(100))
    assert profile.duration_s.p50 == pytest.approx(30_000)
    assert profile.power_w.p50 == pytest.approx(200)


@pytest.mark.parametrize(
    "workload", [{"family": "resnet"}, {"family": "resnet", "work": 5.0, "unit": "samples"}], ids=["none", "other unit"]
)
def test_runs_of_another_measure_of_work_say_nothing_of_the_duration_but_of_the_power(workload: dict[str, Any]) -> None:
    predictor = after(make_spec(workload=workload), measured())
    profile = predictor.predict(make_spec(workload={"family": "resnet", "work": 5.0, "unit": "epochs"}))
    assert (profile.duration_method, profile.power_method) == ("assumed", "past-runs")


def test_runs_of_one_family_teach_each_other_under_any_name() -> None:
    predictor = after(make_spec(name="monday", workload={"family": "resnet"}), measured())
    profile = predictor.predict(make_spec(name="friday", workload={"family": "resnet"}))
    assert profile.duration_method == "past-runs"


@pytest.mark.parametrize(
    "other",
    [
        make_spec(name="other"),
        make_spec(resources={"gpus": 1}),
        make_spec(resources={"cpus": 8}),
        make_spec(workload={"family": "train"}),
    ],
    ids=["name", "gpus", "cpus", "family of that name"],
)
def test_runs_of_another_kind_teach_nothing(other: JobSpec) -> None:
    profile = after(make_spec(), measured()).predict(other)
    assert (profile.power_method, profile.duration_method) == ("prior", "assumed")


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.SUCCEEDED])
def test_an_attempt_that_did_not_succeed_is_no_example(outcome: Outcome) -> None:
    spec = make_spec()
    assert after(spec, measured(outcome=outcome)).predict(spec).duration_method == "assumed"


def test_checkpointed_attempts_belong_to_the_run_that_they_led_to() -> None:
    spec = make_spec()
    parts = [
        measured("a", 1000, 100, fence=1, outcome=Outcome.CHECKPOINTED),
        measured("a", 500, 900, fence=2, outcome=Outcome.LOST),
        measured("a", 3000, 200, fence=3),
    ]
    profile = after(spec, *parts).predict(spec)
    assert profile.duration_s.p50 == 4000
    assert profile.power_w.p50 == pytest.approx((1000 * 100 + 3000 * 200) / 4000)


def test_unknown_energy_is_not_taken_for_none() -> None:
    spec = make_spec()
    profile = after(spec, measured(power_w=None)).predict(spec)
    assert (profile.power_method, profile.duration_method) == ("prior", "past-runs")


def test_energy_known_for_a_part_of_the_run_is_not_taken_for_the_whole() -> None:
    spec = make_spec()
    parts = [measured(fence=1, power_w=None, outcome=Outcome.CHECKPOINTED), measured(fence=2)]
    assert after(spec, *parts).predict(spec).power_method == "prior"


def test_told_twice_and_in_any_order_is_told_once() -> None:
    spec = make_spec()
    attempts = [measured("a", 1000), measured("b", 2000), measured("c", 4000)]
    once, often = after(spec, *attempts), after(spec, *reversed(attempts))
    often.learn(spec, attempts)
    often.learn(spec, attempts[:1])
    assert often.predict(spec) == once.predict(spec)


def test_in_a_replay_power_times_duration_is_still_the_energy_measured() -> None:
    spec = make_spec()
    run = measured("a", 3600, 1.5, speed=600)
    assert after(spec, run).predict(spec).energy_j == pytest.approx(run.energy_j)


def test_memory_is_bounded_and_the_oldest_runs_go_first() -> None:
    spec = make_spec()
    predictor = after(spec, *(measured(f"old-{index}", 100) for index in range(MAX_RUNS)))
    predictor.learn(spec, [measured(f"new-{index}", 900) for index in range(MAX_RUNS)])
    assert predictor.predict(spec).duration_s == expected([900.0] * MAX_RUNS, 0.3)


def test_a_run_of_no_length_is_no_example() -> None:
    spec = make_spec()
    profile = after(spec, measured(duration_s=0)).predict(spec)
    assert (profile.power_method, profile.duration_method) == ("prior", "assumed")


def test_the_band_narrows_as_runs_agree_and_never_vanishes() -> None:
    widths = [(band := expected([100.0] * count, 0.3)).p90 / band.p10 for count in (1, 3, 10, 100)]
    assert sorted(widths, reverse=True) == widths
    assert widths[-1] > 1.05


@pytest.mark.parametrize("count", [2, 5, 20])
def test_four_of_five_next_runs_fall_into_the_band(count: int) -> None:
    """Of runs that scatter as much as expected; half as much scatter would give a band that is too wide, not too narrow."""
    draw = random.Random(5)

    def runs(number: int) -> list[float]:
        return [3600 * draw.lognormvariate(0, 0.3) for _ in range(number)]

    inside = [(band := expected(runs(count), 0.3)).p10 <= runs(1)[0] <= band.p90 for _ in range(2000)]
    assert sum(inside) / len(inside) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    ("model", "rated_w"),
    [
        ("NVIDIA A100-SXM4-80GB", 400),
        ("A100", 400),
        ("NVIDIA A100-PCIE-40GB", 300),
        ("NVIDIA H100 PCIe", 350),
        ("h100", 700),
        ("Tesla V100-SXM2-16GB", 300),
        ("NVIDIA L40S", 350),
        ("NVIDIA L4", 72),
        ("NVIDIA A10", 150),
        ("NVIDIA GeForce RTX 3090", 350),
        ("NVIDIA RTX 6000 Ada Generation", 300),
        ("Quadro RTX 6000", 260),
        ("something new", 300),
        (None, 300),
    ],
)
def test_rated_power_is_that_of_the_closest_name(model: str | None, rated_w: float) -> None:
    assert gpu_rated_w(model) == rated_w


def test_the_prior_adds_up_what_is_asked_for() -> None:
    two = prior_power_w(Requirement(gpus=2, gpu_model="A100", cpus=8))
    assert two.p50 == pytest.approx(2 * 400 * GPU_SHARE.p50 + 8 * 4.0)
    assert two.p10 < two.p50 / 2
    assert two.p90 > 1.3 * two.p50


@pytest.mark.skipif(not ZEUS.is_dir(), reason="the reference data (Zeus, NSDI'23) does not lie beside the project")
def test_the_share_of_rated_power_is_what_zeus_measured() -> None:
    """At the highest power limit of each GPU, over all of its 150 jobs."""
    shares = sorted(share for table in ZEUS.glob("summary_power_*.csv") for share in _shares(table))
    tenths = [round(shares[len(shares) * tenth // 10], 2) for tenth in (1, 5, 9)]
    assert tenths == [GPU_SHARE.p10, GPU_SHARE.p50, GPU_SHARE.p90]


def _shares(table: Path) -> Sequence[float]:
    with table.open() as lines:
        rows = list(csv.DictReader(lines))
    highest_w = max(float(row["power_limit"]) for row in rows)
    return [float(row["average_power"]) / highest_w for row in rows if float(row["power_limit"]) == highest_w]
