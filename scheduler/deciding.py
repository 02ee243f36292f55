"""The plan as it should stand now, and what that changes: jobs move only where it is worth it. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from carbonq.domain.job import Job, JobState, WaitReason
from carbonq.domain.plan import Assignment, Plan, PlanSnapshot
from carbonq.domain.ports import PlannedStart, Planner
from carbonq.domain.time import to_ms
from carbonq.scheduler.bundles import NO_ROOM, Scene, slots_of
from carbonq.scheduler.emissions import expected_g
from carbonq.scheduler.reasons import sentence
from carbonq.scheduler.snapshot import Draft, Placement, current_slot, frame, placements

MIN_GAIN_REL = 0.01
"""A job moves only for at least this share of its emissions: forecasts waver, and people read the plan."""


@dataclass(frozen=True)
class Decision:
    """A plan over all jobs that have a choice, and what the queue has to be told."""

    snapshot: PlanSnapshot
    plan: Plan
    starts: tuple[PlannedStart, ...]
    changes: tuple[PlannedStart, ...]


def decide(
    scene: Scene, planner: Planner, *, timer: Callable[[], float] = lambda: 0.0, min_gain_rel: float = MIN_GAIN_REL
) -> Decision:
    """Plan freely; then hold the jobs that would gain too little where they are, and plan the rest around them.

    `timer` gives monotonic seconds, for the plan's `solve_s`.
    """
    began_s = timer()
    draft = frame(scene)
    plan = planner.plan(draft.snapshot)
    placed = placements(draft, plan)
    hold, moves = _weigh(draft, plan, min_gain_rel)
    if hold and moves:
        calm = frame(scene, hold)
        rest = planner.plan(calm.snapshot)
        if (len(rest.unplaced), len(rest.late)) <= (len(plan.unplaced), len(plan.late)):
            placed = placements(calm, rest)
            plan = _joined(draft, plan, rest, placed)
    starts = tuple(start for placement in placed for start in planned_starts(scene, placement))
    jobs = {job.id: job for job in scene.waiting}
    changes = tuple(start for start in starts if _differs(jobs[start.job_id], start, scene.now))
    return Decision(draft.snapshot, plan.model_copy(update={"solve_s": timer() - began_s}), starts, changes)


class Run(NamedTuple):
    """When and where one job is expected to run, and what it then emits."""

    job: Job
    placement: Placement
    start: datetime
    end: datetime
    emissions_g: float | None


def runs(scene: Scene, placement: Placement) -> Iterator[Run]:
    """The jobs of a bundle, one after another."""
    bundle, length = placement.bundle, timedelta(seconds=placement.bundle.profile.duration_s.p50)
    forecast = scene.forecasts.get(placement.pool.zone) if placement.pool else None
    for index, job in enumerate(bundle.jobs):
        start = placement.start + index * length
        emissions_g = expected_g(forecast, start, start + length, bundle.profile.energy_j)
        yield Run(job, placement, start, start + length, emissions_g)


def planned_starts(scene: Scene, placement: Placement) -> Iterator[PlannedStart]:
    """What the queue keeps of a bundle's place: one start a job. All of a bundle are due together."""
    return told(scene, placement, runs(scene, placement))


def told(scene: Scene, placement: Placement, expected: Iterable[Run]) -> Iterator[PlannedStart]:
    """The runs of one placement as the queue keeps them."""
    detail = sentence(scene, placement)
    label = placement.pool.label if placement.pool else None
    for run in expected:
        due = _due(run, scene.now)
        yield PlannedStart(run.job.id, due, run.end, label, placement.reason, detail, run.emissions_g)


def _due(run: Run, now: datetime) -> datetime:
    """A job that is due stays due since when it was: else its start would creep along with every plan."""
    planned_start, placement = run.job.planned_start, run.placement
    if planned_start is None:
        return placement.due
    waits = placement.bundle.at_once is not None and planned_start <= now
    return planned_start if placement.held or waits else placement.due


def _weigh(draft: Draft, plan: Plan, min_gain_rel: float) -> tuple[set[str], bool]:
    """The bundles to hold where they are, and whether the plan moves any of them."""
    hold: set[str] = set()
    moves = False
    for assignment in plan.assignments:
        bundle = draft.open[assignment.job]
        current = current_slot(bundle, draft.grid)
        if current is None or bundle.jobs[0].reason in _MAKESHIFT:
            continue
        slot, pool = current
        now_g = _slot_grams(draft, assignment.job, slot, pool.name)
        stays = (slot, pool.name) == (assignment.segments[0][0], assignment.pool)
        if stays or (now_g is not None and now_g - assignment.emissions_g < min_gain_rel * abs(now_g)):
            hold.add(assignment.job)
            moves = moves or not stays
    return hold, moves


_MAKESHIFT = (WaitReason.NO_FORECAST, WaitReason.AWAITS_PLAN)


def _slot_grams(draft: Draft, job_id: str, slot: int, pool: str) -> float | None:
    """Grams in the plan's own arithmetic, whole slots at full power; None beyond the horizon."""
    bundle, snapshot = draft.open[job_id], draft.snapshot
    values = snapshot.intensity_g_per_kwh[draft.pools[pool].zone]
    end = slot + slots_of(bundle.span.total_seconds(), draft.grid)
    if slot < 0 or end > len(values):
        return None
    return bundle.profile.power_w.p50 / 1000 * snapshot.slot_minutes / 60 * sum(values[slot:end])


def _joined(draft: Draft, free: Plan, rest: Plan, placed: list[Placement]) -> Plan:
    """The plan of what moved together with what was held. The bound of the free plan holds for it as well."""
    held = tuple(_held_assignment(draft, placement) for placement in placed if placement.held)
    emissions_g = rest.emissions_g + sum(assignment.emissions_g for assignment in held)
    bound_g = None if rest.late or rest.unplaced else free.lower_bound_g
    gap = emissions_g / bound_g - 1 if bound_g and bound_g > 0 else None
    return rest.model_copy(
        update={
            "assignments": (*held, *rest.assignments),
            "emissions_g": emissions_g,
            "lower_bound_g": bound_g,
            "gap": gap,
        }
    )


def _held_assignment(draft: Draft, placement: Placement) -> Assignment:
    pool, slot, bundle = placement.pool, placement.slot, placement.bundle
    if pool is None or slot is None:
        raise AssertionError("a held job has its place")
    end = slot + slots_of(bundle.span.total_seconds(), draft.grid)
    grams = _slot_grams(draft, bundle.id, slot, pool.name) or 0.0
    return Assignment(
        job=bundle.id, pool=pool.name, segments=((slot, end),), emissions_g=grams, reason=placement.reason.value
    )


def _differs(job: Job, start: PlannedStart, now: datetime) -> bool:
    """Whether the queue has to be told. What is due stands in its line already: it moves only if its pool is gone, and
    says whether there is room for it."""
    if job.state is JobState.READY or (job.planned_start is not None and job.planned_start <= now):
        moves = job.pool is not None and start.pool != job.pool
        tells = start.reason in NO_ROOM or job.reason in NO_ROOM
        return moves or (tells and (start.reason, start.detail) != (job.reason, job.reason_detail))
    planned_ms = None if job.planned_start is None else to_ms(job.planned_start)
    return (planned_ms, job.pool, job.reason) != (to_ms(start.start), start.pool, start.reason)
