"""`carbonq report`: which receipts, in which form, and where they go."""

import csv
from datetime import timedelta
from pathlib import Path

import pytest

from carbonq.testing import MIDNIGHT

from .conftest import Cli
from .test_cli_jobs import make_receipt


@pytest.fixture
def booked(cli: Cli) -> Cli:
    cli.client.booked = [make_receipt()]
    return cli


def test_the_table_is_the_default_and_shows_a_loss_as_one(booked: Cli) -> None:
    assert "2.50 gCO2e (12 %) more" in booked("report").out


@pytest.mark.parametrize("words", [("--json",), ("--format", "json")])
def test_json_has_units_in_its_keys(booked: Cli, words: tuple[str, ...]) -> None:
    assert '"avoided_g": -2.5' in booked("report", *words).out


def test_csv_has_one_row_a_job(booked: Cli) -> None:
    [row] = csv.DictReader(booked("report", "--format", "csv").out.splitlines())
    assert float(row["avoided_g"]) == -2.5


@pytest.mark.parametrize(
    ("name", "start"), [("r.html", "<!doctype html"), ("r.json", "{"), ("r.csv", ""), ("r.txt", "")]
)
def test_a_files_ending_tells_the_format(booked: Cli, tmp_path: Path, name: str, start: str) -> None:
    done = booked("report", "-o", str(tmp_path / name))
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / name).read_text().lower().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_html_is_one_page_with_the_intensity_of_its_zones(booked: Cli) -> None:
    page = booked("report", "--format", "html").out
    assert "<svg" in page
    assert "http-equiv" not in page.lower() or "<script src" not in page


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", MIDNIGHT - timedelta(days=7)),
        ("2026-01-04", MIDNIGHT - timedelta(days=1)),
        ("2026-01-04T12:00+02:00", MIDNIGHT - timedelta(hours=14)),
    ],
)
def test_since_takes_spans_dates_and_moments(booked: Cli, text: str, expected: object) -> None:
    booked("report", "--since", text)
    assert booked.client.asked[0] == ("receipts", expected, None)


@pytest.mark.parametrize(
    "words", [("--since", "yesterday"), ("--format", "pdf"), ("--by", "colour:of:moon")], ids=lambda words: words[0]
)
def test_bad_flags_exit_2(booked: Cli, words: tuple[str, ...]) -> None:
    done = booked("report", *words)
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_an_empty_report_says_why(cli: Cli) -> None:
    done = cli("report")
    assert done.code == 0
    assert "no job has finished in that time" in done.err


def test_a_folder_that_is_not_there_exits_3(booked: Cli, tmp_path: Path) -> None:
    assert booked("report", "-o", str(tmp_path / "no" / "r.html")).code == 3
