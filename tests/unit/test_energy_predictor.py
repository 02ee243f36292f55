"""Energy and duration before a job runs: what is declared, what is learnt from past runs, and what is assumed without either."""

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from carbonq.domain.energy import Component, EnergyReading, Provenance, Quantity
from carbonq.domain.job import Capacity, Measurement, Outcome, Requirement
from carbonq.domain.ports import PastRun
from carbonq.domain.spec import JobSpec
from carbonq.forecasters.energy.examples import asked_of, example_of, gpu_key
from carbonq.forecasters.energy.predictor import ModelPredictor
from carbonq.forecasters.energy.priors import GPU_SHARE, gpu_rated_w, prior_power_w
from carbonq.scheduler.queue.board import MemoryBoard
from carbonq.testing import MIDNIGHT, make_worker

ZEUS = Path(__file__).parents[3] / "shared" / "data" / "energy" / "zeus_nsdi23"


def make_spec(**fields: Any) -> JobSpec:
    return JobSpec(**({"name": "train", "run": "true", "deadline": 36_000.0} | fields))


def epochs(work: float, **fields: Any) -> JobSpec:
    return make_spec(workload={"family": "resnet", "work": work, "unit": "epochs"}, **fields)


def measured(
    job_id: str = "a",
    duration_s: float = 3600.0,
    power_w: float | None = 200.0,
    *,
    fence: int = 1,
    outcome: Outcome = Outcome.SUCCEEDED,
    speed: float = 1.0,
    **fields: Any,
) -> Measurement:
    """One attempt of `duration_s` of real time with `power_w` over it."""
    known = power_w is not None
    return Measurement(
        job_id=job_id,
        fence=fence,
        attempt=fence,
        worker_id="w",
        pool="default",
        zone="FR",
        outcome=outcome,
        started_at=MIDNIGHT,
        ended_at=MIDNIGHT + timedelta(seconds=duration_s * speed),
        real_started_at=MIDNIGHT,
        real_ended_at=MIDNIGHT + timedelta(seconds=duration_s),
        readings=(
            EnergyReading(
                component=Component.GPU,
                energy_j=power_w * duration_s if power_w is not None else None,
                provenance=Provenance.MEASURED if known else Provenance.UNKNOWN,
                method="test",
            ),
        ),
        **fields,
    )


def past(spec: JobSpec, *measurements: Measurement) -> list[PastRun]:
    """One run a job."""
    by_job: dict[str, list[Measurement]] = {}
    for one in measurements:
        by_job.setdefault(one.job_id, []).append(one)
    return [PastRun(job_id, spec, its) for job_id, its in by_job.items()]


def several(spec: JobSpec, duration_s: float = 3600.0, power_w: float = 200.0, number: int = 8) -> list[PastRun]:
    scatter = (1.0, 0.98, 1.03, 0.99, 1.01)
    return past(spec, *(measured(f"job-{i}", duration_s * scatter[i % 5], power_w) for i in range(number)))


def after(*runs: PastRun, speed: float = 1.0) -> ModelPredictor:
    predictor = ModelPredictor(MemoryBoard(), speed=speed)
    predictor.learn(runs)
    return predictor


# --- what a job is foretold


def test_what_is_declared_is_taken_even_where_past_runs_say_otherwise() -> None:
    spec = make_spec(duration=1800.0, energy={"power_w": 350.0})
    profile = after(*several(spec)).predict(spec)
    assert (profile.power_w.p50, profile.power_method) == (350, "declared")
    assert (profile.duration_s.p50, profile.duration_method) == (1800, "declared")
    assert (profile.energy, profile.energy_j, profile.runs) == (None, 350 * 1800, 0)


def test_without_anything_known_the_power_is_a_prior_and_the_duration_assumed() -> None:
    profile = ModelPredictor(MemoryBoard(), default_duration_s=7200).predict(make_spec())
    assert (profile.power_method, profile.duration_method, profile.runs) == ("prior", "assumed", 0)
    assert profile.duration_s.p50 == 7200
    assert profile.duration_s.p90 >= 4 * profile.duration_s.p50


def test_past_runs_tell_energy_duration_and_power_with_how_many_they_were() -> None:
    spec = make_spec()
    profile = after(*several(spec)).predict(spec)
    assert (profile.power_method, profile.duration_method, profile.runs) == ("past-runs", "past-runs", 8)
    assert profile.power_w.p50 == pytest.approx(200, rel=0.1)
    assert profile.duration_s.p50 == pytest.approx(3600, rel=0.1)
    assert profile.energy is not None
    assert profile.energy.p50 == pytest.approx(720_000, rel=0.1)
    assert profile.power_w.p50 * profile.duration_s.p50 == pytest.approx(profile.energy_j)


