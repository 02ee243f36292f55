"""How attempts and jobs end: finish, retry, dead letters, booking and retention: what every queue must do."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from carbonq.domain.energy import Component, EnergyReading, Provenance, TraceSegment
from carbonq.domain.errors import JobNotFound
from carbonq.domain.job import JobState, Outcome, WaitReason
from carbonq.domain.ports import JobQuery
from carbonq.domain.receipt import Receipt, ReceiptStatus
from carbonq.testing import MIDNIGHT

if TYPE_CHECKING:
    from tests.contract.conftest import Station

HOUR = timedelta(hours=1)


def _receipt(station: "Station", job_id: str, revision: int = 1) -> Receipt:
    job = station.job(job_id)
    assert job.finished_at is not None
    return Receipt(
        revision=revision,
        status=ReceiptStatus.PROVISIONAL,
        issued_at=MIDNIGHT,
        job_id=job_id,
        name=job.name,
        project=job.project,
        state=job.state,
        zone="DE",
        pool="default",
        submitted_at=job.submitted_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        deadline=job.deadline,
        deadline_met=True,
        delay_s=0.0,
        duration_s=0.0,
        attempts=job.attempts,
        energy_j=None,
        emissions_g=None,
        baseline=None,
        avoided_g=None,
        intensity_source="test",
    )


def test_a_success_ends_the_job_with_what_its_worker_saw(station: "Station") -> None:
    station.submit("a")
    grant = station.lease_one()
    ended = station.clock.advance(hours=1)
    measurement = station.measure(
        grant,
        exit_code=0,
        started_at=MIDNIGHT,
        readings=(
            EnergyReading(component=Component.CPU, energy_j=0.1 + 0.2, provenance=Provenance.MEASURED, method="rapl"),
        ),
        trace=(TraceSegment(start=MIDNIGHT, end=ended, energy_j=0.1 + 0.2),),
    )
    assert station.queue.finish(measurement) is True
    job = station.job("a")
    assert (job.state, job.started_at, job.finished_at, job.exit_code) == (JobState.SUCCEEDED, MIDNIGHT, ended, 0)
    assert job.lease_expires_at is None
    assert station.queue.measurements("a") == [measurement]
    assert station.queue.unbooked() == ["a"]


def test_finishing_again_gives_the_same_answer_and_changes_nothing(station: "Station") -> None:
    station.submit("a", max_attempts=2)
    first = station.lease_one()
    assert station.finish(first, Outcome.FAILED) is True
    second = station.lease_one()
    assert station.finish(first, Outcome.FAILED) is True  # its reply was lost on the way, perhaps
    assert station.job("a").failed_attempts == 1
    assert station.state("a") == "running"
    assert station.finish(second) is True
    before = station.queue.events()
    assert station.finish(second) is True
    assert station.queue.events() == before


def test_what_a_stale_attempt_consumed_is_kept_once_as_overhead(station: "Station") -> None:
    station.submit("a")
    stale = station.lease_one(lease_s=1)
    station.real.advance(2)
    station.queue.recover(MIDNIGHT)
    current = station.lease_one(worker_id="w2")
    assert station.finish(current) is True
    station.ledger.book(_receipt(station, "a"))
    assert station.queue.unbooked() == []
    before = station.job("a")
    assert station.finish(stale, Outcome.FAILED) is False
    assert station.finish(stale, Outcome.FAILED) is False
    assert station.job("a") == before
    assert [kept.worker_id for kept in station.queue.measurements("a")] == ["w1", "w2"]
    assert station.queue.unbooked() == ["a"]  # its receipt needs a revision


def test_finishing_what_nobody_knows_is_refused_quietly(station: "Station") -> None:
    station.submit("a")
    grant = station.lease_one()
    assert station.queue.finish(station.measure(grant).model_copy(update={"job_id": "nobody"})) is False
    with pytest.raises(JobNotFound):
        station.queue.get("nobody")


def test_a_finish_with_a_fence_newer_than_the_servers_counts(station: "Station") -> None:
    """The server's data was rolled back to before the lease."""
    station.submit("a")
    station.submit("b")
    grant = station.lease_one()
    ahead = station.measure(grant).model_copy(update={"job_id": "b", "fence": grant.lease.fence + 1})
    assert station.queue.finish(ahead) is True
    assert station.state("b") == "succeeded"
    assert [event.type for event in station.queue.events() if event.job_id == "b"] == [
        "submitted",
        "due",
        "adopted",
        "succeeded",
    ]


# --- retries


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT])
def test_a_failed_job_is_retried_after_its_backoff_in_real_time(station: "Station", outcome: Outcome) -> None:
    station.submit("a", max_attempts=2)
    station.finish(station.lease_one(), outcome, backoff_s=10, error="boom", exit_code=3)
    job = station.job("a")
    assert (job.state, job.reason, job.failed_attempts) == (JobState.PENDING, WaitReason.RETRY_BACKOFF, 1)
    assert (job.error, job.exit_code, job.planned_start) == ("boom", 3, None)
    assert job.retry_at is not None
    station.clock.advance(hours=30)
    assert station.lease() == []
    station.real.advance(9.9)
    assert station.lease() == []
    station.real.advance(0.2)
    grant = station.lease_one()
    assert grant.lease.attempt == 2
    station.finish(grant)
    job = station.job("a")
    assert (job.state, job.error, job.exit_code, job.retry_at) == (JobState.SUCCEEDED, "", None, None)


def test_a_job_without_attempts_left_is_a_dead_letter_with_its_error(station: "Station") -> None:
    station.submit("a", max_attempts=3)
    for _ in range(3):
        assert station.state("a") != "failed"
        station.finish(station.lease_one(), Outcome.FAILED, error="boom")
    job = station.job("a")
    assert (job.state, job.failed_attempts, job.error) == (JobState.FAILED, 3, "boom")
    assert station.lease() == []


