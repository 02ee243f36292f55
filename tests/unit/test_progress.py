"""An attempt's reports of its progress: whatever stands in the file, however it came there."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from carbonq.domain.job import Lease, Requirement
from carbonq.domain.progress import MOST_POINTS
from carbonq.testing import MIDNIGHT
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.progress import Point, ProgressFile, Report, parse, thinned, work_done
from carbonq.workers.record import AttemptRecord
from carbonq.workers.shim.proc import now_s


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    return AttemptFolder(tmp_path)


def write(folder: AttemptFolder, text: str | bytes) -> None:
    (folder.path / "progress.json").write_bytes(text if isinstance(text, bytes) else text.encode())


def dones(file: ProgressFile) -> list[float]:
    return [point.done for point in file.points]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"done": 3, "total": 10}', Report(3, 10)),
        ('{"done": 2.5, "total": null}', Report(2.5)),
        ('{"done": 3, "total": 10, "unit": "epoch", "loss": 0.1}', Report(3, 10, "epoch")),
        ("3/10", Report(3, 10)),
        ("3 of 10", Report(3, 10)),
        ("1e6", Report(1e6)),
        ("3/0", Report(3)),
        ('{"done": 3, "total": "all"}', Report(3)),
        ('{"done": 1, "unit": ["x"]}', Report(1)),
        ('{"done": 1, "unit": "\\u001b[2Jepoch\\ud800\\n"}', Report(1, None, "[2Jepoch")),
        ('{"done": 1, "unit": " "}', Report(1)),
    ],
)
def test_a_report_is_json_or_short(line: str, expected: Report) -> None:
    assert parse(line) == expected


@pytest.mark.parametrize(
    "line",
    ["", "null", "[1, 2]", '{"done": true}', '{"done": -1}', '{"done": NaN}', '{"done": 1e999}', '{"done": [1]}', "-3", "2e15",
     "e/3", "epoch 3", '{"done": 3', "[" * 900, '{"done": ' + "9" * 900 + "}", "1" * 900, "{}"],
)  # fmt: skip
def test_anything_else_is_no_report(line: str) -> None:
    assert parse(line) is None


def test_nothing_is_known_of_a_job_that_is_silent(folder: AttemptFolder) -> None:
    file = ProgressFile(folder)
    assert (file.look(), file.report, file.points) == (False, None, [])


def test_a_report_counts_once_and_half_a_one_leaves_the_last_standing(folder: AttemptFolder) -> None:
    file = ProgressFile(folder)
    write(folder, '{"done": 1, "total": 4}\n')
    assert (file.look(), file.look()) == (True, False)
    for half in ("", '{"done": 2, "tot', "2/", "2", b"\xff\xfe\n"):
        write(folder, half)
        assert not file.look()
    assert (file.report, dones(file)) == (Report(1, 4), [1])


def test_the_last_of_many_lines_is_the_report(folder: AttemptFolder) -> None:
    file = ProgressFile(folder)
    write(folder, "1/9\n" * 100_000 + "5/9\n7/9")
    assert file.look()
    assert file.report == Report(5, 9)


@pytest.mark.parametrize(
    "script",
    [
        'echo \'{"done": 3, "total": 10}\' > "$CARBONQ_PROGRESS"',
        'printf \'{"done": 3, "total": 10}\' > "$CARBONQ_PROGRESS"',
        'for n in 1 2 3; do echo $n/10 >> "$CARBONQ_PROGRESS"; done',
        'exec 3>"$CARBONQ_PROGRESS"; for n in 1 2 3; do echo "$n of 10" >&3; done',
    ],
)
def test_a_shell_script_reports_with_one_line(folder: AttemptFolder, script: str) -> None:
    subprocess.run(["sh", "-c", script], check=True, env={"CARBONQ_PROGRESS": str(folder.path / "progress.json")})
    file = ProgressFile(folder)
    file.look()
    assert file.report == Report(3, 10)


def test_a_report_dates_from_when_it_was_written_not_from_when_it_was_read(folder: AttemptFolder) -> None:
    file = ProgressFile(folder)
    write(folder, "1\n")
    os.utime(folder.path / "progress.json", (time.time() - 60, time.time() - 60))
    file.look()
    assert file.points[0].at_s == pytest.approx(now_s() - 60, abs=5)


def test_no_clock_jump_moves_a_report_before_the_last_look_or_after_now(folder: AttemptFolder) -> None:
    file = ProgressFile(folder)
    file.look()
    looked_s = now_s()
    for done, jump_s in ((1, -1e6), (2, 1e6)):
        write(folder, f"{done}\n")
        os.utime(folder.path / "progress.json", (time.time() + jump_s, time.time() + jump_s))
        file.look()
    assert [looked_s - 5 < point.at_s <= now_s() for point in file.points] == [True, True]


def test_links_pipes_and_folders_in_its_place_are_left_alone(folder: AttemptFolder) -> None:
    path = folder.path / "progress.json"
    (folder.path / "elsewhere").write_text("1/2\n")
    file = ProgressFile(folder)
    path.symlink_to("elsewhere")
    assert not file.look()
    path.unlink()
    os.mkfifo(path)
    assert not file.look()
    path.unlink()
    path.mkdir()
    assert not file.look()


def test_the_history_outlives_the_worker(folder: AttemptFolder) -> None:
    first = ProgressFile(folder)
    for done in (1, 2, 3):
        write(folder, f"{done}/9\n")
        first.look()
    first.remember()
    second = ProgressFile(folder)
    assert second.points == first.points
    assert second.look()  # the total is not in the history
    assert (second.report, dones(second)) == (Report(3, 9), [1, 2, 3])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"points": 3}',
        '{"points": [[1]]}',
        '{"points": [["a", 1]]}',
        "[]",
        '{"points": [[1e300, 1]]}',
        '{"points": [[1, -1]]}',
        '{"points": [[NaN, 1]]}',
        '{"points": {"a": 1}}',
    ],
)
def test_a_damaged_history_is_begun_anew(folder: AttemptFolder, text: str) -> None:
    (folder.path / "progress.seen").write_text(text)
    assert ProgressFile(folder).points == []


def test_the_history_stays_small_and_keeps_its_ends() -> None:
    points: list[Point] = []
    for n in range(10_000):
        points = thinned([*points, Point(float(n), n)])
    assert len(points) <= MOST_POINTS
    assert (points[0], points[-1]) == (Point(0.0, 0), Point(9999.0, 9999))
    assert points == sorted(points)


def test_the_work_done_is_what_was_reported_last_in_the_workloads_unit(folder: AttemptFolder) -> None:
    def record(unit: str | None) -> AttemptRecord:
        lease = Lease(job_id="job", worker_id="w", fence=1, attempt=1, expires_at=MIDNIGHT)
        return AttemptRecord(
            lease=lease, job_name="job", pool="default", zone="FR", requirement=Requirement(), leased_real_at=MIDNIGHT,
            work_unit=unit,
        )  # fmt: skip

    assert work_done(folder, record("epoch")) is None
    write(folder, "3/10\n")
    assert work_done(folder, record("epoch")) == 3
    write(folder, '{"done": 512, "unit": "sample"}\n')
    assert [work_done(folder, record(unit)) for unit in ("epoch", "sample", None)] == [None, 512, 512]
