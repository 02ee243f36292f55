"""The doctor names what is missing or doubtful, with a way on, and changes nothing."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from carbonq import bootstrap, doctor
from carbonq.clock import real_now
from carbonq.config import load_settings
from carbonq.forecasters.carbon.testing.eia import EiaServer
from carbonq.forecasters.carbon.testing.open_meteo import OpenMeteoServer
from carbonq.forecasters.carbon.testing.uk import UkServer, error
from carbonq.workers.meters.cpu_model import FILE, prior, save_constants
from tests.nvml_stand_in import Call, Gpu, Sensor, StandIn, Trace, build
from tests.powercap_tree import PowercapTree


def checks(tmp_path: Path, **env: str) -> dict[str, doctor.Check]:
    """What the doctor says on a machine without a queue, by the check's name."""
    home = {"HOME": str(tmp_path), "CARBONQ_SOURCES": "typical", "CARBONQ_DATA_DIR": str(tmp_path / "data")}
    settings = load_settings(env=home | {"CARBONQ_RUNTIME_DIR": str(tmp_path / "run")} | env, cwd=tmp_path)
    return {check.name: check for check in doctor.diagnose(settings)}


def test_a_machine_without_a_queue_is_told_how_to_start_one(tmp_path: Path) -> None:
    found = checks(tmp_path, CARBONQ_ZONE="FR")
    assert (found["queue"].ok, found["queue"].hint) == (None, "start it: `carbonq up`")
    assert (found["zone"].ok, found["zone"].what) == (True, "FR, from CARBONQ_ZONE")
    assert "a typical profile, not a forecast of this day" in found["source typical"].what
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_broken_and_its_password_stays_hidden(tmp_path: Path) -> None:
    found = checks(tmp_path, CARBONQ_REDIS_URL=f"unix://:secret@{tmp_path}/none.sock")
    assert found["queue"].ok is False
    assert "secret" not in str(found)


def test_an_assumed_zone_is_no_certainty(tmp_path: Path) -> None:
    found = checks(tmp_path, TZ="Europe/Paris")
    assert (found["zone"].ok, found["zone"].what) == (None, "FR, assumed from the time zone Europe/Paris")


def test_a_misspelt_variable_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARBONQ_REDISURL", "redis://elsewhere")
    assert checks(tmp_path)["settings"] == doctor.Check(
        "settings", None, "CARBONQ_REDISURL is no setting", "did you mean `CARBONQ_REDIS_URL`?"
    )


def test_a_source_is_tried_and_its_newest_reading_and_forecast_are_told(tmp_path: Path) -> None:
    with UkServer(real_now()) as server:
        found = checks(tmp_path, CARBONQ_ZONE="GB", CARBONQ_SOURCES="uk,rte", CARBONQ_UK_URL=server.url)
    assert found["source uk"].ok is True
    assert "g/kWh (average, direct)" in found["source uk"].what
    assert "its own forecast for the next 1d," in found["source uk"].what + ","
    assert found["source rte"].what == "does not know GB and is not asked for it"


def test_a_source_that_refuses_is_told_with_its_reason_and_the_others_are_tried(tmp_path: Path) -> None:
    with UkServer(real_now()) as server:
        server.faults.extend([error(403, "blocked")] * 2)
        found = checks(tmp_path, CARBONQ_ZONE="GB", CARBONQ_SOURCES="uk,eia,typical", CARBONQ_UK_URL=server.url)
    assert found["source uk"].ok is None
    assert "403: blocked" in found["source uk"].what
    assert found["source eia"].what == "eia_key is not set"
    assert "CARBONQ_EIA_KEY" in found["source eia"].hint


def test_a_source_of_the_other_signal_is_left_out(tmp_path: Path) -> None:
    found = checks(tmp_path, CARBONQ_SIGNAL="marginal", CARBONQ_SOURCES="uk,typical", CARBONQ_ZONE="FR")
    assert found["source uk"].what == "left out: its signal is average"
    assert found["source typical"].ok is True


def test_a_key_is_tried_also_where_its_source_is_not_asked_otherwise(tmp_path: Path) -> None:
    with EiaServer(real_now() - timedelta(hours=20), key="a-good-key") as server:
        env = {"CARBONQ_ZONE": "FR", "CARBONQ_SOURCES": "eia,typical", "CARBONQ_EIA_URL": f"{server.url}/v2"}
        good = checks(tmp_path, CARBONQ_EIA_KEY="a-good-key", **env)["source eia"]
        bad = checks(tmp_path, CARBONQ_EIA_KEY="a-wrong-key", **env)["source eia"]
    assert (good.ok, good.what.partition(": ")[0]) == (
        True,
        "does not know FR and is not asked for it; its key is good",
    )
    assert (bad.ok, "403" in bad.what, "a-wrong-key" in str(bad)) == (None, True, False)