def test_every_band_holds_its_middle() -> None:
    spec = make_spec()
    profile = after(*several(spec)).predict(spec)
    for band in (profile.energy, profile.duration_s, profile.power_w):
        assert band is not None
        assert band.p05 is not None
        assert band.p95 is not None
        assert band.p05 < band.p10 < band.p50 < band.p90 < band.p95


def test_one_figure_may_be_declared_and_the_other_learnt() -> None:
    predictor = after(*several(make_spec()))
    shorter = predictor.predict(make_spec(duration=1800.0))
    assert (shorter.duration_s, shorter.duration_method) == (Quantity.around(1800, 0.1), "declared")
    assert shorter.power_method == "past-runs"
    assert shorter.energy_j == pytest.approx(200 * 1800, rel=0.1)
    hotter = predictor.predict(make_spec(energy={"power_w": 400.0}))
    assert (hotter.power_w.p50, hotter.power_method, hotter.duration_method) == (400, "declared", "past-runs")


def test_runs_of_unknown_energy_still_tell_how_long_it_takes() -> None:
    spec = make_spec()
    profile = after(*past(spec, *(measured(f"job-{i}", power_w=None) for i in range(8)))).predict(spec)
    assert (profile.power_method, profile.duration_method, profile.energy, profile.runs) == (
        "prior",
        "past-runs",
        None,
        8,
    )


def test_a_larger_task_takes_more_and_is_less_certain() -> None:
    predictor = after(*several(epochs(1), 300), *several(epochs(3), 900))
    small, large = predictor.predict(epochs(2)), predictor.predict(epochs(100))
    assert small.duration_s.p50 == pytest.approx(600, rel=0.15)
    assert large.duration_s.p50 == pytest.approx(30_000, rel=0.35)
    assert _width(large) > _width(small)


def _width(profile: Any) -> float:
    return float(profile.energy.p95 / profile.energy.p05)


def test_runs_of_one_family_teach_each_other_under_any_name() -> None:
    predictor = after(*several(epochs(2, name="monday")))
    assert predictor.predict(epochs(2, name="friday")).duration_method == "past-runs"


def test_in_a_replay_power_times_duration_is_still_the_energy_measured() -> None:
    spec = make_spec()
    runs = past(spec, *(measured(f"job-{i}", 60, 200, speed=600) for i in range(8)))
    profile = after(*runs, speed=600).predict(spec)
    assert profile.duration_s.p50 == pytest.approx(36_000, rel=0.1)
    assert profile.energy_j == pytest.approx(12_000, rel=0.1)
    assert profile.power_w.p50 * profile.duration_s.p50 == pytest.approx(12_000, rel=0.1)


def test_a_gpu_that_all_workers_have_need_not_be_named() -> None:
    spec = make_spec(resources={"gpus": 1})
    predictor = after(*past(spec, *(measured(f"job-{i}", gpu_model="NVIDIA A100-SXM4-80GB") for i in range(8))))
    unnamed = predictor.predict(spec)
    board = MemoryBoard()
    board.put_worker(make_worker(capacity=Capacity(gpus=8, gpu_model="NVIDIA A100-SXM4-80GB")), ttl_s=60)
    there = ModelPredictor(board)
    there.learn(past(spec, *(measured(f"job-{i}", gpu_model="NVIDIA A100-SXM4-80GB") for i in range(8))))
    named = there.predict(make_spec(resources={"gpus": 1, "gpu_model": "A100"}))
    assert there.predict(spec) == named
    assert unnamed.runs == named.runs == 8


# --- what is learnt


def test_told_twice_is_told_once() -> None:
    runs = several(make_spec())
    predictor = after(*runs)
    assert predictor.learn(runs) == 0
    assert predictor.predict(make_spec()).runs == 8


def test_what_was_learnt_outlives_the_process() -> None:
    board, runs = MemoryBoard(), several(make_spec())
    ModelPredictor(board).learn(runs[:5])
    second = ModelPredictor(board)
    assert second.recall()
    assert second.learn(runs) == 3
    third = ModelPredictor(board)
    assert third.predict(make_spec()) == second.predict(make_spec())
    assert third.predict(make_spec()).runs == 8


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: b"",
        lambda state: b"no json\n{}",
        lambda state: state.replace(b'"version":1', b'"version":99', 1),
        lambda state: state.partition(b"\n")[0] + b"\n{}",
        lambda state: state[: len(state) // 2],
    ],
    ids=["empty", "nonsense", "another version", "another model", "cut off"],
)
def test_what_cannot_be_read_is_as_good_as_nothing_and_is_learnt_anew(spoil: Any) -> None:
    board, runs = MemoryBoard(), several(make_spec())
    ModelPredictor(board).learn(runs)
    board.put_energy_model(spoil(board.energy_model()))
    again = ModelPredictor(board)
    assert again.predict(make_spec()).power_method == "prior"
    assert not again.recall()
    assert again.learn(runs) == 8
    assert ModelPredictor(board).predict(make_spec()).runs == 8


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.SUCCEEDED])
def test_an_attempt_that_did_not_succeed_is_no_example(outcome: Outcome) -> None:
    assert example_of(PastRun("a", make_spec(), [measured(outcome=outcome)])) is None


