"""What a user is told before a job runs."""

import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from carbonq.domain.energy import PowerProfile, Quantity
from carbonq.domain.job import Capacity, Job, JobState, Requirement, WaitReason
from carbonq.domain.quote import Quote
from carbonq.domain.spec import JobSpec
from carbonq.scheduler.bundles import Margin, Scene
from carbonq.scheduler.planner.first_come import FirstComePlanner
from carbonq.scheduler.quoting import Quoted, make_jobs, quote
from carbonq.testing import MIDNIGHT, make_forecast, make_job, make_profile, make_worker

DAY = (400.0, 400.0, 300.0, 300.0, 100.0, 100.0, 200.0, 200.0, *[250.0] * 8)


def at(hours: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hours)


def spec(**fields: Any) -> JobSpec:
    return JobSpec.model_validate({"name": "train", "run": "true", "deadline": "6h", **fields})


def scene(now: float = 0, **fields: Any) -> Scene:
    defaults: dict[str, Any] = {"workers": (make_worker(),), "forecasts": {"FR": make_forecast(*DAY)}}
    return Scene(now=at(now), default_zone="FR", **(defaults | fields))


def jobs_of(found: Scene, *, profile: PowerProfile | None = None, **fields: Any) -> list[Job]:
    return make_jobs(spec(**fields), profile or make_profile(1000), submitted_at=found.now, job_id="j")


def quoted(found: Scene | None = None, **fields: Any) -> Quoted:
    found = found or scene()
    return quote(jobs_of(found, **fields), found, FirstComePlanner())


def answer(found: Scene | None = None, **fields: Any) -> Quote:
    return quoted(found, **fields).quote


# --- jobs


def test_a_spec_becomes_a_job_with_all_that_was_asked_for() -> None:
    (job,) = make_jobs(
        spec(
            project="vision",
            labels={"paper": "one"},
            resources={"cpus": 2},
            not_before="1h",
            retry={"max_attempts": 3, "on": ["failure"]},
            priority=7,
            on_miss="drop",
            needs=["data"],
        ),
        make_profile(),
        submitted_at=at(0),
        job_id="train-1",
        spec_sha256="f" * 64,
        folder="/lab",
        submitter="ada",
    )

    assert (job.id, job.name, job.project, job.labels) == ("train-1", "train", "vision", {"paper": "one"})
    assert (job.deadline, job.not_before, job.requirement) == (at(6), at(1), Requirement(cpus=2))
    assert (job.max_attempts, [one.value for one in job.retry_on], job.priority) == (3, ["failed"], 7)
    assert (job.drop_when_late, job.needs, job.folder, job.submitter) == (True, ("data",), "/lab", "ada")
    assert job.latest_start == at(6) - timedelta(seconds=3960 * 1.05)


def test_an_array_becomes_a_job_a_task() -> None:
    jobs = jobs_of(scene(), array={"values": {"LR": [1, 2], "SEED": [1, 2, 3]}})

    assert [(job.id, job.array_id, job.array_index) for job in jobs[:2]] == [("j.0", "j", 0), ("j.1", "j", 1)]
    assert len(jobs) == 6


def test_a_task_survives_the_trip_through_json() -> None:
    task = jobs_of(scene(), array=3)[2]

    assert Job.model_validate_json(task.model_dump_json()) == task


@pytest.mark.parametrize(
    ("fields", "latest"),
    [
        ({"carbon": {"policy": "immediate"}}, 0.5),
        ({"carbon": {"policy": "immediate"}, "not_before": "2h"}, 2.5),
        ({"carbon": {"max_delay": "90m"}}, 2.0),
        ({"deadline": "1h"}, 0.5),
    ],
)
def test_the_latest_start_carries_what_the_user_allows(fields: dict[str, Any], latest: float) -> None:
    """So a worker keeps to it with the scheduler dead."""
    (job,) = jobs_of(scene(now=0.5), **fields)

    assert job.latest_start == at(latest)


