"""The first planner: each job in turn takes the cleanest window that is still free. Exact for a job alone."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from carbonq.domain.job import WaitReason
from carbonq.domain.plan import Assignment, Plan, PlanJob, PlanSnapshot
from carbonq.scheduler.planner.room import Room

METHOD = "first-come"
TIE_DIGITS = 6
"""Windows whose summed intensity differs by less than a millionth g/kWh are equally clean: the earlier one is taken."""

_Shape = tuple[int, int, int, int, tuple[str, ...]]


class Window(NamedTuple):
    """One way to place a job. Sorts by preference: in time before late, clean before dirty, early before late."""

    lateness: int
    cost: float  # sum of the slots' intensities, g/kWh; for a late window its lateness decides, not its cost
    start: int
    rank: int  # of its pool in the job's own list


class FirstComePlanner:
    """Jobs by their latest safe start, then in the snapshot's order; contiguous runs only.

    A job that cannot end by its deadline takes the earliest room there is and is listed as late. Where any is late, a
    few other orders are tried: late jobs first, and everything as early as possible; the least late plan wins.
    Reads no clock: `solve_s` is 0 and for the caller to fill in.
    """

    def __init__(self, rounds: int = 3) -> None:
        self._rounds = rounds

    def plan(self, snapshot: PlanSnapshot) -> Plan:
        return min(self._tries(_Windows(snapshot)), key=lambda draft: draft.badness).as_plan()

    def _tries(self, windows: "_Windows") -> Iterator["_Draft"]:
        jobs = sorted(windows.snapshot.jobs, key=lambda job: job.deadline_slot - job.duration_slots)
        pressing: set[str] = set()
        for _ in range(self._rounds):
            draft = _place(windows, jobs, early=False)
            yield draft
            delayed = {job.id for job in jobs if draft.is_delayed(job)}
            if not delayed - pressing:
                break
            pressing |= delayed
            jobs = sorted(jobs, key=lambda job: job.id not in pressing)
        if pressing:
            yield _place(windows, sorted(windows.snapshot.jobs, key=lambda job: job.deadline_slot), early=True)


class _Windows:
    """The windows of each shape of job, best first. Shared by all tries over one snapshot."""

    def __init__(self, snapshot: PlanSnapshot) -> None:
        self.snapshot = snapshot
        self._zones = {pool.name: pool.zone for pool in snapshot.pools}
        self._sums = {
            zone: list(accumulate(values, initial=0.0)) for zone, values in snapshot.intensity_g_per_kwh.items()
        }
        self._sorted: dict[_Shape, list[Window]] = {}

    def of(self, job: PlanJob) -> list[Window]:
        shape = shape_of(job)
        if shape not in self._sorted:
            self._sorted[shape] = sorted(self._all(job))
        return self._sorted[shape]

    def cost(self, pool: str, first: int, end: int) -> float:
        """Sum of the intensities of slots `[first, end)` in the pool's zone."""
        sums = self._sums[self._zones[pool]]
        return round(sums[end] - sums[first], TIE_DIGITS)

    def grams(self, job: PlanJob, cost: float) -> float:
        """What the job emits over slots of that summed intensity."""
        return job.power_w / 1000 * self.snapshot.slot_minutes / 60 * cost

    def at_best(self, job: PlanJob) -> float | None:
        """Grams below which this job cannot go by its deadline, were it alone; None where it cannot keep it."""
        pools = [pool for pool in job.pools if pool in self._zones]
        in_time = range(job.earliest_slot, min(job.deadline_slot, self.snapshot.horizon_slots))
        if not pools or len(in_time) < job.duration_slots:
            return None
        if not job.interruptible:
            best = self.of(job)[0]
            return self.grams(job, best.cost) if job.power_w else 0.0
        return self.grams(job, min(self._best_slots(job, pool, in_time) for pool in pools))

    def _best_slots(self, job: PlanJob, pool: str, in_time: range) -> float:
        """The cleanest slots, wherever they lie; slots below zero could be bought on top as resume slots."""
        values = self.snapshot.intensity_g_per_kwh[self._zones[pool]]
        slots = sorted(values[slot] for slot in in_time)
        return sum(slots[: job.duration_slots]) + sum(value for value in slots[job.duration_slots :] if value < 0)

    def _all(self, job: PlanJob) -> Iterator[Window]:
        length, latest = job.duration_slots, job.deadline_slot - job.duration_slots
        for rank, pool in enumerate(job.pools):
            if pool not in self._zones:
                continue
            for start in range(job.earliest_slot, self.snapshot.horizon_slots - length + 1):
                in_time = start <= latest and job.power_w > 0
                cost = self.cost(pool, start, start + length) if in_time else 0.0
                yield Window(max(0, start - latest), cost, start, rank)


