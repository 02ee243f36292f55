"""What a job tells of its progress: whole, bounded, and never at the job's cost."""

import json
import os
from pathlib import Path

import pytest

from carbonq.job import progress


def test_outside_carbonq_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CARBONQ_PROGRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    progress(1, 2)
    assert list(tmp_path.iterdir()) == []


def test_a_file_holds_the_last_report_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "progress"
    monkeypatch.setenv("CARBONQ_PROGRESS", str(file))
    for epoch in range(1, 101):
        progress(epoch, 100)
    assert json.loads(file.read_text()) == {"done": 100, "total": 100}
    assert [path.name for path in tmp_path.iterdir()] == ["progress"]


def test_a_descriptor_gets_one_line_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    monkeypatch.setenv("CARBONQ_PROGRESS", str(writer))
    progress(1, 3)
    progress(2.5)
    os.close(writer)
    with os.fdopen(reader) as lines:
        assert [json.loads(line) for line in lines] == [{"done": 1, "total": 3}, {"done": 2.5, "total": None}]


@pytest.mark.parametrize("target", ["/nowhere/at/all", "987654"])
def test_what_cannot_be_written_does_not_break_the_job(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setenv("CARBONQ_PROGRESS", target)
    progress(1, 2)


def test_a_number_that_is_none_is_not_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CARBONQ_PROGRESS", str(tmp_path / "progress"))
    progress(float("nan"), 3)
    progress(1, float("inf"))
    assert list(tmp_path.iterdir()) == []