def test_the_margin_can_be_set() -> None:
    (job,) = make_jobs(spec(), make_profile(), submitted_at=at(0), job_id="j", margin=Margin(rel=1.0, min_s=0))

    assert job.latest_start == at(6) - timedelta(seconds=2 * 3960)


# --- quotes


def test_a_quote_says_when_how_much_and_what_that_saves() -> None:
    found = answer()

    assert (found.planned_start, found.planned_end, found.slack_s) == (at(2), at(3), 3 * 3600)
    assert (found.emissions_now_g, found.emissions_planned_g, found.energy_j) == (400.0, 100.0, 3.6e6)
    assert (found.emissions_planned_low_g, found.emissions_planned_high_g) == (80.0, 120.0)
    assert (found.reason, found.detail) == (
        WaitReason.CLEANER_SLOT_AHEAD,
        "Mon 5 Jan 02:00 UTC: 75% less than now",
    )
    assert (found.feasible, found.earliest_finish, found.tasks, found.zone) == (True, at(1), 1, "FR")
    assert (found.source, found.forecast_age_s, found.warnings) == ("test", 0, ())


def test_part_slots_count_by_their_share() -> None:
    """45 minutes from 00:20: 40 at 400, 5 at 300 g/kWh."""
    found = answer(scene(now=1 / 3), profile=make_profile(1000, 2700), carbon={"policy": "immediate"})

    assert found.emissions_planned_g == pytest.approx((40 * 400 + 5 * 300) / 60)
    assert found.emissions_now_g == found.emissions_planned_g
    assert (found.reason, found.planned_start) == (WaitReason.STARTS_NOW, at(1 / 3))


def test_alternatives_are_the_next_best_starts_apart_from_each_other() -> None:
    found = answer()

    assert [(one.start, one.emissions_g) for one in found.alternatives] == [
        (at(2.5), 150.0),
        (at(1.5), 200.0),
        (at(3), 200.0),
    ]


def test_the_job_is_kept_as_it_was_quoted() -> None:
    found = quoted()
    (job,), (start,) = found.jobs, found.starts

    assert (job.state, job.planned_start, job.planned_end, job.pool) == (JobState.SCHEDULED, at(2), at(3), "default")
    assert (job.planned_emissions_g, job.immediate_emissions_g) == (100.0, 400.0)
    assert (start.job_id, start.start, start.reason) == ("j", at(2), WaitReason.CLEANER_SLOT_AHEAD)


def test_what_is_planned_already_keeps_its_place() -> None:
    """The cleanest hour is taken whole: the newcomer gets the next one."""
    holder = make_job(
        "holder",
        requirement=Requirement(cpus=4),
        planned_start=at(2),
        pool="default",
        latest_start=at(5),
        reason=WaitReason.CLEANER_SLOT_AHEAD,
    )

    assert answer(scene(waiting=(holder,))).planned_start == at(3)


def test_an_impossible_deadline_is_not_feasible_and_says_when_it_could_be_done() -> None:
    found = answer(deadline="30m")

    assert (found.feasible, found.earliest_finish, found.planned_start) == (False, at(1), at(0))


def test_not_before_may_make_a_deadline_impossible() -> None:
    found = answer(not_before="5h30m")

    assert (found.feasible, found.earliest_finish) == (False, at(6.5))


def test_a_deadline_that_just_fits_forces_the_start() -> None:
    found = answer(deadline="1h")

    assert (found.feasible, found.planned_start, found.slack_s) == (True, at(0), 0)
    assert found.reason is WaitReason.DEADLINE_FORCES_START


def test_a_guessed_duration_refuses_nobody_but_warns() -> None:
    guess = make_profile(1000).model_copy(
        update={"duration_method": "assumed", "duration_s": Quantity(p50=3600, p10=600, p90=7200)}
    )

    found = answer(deadline="30m", profile=guess)

    assert found.feasible
    assert found.warnings == (
        "it is expected to run 1h (assumed) and then misses its deadline; give `duration:` if you know better",
    )


