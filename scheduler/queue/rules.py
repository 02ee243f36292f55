"""The queue's limits, and its rules of time as pure functions. `lua/lib.lua` holds the same for the scripts."""

from datetime import datetime, timedelta

from carbonq.domain.job import Job

MIN_SERVER_VERSION = 7
"""Redis 7 or Valkey: scripts whose effects are logged, sound AOF files."""

MAX_LOST_ATTEMPTS = 5
"""More attempts lost with their workers make a job a dead letter: it may be what kills them."""

_TICK = timedelta(milliseconds=1)


def due_time(latest_start: datetime, planned_start: datetime | None, not_before: datetime | None) -> datetime:
    """When a waiting job becomes ready: as planned, by its latest safe start, never before the user's `not_before`."""
    due = min(planned_start, latest_start) if planned_start else latest_start
    return max(due, not_before) if not_before else due


def drop_time(job: Job) -> datetime | None:
    """From when on a job with `on_miss: drop` that still waits is dropped; None for a job that runs late.

    Then even a lucky run (its duration's 10 % quantile) would end after the deadline. Never at its latest safe start
    itself, when a worker may still take it.
    """
    if not job.drop_when_late:
        return None
    return max(job.latest_start + _TICK, job.deadline - timedelta(seconds=job.profile.duration_s.p10))
