"""Measurements wait on disk, once each, and none is lost to a bad file or a full disk."""

from pathlib import Path

import pytest

from carbonq.domain.job import Measurement, Outcome
from carbonq.testing import MIDNIGHT
from carbonq.workers.spool import Spool


def measured(job_id: str = "job-1", fence: int = 1, **fields: object) -> Measurement:
    times = dict.fromkeys(("started_at", "ended_at", "real_started_at", "real_ended_at"), MIDNIGHT)
    known = {"attempt": 1, "worker_id": "w", "pool": "p", "zone": "DE", "outcome": Outcome.SUCCEEDED}
    return Measurement.model_validate({"job_id": job_id, "fence": fence} | known | times | fields)


def test_what_is_put_is_there_for_the_next_worker_too(tmp_path: Path) -> None:
    Spool(tmp_path / "s").put(measured(), 12.0)
    (entry,) = Spool(tmp_path / "s").entries()
    assert (entry.spooled.measurement, entry.spooled.backoff_s) == (measured(), 12.0)


def test_a_measurement_that_was_written_once_stays_as_it_is(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put(measured())
    entry = spool.put(measured(outcome=Outcome.FAILED))
    assert entry.spooled.measurement.outcome is Outcome.SUCCEEDED


def test_what_is_delivered_is_gone(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.remove(spool.put(measured()))
    assert list(spool.entries()) == []


def test_a_file_that_cannot_be_read_is_set_aside_and_holds_up_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    (tmp_path / "half.1.json").write_text('{"measure')
    spool.put(measured())
    assert [entry.spooled.measurement.job_id for entry in spool.entries()] == ["job-1"]
    assert (tmp_path / "half.1.broken").exists()


def test_without_room_on_disk_it_is_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("carbonq.workers.spool.replace_bytes", full)
    spool = Spool(tmp_path)
    entry = spool.put(measured())
    assert list(spool.entries()) == [entry]
    spool.remove(entry)
    assert list(spool.entries()) == []
