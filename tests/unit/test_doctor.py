"""The doctor names what is missing or doubtful, with a way on, and changes nothing."""

from datetime import timedelta
from pathlib import Path

import pytest

from carbonq import bootstrap, doctor
from carbonq.clock import real_now
from carbonq.config import load_settings
from carbonq.forecasters.carbon.testing.eia import EiaServer
from carbonq.forecasters.carbon.testing.open_meteo import OpenMeteoServer
from carbonq.forecasters.carbon.testing.uk import UkServer, error


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
    assert "its own forecast for the next 1d" in found["source uk"].what
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