def test_the_weather_is_tried_where_it_is_wanted(tmp_path: Path) -> None:
    assert "weather" not in checks(tmp_path)
    wanted = {"CARBONQ_WEATHER": "open-meteo", "CARBONQ_ZONE": "FR"}
    with OpenMeteoServer(real_now(), lambda *_: 7.0) as server:
        found = checks(tmp_path, CARBONQ_OPEN_METEO_URL=server.url, **wanted)["weather"]
    assert (found.ok, found.what) == (True, "Open-Meteo forecasts the weather over FR")
    refused = checks(tmp_path, CARBONQ_OPEN_METEO_URL=server.url, **wanted)["weather"]
    assert (refused.ok, refused.what.startswith("no answer")) == (None, True)


def test_a_key_that_others_can_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "carbonq.yaml"
    file.write_text("eia_key: hunter2\n")
    file.chmod(0o644)
    found = checks(tmp_path)
    assert found["keys"] == doctor.Check("keys", None, f"others can read eia_key in {file}", f"chmod 600 {file}")
    assert "hunter2" not in str(found)
    file.chmod(0o600)
    assert "keys" not in checks(tmp_path)


def test_what_the_forecast_lacks_is_told_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks(tmp_path)["forecasts"].ok is True
    monkeypatch.setattr(bootstrap, "FORECAST_NEEDS", ("numpy", "a_package_of_nobody"))
    lacking = checks(tmp_path)["forecasts"]
    assert lacking.what.startswith("a_package_of_nobody not installed")
    assert "carbonq[forecast]" in lacking.hint


def meters(powercap: Path, worker: Path) -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor._cpu_meter(powercap, worker)}


def test_a_readable_counter_is_told_with_its_error(tmp_path: Path) -> None:
    tree = PowercapTree(tmp_path)
    tree.add("intel-rapl:0", "package-0")
    tree.add("intel-rapl:0:0", "dram")
    found = meters(tmp_path, tmp_path)
    assert (found["cpu meter"].ok, found["cpu meter"].what.partition(", ±")[0]) == (True, "RAPL, measured")
    assert found["memory meter"].what.startswith("RAPL, measured")
    assert "cpu model" not in found


def test_a_counter_that_may_not_be_read_comes_with_what_opens_it_now_and_for_good(tmp_path: Path) -> None:
    counter = PowercapTree(tmp_path).add("intel-rapl:0", "package-0")
    counter.unlink()
    counter.mkdir()  # root reads any file, so that a test cannot lock it out by its mode
    found = meters(tmp_path, tmp_path)
    assert found["cpu meter"].ok is None
    assert f"chmod g+r {tmp_path}/intel-rapl:*/energy_uj" in found["cpu meter"].hint
    assert found["cpu meter at boot"].hint.startswith(
        'ACTION=="add", SUBSYSTEM=="powercap", KERNEL=="intel-rapl:*", RUN+='
    )
    assert "modelled" in found["memory meter"].what


def test_the_opening_command_opens_every_counter_to_the_workers_group(tmp_path: Path) -> None:
    tree = PowercapTree(tmp_path)
    files = [tree.add("intel-rapl:0", "package-0"), tree.add("intel-rapl:0:0", "dram")]
    for file in files:
        file.chmod(0o400)
    command = doctor._readable(tmp_path).partition("sudo ")[2]
    subprocess.run(["sh", "-c", command], check=True)
    assert [file.stat().st_mode & 0o777 for file in files] == [0o440, 0o440]


def test_the_model_is_told_with_its_constants_and_those_fitted_here_go_first(tmp_path: Path) -> None:
    save_constants(tmp_path, prior("AMD EPYC 7763 64-Core Processor", 128))
    found = meters(tmp_path / "none", tmp_path)
    assert found["cpu meter"].what == "no RAPL counters: CPU energy is modelled from CPU time"
    assert found["cpu model"].what.startswith("EPYC 7763, 280 W rated")
    (tmp_path / FILE).unlink()
    assert "W at full load, ± " in meters(tmp_path / "none", tmp_path)["cpu model"].what


def test_a_forecast_that_reaches_further_is_told_for_the_day_that_was_asked_for(tmp_path: Path) -> None:
    assert checks(tmp_path, CARBONQ_ZONE="FR")["source typical"].what.endswith("for the next 1d")


def test_gpus_that_count_no_energy_are_named(tmp_path: Path) -> None:
    library = build(tmp_path)
    gpus = (
        Gpu("GPU-aaaa", Trace.constant(300.0), Sensor(period_s=0.0)),
        Gpu("GPU-bbbb").failing(Call.ENERGY, Call.FIELD_ENERGY),
    )
    program = "import json; from carbonq import doctor; print(json.dumps(list(doctor._gpus())))"
    with StandIn(library / "state", gpus, now_s=1000.0):
        env = {"LD_LIBRARY_PATH": str(library)}
        printed = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    (_, present, *_), (name, ok, what, _) = json.loads(printed.stdout)
    assert (present, name, ok) == (True, "gpu meter", None)
    assert what == "no energy counter of GPU-bbbb: the power is sampled and added up"
