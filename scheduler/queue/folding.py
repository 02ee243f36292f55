"""An array as one row: its tasks added up, in any parts and order. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from carbonq.domain.job import WAITING, Job, JobState
from carbonq.domain.ports import JobRow
from carbonq.domain.time import to_ms
from carbonq.domain.units import known_sum


class Part(NamedTuple):
    """Some of an array's tasks, added up. `rank` orders the leads: the least leads."""

    lead: str
    rank: str
    start: datetime | None
    end: datetime | None
    emissions_g: float | None
    counts: Counter[JobState]


def part_of(job: Job, emitted_g: tuple[float | None] | None) -> Part:
    """A job by itself. `emitted_g` holds what its receipt says, which may be unknown; None where it has none."""
    (emissions_g,) = emitted_g or (job.foreseen_g,)
    row = JobRow.of(job, emissions_g)
    return Part(job.id, _rank(job, row.start), row.start, row.end, emissions_g, Counter(row.counts))


def row_of(row_id: str, parts: Sequence[Part], lead: Job) -> JobRow:
    counts = sum((part.counts for part in parts), Counter[JobState]())
    starts = [part.start for part in parts if part.start]
    ends = [part.end for part in parts if part.end]
    return JobRow(
        id=row_id,
        lead=lead,
        counts=counts,
        start=min(starts, default=None),
        end=max(ends, default=None),
        emissions_g=known_sum(part.emissions_g for part in parts),
    )


def leader(parts: Iterable[Part]) -> str:
    return min(parts, key=lambda part: part.rank).lead


def _rank(job: Job, began: datetime | None) -> str:
    """The next to start, the longest running, one that failed, the last to end. `lua/fold.lua` has the same order."""
    if job.finished_at:
        return f"{2 if job.state is JobState.FAILED else 3}{10**14 - to_ms(job.finished_at):015d}"
    if job.state in WAITING:
        return f"0{to_ms(began or job.latest_start):015d}"
    return f"1{to_ms(began) if began else 0:015d}"
