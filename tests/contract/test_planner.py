"""What every planner promises, whatever its method."""

import random
from collections import defaultdict

import pytest

from carbonq.domain.plan import Plan, PlanJob, PlanSnapshot, PoolSnapshot
from carbonq.domain.ports import Planner
from carbonq.scheduler.planner.first_come import FirstComePlanner
from carbonq.testing import MIDNIGHT

SLOTS = 48


@pytest.fixture(params=[FirstComePlanner], ids=["first-come"])
def planner(request: pytest.FixtureRequest) -> Planner:
    found: Planner = request.param()
    return found


@pytest.fixture(params=range(6), ids=lambda seed: f"seed{seed}")
def snapshot(request: pytest.FixtureRequest) -> PlanSnapshot:
    return crowd(random.Random(request.param))


def crowd(rng: random.Random) -> PlanSnapshot:
    """Two pools in two zones, partly busy, and sixty jobs that do not all fit in time."""
    pools = tuple(
        PoolSnapshot(name=name, zone=zone, gpus=4, busy=((0, rng.randrange(1, 9), rng.randrange(1, 6)), (5, 7, 1)))
        for name, zone in (("a", "FR"), ("b", "DE"))
    )
    return PlanSnapshot(
        start=MIDNIGHT,
        horizon_slots=SLOTS,
        pools=pools,
        intensity_g_per_kwh={zone: tuple(rng.uniform(20, 500) for _ in range(SLOTS)) for zone in ("FR", "DE")},
        jobs=tuple(_job(f"job-{index}", rng) for index in range(60)),
    )


def _job(job_id: str, rng: random.Random) -> PlanJob:
    length, earliest = rng.randrange(1, 7), rng.randrange(30)
    return PlanJob(
        id=job_id,
        gpus=rng.choice((1, 1, 2, 4, 5)),
        power_w=rng.choice((0.0, 250.0, 700.0)),
        duration_slots=length,
        earliest_slot=earliest,
        deadline_slot=min(SLOTS, earliest + length + rng.randrange(20)),
        pools=rng.choice((("a",), ("b",), ("a", "b"), ("b", "a"), ("absent",))),
    )


def test_every_job_is_either_placed_or_named_as_unplaced(planner: Planner, snapshot: PlanSnapshot) -> None:
    plan = planner.plan(snapshot)

    named = sorted([*(assignment.job for assignment in plan.assignments), *plan.unplaced])

    assert named == sorted(job.id for job in snapshot.jobs)


def test_no_slot_holds_more_than_its_pool_has(planner: Planner, snapshot: PlanSnapshot) -> None:
    used = _used(snapshot, planner.plan(snapshot))
    room = {pool.name: [pool.gpus] * SLOTS for pool in snapshot.pools}
    for pool in snapshot.pools:
        for first, end, units in pool.busy:
            for slot in range(first, end):
                room[pool.name][slot] -= units

    overfull = [(pool, slot) for (pool, slot), units in used.items() if units > max(0, room[pool][slot])]

    assert overfull == []


def test_jobs_run_whole_in_a_pool_of_theirs_and_never_too_early(planner: Planner, snapshot: PlanSnapshot) -> None:
    jobs = {job.id: job for job in snapshot.jobs}

    for assignment in planner.plan(snapshot).assignments:
        job, ((first, end),) = jobs[assignment.job], assignment.segments
        assert (assignment.pool in job.pools, first >= job.earliest_slot, end - first) == (
            True,
            True,
            job.duration_slots,
        )


def test_late_names_exactly_the_jobs_that_end_after_their_deadline(planner: Planner, snapshot: PlanSnapshot) -> None:
    plan = planner.plan(snapshot)
    deadlines = {job.id: job.deadline_slot for job in snapshot.jobs}

    after = {one.job for one in plan.assignments if one.segments[-1][1] > deadlines[one.job]}

    assert set(plan.late) == after


def test_emissions_are_power_times_time_times_intensity(planner: Planner, snapshot: PlanSnapshot) -> None:
    plan = planner.plan(snapshot)
    jobs = {job.id: job for job in snapshot.jobs}
    zones = {pool.name: pool.zone for pool in snapshot.pools}

    by_hand = {
        one.job: sum(
            jobs[one.job].power_w / 1000 * 0.5 * snapshot.intensity_g_per_kwh[zones[one.pool]][slot]
            for first, end in one.segments
            for slot in range(first, end)
        )
        for one in plan.assignments
    }

    assert {one.job: one.emissions_g for one in plan.assignments} == pytest.approx(by_hand, abs=1e-5)
    assert plan.emissions_g == pytest.approx(sum(by_hand.values()), abs=1e-4)


def test_the_same_snapshot_gives_the_same_plan(planner: Planner, snapshot: PlanSnapshot) -> None:
    again = PlanSnapshot.model_validate_json(snapshot.model_dump_json())

    assert planner.plan(again) == planner.plan(snapshot)


def test_a_bound_stands_only_where_all_are_in_time_and_is_never_above_the_plan(
    planner: Planner, snapshot: PlanSnapshot
) -> None:
    for count in (1, 5, 60):
        plan = planner.plan(snapshot.model_copy(update={"jobs": snapshot.jobs[:count]}))
        if plan.late or plan.unplaced:
            assert (plan.lower_bound_g, plan.gap) == (None, None)
        elif plan.lower_bound_g is not None:
            assert plan.lower_bound_g <= plan.emissions_g + 1e-6


def test_nothing_to_plan_is_a_plan(planner: Planner, snapshot: PlanSnapshot) -> None:
    plan = planner.plan(snapshot.model_copy(update={"jobs": ()}))

    assert (plan.assignments, plan.emissions_g, plan.late, plan.unplaced) == ((), 0, (), ())


def _used(snapshot: PlanSnapshot, plan: Plan) -> dict[tuple[str, int], int]:
    units = {job.id: job.gpus for job in snapshot.jobs}
    used: dict[tuple[str, int], int] = defaultdict(int)
    for one in plan.assignments:
        for first, end in one.segments:
            for slot in range(first, end):
                used[one.pool, slot] += units[one.job]
    return used
