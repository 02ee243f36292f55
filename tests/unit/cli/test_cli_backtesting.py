"""`carbonq backtest`, and `carbonq forecast --history --at`: options, tables, files and refusals."""

import json
import re
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from .conftest import Cli

START = datetime(2021, 1, 1, tzinfo=UTC)
CURVES = ("--models", "yesterday,last-week,mean-7d,typical")
TESTED = ("--test-from", "2021-02-20", "--test-to", "2021-03-01")


def stamps(hours: int) -> list[str]:
    return [f"{START + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}" for hour in range(hours)]


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """60 days: nights are clean, with noise."""
    hours = np.arange(24 * 60)
    values = 200 - 60 * np.cos(hours / 24 * 2 * np.pi) + np.random.default_rng(5).normal(0, 15, len(hours))
    path = tmp_path / "FR_2021.csv"
    rows = [f"{stamp},{value!r}" for stamp, value in zip(stamps(len(hours)), values.tolist(), strict=True)]
    path.write_text("\n".join(["timestamp,carbon_intensity_gco2_per_kwh", *rows]) + "\n")
    return path


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    """Blocks of 96 hours, one a day."""
    rows = [
        f"{START + timedelta(hours=24 * day + hour):%Y-%m-%d %H:%M:%S},{day}" for day in range(57) for hour in range(96)
    ]
    path = tmp_path / "weather.csv"
    path.write_text("\n".join(["UTC time,wind", *rows]) + "\n")
    return path


def test_the_json_has_the_keys_that_others_rely_on(cli: Cli, history: Path) -> None:
    found = cli("backtest", "--history", str(history), *TESTED, *CURVES, "--jobs", "4h", "--json").json
    assert (found["schema_version"], found["zone"], found["origins"], found["horizon_h"]) == (1, "FR", 7, 96)
    assert [one["model"] for one in found["models"]] == ["yesterday", "last-week", "mean-7d", "typical"]
    one = found["models"][0]
    assert {
        "model", "mape_pct_by_day", "mape_pct", "mae_g_per_kwh", "pinball_g_per_kwh", "coverage_p10_p90",
        "coverage_p05_p95", "spearman_24h", "jobs", "fit_s", "predict_s",
    } <= set(one)  # fmt: skip
    assert len(one["mape_pct_by_day"]) == 4
    assert set(one["jobs"]["4h"]) == {"regret_pct", "capture_pct"}
    assert found["last_origin"] == "2021-02-26T00:00:00Z"


def test_the_table_has_a_line_for_each_model(cli: Cli, history: Path) -> None:
    lines = cli("backtest", "--history", str(history), *TESTED, *CURVES, env={"COLUMNS": "200"}).out.splitlines()
    assert lines[0] == "FR  7 forecasts from 20 Feb 2021 to 26 Feb 2021, each 96 h ahead"
    assert lines[2].split("  ")[0] == "MODEL"
    assert [line.split()[0] for line in lines[3:]] == ["yesterday", "last-week", "mean-7d", "typical"]


