"""Times, savings, states and reasons in words."""

from __future__ import annotations

from datetime import datetime, timedelta

from carbonq.cli.output import Cell
from carbonq.domain.job import ACTIVE, TERMINAL, Job, JobState, WaitReason
from carbonq.domain.progress import Pace, Underway
from carbonq.domain.units import format_duration
from carbonq.reports.format import UNKNOWN, count, mass, percent

STATE_COLOURS = {
    JobState.PENDING: "yellow",
    JobState.SCHEDULED: "yellow",
    JobState.READY: "cyan",
    JobState.RUNNING: "cyan bold",
    JobState.SUSPENDED: "cyan",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "dim",
    JobState.EXPIRED: "red",
}

REASONS = {
    WaitReason.CLEANER_SLOT_AHEAD: "a cleaner time is ahead",
    WaitReason.NO_FREE_CAPACITY: "all slots are taken",
    WaitReason.NO_FREE_GPU: "no GPU is free",
    WaitReason.NO_WORKER: "no worker can take it",
    WaitReason.NO_FORECAST: "no forecast: runs by its deadline",
    WaitReason.NOT_BEFORE: "not allowed to start yet",
    WaitReason.WAITS_FOR_PARENTS: "waits for the jobs it needs",
    WaitReason.RETRY_BACKOFF: "waits before its next attempt",
    WaitReason.PAUSED: "paused",
    WaitReason.LEASE_LOST: "its worker was lost; starts again",
    WaitReason.DEADLINE_FORCES_START: "its deadline forces the start",
    WaitReason.STARTS_NOW: "starts as soon as a worker is free",
    WaitReason.AWAITS_PLAN: "not planned yet",
    WaitReason.PARENT_FAILED: "a job it needs has failed",
}


def saving(before_g: float | None, after_g: float | None) -> str:
    """What is avoided, with its share. A job that emits more says so."""
    if before_g is None or after_g is None:
        return UNKNOWN
    avoided_g = before_g - after_g
    if not avoided_g:
        return "no difference"
    share = f" ({percent(abs(avoided_g) / before_g)})" if before_g > 0 else ""
    return f"{mass(avoided_g)} less{share}" if avoided_g > 0 else f"{mass(-avoided_g)} more{share}"


def local(moment: datetime) -> datetime:
    """In the person's zone, as the machine or `TZ` sets it."""
    return moment.astimezone()


def zone_name(moment: datetime) -> str:
    return local(moment).tzname() or "local"


def clock_time(moment: datetime | None, now: datetime) -> str:
    """`18:30` today, `Tue 18:30` within six days, else with its date; without the zone, for tables that name it."""
    if moment is None:
        return "-"
    there, here = local(moment), local(now)
    if there.date() == here.date():
        return f"{there:%H:%M}"
    if abs(there.date() - here.date()) < timedelta(days=6):
        return f"{there:%a %H:%M}"
    return f"{there:%d %b %H:%M}" if there.year == here.year else f"{there:%d %b %Y %H:%M}"


def when(moment: datetime, now: datetime) -> str:
    """A moment with its zone and how far it is: `Mon 05 Jan 18:30 CET, in 3h20m`."""
    there = local(moment)
    year = "" if there.year == local(now).year else " %Y"
    return f"{there.strftime(f'%a %d %b{year} %H:%M')} {zone_name(moment)}, {relative(moment, now)}"


def relative(moment: datetime, now: datetime) -> str:
    seconds = (moment - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {format_duration(seconds)}" if seconds > 0 else f"{format_duration(-seconds)} ago"


def age(seconds: float | None) -> str:
    if seconds is None:
        return "of unknown age"
    return "just made" if seconds < 60 else f"{format_duration(seconds)} old"


def slack_s(job: Job, now: datetime, pace: Pace | None = None) -> float:
    """Seconds between the expected (or actual) end and the deadline; negative is late."""
    if job.finished_at:
        return (job.deadline - job.finished_at).total_seconds()
    if pace is not None:
        return (job.deadline - pace.end(now)).total_seconds()
    if job.state in ACTIVE and job.started_at:
        end = max(now, job.started_at + timedelta(seconds=job.profile.duration_s.p50))
        return (job.deadline - end).total_seconds()
    if job.planned_end:
        return (job.deadline - job.planned_end).total_seconds()
    return (job.latest_start - now).total_seconds()


def progress(underway: Underway, now: datetime) -> str:
    """How far a job is: `3 of 10 epochs, 24m left`."""
    told, pace = underway
    whole = "" if told.total is None else f" of {told.total:,.6g}"
    unit = f" {told.unit.removesuffix('s')}s" if told.unit else "" if whole else " done"
    left = "" if pace is None else f", {format_duration((pace.end(now) - now).total_seconds())} left"
    return f"{told.done:,.6g}{whole}{unit}{left}"


def expected_end(pace: Pace, now: datetime) -> str:
    """When, between which times most likely, and what that rests on."""
    low, high = (pace.at + timedelta(seconds=seconds) for seconds in (pace.remaining_s.p10, pace.remaining_s.p90))
    span = f"{clock_time(max(now, low), now)} to {clock_time(max(now, high), now)}"
    return f"{when(pace.end(now), now)} ({span} in 80 of 100 cases)"


def rate(pace: Pace) -> str:
    """Whichever reads better: units a second, or the time a unit takes."""
    name, each_s = (pace.unit or "unit").removesuffix("s"), 1 / pace.rate_per_s
    text = f"{format_duration(each_s)} per {name}" if each_s >= 1 else f"{pace.rate_per_s:.3g} {name}s a second"
    return f"{text}, measured over {count(pace.steps, 'step')}"


def slack(seconds: float) -> Cell:
    return Cell(f"{format_duration(-seconds)} late", "red") if seconds < 0 else Cell(format_duration(seconds))


def state(job: Job) -> Cell:
    stopping = job.cancel_requested and job.state in ACTIVE
    return Cell("stopping", "yellow") if stopping else Cell(job.state.value, STATE_COLOURS[job.state])


def reason(job: Job, now: datetime, underway: Underway | None = None) -> str:
    """Why a job stands where it stands, in a few words. Of an error its first line: how to go on is for the job's page."""
    if job.state in TERMINAL and job.error not in ("", job.state.value):
        return job.error.partition("\n")[0]
    if job.state is JobState.FAILED:
        return f"exit {job.exit_code}" if job.exit_code is not None else ""
    if job.finished_at:
        return f"ended {relative(job.finished_at, now)}"
    if job.state in ACTIVE:
        span = f"for {format_duration((now - job.started_at).total_seconds())}" if job.started_at else ""
        return f"{span}, {progress(underway, now)}" if underway else span
    return job.reason_detail or (REASONS[job.reason] if job.reason else "")
