"""The first planner: what it chooses, why it says so, how fast, and that it agrees with a published optimum."""

import csv
import gzip
import time
from pathlib import Path
from typing import Any

import pytest

from carbonq.domain.plan import Plan, PlanJob, PlanSnapshot, PoolSnapshot
from carbonq.scheduler.planner.first_come import FirstComePlanner
from carbonq.testing import MIDNIGHT

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "carbon" / "oracle_savings_2022"


def plan_of(values: list[float], *jobs: PlanJob, gpus: int = 1, busy: tuple[tuple[int, int, int], ...] = ()) -> Plan:
    pool = PoolSnapshot(name="pool", zone="FR", gpus=gpus, busy=busy)
    snapshot = PlanSnapshot(
        start=MIDNIGHT,
        horizon_slots=len(values),
        pools=(pool,),
        intensity_g_per_kwh={"FR": tuple(values)},
        jobs=jobs,
    )
    return FirstComePlanner().plan(snapshot)


def job(job_id: str = "job", **fields: Any) -> PlanJob:
    defaults: dict[str, Any] = {
        "gpus": 1,
        "power_w": 1000.0,
        "duration_slots": 1,
        "earliest_slot": 0,
        "deadline_slot": 8,
        "pools": ("pool",),
    }
    return PlanJob(id=job_id, **(defaults | fields))


def places(plan: Plan) -> dict[str, tuple[int, int]]:
    return {assignment.job: assignment.segments[0] for assignment in plan.assignments}


def reasons(plan: Plan) -> dict[str, str]:
    return {assignment.job: assignment.reason for assignment in plan.assignments}


def test_a_job_alone_takes_the_cleanest_window() -> None:
    plan = plan_of([300, 200, 100, 120, 400, 50, 400, 400], job(duration_slots=2))

    assert places(plan) == {"job": (2, 4)}
    assert reasons(plan) == {"job": "CleanerSlotAhead"}
    assert (plan.emissions_g, plan.lower_bound_g, plan.gap) == (110.0, 110.0, 0.0)


def test_of_equally_clean_windows_the_earliest_is_taken() -> None:
    plan = plan_of([100.1, 100.2, 100.1, 100.2, 100.1, 100.2], job(duration_slots=2, deadline_slot=6))

    assert places(plan) == {"job": (0, 2)}
    assert reasons(plan) == {"job": "StartsNow"}


def test_a_job_that_draws_nothing_starts_at_once() -> None:
    assert places(plan_of([300, 100], job(power_w=0.0, deadline_slot=2))) == {"job": (0, 1)}


def test_negative_intensity_is_sought_out() -> None:
    plan = plan_of([10, -50, 20], job(deadline_slot=3))

    assert (places(plan), plan.emissions_g, plan.gap) == ({"job": (1, 2)}, -25.0, 0.0)


def test_a_job_without_slack_says_that_its_deadline_forces_it() -> None:
    plan = plan_of([300, 300, 10], job(duration_slots=2, deadline_slot=2))

    assert (places(plan), reasons(plan)) == ({"job": (0, 2)}, {"job": "DeadlineForcesStart"})


def test_a_busy_pool_is_waited_for_and_said_to_be_full() -> None:
    plan = plan_of([100, 100, 200], job(deadline_slot=3), busy=((0, 1, 1), (1, 2, 5)))

    assert (places(plan), reasons(plan)) == ({"job": (2, 3)}, {"job": "NoFreeCapacity"})


def test_the_job_whose_latest_start_comes_first_chooses_first() -> None:
    plan = plan_of([300, 100, 200], job("patient", deadline_slot=3), job("pressed", deadline_slot=2))

    assert places(plan) == {"patient": (2, 3), "pressed": (1, 2)}


def test_jobs_alike_are_served_in_the_order_of_the_snapshot() -> None:
    plan = plan_of([300, 100, 200, 250], *(job(name, deadline_slot=4) for name in "abc"))

    assert places(plan) == {"a": (1, 2), "b": (2, 3), "c": (3, 4)}


