"""What a job would do if it were submitted now: its tasks, their starts, and what that emits. Pure; grid time."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from carbonq.domain.energy import PowerProfile
from carbonq.domain.job import Job, JobState
from carbonq.domain.ports import PlannedStart, Planner
from carbonq.domain.quote import Alternative, Quote
from carbonq.domain.spec import CarbonPolicy, JobSpec, OnMiss
from carbonq.domain.units import format_duration, known_sum
from carbonq.scheduler.bundles import DEFAULT_MARGIN, Margin, Scene, latest_safe_start, slots_of
from carbonq.scheduler.deciding import Run, runs, told
from carbonq.scheduler.emissions import expected_band_g, expected_g
from carbonq.scheduler.planner.room import Room
from carbonq.scheduler.snapshot import Draft, Placement, frame, placements

ALTERNATIVES = 3


class Quoted(NamedTuple):
    """The answer for a person, and the jobs as they are to be submitted: planned, with what starting at once would emit."""

    quote: Quote
    jobs: list[Job]
    starts: list[PlannedStart]


def make_jobs(
    spec: JobSpec,
    profile: PowerProfile,
    *,
    submitted_at: datetime,
    job_id: str,
    spec_sha256: str = "",
    folder: str = "",
    submitter: str = "",
    margin: Margin = DEFAULT_MARGIN,
) -> list[Job]:
    """One Job a task, ids `job_id`, or `job_id.0`, `job_id.1`, … for an array. Nothing is planned yet."""
    deadline = _moment(spec.deadline, submitted_at)
    not_before = _moment(spec.not_before, submitted_at) if spec.not_before is not None else None
    first = Job(
        id=job_id,
        name=spec.name,
        project=spec.project,
        labels=spec.labels,
        spec_sha256=spec_sha256,
        submitter=submitter,
        folder=folder,
        submitted_at=submitted_at,
        deadline=deadline,
        not_before=not_before,
        latest_start=_latest_start(spec, submitted_at, not_before, latest_safe_start(deadline, profile, margin)),
        requirement=spec.requirement,
        profile=profile,
        priority=spec.priority,
        needs=spec.needs,
        max_attempts=spec.retry.max_attempts,
        retry_on=spec.retry.outcomes,
        drop_when_late=spec.on_miss is OnMiss.DROP,
    )
    if spec.array is None:
        return [first]
    return [
        first.model_copy(update={"id": f"{job_id}.{index}", "array_id": job_id, "array_index": index})
        for index in range(spec.array.count)
    ]


def quote(jobs: Sequence[Job], scene: Scene, planner: Planner) -> Quoted:
    """Place the new jobs around what already runs and waits. `jobs` come from `make_jobs`; the scene does not hold them.

    A quote that is not feasible says when the job could be done at the earliest: the caller raises Infeasible.
    """
    planned, at_once = _place(jobs, scene, planner), _place(jobs, scene, planner, hurry=True)
    starts = {start.job_id: start for found, its_runs in planned.found for start in told(scene, found, its_runs)}
    expected, immediate = planned.runs_of(jobs), at_once.runs_of(jobs)
    ordered = [starts[job.id] for job in jobs]
    placed = [_with_plan(*row) for row in zip(jobs, ordered, immediate, strict=True)]
    by_start = sorted(expected, key=lambda run: run.start)
    return Quoted(_quote(scene, planned, by_start, immediate, starts[by_start[0].job.id]), placed, ordered)


class _Placed(NamedTuple):
    draft: Draft
    found: list[tuple[Placement, list[Run]]]  # of the bundles that hold new jobs

    def runs_of(self, jobs: Sequence[Job]) -> list[Run]:
        by_id = {run.job.id: run for _, its_runs in self.found for run in its_runs}
        return [by_id[job.id] for job in jobs]


def _place(jobs: Sequence[Job], scene: Scene, planner: Planner, *, hurry: bool = False) -> _Placed:
    """Where the new jobs land when everything that is planned already stays where it is; `hurry`: as soon as possible."""
    new = {job.id for job in jobs}
    hold = {job.id for job in scene.waiting}
    draft = frame(replace(scene, waiting=(*scene.waiting, *jobs)), hold, new if hurry else ())
    everything = placements(draft, planner.plan(draft.snapshot))
    ours = [placement for placement in everything if any(job.id in new for job in placement.bundle.jobs)]
    return _Placed(draft, [(placement, list(runs(scene, placement))) for placement in ours])


def _with_plan(job: Job, start: PlannedStart, immediate: Run) -> Job:
    return job.model_copy(
        update={
            "state": JobState.PENDING if job.needs else JobState.SCHEDULED,
            "reason": start.reason,
            "reason_detail": start.detail,
            "planned_start": start.start,
            "planned_end": start.end,
            "pool": start.pool,
            "planned_emissions_g": start.emissions_g,
            "immediate_emissions_g": immediate.emissions_g,
        }
    )


def _quote(
    scene: Scene, placed: _Placed, expected: Sequence[Run], immediate: Sequence[Run], start: PlannedStart
) -> Quote:
    """`expected` by start: what is said of an array as a whole, such as why it starts then, is of the task that starts first."""
    job, placement = expected[0].job, expected[0].placement
    zone = placement.bundle.pools[0].zone if placement.pool is None else placement.pool.zone
    forecast = scene.forecasts.get(zone)
    ends = max(run.end for run in expected)
    low_g, high_g = _band(scene, expected)
    now_low_g, now_high_g = _band(scene, immediate)
    finish = max(run.end for run in immediate)
    return Quote(
        name=job.name,
        tasks=len(expected),
        feasible=job.earliest_start + timedelta(seconds=_shortest_s(job.profile)) <= job.deadline,
        zone=zone,
        pool=start.pool,
        submitted_at=job.submitted_at,
        planned_start=expected[0].start,
        planned_end=ends,
        latest_start=job.latest_start,
        deadline=job.deadline,
        slack_s=(job.deadline - ends).total_seconds(),
        earliest_finish=finish,
        profile=job.profile,
        energy_j=job.profile.energy_j * len(expected),
        emissions_now_g=known_sum(run.emissions_g for run in immediate),
        emissions_now_low_g=now_low_g,
        emissions_now_high_g=now_high_g,
        emissions_planned_g=known_sum(run.emissions_g for run in expected),
        emissions_planned_low_g=low_g,
        emissions_planned_high_g=high_g,
        unforeseen_tasks=max(sum(run.emissions_g is None for run in them) for them in (expected, immediate)),
        reason=start.reason,
        detail=start.detail,
        source=forecast.source if forecast else "",
        origin=forecast.origin if forecast else None,
        attribution=forecast.attribution if forecast else "",
        forecast_age_s=(scene.now - forecast.issued_at).total_seconds() if forecast else None,
        alternatives=tuple(_alternatives(scene, placed, expected)),
        warnings=tuple(_warnings(expected)),
    )


def _warnings(expected: Sequence[Run]) -> Iterator[str]:
    job = expected[0].job
    duration_s = job.profile.duration_s.p50
    late = sum(run.end > run.job.deadline for run in expected)
    if job.earliest_start + timedelta(seconds=duration_s) > job.deadline:
        yield (
            f"it is expected to run {format_duration(duration_s)} ({job.profile.duration_method}) and then misses its "
            "deadline; give `duration:` if you know better"
        )
    elif late:
        what = "it ends" if len(expected) == 1 else f"{late:,} of {len(expected):,} tasks end"
        yield f"{what} after the deadline on the machines that are known now"
    if all(pool.label is None for pool in expected[0].placement.bundle.pools):
        yield "no known worker could run it; planned as if there were room for all of it"


def _band(scene: Scene, expected: Sequence[Run]) -> tuple[float | None, float | None]:
    """Grams were the intensity at the forecast's outermost quantiles throughout: wider than any single day will be."""
    known: dict[tuple[str | None, datetime], tuple[float | None, float | None]] = {}
    for run in expected:
        zone = run.placement.pool.zone if run.placement.pool else None
        if (zone, run.start) not in known:
            forecast = scene.forecasts.get(zone) if zone else None
            known[zone, run.start] = expected_band_g(forecast, run.start, run.end, run.job.profile.energy_j)
    bands = [known[run.placement.pool.zone if run.placement.pool else None, run.start] for run in expected]
    return known_sum(low for low, _ in bands), known_sum(high for _, high in bands)


