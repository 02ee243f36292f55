"""Tables of past runs: what is read as what, and how a mistake is told."""

import gzip
from pathlib import Path

import pytest

from carbonq.domain.errors import InvalidInput
from carbonq.forecasters.carbon.tables import read_table
from carbonq.forecasters.energy.run_files import Runs, dump, read_runs

HEAD = "family,gpu_model,gpus,work,energy_j,duration_s"
ROW = "resnet,A100,1,3,900.5,60"


def read(folder: Path, *lines: str, target: str = "energy_j", like: Runs | None = None) -> Runs:
    path = folder / "runs.csv"
    path.write_text("\n".join(lines) + "\n")
    return read_runs(read_table(path), target=target, like=like)


def test_known_columns_are_read_as_what_they_are(tmp_path: Path) -> None:
    (run,) = read(tmp_path, f"{HEAD},power_limit_w,batch_size", f"{ROW},300,64").records
    assert (run.family, run.gpu_model, run.gpus, run.work) == ("resnet", "A100", 1, 3.0)
    assert (run.energy_j, run.duration_s, run.power_limit_w, run.batch_size) == (900.5, 60.0, 300.0, 64.0)


def test_further_numbers_are_features_and_further_texts_labels(tmp_path: Path) -> None:
    (run,) = read(tmp_path, f"{HEAD},layers,optimizer", f"{ROW},50,adam").records
    assert (dict(run.numbers), dict(run.labels)) == ({"layers": 50.0}, {"optimizer": "adam"})


def test_an_empty_cell_is_unknown(tmp_path: Path) -> None:
    first, second = read(
        tmp_path, f"{HEAD},power_limit_w,layers,optimizer", "a,,,,5,,,,", "b,A100,,,5,,,3,adam"
    ).records
    assert (first.gpus, second.gpus) == (0, 1)  # one with a GPU has at least one
    assert (first.work, first.duration_s, first.power_limit_w) == (None, None, None)
    assert (dict(first.numbers), dict(first.labels)) == ({}, {})


def test_a_label_of_the_runs_learnt_from_is_a_label_where_all_its_words_are_digits(tmp_path: Path) -> None:
    learnt = read(tmp_path, f"{HEAD},version", f"{ROW},v1")
    (run,) = read(tmp_path, f"{HEAD},version", f"{ROW},12", like=learnt).records
    assert (dict(run.numbers), dict(run.labels)) == ({}, {"version": "12"})


def test_gzip_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv.gz"
    path.write_bytes(gzip.compress(f"{HEAD}\n{ROW}\n".encode()))
    assert len(read_runs(read_table(path), target="energy_j").records) == 1


@pytest.mark.parametrize(
    ("lines", "what", "where"),
    [
        ((HEAD, ROW, "resnet,A100,1,0,900,60"), "0 is not above 0", "runs.csv:3, column work"),
        ((HEAD, "resnet,A100,1,1,-5,60"), "-5 is not above 0", "runs.csv:2, column energy_j"),
        ((HEAD, "resnet,A100,1.5,1,5,60"), "1.5 is no number of GPUs", "runs.csv:2, column gpus"),
        ((HEAD, "resnet,A100,-1,1,5,60"), "-1 is no number of GPUs", "runs.csv:2, column gpus"),
        ((HEAD, ROW, " ,A100,1,1,5,60"), "family is empty", "runs.csv:3, column family"),
        ((HEAD, "resnet,A100,1,1,much,60"), "energy_j: 'much' is no number", "runs.csv:2"),
        ((f"{HEAD},layers", f"{ROW},50", f"{ROW},inf"), "layers: 'inf' is no number", "runs.csv:3"),
        ((f"{HEAD},layers", f"{ROW},50", f"{ROW},many"), "layers: 'many' is no number", "runs.csv:3"),
        ((HEAD, f"{ROW},7"), "7 cells, but the first line names 6 columns", "runs.csv:2"),
        (("family,gpu_model,gpus,work,duration_s", "a,b,1,1,5"), "no column 'energy_j'", "runs.csv:1"),
        ((HEAD,), "no rows", "runs.csv"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, lines: tuple[str, ...], what: str, where: str) -> None:
    with pytest.raises(InvalidInput) as found:
        read(tmp_path, *lines)
    assert found.value.what == what
    assert found.value.where.removeprefix(f"{tmp_path}/") == where


def test_a_dump_is_the_file_with_the_answers(tmp_path: Path) -> None:
    runs = read(tmp_path, f"{HEAD},note,p95", f'{ROW},"a, b",7')
    assert dump(runs, [(1.5, 1.0, 2.25)]) == f'{HEAD},note,predicted,p05,p95\n{ROW},"a, b",1.5,1.0,2.25\n'
