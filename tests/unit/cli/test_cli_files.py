"""Files that commands write: whole, or not at all."""

import os
import threading
from pathlib import Path

import pytest

from carbonq.cli.files import check_place, deliver
from carbonq.domain.errors import InvalidInput, NotFound


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    place = tmp_path / "report.html"
    place.write_text("before")
    deliver("after", str(place))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("report.html", "after")]


def test_a_link_goes_on_pointing_where_it_did(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    deliver("text", str(link))
    assert (link.is_symlink(), target.read_text()) == (True, "text")


def test_a_pipe_or_device_is_written_into_and_stays_what_it_is(tmp_path: Path) -> None:
    pipe, heard = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()), daemon=True)
    reader.start()
    check_place(str(pipe))
    deliver("text", str(pipe))
    reader.join(10)
    assert (heard, pipe.is_fifo()) == (["text"], True)


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    place = tmp_path / "report.html"
    with pytest.raises(UnicodeEncodeError):
        deliver("\ud800", str(place))
    assert list(tmp_path.iterdir()) == []


def test_a_place_is_checked_without_a_trace(tmp_path: Path) -> None:
    check_place(str(tmp_path / "new.csv"), [str(tmp_path / "other.csv")])
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_are_told(tmp_path: Path) -> None:
    given = tmp_path / "given.csv"
    given.write_text("rows")
    hard = tmp_path / "hard.csv"
    hard.hardlink_to(given)
    with pytest.raises(NotFound, match="no folder"):
        check_place(str(tmp_path / "no" / "dump.csv"))
    with pytest.raises(InvalidInput, match="folder"):
        check_place(str(tmp_path))
    for place in (given, hard):
        with pytest.raises(InvalidInput, match="already"):
            check_place(str(place), [str(given)])
