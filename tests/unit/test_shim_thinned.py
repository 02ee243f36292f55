"""A file of readings stays short, keeps its first one, and its end is never old."""

import json
from pathlib import Path
from typing import Any

import pytest

from carbonq.workers.shim.thinned import LONGEST_S, Thinned


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "readings.jsonl"


def test_every_second_reading_goes_when_there_is_no_more_room(path: Path) -> None:
    readings = Thinned(str(path), ["at_s"], 1.0, 8)
    for at_s in range(100):
        readings.add(at_s, [[at_s, 1.0]])
    kept = [row[0] for row in lines(path)[1:]]
    assert (kept[0], kept[-1], kept) == (0, 99, sorted(kept))
    assert len(kept) <= 9
    assert readings.interval_s > 8


def test_a_reading_that_comes_too_soon_stands_at_the_end_until_the_next(path: Path) -> None:
    readings = Thinned(str(path), ["at_s"], 60.0, 8)
    seen = []
    for at_s in (0.0, 10.0, 20.123456, 30.0, 60.0, 70.0):
        readings.add(at_s, [[at_s]])
        seen.append([row[0] for row in lines(path)[1:]])
    assert seen == [[0.0], [0.0, 10.0], [0.0, 20.123456], [0.0, 30.0], [0.0, 60.0], [0.0, 60.0, 70.0]]


def test_a_sparse_file_is_still_read_often_enough_to_lose_little(path: Path) -> None:
    readings = Thinned(str(path), ["at_s"], 3600.0, 8)
    assert readings.due_s() == 0.0
    readings.add(5.0, [[5.0]])
    readings.add(5.0 + LONGEST_S, [[5.0 + LONGEST_S]])
    assert readings.due_s() == 5.0 + 2 * LONGEST_S


def test_rows_that_were_read_together_stay_together(path: Path) -> None:
    readings = Thinned(str(path), ["at_s", "uuid"], 1.0, 4)
    for at_s in range(20):
        readings.add(at_s, [[at_s, "a"], [at_s, "b"]])
    rows = lines(path)[1:]
    assert [row[1] for row in rows] == ["a", "b"] * (len(rows) // 2)
    assert all(first[0] == second[0] for first, second in zip(rows[::2], rows[1::2], strict=True))


def test_what_could_not_be_written_is_there_once_there_is_room(path: Path) -> None:
    readings = Thinned(str(path), ["at_s"], 1.0, 8)
    readings.add(0, [[0]])
    aside = path.with_name("aside")
    path.rename(aside)
    (path.parent / "readings.jsonl.new").mkdir()  # neither can be written
    readings.add(1, [[1]])
    readings.add(2, [[2]])
    assert not path.exists()
    (path.parent / "readings.jsonl.new").rmdir()
    readings.add(3, [[3]])
    assert lines(path)[1:] == [[0], [1], [2], [3]]