def test_the_cleaner_zone_is_chosen() -> None:
    pools = (PoolSnapshot(name="de", zone="DE", gpus=1), PoolSnapshot(name="fr", zone="FR", gpus=1))
    snapshot = PlanSnapshot(
        start=MIDNIGHT,
        horizon_slots=2,
        pools=pools,
        intensity_g_per_kwh={"DE": (400, 300), "FR": (60, 50)},
        jobs=(job("first", pools=("de", "fr"), deadline_slot=2), job("second", pools=("de", "fr"), deadline_slot=2)),
    )

    found = [(one.pool, one.segments) for one in FirstComePlanner().plan(snapshot).assignments]

    assert found == [("fr", ((1, 2),)), ("fr", ((0, 1),))]


def test_a_job_that_cannot_be_in_time_runs_as_early_as_it_can_and_is_called_late() -> None:
    plan = plan_of([100, 100, 100, 10], job(duration_slots=2, deadline_slot=2), busy=((0, 1, 1),))

    assert (places(plan), plan.late) == ({"job": (1, 3)}, ("job",))
    assert (plan.lower_bound_g, plan.gap, reasons(plan)) == (None, None, {"job": "NoFreeCapacity"})


def test_a_job_beyond_the_horizon_or_larger_than_its_pool_is_unplaced() -> None:
    long, large, lost = job("long", duration_slots=3), job("large", gpus=2), job("lost", pools=("gone",))

    assert plan_of([1, 1], long, large, lost).unplaced == ("long", "large", "lost")


def test_a_deadline_comes_before_somebody_elses_clean_hour() -> None:
    """In turn, the early job would take the only gap that the long one could use in time."""
    greedy = job("greedy", duration_slots=1, deadline_slot=3)
    long = job("long", duration_slots=3, deadline_slot=6)

    plan = plan_of([300, 300, 50, 300, 300, 300, 300], greedy, long, busy=((5, 7, 1),))

    assert (plan.late, plan.unplaced) == ((), ())
    assert places(plan) == {"greedy": (0, 1), "long": (1, 4)}


def test_an_interruptible_job_is_bounded_by_its_cleanest_slots() -> None:
    plan = plan_of([10, 100, 20], job(duration_slots=2, deadline_slot=3, interruptible=True))

    assert (places(plan), plan.lower_bound_g, plan.emissions_g) == ({"job": (0, 2)}, 15.0, 55.0)


def test_ten_thousand_tasks_alike_are_planned_within_a_second() -> None:
    values = [float(200 + 150 * ((slot % 48) > 24) + slot % 7) for slot in range(336)]
    tasks = [job(str(index), duration_slots=2, deadline_slot=330) for index in range(10_000)]

    began = time.process_time()
    plan = plan_of(values, *tasks, gpus=64)

    assert (len(plan.assignments), plan.late, time.process_time() - began < 1.0) == (10_000, (), True)


@pytest.mark.parametrize(("zone", "hours"), [("DE", 6), ("DE", 12), ("AU-SA", 6), ("AU-SA", 12)])
def test_the_optimum_of_a_job_alone_is_the_published_one(zone: str, hours: int) -> None:
    """EuroSys'24: the best contiguous window for a 1 kW job with a day of slack, for each hour of 2022."""
    if not PUBLISHED.is_dir():
        pytest.skip("the reference data lie beside the project's own folder, and are not part of it")
    values = [float(row["carbon_intensity_gco2_per_kwh"]) for row in _rows(f"{zone}_hourly")]
    published = _rows(f"{zone}_job{hours}h_slack24h")
    arrivals = range(0, len(published), 61)

    found = [_alone(values[hour : hour + hours + 24], hours) for hour in arrivals]

    assert found == pytest.approx([float(published[hour]["non_interruptible_g"]) for hour in arrivals], abs=0.02)
    assert len(found) > 140


def _alone(values: list[float], hours: int) -> float:
    snapshot = PlanSnapshot(
        start=MIDNIGHT,
        slot_minutes=60,
        horizon_slots=len(values),
        pools=(PoolSnapshot(name="pool", zone="X", gpus=1),),
        intensity_g_per_kwh={"X": tuple(values)},
        jobs=(job(duration_slots=hours, deadline_slot=len(values)),),
    )
    return FirstComePlanner().plan(snapshot).emissions_g


def _rows(name: str) -> list[dict[str, str]]:
    with gzip.open(PUBLISHED / f"{name}.csv.gz", "rt", newline="") as file:
        return list(csv.DictReader(file))
