"""`carbonq predict`: of a job, and of files of runs."""

import csv
import random
from pathlib import Path

import pytest

from carbonq.domain.energy import PowerProfile, Quantity

from .conftest import Cli, make_quote

JOB = "name: train\nrun: 'true'\ndeadline: 24h\nworkload: {family: resnet, work: 90, unit: epochs}\n"
LEARNT = PowerProfile(
    power_w=Quantity(p50=250, p10=240, p90=260, p05=235, p95=265),
    duration_s=Quantity(p50=7200, p10=6600, p90=7800, p05=6300, p95=8100),
    power_method="past-runs",
    duration_method="past-runs",
    energy=Quantity(p50=1.8e6, p10=1.6e6, p90=2.0e6, p05=0.9e6, p95=3.6e6),
    runs=12,
)


@pytest.fixture
def job(tmp_path: Path) -> str:
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return str(path)


@pytest.fixture
def learnt(cli: Cli) -> Cli:
    cli.client.quoted = make_quote(profile=LEARNT, emissions_now_low_g=20.0, emissions_now_high_g=20.0)
    return cli


def runs(path: Path, number: int, **columns: str) -> str:
    """Two families whose energy grows with the work."""
    draw = random.Random(5)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["family", "gpu_model", "gpus", "work", "energy_j", "duration_s", *columns])
        for index in range(number):
            work, family = draw.randint(1, 20), "ab"[index % 2]
            seconds = work * (10 if family == "a" else 35) * draw.lognormvariate(0, 0.05)
            rows.writerow([family, "NVIDIA A40", 1, work, seconds * 200, seconds, *columns.values()])
    return str(path)


# --- a job


def test_a_job_is_foretold_with_bands_and_with_what_they_rest_on(learnt: Cli, job: str) -> None:
    lines = learnt("predict", job).out.splitlines()
    assert lines[0] == "train, 90 epochs"
    shown = dict(line.strip().split("  ", 1) for line in lines[1:])
    assert shown["energy"].strip() == "500 Wh (250 Wh to 1.00 kWh)"
    assert shown["duration"].strip() == "2h (1h45m to 2h15m)"
    assert shown["power"].strip() == "250 W (235 W to 265 W)"
    assert shown["known from"].strip() == "12 past runs (power: past-runs, duration: past-runs)"
    assert shown["best time"].strip() == "10.0 gCO2e (4.83 g to 21.0 g), from Mon 05 Jan 03:00 UTC, in 3h"


def test_grams_are_as_unsure_as_energy_and_intensity_together(learnt: Cli, job: str) -> None:
    answer = learnt("predict", job, "--json").json
    assert answer["emissions_now_g"] == pytest.approx({"p50": 20, "p05": 10, "p95": 40})  # of the energy alone
    planned = answer["emissions_planned_g"]
    assert planned["p50"] == 10
    assert planned["p95"] > 20
    assert planned["p05"] < 5
    assert answer["energy_j"]["p05"] == 0.9e6
    assert (answer["runs"], answer["work"], answer["unit"]) == (12, 90.0, "epochs")


def test_a_cold_start_says_that_it_is_one(cli: Cli, job: str) -> None:
    cold = LEARNT.model_copy(update={"runs": 0, "power_method": "prior", "duration_method": "assumed", "energy": None})
    cli.client.quoted = make_quote(profile=cold)
    assert "no past run of its like: a wide prior, which the first runs narrow" in cli("predict", job).out


def test_without_a_forecast_the_grams_are_unknown(learnt: Cli, job: str) -> None:
    learnt.client.quoted = make_quote(profile=LEARNT, emissions_now_g=None, emissions_planned_g=None)
    assert "unknown: no forecast of the grid" in learnt("predict", job).out
    assert learnt("predict", job, "--json").json["emissions_now_g"] is None


@pytest.mark.parametrize(("written", "work"), [("10x", 900), ("0.5x", 45), ("7", 7), ("1e3", 1000)])
def test_another_amount_of_work_is_asked_for(learnt: Cli, job: str, written: str, work: float) -> None:
    assert learnt("predict", job, "--work", written, "--json").json["work"] == work


def test_a_declared_duration_is_not_that_of_another_amount_of_work(learnt: Cli, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB + "duration: 2h\n")
    done = learnt("predict", str(tmp_path / "job.yaml"), "--work", "10x")
    assert "its `duration:` is of another amount of work and was left aside" in done.err


@pytest.mark.parametrize("written", ["x", "0", "-1x", "ten", "nan", "infx"])
def test_what_is_no_amount_of_work_is_refused(cli: Cli, job: str, written: str) -> None:
    done = cli("predict", job, f"--work={written}")
    assert done.code == 2
    assert f"'{written}' is no amount of work" in done.err


