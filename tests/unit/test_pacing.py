"""How far running jobs are, by what the board knows of them."""

from datetime import datetime, timedelta

from carbonq.domain.energy import PowerProfile, Quantity
from carbonq.domain.job import Job, JobState
from carbonq.domain.progress import Pace, Progress, Told
from carbonq.scheduler.pacing import paces, underway
from carbonq.scheduler.queue.board import MemoryBoard
from carbonq.testing import MIDNIGHT, make_job

NOW = MIDNIGHT + timedelta(hours=1)


def running(job_id: str, fence: int = 2, state: JobState = JobState.RUNNING) -> Job:
    return make_job(job_id, fence=fence, state=state, started_at=MIDNIGHT)


def told(job_id: str, fence: int = 2, done: float = 5.0) -> Progress:
    return Progress(job_id=job_id, fence=fence, total=10, points=(Told(MIDNIGHT, done),))


def measured(profile: PowerProfile, progress: Progress, now: datetime) -> Pace | None:
    """A pace for whoever is half done."""
    left = Quantity.around(profile.duration_s.p50, 0.1)
    return Pace(at=now, done=5, total=10, rate_per_s=1, steps=3, remaining_s=left) if progress.done >= 5 else None


def board(*known: Progress) -> MemoryBoard:
    made = MemoryBoard()
    for each in known:
        made.put_progress(each, ttl_s=60)
    return made


def test_those_that_told_enough_have_a_pace() -> None:
    jobs = [running("half"), running("early"), running("silent")]
    on = board(told("half"), told("early", done=1))

    found = underway(on, jobs, measured, NOW)

    assert found.keys() == {"half", "early"}
    assert (found["early"].progress.done, found["early"].pace) == (1, None)
    assert paces(on, jobs, measured, NOW) == {"half": found["half"].pace}


def test_what_another_attempt_told_counts_for_nothing() -> None:
    on = board(told("retried", fence=1), told("adopted", fence=3))

    assert underway(on, [running("retried"), running("adopted")], measured, NOW) == {}


def test_only_jobs_that_run_are_underway() -> None:
    on = board(told("over"), told("stopped"), told("waits"))
    jobs = [
        running("over", state=JobState.SUCCEEDED),
        running("stopped", state=JobState.SUSPENDED),
        running("waits", state=JobState.READY),
    ]

    assert underway(on, jobs, measured, NOW).keys() == {"stopped"}


def test_without_anybody_to_make_a_pace_the_plan_goes_by_what_was_foreseen() -> None:
    on, jobs = board(told("half")), [running("half")]

    assert paces(on, jobs, None, NOW) == {}
    assert underway(on, jobs, None, NOW)["half"].pace is None