class _Draft:
    """One finished try: where each job landed."""

    def __init__(self, windows: _Windows) -> None:
        self.windows = windows
        self.placed: dict[str, Window] = {}

    def is_delayed(self, job: PlanJob) -> bool:
        return job.id not in self.placed or self.placed[job.id].lateness > 0

    @property
    def badness(self) -> tuple[int, int, float]:
        """Unplaced jobs, then slots of lateness, then grams."""
        jobs = self.windows.snapshot.jobs
        late = sum(window.lateness for window in self.placed.values())
        return len(jobs) - len(self.placed), late, sum(self._grams(job) for job in jobs if job.id in self.placed)

    def as_plan(self) -> Plan:
        jobs = self.windows.snapshot.jobs
        assignments = tuple(self._assignment(job) for job in jobs if job.id in self.placed)
        late = tuple(job.id for job in jobs if job.id in self.placed and self.placed[job.id].lateness)
        unplaced = tuple(job.id for job in jobs if job.id not in self.placed)
        emissions_g = sum(assignment.emissions_g for assignment in assignments)
        bound_g = None if late or unplaced else self._bound()
        return Plan(
            method=METHOD,
            emissions_g=emissions_g,
            lower_bound_g=bound_g,
            gap=_gap(emissions_g, bound_g),
            solve_s=0.0,
            assignments=assignments,
            late=late,
            unplaced=unplaced,
        )

    def _bound(self) -> float | None:
        """The sum of what each job would emit alone: no plan within capacity emits less."""
        alone: dict[tuple[object, ...], float | None] = {}
        total = 0.0
        for job in self.windows.snapshot.jobs:
            key = (*shape_of(job), job.power_w, job.interruptible)
            if key not in alone:
                alone[key] = self.windows.at_best(job)
            best_g = alone[key]
            if best_g is None:
                return None
            total += best_g
        return total

    def _grams(self, job: PlanJob) -> float:
        start, pool = self._where(job)
        return self.windows.grams(job, self.windows.cost(pool, start, start + job.duration_slots))

    def _where(self, job: PlanJob) -> tuple[int, str]:
        window = self.placed[job.id]
        return window.start, job.pools[window.rank]

    def _assignment(self, job: PlanJob) -> Assignment:
        start, pool = self._where(job)
        return Assignment(
            job=job.id,
            pool=pool,
            segments=((start, start + job.duration_slots),),
            emissions_g=self._grams(job),
            reason=self._reason(job).value,
        )

    def _reason(self, job: PlanJob) -> WaitReason:
        start, pool = self._where(job)
        if start == job.earliest_slot:
            if job.deadline_slot - job.duration_slots <= start:
                return WaitReason.DEADLINE_FORCES_START
            return WaitReason.NOT_BEFORE if start else WaitReason.STARTS_NOW
        at_first = self.windows.cost(pool, job.earliest_slot, job.earliest_slot + job.duration_slots)
        if self.placed[job.id].lateness or self.windows.cost(pool, start, start + job.duration_slots) >= at_first:
            return WaitReason.NO_FREE_CAPACITY
        return WaitReason.CLEANER_SLOT_AHEAD


def shape_of(job: PlanJob) -> _Shape:
    """Jobs of one shape have the same windows in the same order, up to a job that draws nothing."""
    return (job.duration_slots, job.earliest_slot, job.deadline_slot, int(job.power_w > 0), job.pools)


def _place(windows: _Windows, jobs: Iterable[PlanJob], *, early: bool) -> _Draft:
    """Give each job in turn its first window that is free.

    Room only shrinks, so jobs of the same shape and size go on where the one before them stopped.
    """
    snapshot = windows.snapshot
    room = Room.left_by(snapshot.pools, snapshot.horizon_slots)
    draft = _Draft(windows)
    lines: dict[tuple[_Shape, int], Iterator[Window]] = {}
    heads: dict[tuple[_Shape, int], Window | None] = {}
    for job in jobs:
        line = (shape_of(job), job.gpus)
        if line not in lines:
            lines[line] = iter(_early(windows.of(job)) if early else windows.of(job))
            heads[line] = next(lines[line], None)
        while (window := heads[line]) is not None:
            pool, end = job.pools[window.rank], window.start + job.duration_slots
            if room.fits(pool, window.start, end, job.gpus):
                room.take(pool, window.start, end, job.gpus)
                draft.placed[job.id] = window
                break
            heads[line] = next(lines[line], None)
    return draft


def _early(windows: Sequence[Window]) -> list[Window]:
    return sorted(windows, key=lambda window: (window.start, window.rank))


def _gap(emissions_g: float, bound_g: float | None) -> float | None:
    if bound_g is None:
        return None
    if bound_g <= 0:
        return 0.0 if emissions_g == bound_g else None
    return emissions_g / bound_g - 1