def _alternatives(scene: Scene, placed: _Placed, expected: Sequence[Run]) -> Iterator[Alternative]:
    """The next best starts with room for all tasks at once, well apart from the planned one and from each other."""
    taken = [run.start for run in expected[:1]]
    apart = max(timedelta(seconds=scene.slot_s), placed.found[0][0].bundle.span / 2)
    for option in sorted(_options(scene, placed, expected), key=lambda option: (option.emissions_g, option.start)):
        if all(abs(option.start - start) >= apart for start in taken):
            taken.append(option.start)
            yield option
        if len(taken) > ALTERNATIVES:
            return


def _options(scene: Scene, placed: _Placed, expected: Sequence[Run]) -> Iterator[Alternative]:
    grid, snapshot = placed.draft.grid, placed.draft.snapshot
    bundle = placed.found[0][0].bundle
    room = Room.left_by(snapshot.pools, grid.slots)
    open_pools = {pool.name for pool in snapshot.pools}
    units, length = bundle.need.units * len(placed.found), slots_of(bundle.span.total_seconds(), grid)
    energy_j = bundle.profile.energy_j * len(expected)
    for pool in bundle.pools if bundle.at_once is None else ():
        for slot in range(max(0, grid.index(bundle.earliest)), grid.slots):
            start = max(grid.at(slot), bundle.earliest)
            if start > expected[0].job.latest_start:
                break
            grams = expected_g(scene.forecasts.get(pool.zone), start, start + bundle.span, energy_j)
            if grams is not None and pool.name in open_pools and room.fits(pool.name, slot, slot + length, units):
                yield Alternative(start=start, end=start + bundle.span, emissions_g=grams)


def _shortest_s(profile: PowerProfile) -> float:
    """How long it takes at the least, as far as one may refuse a job for it: a guess counts with its low end."""
    return profile.duration_s.p50 if profile.duration_method == "declared" else profile.duration_s.p10


def _latest_start(spec: JobSpec, submitted_at: datetime, not_before: datetime | None, latest: datetime) -> datetime:
    """The latest safe start, sooner where the user allows less delay: so a worker keeps to it without the scheduler."""
    earliest = max(submitted_at, not_before or submitted_at)
    if spec.carbon.max_delay is not None:
        latest = min(latest, submitted_at + timedelta(seconds=spec.carbon.max_delay))
    return earliest if spec.carbon.policy is CarbonPolicy.IMMEDIATE else max(earliest, latest)


def _moment(value: float | datetime, submitted_at: datetime) -> datetime:
    return value if isinstance(value, datetime) else submitted_at + timedelta(seconds=value)