def test_nothing_to_save_is_null_and_never_nan(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "HYDRO.csv"
    rows = [f"{stamp},24" for stamp in stamps(24 * 60)]
    path.write_text("\n".join(["timestamp,carbon_intensity_gco2_per_kwh", *rows]) + "\n")
    done = cli("backtest", "--history", str(path), *TESTED, *CURVES, "--json")
    for one in json.loads(done.out, parse_constant=pytest.fail)["models"]:
        assert one["spearman_24h"] is None
        assert one["jobs"]["4h"] == {"regret_pct": 0.0, "capture_pct": None}
        assert one["mape_pct"] == 0.0


@pytest.mark.parametrize("files", [("--features",), ("--features", "--features")])
def test_features_may_be_listed_or_repeated_and_how_they_are_taken_is_said(
    cli: Cli, history: Path, weather: Path, files: tuple[str, ...]
) -> None:
    words = [word for flag in files for word in (flag, str(weather))] + [str(weather)] * (2 - len(files))
    found = cli("backtest", "--history", str(history), *TESTED, *CURVES, *words, "--json").json
    assert len(found["notes"]) == 2
    assert found["notes"][0].startswith("weather.csv: ")


def test_a_file_that_no_option_asked_for_is_a_mistake(cli: Cli, history: Path) -> None:
    done = cli("backtest", "--history", str(history), *TESTED, "stray.csv")
    assert done.code == 2
    assert "stray.csv" in done.err


def test_the_page_loads_nothing_and_names_every_model(cli: Cli, history: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = cli("backtest", "--history", str(history), *TESTED, *CURVES, "--html", str(page))
    text = page.read_text()
    assert f"wrote {page}" in done.err
    assert 'content="default-src &#x27;none&#x27;' in text
    assert re.findall(r"<script|https?://(?!www\.w3\.org)|src=", text) == []
    for name in ("yesterday", "last-week", "mean-7d", "typical"):
        assert name in text


def test_without_the_default_model_the_first_one_is_dumped(cli: Cli, history: Path, tmp_path: Path) -> None:
    dump = tmp_path / "dump.csv"
    done = cli("backtest", "--history", str(history), *TESTED, "--models", "typical,yesterday", "--dump", str(dump))
    assert "the dump holds typical" in done.err
    head, first, *rows = dump.read_text().splitlines()
    assert head == "origin,timestamp,horizon_h,actual_g_per_kwh,p05,p10,p50,p90,p95"
    assert first.startswith("2021-02-20T00:00:00Z,2021-02-20T00:00:00Z,1,")
    assert len(rows) + 1 == 7 * 96
    assert rows[-1].startswith("2021-02-26T00:00:00Z,2021-03-01T23:00:00Z,96,")


@pytest.mark.parametrize("option", ["--dump", "--html"])
def test_what_was_read_is_never_written_over(cli: Cli, history: Path, weather: Path, option: str) -> None:
    link = history.with_name("link.csv")
    link.symlink_to(history)
    before = history.read_bytes(), weather.read_bytes()
    for place in (history, link, weather):
        words = ("--history", str(history), "--features", str(weather), *TESTED, *CURVES)
        done = cli("backtest", *words, option, str(place))
        assert (done.code, done.out) == (2, "")
        assert "name another file" in done.err
    assert (history.read_bytes(), weather.read_bytes()) == before


def test_dump_and_page_need_a_file_each(cli: Cli, history: Path, tmp_path: Path) -> None:
    one = str(tmp_path / "one")
    done = cli("backtest", "--history", str(history), *TESTED, *CURVES, "--dump", one, "--html", one)
    assert (done.code, sorted(path.name for path in tmp_path.iterdir())) == (2, [history.name])


def test_a_place_that_cannot_be_written_is_told_before_the_work(cli: Cli, history: Path) -> None:
    done = cli("backtest", "--history", str(history), *TESTED, *CURVES, "--dump", "/proc/dump.csv")
    assert (done.code, done.out) == (3, "")
    assert "/proc" in done.err


def test_half_hours_have_half_hours_ahead(cli: Cli, tmp_path: Path) -> None:
    path, dump = tmp_path / "GB.csv", tmp_path / "dump.csv"
    moments = [START + timedelta(minutes=30 * half) for half in range(48 * 40)]
    rows = [f"{moment:%Y-%m-%dT%H:%M:%SZ},{moment.hour}" for moment in moments]
    path.write_text("\n".join(["timestamp,carbon_intensity_gco2_per_kwh", *rows]) + "\n")
    words = ("--test-from", "2021-02-01", "--test-to", "2021-02-02", "--horizon", "48", "--jobs", "90m")
    found = cli("backtest", "--history", str(path), *words, "--models", "yesterday", "--dump", str(dump), "--json").json
    assert (found["step_s"], found["models"][0]["mape_pct"]) == (1800, 0.0)
    assert [row.split(",")[2] for row in dump.read_text().splitlines()[1:4]] == ["0.5", "1", "1.5"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--test-from", "soon", "--test-to", "2021-03-01"), 2, "--test-from"),
        (("--test-from", "2021-03-02", "--test-to", "2021-03-01"), 2, "ends before it begins"),
        (("--test-from", "2022-03-02", "--test-to", "2022-03-04"), 2, "2021-01-01 00:00 to 2021-03-02 00:00"),
        ((*TESTED, "--models", "prophet"), 2, "one of carbonq, yesterday"),
        ((*TESTED, "--models", "published"), 2, "--published"),
        ((*TESTED, "--jobs", "90m"), 2, "whole multiples"),
        ((*TESTED, "--jobs", "25h"), 2, "at most 24h"),
        ((*TESTED, "--jobs", "4"), 2, "no unit"),
        ((*TESTED, "--origin-hours", "24"), 2, "--origin-hours"),
        ((*TESTED, "--features", "no-such-file.csv"), 3, "no-such-file.csv"),
        ((*TESTED, "--dump", "no-such-folder/dump.csv"), 3, "no folder no-such-folder"),
        ((*TESTED, "--html", "/tmp"), 2, "/tmp is a folder"),
        ((*TESTED, "--train-from", "2021-03-01"), 2, "no forecast can be tested"),
    ],
)
def test_what_cannot_be_tested_is_told(cli: Cli, history: Path, words: tuple[str, ...], code: int, told: str) -> None:
    done = cli("backtest", "--history", str(history), *words)
    assert (done.code, done.out) == (code, "")
    assert told in done.err


def test_a_mistake_in_a_file_is_told_with_its_line(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "FR.csv"
    path.write_text("timestamp,carbon_intensity_gco2_per_kwh\n2021-01-01T00:00:00Z,1\n2021-01-01T01:00:00Z,x\n")
    done = cli("backtest", "--history", str(path), *TESTED)
    assert done.code == 2
    assert f"{path}:3" in done.err


# --- carbonq forecast --history FILE --at T


OWN_MODEL = find_spec("carbonq.forecasters.carbon.models.zone_model")


@pytest.mark.parametrize(
    "model",
    [pytest.param("carbonq", marks=pytest.mark.skipif(not OWN_MODEL, reason="there is no own model yet")), "typical"],
)
def test_the_forecast_at_a_moment_is_the_row_of_the_dump(cli: Cli, history: Path, tmp_path: Path, model: str) -> None:
    dump = tmp_path / "dump.csv"
    cli("backtest", "--history", str(history), *TESTED, "--models", model, "--dump", str(dump))
    rows = [line.split(",") for line in dump.read_text().splitlines()[1:97]]
    words = ("--history", str(history), "--at", "2021-02-20", "--hours", "96", "--model", model)
    found = cli("forecast", *words, "--json").json
    assert (found["zone"], found["issued_at"], found["grid"]["slots"]) == ("FR", "2021-02-20T00:00:00Z", 96)
    for column, quantile in ((4, "0.05"), (5, "0.1"), (6, "0.5"), (7, "0.9"), (8, "0.95")):
        assert [float(row[column]) for row in rows] == found["quantiles_g_per_kwh"][quantile]


def test_that_forecast_is_shown_as_any_other_and_asks_no_queue(cli: Cli, history: Path) -> None:
    words = ("--history", str(history), "--at", "2021-02-20T06:10:00Z", "--model", "yesterday", "--zone", "fr-idf")
    lines = cli("forecast", *words).out.splitlines()
    assert lines[0].startswith("FR-IDF  average carbon intensity")
    assert any(line.startswith("source") and "yesterday" in line for line in lines)
    assert [line.split()[0] for line in lines[lines.index("") + 1 :] if line[:2] in ("1h", "4h", "8h")] == [
        "1h",
        "4h",
        "8h",
    ]
    assert cli.client.asked == []


@pytest.mark.parametrize("words", [("--history", "x.csv"), ("--at", "2021-02-20")])
def test_a_file_needs_a_moment_and_a_moment_a_file(cli: Cli, words: tuple[str, ...]) -> None:
    done = cli("forecast", *words)
    assert done.code == 2
    assert "go together" in done.err
