"""Why a job is placed where it is, in one sentence for a person. Times are UTC."""

from datetime import datetime

from carbonq.domain.job import WaitReason
from carbonq.scheduler.bundles import Scene
from carbonq.scheduler.emissions import expected_g
from carbonq.scheduler.snapshot import Placement


def sentence(scene: Scene, placement: Placement) -> str:
    """One sentence without a full stop, such as `Tue 6 Jan 02:00 UTC: 41 % less than starting now`."""
    bundle, job = placement.bundle, placement.bundle.jobs[0]
    match placement.reason:
        case WaitReason.STARTS_NOW if bundle.at_once:
            return "starts as soon as there is room"
        case WaitReason.STARTS_NOW:
            return "no cleaner time is free before its latest safe start"
        case WaitReason.CLEANER_SLOT_AHEAD:
            return _cleaner(scene, placement)
        case WaitReason.DEADLINE_FORCES_START:
            return f"must start by {when(job.latest_start)} to be done by {when(job.deadline)}"
        case WaitReason.NOT_BEFORE:
            return f"may not start before {when(bundle.earliest)}"
        case WaitReason.WAITS_FOR_PARENTS:
            return f"waits for {', '.join(job.needs)}"
        case WaitReason.NO_FORECAST:
            return "nothing is foreseen for the time it needs: it starts as soon as there is room"
        case WaitReason.NO_FREE_CAPACITY | WaitReason.NO_FREE_GPU:
            return _taken(placement)
        case WaitReason.NO_WORKER if bundle.at_once:
            return "no known worker could run it: it starts as soon as one is there"
        case WaitReason.NO_WORKER:
            return f"no known worker could run it: planned as if one were there, {_cleaner(scene, placement)}"
        case _:
            return job.reason_detail


def when(moment: datetime) -> str:
    """`Mon 5 Jan 18:30 UTC`."""
    return f"{moment:%a} {moment.day} {moment:%b %H:%M} UTC"


def _cleaner(scene: Scene, placement: Placement) -> str:
    saved = _saved_rel(scene, placement)
    if saved is None or saved <= 0:
        return when(placement.start)
    earliest = placement.bundle.earliest
    return f"{when(placement.start)}: {saved:.0%} less than {'now' if earliest <= scene.now else when(earliest)}"


def _taken(placement: Placement) -> str:
    if placement.slot is None:
        return "the machines that could run it are taken as far as the plan reaches"
    return f"the machines that could run it are taken: expected to start {when(placement.start)}"


def _saved_rel(scene: Scene, placement: Placement) -> float | None:
    """How much less the bundle emits in its place than at its earliest start; None where that is not known."""
    bundle = placement.bundle
    forecast = scene.forecasts.get(placement.pool.zone) if placement.pool else None
    energy_j = bundle.profile.energy_j * len(bundle.jobs)
    first_g = expected_g(forecast, bundle.earliest, bundle.earliest + bundle.span, energy_j)
    planned_g = expected_g(forecast, placement.start, placement.start + bundle.span, energy_j)
    if first_g is None or planned_g is None or first_g <= 0:
        return None
    return 1 - planned_g / first_g