def test_too_few_machines_for_an_array_is_a_warning_not_a_refusal() -> None:
    found = answer(array=40)

    assert found.feasible
    assert found.warnings == ("16 of 40 tasks end after the deadline on the machines that are known now",)


@pytest.mark.parametrize(
    ("tasks", "now", "end"),
    [
        (4, 0, 1 / 60),  # side by side
        (40, 0, 10 / 60),  # ten on each slot
        (240, 0, 1),  # 30 on each slot, twice
        (240, 0.25, 1.5),  # those that begin at 00:15 keep the second half hour too
    ],
)
def test_short_tasks_that_start_at_once_follow_one_another(tasks: int, now: float, end: float) -> None:
    found = answer(scene(now), array=tasks, profile=make_profile(1000, 60))

    assert found.earliest_finish == at(end)
    assert found.emissions_now_g is not None


def test_short_tasks_with_no_choice_are_planned_as_they_will_run() -> None:
    found = answer(array=40, profile=make_profile(1000, 60), carbon={"policy": "immediate"})

    assert (found.planned_start, found.planned_end) == (at(0), at(10 / 60))


def test_what_is_said_of_an_array_is_of_the_task_that_starts_first() -> None:
    """24 tasks fill every hour there is, the first of them the cleanest; the others reach beyond what is foreseen."""
    found = quoted(array=40)
    said = found.quote

    assert found.starts[0].start == at(2)
    assert (said.planned_start, said.reason) == (at(0), WaitReason.STARTS_NOW)
    assert said.detail == "no cleaner time is free before its latest safe start"
    assert (said.unforeseen_tasks, said.emissions_planned_g) == (8, None)


def test_an_array_is_quoted_as_a_whole() -> None:
    """Four CPU slots: the cleanest hour takes four tasks, the rest go round it."""
    found = answer(array=6)

    assert (found.tasks, found.energy_j, found.emissions_planned_g) == (6, 6 * 3.6e6, 4 * 100.0 + 2 * 200.0)
    assert (found.emissions_now_g, found.planned_start, found.planned_end) == (4 * 400.0 + 2 * 300.0, at(2), at(4))


def test_without_a_worker_the_quote_says_so() -> None:
    found = answer(scene(workers=()))

    assert (found.planned_start, found.pool, found.reason) == (at(2), None, WaitReason.NO_WORKER)
    assert found.warnings == ("no known worker could run it; planned as if there were room for all of it",)


def test_without_a_forecast_grams_are_unknown() -> None:
    found = answer(scene(forecasts={}))

    assert (found.planned_start, found.reason, found.origin) == (at(0), WaitReason.NO_FORECAST, None)
    assert (found.emissions_now_g, found.emissions_planned_g, found.forecast_age_s) == (None, None, None)
    assert found.alternatives == ()


def test_a_child_waits_for_its_parents_and_stays_pending() -> None:
    parent = make_job("data", planned_start=at(3), pool="default", latest_start=at(5))

    found = quoted(scene(waiting=(parent,)), needs=["data"])

    assert (found.quote.reason, found.quote.planned_start >= at(4)) == (WaitReason.WAITS_FOR_PARENTS, True)
    assert found.jobs[0].state is JobState.PENDING


@pytest.mark.parametrize(("duration_s", "cpus"), [(60, 64), (3600, 640)])
def test_ten_thousand_tasks_are_quoted_quickly(duration_s: float, cpus: int) -> None:
    week = tuple(float(200 + 100 * (slot % 48 > 20) + slot % 5) for slot in range(336))
    found = scene(workers=(make_worker(capacity=Capacity(cpus=cpus)),), forecasts={"FR": make_forecast(*week)})
    began = time.process_time()

    tasks = jobs_of(found, profile=make_profile(100, duration_s), array=10_000, deadline="6d")
    result = quote(tasks, found, FirstComePlanner())

    assert (result.quote.tasks, result.quote.warnings) == (10_000, ())
    assert time.process_time() - began < 2.0
