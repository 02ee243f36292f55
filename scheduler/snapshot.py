"""From the scene to the planner's snapshot, and from its plan back to starts. Pure; grid time."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from carbonq.domain.carbon import Zone
from carbonq.domain.job import WaitReason
from carbonq.domain.plan import Plan, PlanJob, PlanSnapshot, PoolSnapshot
from carbonq.domain.time import SlotGrid
from carbonq.scheduler.bundles import Bundle, Scene, bundles_of, expected_end, horizon_of, slots_of
from carbonq.scheduler.emissions import on_slots
from carbonq.scheduler.planner.room import Room
from carbonq.scheduler.pools import Pool


class Placement(NamedTuple):
    """Where a bundle landed. `start` is when it is expected to run, `due` from when a worker may take it."""

    bundle: Bundle
    pool: Pool | None
    slot: int | None  # None: no room within the horizon
    start: datetime
    due: datetime
    reason: WaitReason
    held: bool = False  # where it was planned before, on purpose


@dataclass(frozen=True)
class Draft:
    """A snapshot, and what is needed to read the plan made of it."""

    scene: Scene
    grid: SlotGrid
    snapshot: PlanSnapshot
    open: Mapping[str, Bundle]  # the bundles in the snapshot, by their PlanJob's id
    settled: tuple[Placement, ...]  # what was placed without the planner: jobs at once, and those held where they were
    pools: Mapping[str, Pool]


def frame(scene: Scene, hold: Collection[str] = (), hurry: Collection[str] = ()) -> Draft:
    """Cut the scene into slots. Ids of jobs: those in `hold` stay where they are planned if there is room; those in
    `hurry` have no choice but to start as soon as they can."""
    grid = horizon_of(scene)
    bundles, known = bundles_of(scene, grid, hurry)
    room = Room((_pool_snapshot(pool) for pool in known.values()), grid.slots)
    for job in scene.running:
        end = _slots_until(grid, expected_end(job, scene.now, scene.paces.get(job.id)))
        for pool in known.values():
            room.take(pool.name, 0, end, pool.held_by(job))
    settled = [_at_once(bundle, grid, room) for bundle in bundles if bundle.at_once]
    open_bundles: dict[str, Bundle] = {}
    for bundle in bundles:
        if bundle.at_once:
            continue
        held = _hold(bundle, grid, room) if bundle.id in hold else None
        if held:
            settled.append(held)
        else:
            open_bundles[bundle.id] = bundle
    pools = [pool for pool in known.values() if pool.zone in scene.forecasts]
    snapshot = PlanSnapshot(
        start=grid.start,
        slot_minutes=max(1, grid.slot_s // 60),
        horizon_slots=grid.slots,
        pools=tuple(_pool_snapshot(pool, room) for pool in pools),
        intensity_g_per_kwh={zone: on_slots(scene.forecasts[zone], "0.5", grid) for zone in _zones(pools)},
        intensity_quantiles={
            zone: {
                name: on_slots(scene.forecasts[zone], name, grid) for name in scene.forecasts[zone].quantiles_g_per_kwh
            }
            for zone in _zones(pools)
        },
        jobs=tuple(_plan_job(bundle, grid) for bundle in open_bundles.values()),
    )
    return Draft(scene, grid, snapshot, open_bundles, tuple(settled), known)


def placements(draft: Draft, plan: Plan) -> list[Placement]:
    """Every bundle's place: as the plan says, as settled before it, and none for what fits nowhere."""
    found = list(draft.settled)
    for assignment in plan.assignments:
        bundle, pool, slot = draft.open[assignment.job], draft.pools[assignment.pool], assignment.segments[0][0]
        start = max(draft.grid.at(slot), bundle.earliest)
        found.append(Placement(bundle, pool, slot, start, start, _reason(bundle, pool, assignment.reason)))
    for job_id in plan.unplaced:
        bundle = draft.open[job_id]
        start = max(bundle.earliest, draft.grid.end)
        found.append(Placement(bundle, None, None, start, bundle.earliest, no_room(bundle)))
    return found


def _reason(bundle: Bundle, pool: Pool, planner_says: str) -> WaitReason:
    if bundle.after_parents:
        return WaitReason.WAITS_FOR_PARENTS
    return WaitReason(planner_says) if pool.label else WaitReason.NO_WORKER


