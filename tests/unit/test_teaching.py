"""Ended jobs teach the predictor: once each, whatever stops in between, and never at a receipt's cost."""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256

import pytest

from carbonq.domain.energy import PowerProfile
from carbonq.domain.errors import QueueUnreachable
from carbonq.domain.job import Measurement, Outcome
from carbonq.domain.ports import PastRun
from carbonq.domain.spec import JobSpec
from carbonq.scheduler.bookkeeper import Bookkeeper
from carbonq.scheduler.ledger import MemoryLedger
from carbonq.scheduler.queue.board import MemoryBoard
from carbonq.scheduler.queue.memory import MemoryQueue
from carbonq.scheduler.teaching import Teacher
from carbonq.testing import MIDNIGHT, ManualClock, make_job, make_profile, make_worker

from .test_service import Grid

SPEC = b"name: job\nrun: 'true'\ndeadline: 24h\n"
SHA = sha256(SPEC).hexdigest()


class Pupil:
    """An `EnergyPredictor` that notes what it is told. `kept` is what outlives it."""

    def __init__(self, kept: list[str] | None = None) -> None:
        self.kept = kept
        self.told: list[str] = []
        self.failure: Exception | None = None

    def predict(self, spec: JobSpec) -> PowerProfile:
        return make_profile()

    def learn(self, runs: Sequence[PastRun]) -> int:
        if self.failure:
            raise self.failure
        self.told += [run.job_id for run in runs]
        assert all(run.spec.name == "job" and run.measurements for run in runs)
        return len(runs)

    def recall(self) -> bool:
        return self.kept is not None


class Office:
    """A bookkeeper with a teacher, over the in-memory adapters."""

    def __init__(self, pupil: Pupil) -> None:
        self.clock, self.queue, self.pupil = ManualClock(), MemoryQueue(), pupil
        self.ledger = MemoryLedger(self.queue)
        self.books = self.another(pupil)

    def another(self, pupil: Pupil) -> Bookkeeper:
        return Bookkeeper(
            queue=self.queue,
            board=MemoryBoard(),
            ledger=self.ledger,
            clock=self.clock,
            outlook=Grid(),
            zone="FR",
            teacher=Teacher(self.queue, pupil),
        )

    def run(self, job_id: str, outcome: Outcome = Outcome.SUCCEEDED) -> Measurement:
        now = self.clock.now()
        self.queue.submit([make_job(job_id, spec_sha256=SHA, submitted_at=now, planned_start=now)], {SHA: SPEC})
        (grant,) = self.queue.lease(make_worker(), now)
        ended = self.clock.advance(hours=1)
        seen = Measurement(
            job_id=job_id,
            fence=grant.lease.fence,
            attempt=grant.lease.attempt,
            worker_id="worker-1",
            pool="default",
            zone="FR",
            outcome=outcome,
            started_at=now,
            ended_at=ended,
            real_started_at=now,
            real_ended_at=ended,
        )
        self.queue.finish(seen)
        return seen


@pytest.fixture
def office() -> Office:
    return Office(Pupil(kept=[]))


def test_a_job_that_succeeded_is_taught_when_it_is_booked(office: Office) -> None:
    office.run("one")
    assert office.books.book() == 1
    assert office.pupil.told == ["one"]


def test_a_job_that_failed_teaches_nothing(office: Office) -> None:
    office.run("bad", Outcome.FAILED)
    assert office.books.book() == 1
    assert office.pupil.told == []


def test_a_further_revision_of_a_receipt_teaches_nothing_anew(office: Office) -> None:
    seen = office.run("one")
    office.books.book()
    late = seen.model_copy(
        update={"fence": seen.fence - 1, "outcome": Outcome.LOST, "ended_at": MIDNIGHT + timedelta(1)}
    )
    office.queue.finish(late)
    assert office.books.book() == 1
    assert office.pupil.told == ["one"]


def test_where_nothing_is_kept_the_jobs_that_the_queue_knows_are_learnt_anew_in_their_order(office: Office) -> None:
    for name in ("one", "two", "three"):
        office.run(name)
        office.books.book()
    office.run("unbooked")
    fresh = Pupil()
    office.another(fresh).book()
    assert fresh.told == ["one", "two", "three", "unbooked"]


def test_what_is_kept_is_gone_on_from(office: Office) -> None:
    office.run("one")
    office.books.book()
    office.run("two")
    next_one = Pupil(kept=["one"])
    office.another(next_one).book()
    assert next_one.told == ["two"]


def test_who_takes_over_again_looks_at_what_is_kept_again(office: Office) -> None:
    office.run("one")
    office.books.book()
    office.pupil.kept = None
    office.books.book()
    assert office.pupil.told == ["one"]
    office.books.forget()
    office.books.book()
    assert office.pupil.told == ["one", "one"]  # its own memory of ids would tell that it knows it


def test_a_mistake_in_learning_costs_no_receipt(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    office.pupil.failure = ZeroDivisionError("a bug")
    office.run("one")
    assert office.books.book() == 1
    assert "learning failed" in caplog.text


def test_a_board_that_is_away_is_no_mistake_in_learning(office: Office) -> None:
    """The job is not booked either: both are tried again."""
    office.pupil.failure = QueueUnreachable("gone")
    office.run("one")
    with pytest.raises(QueueUnreachable):
        office.books.book()
    office.pupil.failure = None
    assert office.books.book() == 1
    assert office.pupil.told == ["one"]
