"""The archive beside killed writers, other writers, readers and full disks."""

import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from carbonq.domain.errors import StorageFailed
from carbonq.forecasters.carbon.archive import Added, Archive
from tests.chaos import archive_process
from tests.chaos.archive_process import HOUR, KEY, START, series

pytest.importorskip("pyarrow")

FOREVER = START, START + timedelta(days=365)


@contextmanager
def writer(folder: Path, what: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.chaos.archive_process", str(folder), what]
    root = Path(archive_process.__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: "subprocess.Popen[str]", lines: int) -> list[int]:
    """What the process says it has added, the next so many."""
    assert process.stdout is not None
    return [int(process.stdout.readline()) for _ in range(lines)]


def values(archive: Archive) -> list[float]:
    return [reading.intensity_g_per_kwh for reading in archive.series(KEY, *FOREVER).readings]


def expected(count: int) -> list[float]:
    """Every reading but the last has been revised."""
    return [index + 0.5 for index in range(count - 1)] + [count - 1] * (count > 0)


def test_a_writer_killed_at_any_moment_loses_nothing_that_it_had_told(tmp_path: Path) -> None:
    rng, kept = random.Random(5), list[float]()
    for _ in range(6):
        with writer(tmp_path, "endless") as process:
            last = told(process, rng.randint(3, 60))[-1]
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            last = max([last, *map(int, process.stdout.read().split())])
        kept = values(Archive(tmp_path))
        assert kept == expected(len(kept))
        assert len(kept) in (last + 1, last + 2)  # one may have been kept but not yet told
    archive = Archive(tmp_path)
    revised = len(archive.revisions(KEY, *FOREVER))
    archive.compact()
    assert values(archive) == expected(len(kept))
    assert len(archive.revisions(KEY, *FOREVER)) == revised == len(kept) - 1
    assert list(tmp_path.rglob("*.tmp")) == []
    assert list(tmp_path.rglob("*.damaged*")) == []


def test_a_reader_beside_a_writer_always_sees_all_that_was_told(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    with writer(tmp_path, "endless") as process:
        for index in told(process, 150):
            kept = values(archive)
            assert len(kept) > index
            assert kept == expected(len(kept))


def test_two_writers_take_turns_and_lose_nothing(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    with writer(tmp_path, "endless") as process:
        for index in told(process, 60):
            assert archive.add(series(5000 + index, -index), START + 6000 * HOUR) == Added(new=1)
    assert values(archive)[-60:] == [-index for index in range(60)]
    assert values(archive)[:59] == expected(60)[:59]


def test_a_writer_waits_for_another_but_not_for_ever(tmp_path: Path) -> None:
    with writer(tmp_path, "hold") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        impatient = Archive(tmp_path, wait_s=0.05)
        with pytest.raises(StorageFailed, match="another process is writing"):
            impatient.add(series(0, 1), START + HOUR)
        assert values(impatient) == []
    assert impatient.add(series(0, 1), START + HOUR) == Added(new=1)  # the lock went with its holder


@contextmanager
def no_file_larger_than(size_b: int) -> Iterator[None]:
    """The kernel then refuses as it does on a full disk, with an error half-way through the file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_b, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("rows", [300, 1500], ids=["in the tail", "in the years"])
def test_a_full_disk_is_told_and_loses_nothing_kept_before(tmp_path: Path, rows: int) -> None:
    archive = Archive(tmp_path)
    archive.add(series(0, *range(rows // 3)), START + 9000 * HOUR)
    before, files = values(archive), sorted(tmp_path.rglob("*"))
    with no_file_larger_than(1000), pytest.raises(StorageFailed, match=r"cannot write .*File too large") as caught:
        archive.add(series(rows // 3, *range(rows)), START + 9000 * HOUR)
    assert caught.value.hint.startswith("is there room")
    assert values(archive) == before
    assert sorted(tmp_path.rglob("*")) == files
    assert archive.add(series(rows // 3, *range(rows)), START + 9000 * HOUR) == Added(new=rows)


def test_a_fold_that_finds_no_room_loses_nothing(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(series(0, *range(900)), START + 9000 * HOUR)
    with no_file_larger_than(1000), pytest.raises(StorageFailed):
        archive.compact()
    assert values(archive) == list(range(900))
    archive.compact()
    assert values(archive) == list(range(900))
    assert [path.name for path in tmp_path.rglob("tail.parquet")] == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "readings").write_text("a file in the way")
    with pytest.raises(StorageFailed, match="cannot write"):
        Archive(tmp_path).add(series(0, 1), START + HOUR)