def test_only_the_named_outcomes_are_retried(station: "Station") -> None:
    station.submit("a", max_attempts=3, retry_on=(Outcome.TIMED_OUT,))
    station.finish(station.lease_one(), Outcome.TIMED_OUT)
    station.finish(station.lease_one(), Outcome.FAILED)
    assert station.state("a") == "failed"


def test_what_could_not_start_is_not_tried_again(station: "Station") -> None:
    station.submit("a", max_attempts=3)
    station.finish(station.lease_one(), Outcome.COULD_NOT_START, error="no such folder: /data")
    job = station.job("a")
    assert (job.state, job.error) == (JobState.FAILED, "no such folder: /data")


def test_a_retry_can_be_planned_anew_and_still_waits_for_its_backoff(station: "Station") -> None:
    from carbonq.domain.ports import PlannedStart

    station.submit("a", max_attempts=2)
    station.finish(station.lease_one(), Outcome.FAILED, backoff_s=10)
    plan = PlannedStart("a", MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR, None, WaitReason.CLEANER_SLOT_AHEAD)
    assert station.queue.assign([plan], MIDNIGHT) == 1
    station.clock.advance(hours=1)
    assert station.lease() == []
    station.real.advance(11)
    station.clock.advance(minutes=-1)
    assert station.lease() == []
    station.clock.advance(minutes=1)
    assert station.lease_one().job.id == "a"


def test_run_now_does_not_wait_for_the_backoff(station: "Station") -> None:
    station.submit("a", max_attempts=2)
    station.finish(station.lease_one(), Outcome.FAILED, backoff_s=1000)
    assert station.queue.run_now("a", MIDNIGHT) is JobState.READY
    assert station.lease_one().lease.attempt == 2


def test_a_checkpoint_frees_the_job_and_costs_no_attempt(station: "Station") -> None:
    station.submit("a", max_attempts=1)
    station.finish(station.lease_one(), Outcome.CHECKPOINTED)
    job = station.job("a")
    assert (job.state, job.reason, job.failed_attempts) == (JobState.SCHEDULED, WaitReason.PAUSED, 0)
    assert station.lease() == []  # it waits for a plan, or its latest safe start
    station.clock.advance(hours=22)
    assert station.lease_one().lease.attempt == 2


def test_an_attempt_that_its_worker_calls_lost_is_counted_apart(station: "Station") -> None:
    station.submit("a", max_attempts=1)
    assert station.finish(station.lease_one(), Outcome.LOST) is True
    job = station.job("a")
    assert (job.state, job.failed_attempts, job.lost_attempts) == (JobState.READY, 0, 1)


def test_an_endless_error_is_cut(station: "Station") -> None:
    station.submit("a")
    station.finish(station.lease_one(), Outcome.FAILED, error="x" * 100_000)
    assert len(station.job("a").error) == 2000


# --- booking and retention


def test_every_ended_job_waits_for_its_receipt_oldest_first(station: "Station") -> None:
    station.submit("a", "b", "c")
    a, b = station.lease(2)
    station.finish(b)
    station.real.advance(1)
    station.queue.cancel("c", MIDNIGHT)
    station.real.advance(1)
    station.finish(a, Outcome.FAILED)
    assert station.queue.unbooked() == ["b", "c", "a"]
    assert station.queue.unbooked(limit=1) == ["b"]
    station.ledger.book(_receipt(station, "b"))
    assert station.queue.unbooked() == ["c", "a"]


def test_old_booked_jobs_are_deleted_and_dead_letters_stay(station: "Station") -> None:
    station.submit("done", "dead", "unbooked", "young", array_id="x", project="red")
    done, dead, unbooked, young = station.lease(4)
    station.finish(done)
    station.finish(dead, Outcome.FAILED)
    station.finish(unbooked)
    station.real.advance(100)
    station.finish(young)
    for name in ("done", "dead", "young"):
        station.ledger.book(_receipt(station, name))
    assert station.queue.retain(50) == 1
    assert [job.id for job in station.queue.jobs(JobQuery())] == ["young", "unbooked", "dead"]
    assert [job.id for job in station.queue.jobs(JobQuery(project="red"))] == ["young", "unbooked", "dead"]
    assert [job.id for job in station.queue.jobs(JobQuery(array_id="x"))] == ["young", "unbooked", "dead"]
    assert station.queue.measurements("done") == []
    with pytest.raises(JobNotFound):
        station.queue.get("done")
    assert station.queue.retain(50) == 0


def test_a_spec_lives_as_long_as_the_last_job_that_uses_it(station: "Station") -> None:
    station.submit("a", "b")
    for grant in station.lease(2):
        station.finish(grant)
        station.ledger.book(_receipt(station, grant.job.id))
    station.real.advance(10)
    assert station.queue.retain(5, limit=1) == 1
    (left,) = station.queue.jobs(JobQuery())
    assert station.queue.spec(left.id)
    assert station.queue.retain(5) == 1
    assert station.submit("a") == [True]  # the id is free again
    assert station.queue.spec("a")


def test_a_late_measurement_is_booked_before_its_job_is_deleted(station: "Station") -> None:
    station.submit("a")
    stale = station.lease_one(lease_s=1)
    station.real.advance(2)
    station.queue.recover(MIDNIGHT)
    station.finish(station.lease_one(worker_id="w2"))
    station.ledger.book(_receipt(station, "a"))
    station.finish(stale)
    station.real.advance(100)
    assert station.queue.retain(50) == 0
    station.ledger.book(_receipt(station, "a", revision=2))
    assert station.queue.retain(50) == 1
