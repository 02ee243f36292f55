"""`carbonq calibrate`: from a table of readings to the worker's calibration."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from carbonq.workers.calibration_file import load

from .conftest import Cli

LOADS_W = (60, 100, 150, 200, 250, 300)


@pytest.fixture
def pairs(tmp_path: Path, cli: Cli) -> Path:
    cli.house.worker_dir = lambda settings: Path(settings.data_dir) / "worker"
    cli.house.settings = lambda flags: SimpleNamespace(data_dir=flags.get("data_dir", tmp_path / "data"))
    path = tmp_path / "pairs.csv"
    rows = [f"60,{power_w},{60 + 1.1 * power_w}" for power_w in LOADS_W]
    path.write_text("\n".join(["duration_s,software_w,wall_w", *rows]) + "\n")
    return path


def test_it_shows_the_fit_and_keeps_it_where_the_worker_looks(cli: Cli, pairs: Path, tmp_path: Path) -> None:
    done = cli("calibrate", str(pairs))

    assert done.code == 0
    assert "60.0 W, drawn all the time" in done.out
    assert "1.100, joules at the wall" in done.out
    kept = load(tmp_path / "data" / "worker" / "calibration.json")
    assert kept is not None
    assert (kept.p0_w, kept.gain) == pytest.approx((60.0, 1.1))


def test_a_dry_run_writes_nothing(cli: Cli, pairs: Path, tmp_path: Path) -> None:
    done = cli("calibrate", str(pairs), "--dry-run")

    assert (done.code, "nothing was written" in done.err) == (0, True)
    assert not (tmp_path / "data").exists()


def test_json_has_the_fit_and_where_it_was_written(cli: Cli, pairs: Path, tmp_path: Path) -> None:
    shown = json.loads(cli("calibrate", str(pairs), "--json", "--data-dir", str(tmp_path / "there")).out)

    assert (shown["pairs"], shown["path"]) == (6, str(tmp_path / "there" / "worker" / "calibration.json"))
    assert shown["uncertainty_rel"] == pytest.approx(0.0, abs=1e-9)


def test_pairs_of_one_load_are_refused_in_three_lines_and_nothing_is_written(
    cli: Cli, pairs: Path, tmp_path: Path
) -> None:
    pairs.write_text("duration_s,software_w,wall_w\n" + "60,100,170\n" * 8)

    done = cli("calibrate", str(pairs))

    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 3)
    assert not (tmp_path / "data").exists()
