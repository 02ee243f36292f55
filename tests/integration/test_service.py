"""The scheduler's loops on real servers: what happens is acted on without anybody calling a step."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from carbonq.clock import SystemClock
from carbonq.domain.job import Job, JobState, Measurement, Outcome
from carbonq.domain.receipt import Receipt
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.scheduler.ledger import RedisLedger
from carbonq.scheduler.planner.first_come import FirstComePlanner
from carbonq.scheduler.queue.board import RedisBoard
from carbonq.scheduler.queue.connection import Store
from carbonq.scheduler.queue.redis_queue import RedisQueue
from carbonq.scheduler.service import GRACE_S, SchedulerService, SchedulerSettings
from carbonq.testing import make_job, make_worker

SPEC = b"name: job"
SHA = sha256(SPEC).hexdigest()


class Hall:
    """A server's queue, board and ledger, and schedulers on it that are stopped in the end."""

    def __init__(self, url: str) -> None:
        self.store = Store.connect(url)
        self.queue, self.board = RedisQueue(self.store), RedisBoard(self.store)
        self.ledger = RedisLedger(self.store)
        self.running: list[SchedulerService] = []
        self.board.put_worker(make_worker(), ttl_s=3600)

    def start(self, holder: str = "one", outlook: Outlook | None = None, **settings: Any) -> SchedulerService:
        quick: dict[str, Any] = {"horizon_s": 24 * 3600, "lead_real_s": 1.0, "debounce_real_s": 0.05}
        service = SchedulerService(
            SchedulerSettings(zone="FR", **(quick | settings)),
            queue=self.queue,
            board=self.board,
            ledger=self.ledger,
            clock=SystemClock(),
            planner=FirstComePlanner(),
            outlook=outlook or Outlook([]),
            holder=holder,
        )
        service.start()
        self.running.append(service)
        return service

    def submit(self, job_id: str = "job", **fields: Any) -> Job:
        now = datetime.now(UTC)
        times = {
            "submitted_at": now,
            "deadline": now + timedelta(hours=20),
            "latest_start": now + timedelta(hours=18),
        }
        job = make_job(job_id, **({"spec_sha256": SHA} | times | fields))
        self.queue.submit([job], {SHA: SPEC})
        return job

    def run(self, job_id: str) -> None:
        now = datetime.now(UTC)
        self.queue.run_now(job_id, now)
        (grant,) = self.queue.lease(make_worker(), now)
        self.queue.finish(
            Measurement(
                job_id=job_id,
                fence=grant.lease.fence,
                attempt=grant.lease.attempt,
                worker_id="worker-1",
                pool="default",
                zone="FR",
                outcome=Outcome.SUCCEEDED,
                started_at=now,
                ended_at=now + timedelta(milliseconds=50),
                real_started_at=now,
                real_ended_at=now + timedelta(milliseconds=50),
            )
        )

    def until(self, holds: Callable[[], Any], within_s: float = 10.0) -> Any:
        """Look again after each event, until it holds."""
        cursor, over = "", time.monotonic() + within_s
        while not (found := holds()):
            assert time.monotonic() < over, "it did not happen in time"
            events = self.queue.events(cursor, block_s=0.05)
            cursor = events[-1].cursor if events else cursor
        return found

    def planned(self, job_id: str = "job") -> datetime | None:
        return self.queue.get(job_id).planned_start


@pytest.fixture
def hall(redis_url: str) -> Iterator[Hall]:
    hall = Hall(redis_url)
    yield hall
    for service in hall.running:
        service.stop()
    hall.store.close()


def test_a_job_is_planned_soon_after_it_was_submitted(hall: Hall) -> None:
    hall.start()
    hall.until(hall.board.plan)
    began = time.monotonic()

    hall.submit()
    hall.until(hall.planned)

    assert hall.queue.get("job").state in (JobState.SCHEDULED, JobState.READY)
    assert time.monotonic() - began < 5


def test_a_job_that_has_ended_is_booked_without_waiting_for_the_next_round(hall: Hall) -> None:
    hall.start(book_real_s=3600.0)
    hall.submit()
    hall.until(hall.planned)

    hall.run("job")
    receipt: Receipt = hall.until(lambda: hall.ledger.get("job"))

    assert (receipt.state, receipt.energy_j) == (JobState.SUCCEEDED, None)
    assert hall.queue.unbooked() == []


def test_the_forecast_and_the_past_are_on_the_board(hall: Hall) -> None:
    hall.start()

    hall.until(lambda: hall.board.forecast("FR") and hall.board.actual("FR"))


def test_a_job_whose_worker_died_is_returned(hall: Hall) -> None:
    hall.start(recover_real_s=0.5)
    hall.submit()
    hall.until(hall.planned)
    hall.queue.run_now("job", datetime.now(UTC))
    hall.queue.lease(make_worker(), datetime.now(UTC), lease_s=0.5)

    hall.until(lambda: hall.queue.get("job").state is JobState.READY)

    assert hall.queue.get("job").lost_attempts == 1


def test_the_second_stands_by_and_takes_over_when_the_first_stops(hall: Hall) -> None:
    first = hall.start("first")
    hall.until(lambda: first.leads)
    second = hall.start("second")
    hall.submit("early")
    hall.until(lambda: hall.planned("early"))
    assert not second.leads

    first.stop()
    hall.until(lambda: second.leads)
    hall.submit("late")

    assert hall.until(lambda: hall.planned("late"))


def test_after_a_wall_clock_jump_the_loops_tick_on(hall: Hall) -> None:
    """The clock was a day ahead when the next runs were set: they lie in tomorrow."""
    service = hall.start(recover_real_s=0.5, keep_up_grid_s=3600.0)
    hall.until(lambda: service.leads)
    for job in service._ticker.get_jobs():
        job.modify(next_run_time=datetime.now(UTC) + timedelta(days=1))

    hall.until(lambda: max(job.next_run_time for job in service._ticker.get_jobs()) < in_two_hours())


def in_two_hours() -> datetime:
    """The slowest loop goes once an hour."""
    return datetime.now(UTC) + timedelta(hours=2)


def test_a_step_that_fails_is_logged_and_tried_again(
    hall: Hall, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = hall.start()
    hall.until(hall.board.plan)
    plan, failures = service._planner.plan, iter([RuntimeError("a bug")])

    def fails_once(snapshot: Any) -> Any:
        for failure in failures:
            raise failure
        return plan(snapshot)

    with caplog.at_level(logging.ERROR, "carbonq.scheduler"):
        monkeypatch.setattr(service._planner, "plan", fails_once)
        hall.submit("one")
        hall.until(lambda: any("replan failed" in record.message for record in caplog.records))
        hall.submit("two")
        hall.until(lambda: hall.planned("one") and hall.planned("two"))


class HangingOutlook(Outlook):
    """A provider that neither answers nor hangs up."""

    def __init__(self) -> None:
        super().__init__([])
        self.asked, self.released = threading.Event(), threading.Event()

    def refresh(self, zone: str, now: datetime, end: datetime) -> None:
        self.asked.set()
        self.released.wait(60)


def test_a_provider_that_hangs_holds_up_neither_plans_nor_the_end(hall: Hall) -> None:
    outlook = HangingOutlook()
    service = hall.start(outlook=outlook)
    try:
        assert outlook.asked.wait(10)
        hall.submit()
        hall.until(hall.planned)

        began = time.monotonic()
        service.stop()

        assert time.monotonic() - began < GRACE_S + 3
        assert hall.board.lead("next", 5.0)
    finally:
        outlook.released.set()