def test_a_run_of_no_length_is_no_example() -> None:
    assert example_of(PastRun("a", make_spec(), [measured(duration_s=0)])) is None


def test_checkpointed_attempts_belong_to_the_run_that_they_led_to() -> None:
    parts = [
        measured("a", 3000, 200, fence=3),
        measured("a", 500, 900, fence=2, outcome=Outcome.LOST),
        measured("a", 1000, 100, fence=1, outcome=Outcome.CHECKPOINTED),
    ]
    found = example_of(PastRun("a", make_spec(), parts))
    assert found is not None
    assert (found.duration_s, found.energy_j) == (4000, 1000 * 100 + 3000 * 200)


def test_energy_known_for_a_part_of_the_run_is_not_taken_for_the_whole() -> None:
    parts = [measured(fence=1, power_w=None, outcome=Outcome.CHECKPOINTED), measured(fence=2)]
    found = example_of(PastRun("a", make_spec(), parts))
    assert found is not None
    assert (found.duration_s, found.energy_j) == (7200, None)


def test_what_the_machine_was_comes_from_the_measurement() -> None:
    spec = make_spec(resources={"gpus": 2, "gpu_model": "A100"}, workload={"family": "bert", "power_limit_w": 400.0})
    seen = measured(gpu_model="NVIDIA A100-PCIE-40GB", gpu_power_limit_w=250.0)
    found = example_of(PastRun("a", spec, [seen]))
    assert found is not None
    assert (found.gpus, found.gpu_model, found.power_limit_w) == (2, "a100-pcie", 250.0)


@pytest.mark.parametrize(("told", "work"), [(None, 10), (7, 7), (10, 10), (1000, 10), (0, 10)])
def test_a_job_that_stopped_early_did_the_work_that_it_told_of(told: float | None, work: float) -> None:
    found = example_of(PastRun("a", epochs(10), [measured(work_done=told)]))
    assert found is not None
    assert found.work == work


def test_a_workloads_further_fields_are_features_and_labels() -> None:
    workload = {
        "family": "bert",
        "batch_size": 32,
        "gpu_model": "H100",
        "tokens": 512,
        "optimizer": "adam",
        "amp": True,
    }
    found = asked_of(make_spec(resources={"gpus": 1, "gpu_model": "A100"}, workload=workload))
    assert (found.gpu_model, found.batch_size) == ("h100", 32.0)
    assert (found.numbers, found.labels) == ({"tokens": 512.0}, {"optimizer": "adam", "amp": "True"})


def test_families_are_told_apart_by_unit_and_names_by_project() -> None:
    specs = [
        make_spec(),
        make_spec(project="other"),
        make_spec(workload={"family": "default/train"}),
        epochs(1),
        make_spec(workload={"family": "resnet", "work": 1.0, "unit": "samples"}),
        make_spec(workload={"family": "resnet"}),
    ]
    assert len({asked_of(spec).family for spec in specs}) == len(specs)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("A100", "a100"),
        ("NVIDIA H100 PCIe", "h100 pcie"),
        ("NVIDIA GeForce RTX 3090", "3090"),
        ("Something New", "something new"),
        (None, ""),
    ],
)
def test_a_gpu_goes_by_the_part_of_its_name_that_is_known(name: str | None, key: str) -> None:
    assert gpu_key(name) == key


# --- what a first look costs

LOOK = """
import sys
from carbonq.domain.spec import JobSpec
from carbonq.forecasters.energy.predictor import ModelPredictor
from carbonq.scheduler.queue.board import MemoryBoard
board = MemoryBoard()
state = sys.argv[1].encode()
if state:
    board.put_energy_model(state)
spec = JobSpec(name="new", run="true", deadline=3600.0)
print(ModelPredictor(board).predict(spec).power_method, "numpy" in sys.modules)
"""


@pytest.mark.parametrize(
    "state", ["", json.dumps({"version": 1, "families": {"default/old": True}, "recent": []}) + "\n{}"]
)
def test_a_job_of_which_nothing_is_known_loads_no_numbers_library(state: str) -> None:
    done = subprocess.run([sys.executable, "-c", LOOK, state], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["prior", "False"]


# --- the prior


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
