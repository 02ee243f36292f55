"""When would each job have started, had every job been started as soon as it was submitted? Pure; grid time."""

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from carbonq.domain.job import Job, JobState
from carbonq.scheduler.accounting import BaselineStart
from carbonq.scheduler.pools import Pool


class Claim(NamedTuple):
    """A job as the simulation sees it."""

    arrival: datetime
    job_id: str
    units: int
    duration: timedelta


def baseline_starts(jobs: Iterable[Job], pools: Sequence[Pool]) -> dict[str, BaselineStart]:
    """First come, first served in each pool, with its present capacity; jobs of unknown pools start at submission.
    None later than the job did start: had it found room by then only because others waited, that is nobody's saving.

    Give all jobs of the time in question, waiting and running ones too: they would have held machines as well.
    """
    by_pool: dict[str, list[Job]] = defaultdict(list)
    starts: dict[str, BaselineStart] = {}
    began: dict[str, datetime] = {}
    for job in jobs:
        if job.started_at:
            began[job.id] = job.started_at
        fitting = [pool for pool in pools if job.pool in (pool.label, None) and pool.fits(job.requirement)]
        pool = fitting[0] if fitting else None
        if pool:
            by_pool[pool.name].append(job)
        else:
            starts[job.id] = BaselineStart(job.earliest_start, capacity_known=False)
    for pool in pools:
        found = first_come(map(_claim, by_pool[pool.name]), pool.units)
        starts |= {job_id: BaselineStart(min(start, began.get(job_id, start))) for job_id, start in found.items()}
    return starts


def first_come(claims: Iterable[Claim], capacity: int) -> dict[str, datetime]:
    """Start of each claim: in the order of arrival, as soon as its units are free; a smaller one may pass a larger one
    that does not fit yet. Claims of one size never pass each other. What is larger than the pool starts on arrival."""
    arrivals = deque(sorted(claims))
    lines: dict[int, deque[Claim]] = defaultdict(deque)
    ends: list[tuple[datetime, int]] = []
    starts: dict[str, datetime] = {}
    free = capacity
    while arrivals or any(lines.values()):
        now = min(moment for moment in (*(claim.arrival for claim in _head(arrivals)), *_first_end(ends)))
        while ends and ends[0][0] <= now:
            free += heapq.heappop(ends)[1]
        while arrivals and arrivals[0].arrival <= now:
            newcomer = arrivals.popleft()
            if newcomer.units > capacity:
                starts[newcomer.job_id] = newcomer.arrival
            else:
                lines[newcomer.units].append(newcomer)
        while (claim := _next(lines, free)) is not None:
            lines[claim.units].popleft()
            starts[claim.job_id] = now
            free -= claim.units
            heapq.heappush(ends, (now + claim.duration, claim.units))
    return starts


def _claim(job: Job) -> Claim:
    return Claim(job.earliest_start, job.id, job.requirement.units, _duration(job))


def _duration(job: Job) -> timedelta:
    """As it was, where it has run; as predicted, where not."""
    if job.state is JobState.SUCCEEDED and job.started_at and job.finished_at:
        return max(job.finished_at - job.started_at, timedelta(milliseconds=1))
    return timedelta(seconds=max(job.profile.duration_s.p50, 0.001))


def _next(lines: dict[int, deque[Claim]], free: int) -> Claim | None:
    """The earliest arrival that fits now: only the first of each size can be it."""
    return min((line[0] for units, line in lines.items() if line and units <= free), default=None)


def _head(arrivals: deque[Claim]) -> list[Claim]:
    return [arrivals[0]] if arrivals else []


def _first_end(ends: list[tuple[datetime, int]]) -> list[datetime]:
    return [ends[0][0]] if ends else []
