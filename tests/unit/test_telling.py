"""What the worker tells the board of the running attempts' progress, and how often."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from carbonq.domain.errors import QueueUnreachable
from carbonq.domain.job import Lease, Requirement
from carbonq.domain.progress import Progress
from carbonq.scheduler.queue.board import MemoryBoard
from carbonq.testing import MIDNIGHT
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.live import Live
from carbonq.workers.progress import ProgressFile
from carbonq.workers.record import AttemptRecord
from carbonq.workers.telling import FORGOTTEN_S, TELL_EVERY_S, Teller

SPEED = 60.0


class Replay:
    """Grid time that runs a minute for each real second."""

    def now(self) -> Any:
        raise AssertionError("progress is dated by when it was made")

    def to_grid(self, real: Any) -> Any:
        return MIDNIGHT + (real - MIDNIGHT) * SPEED

    def seconds_until(self, grid: Any) -> float:
        raise AssertionError(grid)


class Fickle(MemoryBoard):
    """A board that may be away, and counts what it is told."""

    away = False
    told = 0

    def put_progress(self, progress: Progress, ttl_s: float) -> bool:
        if self.away:
            raise QueueUnreachable("away")
        self.told += 1
        return super().put_progress(progress, ttl_s)


class Bench:
    """One running attempt, a teller, and a monotonic clock that a test moves."""

    def __init__(self, folder: Path, **record: Any) -> None:
        self.path, self.board, self.now_s = folder / "progress.json", Fickle(), 1000.0
        self.teller = Teller(self.board, Replay(), timer=lambda: self.now_s)
        lease = Lease(job_id="job", worker_id="w", fence=7, attempt=1, expires_at=MIDNIGHT)
        known = AttemptRecord(
            lease=lease, job_name="job", pool="p", zone="FR", requirement=Requirement(), leased_real_at=MIDNIGHT, **record
        )  # fmt: skip
        live = SimpleNamespace(record=known, progress=ProgressFile(AttemptFolder(folder)))
        self.running = [cast("Live", live)]

    def report(self, line: str) -> None:
        self.path.write_text(line + "\n")

    def round(self, after_s: float = 0.0) -> Progress | None:
        self.now_s += after_s
        self.teller.look(self.running)
        self.teller.tell(self.running)
        return self.board.progress(["job"]).get("job")


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    return lambda **record: Bench(tmp_path, **record)


def test_an_attempt_is_told_of_at_most_once_in_a_while(bench: Callable[..., Bench]) -> None:
    desk = bench()
    desk.report("1/10")
    assert desk.round() is None  # one that ends at once tells nothing
    assert (told := desk.round(TELL_EVERY_S)) is not None
    assert (told.job_id, told.fence, told.done, told.total) == ("job", 7, 1, 10)
    for done in range(2, 8):
        desk.report(f"{done}/10")
        desk.round(TELL_EVERY_S / 10)
    assert desk.board.told == 1
    assert (told := desk.round(TELL_EVERY_S)) is not None
    assert [point.done for point in told.points] == [1, 2, 3, 4, 5, 6, 7]
    desk.round(TELL_EVERY_S)
    assert desk.board.told == 2  # nothing new


def test_the_points_stand_in_grid_time(bench: Callable[..., Bench]) -> None:
    desk = bench()
    desk.round()
    for done in (1, 2):
        desk.report(f"{done}/10")
        desk.round()
    first, last = desk.running[0].progress.points
    told = desk.round(TELL_EVERY_S)
    assert told is not None
    apart = told.points[1].at - told.points[0].at
    assert apart / timedelta(seconds=1) == pytest.approx(SPEED * (last.at_s - first.at_s), abs=1e-3)


def test_what_could_not_be_told_is_told_once_the_board_is_back(bench: Callable[..., Bench]) -> None:
    desk = bench()
    desk.round()
    desk.board.away = True
    for done in (1, 2, 3):
        desk.report(f"{done}/10")
        with pytest.raises(QueueUnreachable):
            desk.round(TELL_EVERY_S)
    desk.board.away = False
    assert (told := desk.round()) is not None
    assert [point.done for point in told.points] == [1, 2, 3]


def test_a_silent_attempt_is_told_of_again_before_it_is_forgotten(bench: Callable[..., Bench]) -> None:
    desk = bench()
    desk.report("1/10")
    desk.round()
    desk.round(TELL_EVERY_S)
    desk.round(FORGOTTEN_S / 3 - 1)
    assert desk.board.told == 1
    desk.round(1)
    assert desk.board.told == 2


@pytest.mark.parametrize(
    ("line", "record", "total"),
    [
        ("3", {"work": 90.0, "work_unit": "epoch"}, 90),
        ("3/10", {"work": 90.0, "work_unit": "epoch"}, 10),
        ('{"done": 3, "unit": "epoch"}', {"work": 90.0, "work_unit": "epoch"}, 90),
        ('{"done": 3, "unit": "fold"}', {"work": 90.0, "work_unit": "epoch"}, None),
        ("91", {"work": 90.0, "work_unit": "epoch"}, None),
        ("3", {}, None),
        ("3", {"work": 1e300}, None),
        ("1e-9/1e-9", {}, 1e-9),
    ],
)
def test_the_workloads_work_stands_in_for_a_total_that_is_not_told(
    bench: Callable[..., Bench], line: str, record: dict[str, Any], total: float | None
) -> None:
    desk = bench(**record)
    desk.report(line)
    desk.round()
    assert (told := desk.round(TELL_EVERY_S)) is not None
    assert told.total == total
