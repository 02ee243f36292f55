"""From jobs, workers and forecasts to the planner's snapshot."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from carbonq.domain.carbon import Forecast
from carbonq.domain.energy import Quantity
from carbonq.domain.job import Capacity, Job, JobState, Requirement, WaitReason, WorkerInfo
from carbonq.domain.plan import PlanJob
from carbonq.domain.progress import Pace
from carbonq.domain.time import SlotGrid
from carbonq.scheduler.bundles import Margin, Scene, latest_safe_start
from carbonq.scheduler.planner.first_come import FirstComePlanner
from carbonq.scheduler.pools import pools_of
from carbonq.scheduler.snapshot import Draft, Placement, frame, placements
from carbonq.testing import MIDNIGHT, make_forecast, make_job, make_profile, make_worker

HOURS_8 = (400.0, 400.0, 300.0, 300.0, 100.0, 100.0, 100.0, 100.0, *[200.0] * 8)
"""Sixteen half hours; cleanest from 02:00 to 04:00."""


def at(hours: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hours)


def waiting(job_id: str = "job", hours: float = 1.0, latest: float = 6.0, **fields: Any) -> Job:
    defaults: dict[str, Any] = {"latest_start": at(latest), "profile": make_profile(100, 3600 * hours)}
    return make_job(job_id, **(defaults | fields))


def scene(*jobs: Job, now: float = 0, forecast: Forecast | None = None, **fields: Any) -> Scene:
    forecasts = {"FR": forecast or make_forecast(*HOURS_8)}
    defaults: dict[str, Any] = {"waiting": jobs, "workers": (make_worker(),), "forecasts": forecasts}
    return Scene(now=at(now), default_zone="FR", **(defaults | fields))


def only_job(draft: Draft) -> PlanJob:
    (job,) = draft.snapshot.jobs
    return job


def placed(found: Scene) -> dict[str, Placement]:
    draft = frame(found)
    everything = placements(draft, FirstComePlanner().plan(draft.snapshot))
    return {placement.bundle.id: placement for placement in everything}


# --- the latest safe start


def test_the_latest_safe_start_leaves_room_for_a_long_run_and_a_margin() -> None:
    profile = make_profile().model_copy(update={"duration_s": Quantity(p10=3000, p50=3600, p90=7200)})

    assert latest_safe_start(at(10), profile) == at(10) - timedelta(seconds=7200 + 360)


def test_the_margin_is_at_least_a_minute_and_may_be_set() -> None:
    short = make_profile(duration_s=100).model_copy(update={"duration_s": Quantity(p10=90, p50=100, p90=100)})

    assert latest_safe_start(at(1), short) == at(1) - timedelta(seconds=160)
    assert latest_safe_start(at(1), short, Margin(rel=0.5, min_s=1)) == at(1) - timedelta(seconds=150)


# --- slots


def test_the_first_slot_is_the_current_one_partly_gone() -> None:
    draft = frame(scene(waiting(), now=0.7))

    assert (draft.snapshot.start, draft.snapshot.horizon_slots) == (at(0.5), 15)
    assert draft.snapshot.intensity_g_per_kwh["FR"] == HOURS_8[1:]
    assert draft.snapshot.intensity_quantiles["FR"]["0.9"][0] == 480.0


def test_a_start_in_the_current_slot_is_now() -> None:
    found = placed(scene(waiting(latest=0.8), now=0.7, forecast=make_forecast(*[100.0] * 16)))

    assert found["job"].start == at(0.7)


def test_a_job_ends_its_window_where_its_latest_safe_start_allows() -> None:
    job = only_job(frame(scene(waiting(hours=1.2, latest=3.1))))

    assert (job.duration_slots, job.earliest_slot, job.deadline_slot, job.power_w) == (3, 0, 9, 100.0)


def test_a_deadline_beyond_the_forecast_is_cut_to_it() -> None:
    assert only_job(frame(scene(waiting(latest=22)))).deadline_slot == 16


def test_not_before_is_kept_to_the_second() -> None:
    found = placed(scene(waiting(not_before=at(2.1), latest=2.4)))

    assert (found["job"].start, found["job"].slot) == (at(2.1), 4)


def test_a_forecast_on_another_grid_is_averaged_and_held() -> None:
    hourly = make_forecast(
        100, 200, grid=SlotGrid(start=at(0), slot_s=3600, slots=2), quantiles_g_per_kwh={"0.5": (100.0, 200.0)}
    )

    assert frame(scene(forecast=hourly)).snapshot.intensity_g_per_kwh == {"FR": (100, 100, 200, 200)}


def test_the_horizon_is_what_all_forecasts_reach() -> None:
    short = make_forecast(1.0, 2.0, 3.0, zone="DE")

    found = frame(scene(forecasts={"FR": make_forecast(*HOURS_8), "DE": short}))

    assert found.snapshot.horizon_slots == 3


# --- pools


def gpu_worker(worker_id: str, gpus: int, model: str = "A100", **fields: Any) -> WorkerInfo:
    return make_worker(worker_id, capacity=Capacity(gpus=gpus, gpu_model=model, cpus=8), **fields)


def test_workers_of_one_pool_add_up_and_gpus_are_counted_apart_from_cpus() -> None:
    found = pools_of((gpu_worker("a", 2), gpu_worker("b", 4), make_worker("c")))

    assert [(pool.name, pool.label, pool.units) for pool in found] == [
        ("default", "default", 6),
        ("default/cpu", "default", 20),
    ]


def test_zones_and_models_make_pools_of_their_own() -> None:
    found = pools_of((gpu_worker("a", 2), gpu_worker("b", 4, "H100"), make_worker("c", zone="DE")))

    assert [(pool.name, pool.zone, pool.units) for pool in found] == [
        ("default/DE", "DE", 4),
        ("default/FR/A100", "FR", 2),
        ("default/FR/H100", "FR", 4),
        ("default/FR/cpu", "FR", 16),
    ]


def test_a_job_goes_only_where_one_machine_can_hold_it() -> None:
    need = Requirement(gpus=4)
    workers = (gpu_worker("a", 2, pool="small"), gpu_worker("b", 2, pool="small"), gpu_worker("c", 4, pool="large"))

    job = only_job(frame(scene(waiting(requirement=need), workers=workers)))

    assert (job.pools, job.gpus) == (("large",), 4)


def test_running_jobs_hold_their_machines_until_their_expected_end() -> None:
    running = waiting(
        "busy",
        hours=1.6,
        state=JobState.RUNNING,
        started_at=at(-0.5),
        worker_id="worker-1",
        requirement=Requirement(cpus=3),
    )

    (pool,) = frame(scene(running=(running,))).snapshot.pools

    assert (pool.gpus, pool.busy) == (4, ((0, 3, 3),))


def test_a_measured_pace_says_when_a_running_job_ends_and_what_waits_for_it_may_start() -> None:
    """Foreseen were 1 h; by what it did since, 3 h are left from 01:00 on."""
    running = waiting(
        "busy", state=JobState.RUNNING, started_at=at(0), worker_id="worker-1", requirement=Requirement(cpus=4)
    )
    pace = Pace(
        at=at(1), done=25, total=100, rate_per_s=25 / 3600, steps=25, remaining_s=Quantity.around(3 * 3600, 0.1)
    )
    child = waiting("child", needs=("busy",), latest=7)

    foreseen, measured = (frame(scene(child, running=(running,), now=1, paces=known)) for known in ({}, {"busy": pace}))

    assert [draft.snapshot.pools[0].busy for draft in (foreseen, measured)] == [((0, 1, 4),), ((0, 6, 4),)]
    assert only_job(foreseen).earliest_slot == 0
    assert only_job(measured).earliest_slot == 6


def test_an_overdue_job_is_expected_to_end_by_its_long_duration_then_any_moment() -> None:
    """Its median of 1 h is over; the 90 % duration is 66 minutes."""
    running = waiting("busy", state=JobState.RUNNING, started_at=at(-1.02), worker_id="worker-1")

    assert frame(scene(running=(running,))).snapshot.pools[0].busy == ((0, 1, 1),)
    assert frame(scene(running=(running,), now=0.6)).snapshot.pools[0].busy == ((0, 1, 1),)


def test_a_gpu_job_holds_cpu_slots_of_its_machine_too() -> None:
    running = waiting(
        "busy", state=JobState.RUNNING, started_at=at(0), worker_id="a", requirement=Requirement(gpus=1, cpus=5)
    )

    found = frame(scene(workers=(gpu_worker("a", 2),), running=(running,)))

    assert {pool.name: pool.busy for pool in found.snapshot.pools} == {
        "default": ((0, 2, 1),),
        "default/cpu": ((0, 2, 5),),
    }


# --- jobs without a choice


def test_without_a_worker_a_job_is_planned_as_if_there_were_room() -> None:
    found = placed(scene(waiting(), waiting("other"), workers=()))

    assert {name: (one.start, one.reason, one.pool and one.pool.label) for name, one in found.items()} == {
        "job": (at(2), WaitReason.NO_WORKER, None),
        "other": (at(2), WaitReason.NO_WORKER, None),
    }


def test_a_job_that_no_known_machine_can_hold_is_planned_as_if_one_could() -> None:
    found = placed(scene(waiting(requirement=Requirement(cpus=64))))

    assert (found["job"].start, found["job"].reason) == (at(2), WaitReason.NO_WORKER)


def test_without_a_forecast_a_job_starts_at_once() -> None:
    found = placed(scene(waiting(), forecasts={}))

    assert (found["job"].start, found["job"].due, found["job"].reason) == (at(0), at(0), WaitReason.NO_FORECAST)


def test_a_job_longer_than_the_forecast_reaches_starts_at_once() -> None:
    found = placed(scene(waiting(hours=9, latest=20)))

    assert (found["job"].start, found["job"].reason) == (at(0), WaitReason.NO_FORECAST)


def test_past_its_latest_safe_start_a_job_is_due_whatever_the_forecast() -> None:
    job = waiting(hours=2, latest=0.4, deadline=at(2.7))

    found = placed(scene(job, now=0.5))

    assert (found["job"].due, found["job"].reason) == (at(0.5), WaitReason.DEADLINE_FORCES_START)


def test_a_job_whose_user_wants_it_at_once_is_not_said_to_be_forced() -> None:
    found = placed(scene(waiting(latest=0)))

    assert (found["job"].start, found["job"].reason) == (at(0), WaitReason.STARTS_NOW)


def test_jobs_at_once_queue_for_capacity_and_are_due_all_the_same() -> None:
    jobs = [waiting(f"job-{i}", latest=0, requirement=Requirement(cpus=4)) for i in range(3)]

    found = placed(scene(*jobs))

    assert [(one.start, one.due, one.reason) for one in found.values()] == [
        (at(0), at(0), WaitReason.STARTS_NOW),
        (at(1), at(0), WaitReason.NO_FREE_CAPACITY),
        (at(2), at(0), WaitReason.NO_FREE_CAPACITY),
    ]


def test_jobs_at_once_leave_the_rest_to_those_that_can_wait() -> None:
    at_once = waiting("now", hours=3, latest=0, requirement=Requirement(cpus=4))

    found = placed(scene(waiting("patient", latest=7), at_once))

    assert {name: one.start for name, one in found.items()} == {"now": at(0), "patient": at(3)}


def test_a_job_that_is_due_is_left_alone() -> None:
    due = waiting("due", planned_start=at(-0.2), pool="default", reason=WaitReason.CLEANER_SLOT_AHEAD)
    ready = waiting("ready", state=JobState.READY, planned_start=at(3), pool="default")

    found = placed(scene(due, ready))

    assert {name: (one.start, one.reason) for name, one in found.items()} == {
        "due": (at(0), WaitReason.CLEANER_SLOT_AHEAD),
        "ready": (at(0), WaitReason.STARTS_NOW),
    }


def test_a_child_is_planned_after_its_parents() -> None:
    parent = waiting("parent", hours=2, state=JobState.RUNNING, started_at=at(1), worker_id="worker-1")
    child = waiting("child", needs=("parent", "over"))

    found = placed(scene(child, now=1.5, running=(parent,)))

    assert (found["child"].start, found["child"].reason) == (at(3), WaitReason.WAITS_FOR_PARENTS)


def test_a_child_of_an_array_waits_for_its_last_task() -> None:
    tasks = [waiting(f"sweep.{i}", array_id="sweep", planned_start=at(i), reason=None) for i in (1, 2)]

    found = placed(scene(*tasks, waiting("child", needs=("sweep",))))

    assert found["child"].bundle.earliest == at(3)


def test_the_zones_that_a_job_names_are_the_ones_it_is_planned_in() -> None:
    workers = (make_worker("fr", pool="fr"), make_worker("de", pool="de", zone="DE"))
    forecasts = {"FR": make_forecast(*HOURS_8), "DE": make_forecast(*[900.0] * 16, zone="DE")}
    picky = waiting("picky", requirement=Requirement(zones=("DE",)))

    found = placed(scene(picky, waiting("free"), workers=workers, forecasts=forecasts))

    assert {name: one.pool and one.pool.zone for name, one in found.items()} == {"picky": "DE", "free": "FR"}


# --- many short jobs


def test_short_tasks_share_a_slot_one_after_another() -> None:
    tasks = [waiting(f"t.{i}", hours=0.2) for i in range(5)]

    found = frame(scene(*tasks))

    assert [(job.id, job.duration_slots) for job in found.snapshot.jobs] == [("t.0", 1), ("t.2", 1), ("t.4", 1)]
    assert [len(bundle.jobs) for bundle in found.open.values()] == [2, 2, 1]


def test_the_last_of_a_bundle_still_starts_in_time() -> None:
    tasks = [waiting(f"t.{i}", hours=0.1, latest=0.15) for i in range(4)]

    assert [len(bundle.jobs) for bundle in frame(scene(*tasks)).open.values()] == [2, 2]


def test_higher_priority_is_listed_first() -> None:
    found = frame(scene(waiting("low"), waiting("high", priority=5)))

    assert [job.id for job in found.snapshot.jobs] == ["high", "low"]


@pytest.mark.parametrize("hours", [-30, 0.2, 400])
def test_a_clock_that_jumped_leaves_a_plan(hours: float) -> None:
    """Behind its forecast, or far beyond it: jobs are placed or due, and nothing fails."""
    forecast = make_forecast(*HOURS_8)
    usable = {"FR": forecast} if forecast.grid.end > at(hours) else {}

    found = placed(scene(waiting(), now=hours, forecasts=usable))

    assert list(found) == ["job"]