def test_a_job_without_a_workload_says_how_to_name_one(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("name: train\nrun: 'true'\ndeadline: 24h\n")
    done = cli("predict", str(tmp_path / "job.yaml"), "--work", "10x")
    assert done.code == 2
    assert "add `workload: {family: NAME, work: 90, unit: epochs}`" in done.err


def test_nothing_is_submitted(learnt: Cli, job: str) -> None:
    learnt("predict", job)
    assert learnt.client.submitted == []


# --- files of runs


def test_the_score_has_the_contracts_keys(cli: Cli, tmp_path: Path) -> None:
    train, test = runs(tmp_path / "train.csv", 80), runs(tmp_path / "test.csv", 20)
    answer = cli("predict", "--train", train, "--test", test, "--json").json
    assert {name: answer[name] for name in ("schema_version", "n_train", "n_test", "target")} == {
        "schema_version": 1,
        "n_train": 80,
        "n_test": 20,
        "target": "energy_j",
    }
    assert [one["model"] for one in answer["models"]][:4] == ["carbonq", "tdp", "family-mean", "knn5"]
    keys = {
        "model",
        "median_ape_pct",
        "mean_ape_pct",
        "p90_ape_pct",
        "coverage_90",
        "interval_half_width_pct",
        "fit_s",
    }
    assert all(set(one) == keys for one in answer["models"])


@pytest.mark.parametrize("target", ["energy_j", "duration_s"])
def test_the_score_can_be_recomputed_from_the_dump(cli: Cli, tmp_path: Path, target: str) -> None:
    train, test, dump = runs(tmp_path / "train.csv", 80), runs(tmp_path / "test.csv", 21), tmp_path / "dump.csv"
    words = ("--train", train, "--test", test, "--dump", str(dump), "--target", target, "--json")
    carbonq = cli("predict", *words).json["models"][0]
    rows = [
        {name: float(row[name]) for name in (target, "predicted", "p05", "p95")}
        for row in csv.DictReader(dump.read_text().splitlines())
    ]
    errors = sorted(100 * abs(row["predicted"] - row[target]) / row[target] for row in rows)
    assert carbonq["median_ape_pct"] == pytest.approx(errors[10])
    assert carbonq["mean_ape_pct"] == pytest.approx(sum(errors) / 21)
    assert carbonq["p90_ape_pct"] == pytest.approx(errors[18])
    assert carbonq["coverage_90"] == pytest.approx(sum(row["p05"] <= row[target] <= row["p95"] for row in rows) / 21)
    widths = sorted(100 * (row["p95"] - row["p05"]) / (2 * row["predicted"]) for row in rows)
    assert carbonq["interval_half_width_pct"] == pytest.approx(widths[10])


def test_one_by_one_nothing_is_learnt_beforehand(cli: Cli, tmp_path: Path) -> None:
    answer = cli("predict", "--prequential", runs(tmp_path / "runs.csv", 40), "--json").json
    assert (answer["n_train"], answer["n_test"]) == (0, 40)


def test_a_person_gets_a_table(cli: Cli, tmp_path: Path) -> None:
    out = cli("predict", "--prequential", runs(tmp_path / "runs.csv", 30)).out.splitlines()
    assert out[0] == "energy of 30 runs, each from those before it"
    assert out[2].split()[:3] == ["MODEL", "MEDIAN", "ERROR"]
    assert out[3].split()[0] == "carbonq"


def test_a_bad_file_is_told_in_three_lines_with_line_and_column(cli: Cli, tmp_path: Path) -> None:
    name = runs(tmp_path / "runs.csv", 3)
    Path(name).write_text(Path(name).read_text() + "a,A40,1,-2,5,5\n")
    done = cli("predict", "--prequential", name)
    assert done.code == 2
    assert [line.strip() for line in done.err.splitlines()] == [
        "error: -2 is not above 0",
        f"{name}:5, column work",
        "leave the cell empty where it is unknown",
    ]


def test_a_dump_never_overwrites_what_is_read(cli: Cli, tmp_path: Path) -> None:
    name = runs(tmp_path / "runs.csv", 3)
    assert cli("predict", "--prequential", name, "--dump", name).code == 2


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("job.yaml", "--train", "a.csv"),
        ("--train", "a.csv"),
        ("--prequential", "a.csv", "--test", "b.csv"),
        ("--prequential", "a.csv", "--work", "2x"),
        ("--prequential", "a.csv", "--target", "power_w"),
        ("job.yaml", "--dump", "d.csv"),
    ],
)
def test_what_does_not_go_together_is_a_wrong_use(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli("predict", *words).code == 2
