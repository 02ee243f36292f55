"""Leases, fences and lost workers: what every queue must do."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from carbonq.domain.job import JobState, Outcome, Requirement, WaitReason
from carbonq.domain.ports import PlannedStart
from carbonq.testing import MIDNIGHT

if TYPE_CHECKING:
    from tests.contract.conftest import Station

HOUR = timedelta(hours=1)


# --- when a job is due


def test_a_due_job_is_granted_with_its_spec_and_a_lease(station: "Station") -> None:
    station.submit("a")
    grant = station.lease_one(lease_s=30.0)
    assert grant.job == station.job("a")
    assert grant.spec == station.queue.spec("a")
    assert (grant.lease.job_id, grant.lease.worker_id, grant.lease.attempt) == ("a", "w1", 1)
    assert grant.lease.fence == grant.job.fence > 0
    assert grant.lease.expires_at == grant.job.lease_expires_at
    assert (grant.job.state, grant.job.started_at, grant.job.reason) == (JobState.RUNNING, MIDNIGHT, None)
    assert station.lease() == []


def test_without_a_plan_a_job_starts_at_its_latest_safe_start(station: "Station") -> None:
    station.submit("a", planned_start=None, latest_start=MIDNIGHT + 5 * HOUR)
    station.clock.advance(hours=5, milliseconds=-1)
    assert station.lease() == []
    station.clock.advance(milliseconds=1)
    assert station.lease_one().job.id == "a"
    assert [event.type for event in station.queue.events()] == ["submitted", "due", "leased"]


def test_no_job_starts_before_its_not_before_even_if_that_makes_it_late(station: "Station") -> None:
    station.submit("a", not_before=MIDNIGHT + 3 * HOUR, latest_start=MIDNIGHT + HOUR)
    station.clock.advance(hours=2)
    assert station.lease() == []
    station.clock.advance(hours=1)
    assert station.lease_one().job.id == "a"


def test_a_grid_clock_that_jumps_back_starts_nothing_twice(station: "Station") -> None:
    station.submit("a", planned_start=MIDNIGHT + HOUR)
    station.clock.advance(hours=1)
    grant = station.lease_one()
    station.clock.advance(hours=-1)
    assert station.lease() == []
    assert station.finish(grant)


# --- who goes first, and what fits


def test_the_best_go_first_by_priority_then_urgency_then_submission(station: "Station") -> None:
    station.submit("late")
    station.submit("first", "second", latest_start=MIDNIGHT + 2 * HOUR)
    station.submit("urgent", latest_start=MIDNIGHT + HOUR)
    station.submit("minor", priority=-5, latest_start=MIDNIGHT + HOUR)
    station.submit("major", priority=5)
    order = [grant.job.id for grant in station.lease(10, cpus=10)]
    assert order == ["major", "urgent", "first", "second", "late", "minor"]


def test_each_grant_takes_from_what_is_free_for_the_next(station: "Station") -> None:
    station.submit("big", requirement=Requirement(cpus=3, memory_b=6), priority=1)
    station.submit("a", "b", requirement=Requirement(cpus=1, memory_b=2))
    station.submit("c", requirement=Requirement(cpus=1))
    order = [grant.job.id for grant in station.lease(10, cpus=5, memory_b=8)]
    assert order == ["big", "a", "c"]  # b would have fitted the processors, not the memory


def test_a_job_that_does_not_fit_does_not_block_those_behind_it(station: "Station") -> None:
    station.submit("huge", requirement=Requirement(cpus=64), priority=100)
    station.submit(*(f"s{i}" for i in range(3)))
    assert [grant.job.id for grant in station.lease(3)] == ["s0", "s1", "s2"]
    assert station.state("huge") == "ready"
    assert station.lease_one(cpus=64).job.id == "huge"


A100: dict[str, Any] = {"gpus": 2, "cpus": 8, "gpu_model": "NVIDIA A100-SXM4-40GB", "gpu_memory_b": 40, "memory_b": 100}


@pytest.mark.parametrize(
    ("need", "fits"),
    [
        ({"gpus": 2}, True),
        ({"gpus": 3}, False),
        ({"gpus": 1, "gpu_model": "a100"}, True),
        ({"gpus": 1, "gpu_model": "H100"}, False),
        ({"gpus": 1, "gpu_model": "A100-SXM4"}, True),  # a dash is a dash, no pattern
        ({"gpus": 1, "gpu_model": "a.00"}, False),
        ({"gpus": 1, "gpu_memory_b": 40}, True),
        ({"gpus": 1, "gpu_memory_b": 41}, False),
        ({"gpu_model": "H100", "gpu_memory_b": 80}, True),  # without GPUs their model does not matter
        ({"cpus": 8, "memory_b": 100}, True),
        ({"cpus": 9}, False),
        ({"memory_b": 101}, False),
        ({"zones": ("FR", "DE")}, True),
        ({"zones": ("FR",)}, False),
    ],
)
def test_the_queue_fits_jobs_by_the_rules_of_the_domain(station: "Station", need: dict[str, Any], fits: bool) -> None:
    requirement = Requirement(**need)
    station.submit("a", requirement=requirement)
    granted = station.lease(**A100)
    assert [grant.job.id for grant in granted] == (["a"] if fits else [])


def test_a_worker_that_does_not_know_its_memory_gets_no_job_that_asks_for_some(station: "Station") -> None:
    station.submit("a", requirement=Requirement(memory_b=1))
    station.submit("g", requirement=Requirement(gpus=1, gpu_memory_b=1))
    assert station.lease(cpus=8, gpus=1) == []


def test_a_planned_pool_has_its_job_to_itself_until_the_latest_safe_start(station: "Station") -> None:
    station.submit("a", pool="solar", latest_start=MIDNIGHT + HOUR)
    assert station.lease(pool="default") == []
    station.clock.advance(hours=1)
    assert station.lease_one(pool="default").job.id == "a"


def test_a_job_planned_for_a_pool_is_offered_there_beside_those_for_any_pool(station: "Station") -> None:
    station.submit("any", priority=1)
    station.submit("mine", pool="solar")
    station.submit("other", pool="wind")
    assert [grant.job.id for grant in station.lease(5, pool="solar")] == ["any", "mine"]


def test_a_ready_job_follows_its_plan_to_another_pool(station: "Station") -> None:
    station.submit("a", pool="solar")
    assert station.lease(pool="wind") == []
    plan = PlannedStart("a", MIDNIGHT, MIDNIGHT + HOUR, "wind", WaitReason.STARTS_NOW)
    assert station.queue.assign([plan], MIDNIGHT) == 1
    assert station.lease(pool="solar") == []
    assert station.lease_one(pool="wind").job.id == "a"


# --- fences and heartbeats


def test_fences_only_grow(station: "Station") -> None:
    station.submit("a", max_attempts=9)
    fences = []
    for _ in range(5):
        grant = station.lease_one()
        fences.append(grant.lease.fence)
        station.finish(grant, Outcome.FAILED)
    assert fences == sorted(set(fences))
    station.lease(cpus=0)
    station.real.advance(-3600)  # the server's clock is set back
    grant = station.lease_one()
    assert grant.lease.fence > fences[-1]
    station.real.advance(3600)


def test_a_heartbeat_keeps_a_lease_and_silence_loses_it(station: "Station") -> None:
    station.submit("a", "b")
    a, b = station.lease(2, lease_s=10)
    station.real.advance(9)
    assert station.queue.heartbeat([a.lease], lease_s=10) == ["held"]
    station.real.advance(2)
    assert station.queue.recover(MIDNIGHT) == ["b"]
    assert (station.state("a"), station.job("b").state) == ("running", JobState.READY)
    assert station.job("b").reason is WaitReason.LEASE_LOST
    assert station.job("b").lost_attempts == 1
    assert station.queue.heartbeat([a.lease, b.lease], lease_s=10) == ["held", "stale"]


def test_a_heartbeat_moves_the_expiry(station: "Station") -> None:
    station.submit("a")
    grant = station.lease_one()
    station.real.advance(5)
    station.queue.heartbeat([grant.lease], lease_s=60)
    expiry = station.job("a").lease_expires_at
    assert expiry is not None
    assert (expiry - grant.lease.expires_at).total_seconds() == pytest.approx(35, abs=0.002)


def test_a_stale_worker_can_neither_renew_nor_end_its_successors_attempt(station: "Station") -> None:
    station.submit("a")
    first = station.lease_one(lease_s=10)
    station.real.advance(11)
    station.queue.recover(MIDNIGHT)
    second = station.lease_one(worker_id="w2", lease_s=10)
    assert second.lease.attempt == 2
    assert station.queue.heartbeat([first.lease, second.lease], lease_s=10) == ["stale", "held"]
    assert station.finish(first) is False
    assert station.job("a").state is JobState.RUNNING
    assert station.job("a").worker_id == "w2"
    assert station.finish(second) is True
    assert [kept.fence for kept in station.queue.measurements("a")] == [first.lease.fence, second.lease.fence]


def test_a_lost_attempt_that_nobody_has_taken_over_is_stale_too(station: "Station") -> None:
    station.submit("a")
    grant = station.lease_one(lease_s=10)
    station.real.advance(11)
    station.queue.recover(MIDNIGHT)
    assert station.queue.heartbeat([grant.lease]) == ["stale"]
    assert station.finish(grant) is False
    assert station.state("a") == "ready"


def test_a_lease_that_ran_out_unnoticed_is_renewed(station: "Station") -> None:
    station.submit("a")
    grant = station.lease_one(lease_s=10)
    station.real.advance(60)
    assert station.queue.heartbeat([grant.lease], lease_s=10) == ["held"]
    assert station.queue.recover(MIDNIGHT) == []
    assert station.finish(grant) is True


def test_a_heartbeat_for_what_has_ended_or_never_was_is_stale(station: "Station") -> None:
    station.submit("a")
    grant = station.lease_one()
    station.finish(grant)
    nobody = grant.lease.model_copy(update={"job_id": "nobody"})
    newer = grant.lease.model_copy(update={"fence": grant.lease.fence + 1})
    assert station.queue.heartbeat([grant.lease, nobody, newer]) == ["stale", "stale", "stale"]
    assert station.state("a") == "succeeded"


@pytest.mark.parametrize("waiting", ["pending", "scheduled", "ready", "backoff", "running"])
def test_a_fence_newer_than_the_servers_is_adopted(station: "Station", waiting: str) -> None:
    """The server's data was rolled back: what the worker says is newer."""
    station.submit("a", planned_start=None if waiting == "pending" else MIDNIGHT + HOUR, max_attempts=2)
    if waiting == "ready":
        station.queue.run_now("a", MIDNIGHT)
    if waiting in {"backoff", "running"}:
        station.queue.run_now("a", MIDNIGHT)
        grant = station.lease_one()
        if waiting == "backoff":
            station.finish(grant, Outcome.FAILED, backoff_s=60)
    station.submit("b", priority=1)
    lease = station.lease_one().lease.model_copy(
        update={"job_id": "a", "fence": 10**16 // 2, "attempt": 4, "worker_id": "w7"}
    )
    assert station.queue.heartbeat([lease], lease_s=10) == ["held"]
    job = station.job("a")
    assert (job.state, job.fence, job.attempts, job.worker_id) == (JobState.RUNNING, 10**16 // 2, 4, "w7")
    station.clock.advance(days=3)
    station.real.advance(5)
    assert station.lease() == []  # nobody else gets it
    assert station.queue.heartbeat([lease], lease_s=10) == ["held"]
    station.real.advance(11)
    assert "a" in station.queue.recover(MIDNIGHT)


def test_many_leases_are_renewed_in_one_call(station: "Station") -> None:
    station.submit(*(f"j{i}" for i in range(2500)))
    leases = [grant.lease for grant in station.lease(2500, cpus=2500)]
    assert station.queue.heartbeat(leases) == ["held"] * 2500
    assert station.queue.heartbeat([]) == []


# --- lost workers


def test_a_lost_job_goes_back_in_line_at_once_and_loses_no_attempt_of_its_own(station: "Station") -> None:
    station.submit("a", max_attempts=1)
    station.lease_one(lease_s=1)
    station.real.advance(2)
    assert station.queue.recover(MIDNIGHT) == ["a"]
    grant = station.lease_one()
    assert (grant.lease.attempt, grant.job.failed_attempts, grant.job.lost_attempts) == (2, 0, 1)


def test_a_job_that_keeps_killing_its_workers_becomes_a_dead_letter(station: "Station") -> None:
    station.submit("a")
    for _ in range(5):
        station.lease_one(lease_s=1)
        station.real.advance(2)
        station.queue.recover(MIDNIGHT)
        assert station.state("a") == "ready"
    station.lease_one(lease_s=1)
    station.real.advance(2)
    assert station.queue.recover(MIDNIGHT) == ["a"]
    job = station.job("a")
    assert (job.state, job.lost_attempts, job.error) == (
        JobState.FAILED,
        6,
        "lost 6 attempts with their workers",
    )


def test_a_cancelled_job_whose_worker_is_lost_is_cancelled(station: "Station") -> None:
    station.submit("a")
    station.lease_one(lease_s=1)
    station.queue.cancel("a", MIDNIGHT)
    station.real.advance(2)
    assert station.queue.recover(MIDNIGHT) == ["a"]
    assert station.state("a") == "cancelled"


def test_recovery_leaves_live_leases_alone(station: "Station") -> None:
    station.submit("a")
    station.lease_one(lease_s=10)
    station.real.advance(9)
    assert station.queue.recover(MIDNIGHT) == []


# --- dropped when late


def test_a_job_that_may_be_dropped_is_dropped_once_even_a_lucky_run_would_be_late(station: "Station") -> None:
    lucky_s = 3240.0  # the duration's 10 % quantile in make_job
    station.submit("a", drop_when_late=True)
    station.clock.advance(days=1, seconds=-lucky_s - 0.001)
    assert station.lease(cpus=0) == []
    assert station.state("a") == "ready"
    station.clock.advance(seconds=0.001)
    assert station.lease() == []
    assert station.state("a") == "expired"
    assert station.queue.unbooked() == ["a"]


def test_a_job_that_may_not_be_dropped_runs_late(station: "Station") -> None:
    station.submit("a")
    station.clock.advance(days=9)
    assert station.lease_one().job.id == "a"


def test_a_job_that_runs_is_not_dropped_but_once_lost_it_is(station: "Station") -> None:
    station.submit("a", drop_when_late=True)
    station.lease_one(lease_s=10)
    station.clock.advance(days=9)
    station.lease()
    assert station.state("a") == "running"
    station.real.advance(11)
    station.queue.recover(station.clock.now())
    assert station.lease() == []
    assert station.state("a") == "expired"
