"""How far running jobs are, and the pace of those that told enough of themselves."""

from collections.abc import Iterable
from datetime import datetime

from carbonq.domain.job import ACTIVE, Job
from carbonq.domain.ports import Board, PaceMaker
from carbonq.domain.progress import Pace, Underway


def underway(board: Board, jobs: Iterable[Job], pace_maker: PaceMaker | None, now: datetime) -> dict[str, Underway]:
    """By id, the active jobs whose present attempt told something; what an attempt before it told counts for nothing.

    Without a `pace_maker` no pace is known. Raises QueueUnreachable.
    """
    active = {job.id: job for job in jobs if job.state in ACTIVE}
    told = board.progress(list(active)) if active else {}
    return {
        job_id: Underway(progress, pace_maker(active[job_id].profile, progress, now) if pace_maker else None)
        for job_id, progress in told.items()
        if progress.fence == active[job_id].fence
    }


def paces(board: Board, running: Iterable[Job], pace_maker: PaceMaker | None, now: datetime) -> dict[str, Pace]:
    """By id, those whose pace is known: what a plan needs."""
    if pace_maker is None:
        return {}
    found = underway(board, running, pace_maker, now)
    return {job_id: seen.pace for job_id, seen in found.items() if seen.pace is not None}