def no_room(bundle: Bundle) -> WaitReason:
    """Why a bundle finds no place: nobody could run it, or those who could are taken."""
    if all(pool.label is None for pool in bundle.pools):
        return WaitReason.NO_WORKER
    return WaitReason.NO_FREE_GPU if bundle.need.gpus else WaitReason.NO_FREE_CAPACITY


def _plan_job(bundle: Bundle, grid: SlotGrid) -> PlanJob:
    """The bundle in whole slots. A start in a slot is at its beginning, so the latest slot holds the latest safe start."""
    first = grid.index(bundle.earliest)
    length = slots_of(bundle.span.total_seconds(), grid)
    queued = timedelta(seconds=bundle.profile.duration_s.p50 * (len(bundle.jobs) - 1))
    latest = grid.index(bundle.jobs[0].latest_start - queued)
    return PlanJob(
        id=bundle.id,
        gpus=bundle.need.units,
        power_w=bundle.profile.power_w.p50,
        duration_slots=length,
        earliest_slot=first,
        deadline_slot=min(latest + length, grid.slots),
        pools=tuple(pool.name for pool in bundle.pools),
    )


def _at_once(bundle: Bundle, grid: SlotGrid, room: Room) -> Placement:
    """The earliest room there is. It is due at once all the same: a worker may be free sooner than expected."""
    assert bundle.at_once is not None  # noqa: S101  # the caller's filter, for the type checker
    due = bundle.earliest
    first = grid.index(due)
    if first >= grid.slots:
        return Placement(bundle, bundle.pools[0], None, due, due, bundle.at_once)
    length = max(1, min(_slots_until(grid, due + bundle.span), grid.slots) - first)
    names = tuple(pool.name for pool in bundle.pools)
    found = room.first_fit(names, first, length, bundle.need.units)
    if found is None or found[0] > first:  # from a slot's beginning it may take a slot less
        length = slots_of(bundle.span.total_seconds(), grid)
        found = room.first_fit(names, first + 1, length, bundle.need.units)
    if found is None:
        return Placement(bundle, None, None, grid.end, due, no_room(bundle))
    slot, name = found
    room.take(name, slot, slot + length, bundle.need.units)
    pool = next(pool for pool in bundle.pools if pool.name == name)
    waits = slot > first or pool.label is None
    return Placement(bundle, pool, slot, max(due, grid.at(slot)), due, no_room(bundle) if waits else bundle.at_once)


def _hold(bundle: Bundle, grid: SlotGrid, room: Room) -> Placement | None:
    """The bundle where it was planned before, or None where that is no longer possible."""
    job = bundle.jobs[0]
    current = current_slot(bundle, grid)
    if current is None or job.planned_start is None:
        return None
    slot, pool = current
    end = slot + slots_of(bundle.span.total_seconds(), grid)
    if not room.fits(pool.name, slot, end, bundle.need.units):
        return None
    room.take(pool.name, slot, end, bundle.need.units)
    reason = job.reason or WaitReason.CLEANER_SLOT_AHEAD
    return Placement(bundle, pool, slot, job.planned_start, job.planned_start, reason, held=True)


def current_slot(bundle: Bundle, grid: SlotGrid) -> tuple[int, Pool] | None:
    """Where the bundle stands planned, if it may still run there."""
    job = bundle.jobs[0]
    if job.planned_start is None or not bundle.earliest <= job.planned_start <= job.latest_start:
        return None
    pool = next((pool for pool in bundle.pools if pool.label == job.pool), None)
    return (grid.index(job.planned_start), pool) if pool else None


def _pool_snapshot(pool: Pool, room: Room | None = None) -> PoolSnapshot:
    return PoolSnapshot(name=pool.name, zone=pool.zone, gpus=pool.units, busy=room.busy(pool.name) if room else ())


def _slots_until(grid: SlotGrid, end: datetime) -> int:
    return max(0, math.ceil((end - grid.start).total_seconds() / grid.slot_s))


def _zones(pools: Iterable[Pool]) -> list[Zone]:
    return sorted({pool.zone for pool in pools})
