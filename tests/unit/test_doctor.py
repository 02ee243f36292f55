"""The doctor names what is missing or doubtful, with a way on, and changes nothing."""

from pathlib import Path

import pytest

from carbonq import doctor
from carbonq.config import load_settings


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
