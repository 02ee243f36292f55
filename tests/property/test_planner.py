"""The first planner against brute force, over small worlds of every kind."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from carbonq.domain.plan import PlanJob, PlanSnapshot, PoolSnapshot
from carbonq.scheduler.planner.first_come import FirstComePlanner
from carbonq.testing import MIDNIGHT

SLOTS = 8
intensity = st.lists(st.integers(-50, 500).map(lambda tenths: tenths / 10), min_size=SLOTS, max_size=SLOTS).map(tuple)
busy = st.lists(st.tuples(st.integers(0, SLOTS - 1), st.integers(1, SLOTS), st.integers(0, 3)), max_size=3).map(tuple)


@st.composite
def plan_jobs(draw: st.DrawFn, job_id: str = "job") -> PlanJob:
    earliest = draw(st.integers(0, SLOTS - 1))
    return PlanJob(
        id=job_id,
        gpus=draw(st.integers(1, 3)),
        power_w=draw(st.sampled_from((0.0, 100.0, 2000.0))),
        duration_slots=draw(st.integers(1, 4)),
        earliest_slot=earliest,
        deadline_slot=draw(st.integers(earliest, SLOTS)),
        pools=draw(st.sampled_from((("a",), ("b",), ("a", "b"), ("b", "a")))),
    )


@st.composite
def snapshots(draw: st.DrawFn, most_jobs: int) -> PlanSnapshot:
    count = draw(st.integers(1, most_jobs))
    return PlanSnapshot(
        start=MIDNIGHT,
        horizon_slots=SLOTS,
        pools=tuple(
            PoolSnapshot(name=name, zone=zone, gpus=draw(st.integers(0, 4)), busy=draw(busy))
            for name, zone in (("a", "FR"), ("b", "DE"))
        ),
        intensity_g_per_kwh={zone: draw(intensity) for zone in ("FR", "DE")},
        jobs=tuple(draw(plan_jobs(f"job-{index}")) for index in range(count)),
    )


@given(snapshots(most_jobs=1))
def test_a_job_alone_gets_the_best_that_brute_force_finds(snapshot: PlanSnapshot) -> None:
    (job,) = snapshot.jobs
    plan = FirstComePlanner().plan(snapshot)
    options = [
        (max(0, start + job.duration_slots - job.deadline_slot), start, rank)
        for rank, start in _free_starts(snapshot, job)
    ]
    in_time = [_key(snapshot, job, start, rank) for late, start, rank in options if not late]

    expected = min(in_time)[1:] if in_time else min(options)[1:] if options else None
    found = [(one.segments[0][0], job.pools.index(one.pool)) for one in plan.assignments]

    assert found == ([expected] if expected else [])
    assert bool(plan.late) == bool(options and not in_time)


@settings(max_examples=200)
@given(snapshots(most_jobs=6))
def test_capacity_holds_and_every_job_is_accounted_for(snapshot: PlanSnapshot) -> None:
    plan = FirstComePlanner().plan(snapshot)
    free = {pool.name: _free(pool) for pool in snapshot.pools}
    jobs = {job.id: job for job in snapshot.jobs}

    for one in plan.assignments:
        for slot in range(*one.segments[0]):
            free[one.pool][slot] -= jobs[one.job].gpus
            assert free[one.pool][slot] >= 0
    assert sorted([*(one.job for one in plan.assignments), *plan.unplaced]) == sorted(jobs)


@settings(max_examples=200)
@given(snapshots(most_jobs=4))
def test_it_is_never_later_than_serving_everybody_at_once(snapshot: PlanSnapshot) -> None:
    """Whatever starting each job as early as possible, most urgent deadline first, gets done in time is not given up."""
    plan = FirstComePlanner().plan(snapshot)

    unplaced, lateness = _as_early_as_possible(snapshot)

    jobs = {job.id: job for job in snapshot.jobs}
    late = sum(max(0, one.segments[0][1] - jobs[one.job].deadline_slot) for one in plan.assignments)
    if (unplaced, lateness) == (0, 0):
        assert (plan.late, plan.unplaced) == ((), ())
    assert (len(plan.unplaced), late) <= (unplaced, lateness)


def _free(pool: PoolSnapshot) -> list[int]:
    taken = [sum(units for first, end, units in pool.busy if first <= slot < end) for slot in range(SLOTS)]
    return [max(0, pool.gpus - units) for units in taken]


def _free_starts(snapshot: PlanSnapshot, job: PlanJob) -> Iterator[tuple[int, int]]:
    pools = {pool.name: _free(pool) for pool in snapshot.pools}
    for rank, name in enumerate(job.pools):
        for start in range(job.earliest_slot, SLOTS - job.duration_slots + 1):
            if all(pools[name][slot] >= job.gpus for slot in range(start, start + job.duration_slots)):
                yield rank, start


def _key(snapshot: PlanSnapshot, job: PlanJob, start: int, rank: int) -> tuple[float, int, int]:
    zone = next(pool.zone for pool in snapshot.pools if pool.name == job.pools[rank])
    values = snapshot.intensity_g_per_kwh[zone][start : start + job.duration_slots]
    return (round(sum(round(10 * value) for value in values) * job.power_w), start, rank)


def _as_early_as_possible(snapshot: PlanSnapshot) -> tuple[int, int]:
    """Jobs left out and slots of lateness, by plain search."""
    pools = {pool.name: _free(pool) for pool in snapshot.pools}
    unplaced = lateness = 0
    for job in sorted(snapshot.jobs, key=lambda job: job.deadline_slot):
        spots = [
            (start, rank)
            for start in range(job.earliest_slot, SLOTS - job.duration_slots + 1)
            for rank, name in enumerate(job.pools)
            if min(pools[name][start : start + job.duration_slots]) >= job.gpus
        ]
        if not spots:
            unplaced += 1
            continue
        start, rank = spots[0]
        for slot in range(start, start + job.duration_slots):
            pools[job.pools[rank]][slot] -= job.gpus
        lateness += max(0, start + job.duration_slots - job.deadline_slot)
    return unplaced, lateness
