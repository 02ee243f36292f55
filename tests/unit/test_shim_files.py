"""What the shim writes survives full disks and bounds."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from carbonq.workers.shim.files import EXIT_RECORD_B, ExitRecord, Log


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write until nothing more fits."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return ballast


def test_a_log_is_kept_whole_below_its_bound(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), 100)
    log.write(b"hello ")
    log.write(b"world\n")
    assert ((tmp_path / "log").read_bytes(), log.lost_b) == (b"hello world\n", 0)


def test_a_log_says_once_where_its_bound_was_reached_and_counts_what_it_dropped(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), 10)
    for _ in range(3):
        log.write(b"0123456")
    text = (tmp_path / "log").read_bytes()
    assert text == b"0123456012\n[carbonq: this log has reached its 10 bytes; what follows is dropped]\n"
    assert log.lost_b == 11


def test_a_log_belongs_to_its_user_alone(tmp_path: Path) -> None:
    Log(str(tmp_path / "log"), 10)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_drops_output_counts_it_and_marks_the_gap_once_there_is_room(tiny_disk: Path) -> None:
    log = Log(str(tiny_disk / "log"), 1 << 20)
    log.write(b"before\n")
    ballast = fill(tiny_disk)
    log.write(b"a" * 5000)
    lost_b = log.lost_b
    ballast.unlink()
    log.write(b"after\n")
    text = (tiny_disk / "log").read_bytes()
    assert 0 < lost_b <= 5000
    assert text.startswith(b"before\n")
    assert text.endswith(b"\n[carbonq: %d bytes lost here: the disk was full]\nafter\n" % lost_b)
    assert log.lost_b == lost_b


def test_the_exit_record_is_written_on_a_full_disk(tiny_disk: Path) -> None:
    record = ExitRecord(str(tiny_disk))
    fill(tiny_disk)
    record.write({"exit_code": 3})
    assert json.loads((tiny_disk / "exit.json").read_bytes()) == {"exit_code": 3}


def test_the_exit_record_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    record = ExitRecord(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["exit.json.room"]
    record.write({"exit_code": 0})
    assert [path.name for path in tmp_path.iterdir()] == ["exit.json"]
    assert (tmp_path / "exit.json").stat().st_size == EXIT_RECORD_B
