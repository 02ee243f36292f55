"""Replanning moves a job only where it is worth it, and tells the queue only what changes."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from carbonq.domain.job import Job, JobState, Requirement, WaitReason
from carbonq.domain.ports import PlannedStart
from carbonq.scheduler.bundles import Scene
from carbonq.scheduler.deciding import Decision, decide
from carbonq.scheduler.planner.first_come import FirstComePlanner
from carbonq.testing import MIDNIGHT, make_forecast, make_job, make_worker

DAY = (400.0, 400.0, 300.0, 300.0, 100.0, 100.0, 200.0, 200.0)


FULL = Requirement(cpus=4)


def at(hours: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hours)


def waiting(job_id: str = "job", **fields: Any) -> Job:
    return make_job(job_id, **({"latest_start": at(3)} | fields))


def decided(*jobs: Job, day: tuple[float, ...] = DAY, now: float = 0, **fields: Any) -> Decision:
    defaults: dict[str, Any] = {"workers": (make_worker(),)}
    scene = Scene(
        now=at(now), default_zone="FR", waiting=jobs, forecasts={"FR": make_forecast(*day)}, **(defaults | fields)
    )
    return decide(scene, FirstComePlanner())


def after(job: Job, start: PlannedStart) -> Job:
    """The job as the queue then has it."""
    return job.model_copy(
        update={
            "state": JobState.SCHEDULED,
            "planned_start": start.start,
            "planned_end": start.end,
            "pool": start.pool,
            "reason": start.reason,
        }
    )


def test_a_new_job_gets_its_start_its_end_its_grams_and_a_reason_in_words() -> None:
    (start,) = decided(waiting()).changes

    assert start == PlannedStart(
        job_id="job",
        start=at(2),
        end=at(3),
        pool="default",
        reason=WaitReason.CLEANER_SLOT_AHEAD,
        detail="Mon 5 Jan 02:00 UTC: 75% less than now",
        emissions_g=10.0,
    )


def test_planning_again_changes_nothing() -> None:
    job = waiting()
    (start,) = decided(job).changes

    again = decided(after(job, start), now=0.3)

    assert (again.changes, [one.start for one in again.starts]) == ((), [at(2)])


def test_a_gain_below_one_percent_moves_nobody() -> None:
    job = after(waiting(), decided(waiting()).changes[0])

    wavering = decided(job, day=(400.0, 400.0, 99.5, 99.5, 100.0, 100.0, 200.0, 200.0))

    assert wavering.changes == ()
    assert [(one.job, one.segments, one.reason) for one in wavering.plan.assignments] == [
        ("job", ((4, 6),), "CleanerSlotAhead")
    ]


def test_a_real_gain_moves_the_job() -> None:
    job = after(waiting(), decided(waiting()).changes[0])

    moved = decided(job, day=(400.0, 400.0, 60.0, 60.0, 100.0, 100.0, 200.0, 200.0))

    assert [one.start for one in moved.changes] == [at(1)]


def test_only_the_job_that_gains_moves_and_the_other_keeps_its_place() -> None:
    """Both want 01:00 now; the held one keeps 02:00, for it would gain less than a percent."""
    workers = (make_worker(capacity=make_worker().capacity.model_copy(update={"cpus": 1})),)
    held = waiting("held", planned_start=at(2), pool="default", reason=WaitReason.CLEANER_SLOT_AHEAD)
    far = waiting("far", planned_start=at(3), pool="default", reason=WaitReason.CLEANER_SLOT_AHEAD)

    found = decided(held, far, day=(400.0, 400.0, 99.5, 99.5, 100.0, 100.0, 200.0, 200.0), workers=workers)

    assert [(one.job_id, one.start) for one in found.changes] == [("far", at(1))]


def test_the_plan_kept_holds_every_job_and_its_bound() -> None:
    held = waiting("held", planned_start=at(2), pool="default", reason=WaitReason.CLEANER_SLOT_AHEAD)

    found = decided(held, waiting("new"), day=(400.0, 400.0, 99.5, 99.5, 100.0, 100.0, 200.0, 200.0))

    assert sorted(one.job for one in found.plan.assignments) == ["held", "new"]
    assert found.plan.emissions_g == pytest.approx(19.95)
    assert found.plan.lower_bound_g == pytest.approx(19.9)
    assert {job.id for job in found.snapshot.jobs} == {"held", "new"}


def test_a_place_that_is_no_longer_free_is_left() -> None:
    running = waiting(
        "busy",
        state=JobState.RUNNING,
        started_at=at(1.5),
        worker_id="worker-1",
        requirement=FULL,
    )
    job = after(waiting(), decided(waiting()).changes[0])

    found = decided(job, now=1.6, running=(running,))

    assert [(one.start, one.reason) for one in found.changes] == [(at(2.5), WaitReason.CLEANER_SLOT_AHEAD)]


def test_jobs_that_are_due_are_not_touched() -> None:
    due = waiting("due", planned_start=at(0), pool="default", reason=WaitReason.STARTS_NOW)
    ready = waiting("ready", state=JobState.READY, planned_start=at(0), pool="default")

    assert decided(due, ready, now=0.2).changes == ()


def test_a_due_job_whose_pool_is_gone_may_run_anywhere() -> None:
    ready = waiting("ready", state=JobState.READY, planned_start=at(0), pool="retired")

    assert [(one.job_id, one.start, one.pool) for one in decided(ready, now=0.2).changes] == [
        ("ready", at(0), "default")
    ]


READY: dict[str, Any] = {"state": JobState.READY, "planned_start": at(0), "pool": "default"}


def test_a_ready_job_without_room_is_told_why_once_and_when_that_is_over() -> None:
    busy = waiting("busy", state=JobState.RUNNING, started_at=at(0), worker_id="worker-1", requirement=FULL)

    (told,) = decided(waiting(**READY), now=0.2, running=(busy,)).changes
    knows = waiting(**READY, reason=told.reason, reason_detail=told.detail)

    assert (told.start, told.reason, told.detail) == (
        at(0),
        WaitReason.NO_FREE_CAPACITY,
        "the machines that could run it are taken: expected to start Mon 5 Jan 01:00 UTC",
    )
    assert decided(knows, now=0.3, running=(busy,)).changes == ()
    assert [one.reason for one in decided(knows, now=0.3).changes] == [WaitReason.STARTS_NOW]


@pytest.mark.parametrize("state", [JobState.READY, JobState.SCHEDULED])
def test_a_due_job_that_no_worker_could_run_is_told_so(state: JobState) -> None:
    due = waiting(**(READY | {"state": state, "pool": None}))

    (told,) = decided(due, now=0.2, workers=()).changes

    assert (told.reason, told.detail) == (
        WaitReason.NO_WORKER,
        "no known worker could run it: it starts as soon as one is there",
    )


def test_once_a_forecast_is_there_a_job_that_was_planned_without_is_planned_anew() -> None:
    job = waiting(planned_start=at(1), pool="default", reason=WaitReason.NO_FORECAST)

    assert [one.start for one in decided(job, now=0.5).changes] == [at(2)]


def test_the_planners_time_is_the_timers() -> None:
    ticks = iter((10.0, 12.5))
    scene = Scene(now=at(0), default_zone="FR")

    assert decide(scene, FirstComePlanner(), timer=lambda: next(ticks)).plan.solve_s == 2.5
