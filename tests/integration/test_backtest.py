"""`carbonq backtest` as a process: its figures recomputed from its dump, and its end by Ctrl-C."""

import csv
import json
import os
import pty
import signal
import subprocess
import sys
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest

CARBONQ = [sys.executable, "-m", "carbonq"]
START = datetime(2021, 1, 1, tzinfo=UTC)
SHARED = Path(__file__).parents[3] / "shared" / "data" / "carbon"


def write(path: Path, days: int) -> Path:
    hours = np.arange(24 * days)
    noise = np.random.default_rng(7).normal(0, 25, len(hours))
    values = (250 + 80 * np.sin(hours / 24 * 2 * np.pi) + 30 * np.sin(hours / 168 * 2 * np.pi) + noise).tolist()
    rows = [f"{(START + timedelta(hours=int(hour))).isoformat()},{value!r}" for hour, value in enumerate(values)]
    path.write_text("\n".join(["timestamp,carbon_intensity_gco2_per_kwh", *rows]) + "\n")
    return path


def run(*words: str) -> Any:
    done = subprocess.run([*CARBONQ, *words, "--json"], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def recomputed(dump: Path, job_h: int) -> dict[str, float]:
    """The contract's figures, written out in plain loops."""
    by_origin: dict[str, list[dict[str, float]]] = defaultdict(list)
    for row in csv.DictReader(dump.read_text().splitlines()):
        by_origin[row["origin"]].append({name: float(text) for name, text in row.items() if text[-1:] != "Z"})
    hours = [hour for rows in by_origin.values() for hour in rows]

    def error(hour: dict[str, float]) -> float:
        return abs(hour["p50"] - hour["actual_g_per_kwh"]) / max(abs(hour["actual_g_per_kwh"]), 1) * 100

    def emitted(rows: list[dict[str, float]], start: int, column: str) -> float:
        return sum(hour[column] for hour in rows[start : start + job_h])

    regrets, saved, possible = [], 0.0, 0.0
    for rows in by_origin.values():
        starts = range(24 - job_h + 1)
        best = min(emitted(rows, start, "actual_g_per_kwh") for start in starts)
        chosen = emitted(rows, min(starts, key=lambda start: emitted(rows, start, "p50")), "actual_g_per_kwh")
        immediate = emitted(rows, 0, "actual_g_per_kwh")
        regrets.append((chosen - best) / best * 100)
        saved, possible = saved + immediate - chosen, possible + immediate - best
    return {
        "mape_pct": mean(map(error, hours)),
        "mape_day_1": mean(error(hour) for hour in hours if hour["horizon_h"] <= 24),
        "mae_g_per_kwh": mean(abs(hour["p50"] - hour["actual_g_per_kwh"]) for hour in hours),
        "coverage_p10_p90": mean(float(hour["p10"] <= hour["actual_g_per_kwh"] <= hour["p90"]) for hour in hours),
        "coverage_p05_p95": mean(float(hour["p05"] <= hour["actual_g_per_kwh"] <= hour["p95"]) for hour in hours),
        "pinball_g_per_kwh": mean(
            max(p * gap, (p - 1) * gap)
            for hour in hours
            for p, column in ((0.05, "p05"), (0.1, "p10"), (0.5, "p50"), (0.9, "p90"), (0.95, "p95"))
            for gap in (hour["actual_g_per_kwh"] - hour[column],)
        ),
        "regret_pct": mean(regrets),
        "capture_pct": saved / possible * 100,
    }


def figures(one: Any, job: str) -> dict[str, float]:
    return {
        "mape_day_1": one["mape_pct_by_day"][0],
        **{name: one[name] for name in one if name.startswith(("mape_pct", "mae", "cov", "pin")) and "by" not in name},
        **one["jobs"][job],
    }


def test_every_figure_can_be_recomputed_from_the_dump(tmp_path: Path) -> None:
    history, dump = write(tmp_path / "XX.csv", 120), tmp_path / "dump.csv"
    span = ("--test-from", "2021-03-15", "--test-to", "2021-04-30", "--origin-hours", "0,9")
    found = run(
        "backtest", "--history", str(history), *span, "--models", "typical", "--dump", str(dump), "--jobs", "5h"
    )
    assert found["origins"] == 87
    assert figures(found["models"][0], "5h") == pytest.approx(recomputed(dump, 5))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the reference measurements are not beside this checkout")
def test_a_published_forecast_scores_as_its_authors_measured_it(tmp_path: Path) -> None:
    """Spain, second half of 2021: 17.56 % over four days, 87.0 % captured of a 4 h job."""
    history = SHARED / "carboncast_2020_2021" / "ES.csv.gz"
    published = SHARED / "published_forecasts_2021H2" / "ES_carboncast_lifecycle_96h.csv.gz"
    span = ("--test-from", "2021-07-01", "--test-to", "2021-12-31", "--models", "published")
    found = run("backtest", "--history", str(history), *span, "--published", str(published))
    one = found["models"][0]
    assert (found["origins"], round(one["mape_pct"], 2), round(one["jobs"]["4h"]["capture_pct"], 1)) == (
        181,
        17.56,
        87.0,
    )


def test_ctrl_c_ends_it_cleanly_and_leaves_no_file(tmp_path: Path) -> None:
    history, dump = write(tmp_path / "XX.csv", 720), tmp_path / "dump.csv"
    hours = ",".join(map(str, range(24)))
    span = ("--test-from", "2021-02-01", "--test-to", "2022-12-01", "--origin-hours", hours, "--models", "typical")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*CARBONQ, "backtest", "--history", str(history), *span, "--dump", str(dump)],
        stdout=subprocess.PIPE,
        stderr=slave,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(slave)
    sent = b""
    while b"typical," not in sent:  # the progress line: forecasts are being made
        sent += os.read(master, 4096)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    with suppress(OSError):  # a terminal whose last writer has gone
        while more := os.read(master, 4096):
            sent += more
    os.close(master)
    assert (process.returncode, out, list(tmp_path.iterdir())) == (130, b"", [history])
    assert b"Traceback" not in sent


@pytest.mark.skipif(not SHARED.is_dir(), reason="the reference measurements are not beside this checkout")
def test_the_benchmark_prints_a_zone_beside_its_rivals(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "carbon_forecast.py"
    words = ("--quick", "--zones", "SE", "--models", "yesterday,at once", "--jobs", "1", "--json", "figures.json")
    done = subprocess.run(
        [sys.executable, str(script), *words], cwd=tmp_path, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert [(row["zone"], row["model"]) for row in rows] == [("SE", "yesterday"), ("SE", "at once")]
    assert rows[0]["regret_4h_pct"] > 0
    assert rows[1]["mape_pct"] is None
    assert "harmonic ridge autoregression 6.72 / 9.58" in done.stdout
