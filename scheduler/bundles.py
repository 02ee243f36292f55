"""The scene a plan is made for, and its waiting jobs in bundles that the planner moves as one. Pure; grid time."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from carbonq.domain.carbon import Forecast, Zone
from carbonq.domain.energy import PowerProfile
from carbonq.domain.job import Job, JobState, Requirement, WaitReason, WorkerInfo
from carbonq.domain.progress import Pace
from carbonq.domain.time import DEFAULT_SLOT_S, SlotGrid, floor_to
from carbonq.scheduler.pools import Pool, assumed_pool, pools_of

HORIZON_S = 7 * 86_400


class Margin(NamedTuple):
    """The reserve that a latest safe start keeps: a share of the duration, and the least of it."""

    rel: float = 0.05
    min_s: float = 60.0


DEFAULT_MARGIN = Margin()


def latest_safe_start(deadline: datetime, profile: PowerProfile, margin: Margin = DEFAULT_MARGIN) -> datetime:
    """The last moment to start and still be done in time: room for the 90 % duration and the margin."""
    long_s = profile.duration_s.p90
    return deadline - timedelta(seconds=long_s + max(margin.min_s, margin.rel * long_s))


@dataclass(frozen=True)
class Scene:
    """All that a plan depends on, before it is cut into slots. `waiting` and `running` in the order of submission."""

    now: datetime
    default_zone: Zone
    waiting: tuple[Job, ...] = ()
    running: tuple[Job, ...] = ()
    workers: tuple[WorkerInfo, ...] = ()
    forecasts: Mapping[Zone, Forecast] = field(default_factory=dict[Zone, Forecast])
    paces: Mapping[str, Pace] = field(default_factory=dict[str, Pace])  # of running jobs that told enough of themselves
    slot_s: int = DEFAULT_SLOT_S
    horizon_s: int = HORIZON_S
    margin: Margin = DEFAULT_MARGIN


class Bundle(NamedTuple):
    """Identical jobs that run one after another within one slot; a job of more than half a slot is alone."""

    jobs: tuple[Job, ...]
    earliest: datetime
    pools: tuple[Pool, ...]
    at_once: WaitReason | None  # why it is not for the planner to place; None where it is
    after_parents: bool = False  # some of the jobs that it needs are still under way

    @property
    def id(self) -> str:
        return self.jobs[0].id

    @property
    def need(self) -> Requirement:
        return self.jobs[0].requirement

    @property
    def profile(self) -> PowerProfile:
        return self.jobs[0].profile

    @property
    def span(self) -> timedelta:
        return timedelta(seconds=self.profile.duration_s.p50 * len(self.jobs))


def horizon_of(scene: Scene) -> SlotGrid:
    """Slots from the current one on, as far as every forecast reaches, at most the scene's horizon."""
    start = floor_to(scene.now, scene.slot_s)
    reach_s = [(forecast.grid.end - start).total_seconds() for forecast in scene.forecasts.values()]
    slots = int(min([scene.horizon_s, *reach_s]) // scene.slot_s)
    return SlotGrid(start=start, slot_s=scene.slot_s, slots=max(1, slots))


def expected_end(job: Job, now: datetime, pace: Pace | None = None) -> datetime:
    """When a running job is expected to be done: by its measured pace where it has one, else by its median duration, else
    its long one, else any moment now."""
    if pace is not None:
        return pace.end(now)
    start = job.started_at or now
    for duration_s in (job.profile.duration_s.p50, job.profile.duration_s.p90):
        if (end := start + timedelta(seconds=duration_s)) > now:
            return end
    return now


class _Key(NamedTuple):
    """What makes jobs interchangeable for the plan. The present place is part of it, so that bundles stay together."""

    requirement: Requirement
    power_w: float
    duration_s: float
    earliest: datetime
    latest_start: datetime
    due: bool
    planned_start: datetime | None
    pool: str | None
    needs: tuple[str, ...]  # those still under way
    priority: int


def bundles_of(scene: Scene, grid: SlotGrid, hurry: Collection[str] = ()) -> tuple[list[Bundle], dict[str, Pool]]:
    """All waiting jobs as bundles, most urgent priority first, and the pools there are for them."""
    ends = _ends(scene)
    alike: dict[_Key, list[Job]] = defaultdict(list)
    for job in sorted(scene.waiting, key=lambda job: -job.priority):
        alike[_key(job, scene.now, ends, job.id in hurry)].append(job)
    known = {pool.name: pool for pool in pools_of(scene.workers)}
    homes = _homes(alike, known, scene)
    bundles: list[Bundle] = []
    for key, jobs in alike.items():
        pools = homes[key.requirement]
        foreseen = tuple(pool for pool in pools if pool.zone in scene.forecasts)
        at_once = _why_at_once(key, jobs[0], foreseen, scene, grid)
        usable = (_own(pools, key) if key.due else pools) if at_once else foreseen
        size = _queue_length(key, len(jobs), usable, grid) if at_once else _bundle_size(key, grid)
        bundles += (Bundle(members, key.earliest, usable, at_once, bool(key.needs)) for members in _chunks(jobs, size))
    return bundles, known | {pool.name: pool for pools in homes.values() for pool in pools}


def _key(job: Job, now: datetime, ends: Mapping[str, datetime], hurry: bool) -> _Key:
    profile = job.profile
    parents = tuple(parent for parent in job.needs if parent in ends)
    earliest = max(now, job.not_before or now, *(ends[parent] for parent in parents))
    return _Key(
        requirement=job.requirement,
        power_w=profile.power_w.p50,
        duration_s=profile.duration_s.p50,
        earliest=earliest,
        latest_start=min(earliest, job.latest_start) if hurry else job.latest_start,
        due=job.state is JobState.READY or (job.planned_start is not None and job.planned_start <= now),
        planned_start=job.planned_start,
        pool=job.pool,
        needs=parents,
        priority=job.priority,
    )


def _ends(scene: Scene) -> dict[str, datetime]:
    """When each job that others wait for is expected to end; an array ends with its last task. What is over is absent."""
    wanted = {parent for job in scene.waiting for parent in job.needs}
    ends: dict[str, datetime] = {}
    for job in (*scene.running, *scene.waiting) if wanted else ():
        names = {job.id, job.array_id} & wanted
        for name in names:
            end = _end_of_parent(job, scene)
            ends[str(name)] = max(ends.get(str(name), end), end)
    return ends


def _end_of_parent(job: Job, scene: Scene) -> datetime:
    if job.state in (JobState.RUNNING, JobState.SUSPENDED):
        return expected_end(job, scene.now, scene.paces.get(job.id))
    start = max(scene.now, job.planned_start or job.not_before or scene.now)
    return start + timedelta(seconds=job.profile.duration_s.p50)


def _homes(
    alike: Mapping[_Key, list[Job]], known: Mapping[str, Pool], scene: Scene
) -> dict[Requirement, tuple[Pool, ...]]:
    """The pools in which each requirement can be met; assumed ones for what no known worker could run."""
    by_need: dict[Requirement, list[Job]] = defaultdict(list)
    for key, jobs in alike.items():
        by_need[key.requirement] += jobs
    homes = {need: tuple(pool for pool in known.values() if pool.fits(need)) for need in by_need}
    homeless: dict[Zone, list[Job]] = defaultdict(list)
    for need, jobs in by_need.items():
        for zone in () if homes[need] else need.zones or (scene.default_zone,):
            homeless[zone] += jobs
    assumed = {zone: assumed_pool(zone, jobs) for zone, jobs in homeless.items()}
    return {
        need: pools or tuple(assumed[zone] for zone in need.zones or (scene.default_zone,))
        for need, pools in homes.items()
    }


def _own(pools: tuple[Pool, ...], key: _Key) -> tuple[Pool, ...]:
    """A job that is due waits in the line of its planned pool, as long as that is there."""
    return tuple(pool for pool in pools if pool.label == key.pool) or pools


def _bundle_size(key: _Key, grid: SlotGrid) -> int:
    """How many such jobs run one after another in a slot, the last of them still starting in time."""
    duration_s = max(key.duration_s, 1.0)
    slack_s = max(0.0, (key.latest_start - key.earliest).total_seconds())
    return max(1, int(min(grid.slot_s, slack_s + duration_s) // duration_s))


def _queue_length(key: _Key, jobs: int, pools: Collection[Pool], grid: SlotGrid) -> int:
    """How many such jobs run one after another in a slot where all start as soon as they can: side by side first."""
    side_by_side = max(1, sum(pool.units for pool in pools) // key.requirement.units)
    return max(1, min(math.ceil(jobs / side_by_side), int(grid.slot_s // max(key.duration_s, 1.0))))


def _why_at_once(key: _Key, job: Job, foreseen: Collection[Pool], scene: Scene, grid: SlotGrid) -> WaitReason | None:
    """Why this job is due as soon as it may start, whatever the forecast says; None where there is a choice."""
    if key.needs and key.earliest >= min(key.latest_start, grid.end):
        return WaitReason.WAITS_FOR_PARENTS
    if key.due:
        return job.reason if job.reason and job.reason not in NO_ROOM else WaitReason.STARTS_NOW
    if key.earliest >= key.latest_start:
        by_choice = key.latest_start < latest_safe_start(job.deadline, job.profile, scene.margin)
        if by_choice:
            return WaitReason.NOT_BEFORE if key.earliest > scene.now else WaitReason.STARTS_NOW
        return WaitReason.DEADLINE_FORCES_START
    if key.earliest >= grid.end:
        return WaitReason.NOT_BEFORE
    if not foreseen or grid.index(key.earliest) + slots_of(key.duration_s, grid) > grid.slots:
        return WaitReason.NO_FORECAST
    return None


NO_ROOM = (WaitReason.NO_WORKER, WaitReason.NO_FREE_GPU, WaitReason.NO_FREE_CAPACITY)


def slots_of(duration_s: float, grid: SlotGrid) -> int:
    return max(1, math.ceil(duration_s / grid.slot_s - 1e-9))


def _chunks(jobs: list[Job], size: int) -> Iterator[tuple[Job, ...]]:
    return (tuple(jobs[first : first + size]) for first in range(0, len(jobs), size))
