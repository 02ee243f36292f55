"""From what an attempt left on disk to its immutable `Measurement`. Pure."""

import math
import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from carbonq.domain.energy import Component, EnergyReading, Provenance, Rung, TraceSegment
from carbonq.domain.job import Measurement, Outcome
from carbonq.domain.time import Clock
from carbonq.workers import gpu_energy
from carbonq.workers.attribution import SHARE_UNCERTAINTY_REL, Curve, counted
from carbonq.workers.ledger import Part
from carbonq.workers.meters import nvml
from carbonq.workers.readings import CPU, DRAM, Account
from carbonq.workers.record import AttemptRecord
from carbonq.workers.runner import Ending
from carbonq.workers.site import Site

OUTCOMES = {"timeout": Outcome.TIMED_OUT, "cancel": Outcome.CANCELLED}
LOSSES = {
    "stale": "a newer attempt holds the job, or it was ended",
    "drain": "its worker was stopped",
    "terminated": "its shim was asked to end by somebody else, as at a shutdown",
}


def build(
    record: AttemptRecord,
    ending: Ending,
    account: Account | None,
    clock: Clock,
    site: Site,
    *,
    work_done: float | None = None,
) -> Measurement:
    """What the worker tells of an attempt. Its energy ends with its last process; its trace sums to the known readings.

    `account` None: nothing of it was ever read.
    """
    outcome, error = judge(record, ending)
    start_s, end_s = ending.started_s, ending.ended_s
    started = record.leased_real_at if ending.started_real_s is None else _utc(ending.started_real_s)
    has_run = start_s is not None and end_s is not None and not ending.could_not_start
    span_s = (start_s, max(start_s, end_s)) if start_s is not None and end_s is not None else (0.0, 0.0)
    duration_s = span_s[1] - span_s[0]
    readings = _readings(record, account, *span_s, site) if has_run and account is not None else ()
    ended = started + timedelta(seconds=duration_s)
    measured = Measurement(
        job_id=record.lease.job_id,
        fence=record.lease.fence,
        attempt=record.lease.attempt,
        worker_id=record.lease.worker_id,
        pool=record.pool,
        zone=record.zone,
        outcome=outcome,
        exit_code=ending.exit_code,
        error=error,
        started_at=clock.to_grid(started),
        ended_at=clock.to_grid(ended),
        real_started_at=started,
        real_ended_at=ended,
        readings=readings,
        gpu_uuids=record.gpu_uuids,
        gpu_model=site.capacity.gpu_model if record.gpu_uuids else None,
        gpu_power_limit_w=record.gpu_power_limit_w,
        cpu_time_s=ending.cpu_s,
        pue=site.pue if has_run else None,
        embodied_g=site.embodied_of(duration_s, record.requirement) if has_run else None,
        work_done=work_done,
        log_lost_b=ending.log_lost_b,
    )
    if measured.energy_j is None or account is None:
        return measured
    trace = _trace(account.trace, measured.energy_j, started, *span_s, clock)
    return measured.model_copy(update={"trace": trace})


def judge(record: AttemptRecord, ending: Ending) -> tuple[Outcome, str]:
    """How the attempt ended, and the sentence that a person reads about it."""
    if ending.could_not_start:
        subject = f"{ending.could_not_start} {ending.subject}: " if ending.subject else ""  # a refusal says it all
        return Outcome.COULD_NOT_START, subject + ending.error
    if ending.reason in OUTCOMES:
        error = f"stopped after its timeout of {record.timeout_s:g} s" if ending.reason == "timeout" else "cancelled"
        return OUTCOMES[ending.reason], error
    if ending.reason:
        return Outcome.LOST, LOSSES.get(ending.reason, ending.error)
    if ending.signal is not None:
        return Outcome.FAILED, _killed_by(ending.signal)
    return (Outcome.SUCCEEDED, "") if ending.exit_code == 0 else (Outcome.FAILED, f"exit code {ending.exit_code}")


def _readings(
    record: AttemptRecord, account: Account, start_s: float, end_s: float, site: Site
) -> tuple[EnergyReading, ...]:
    """GPUs, packages, memory: each by the best that is known of it; then what only a calibrated node knows of."""
    gpus = [_gpus(record, account, start_s, end_s)] if record.gpu_uuids else []
    node = [_shared(part, account) for part in (CPU, DRAM) if part in account.shares or part is CPU]
    seen = (*gpus, *node)
    other = site.other(seen, end_s - start_s, record.requirement)
    return seen if other is None else (*seen, other)


def _gpus(record: AttemptRecord, account: Account, start_s: float, end_s: float) -> EnergyReading:
    """All of an attempt's GPUs as one; unknown where one of them is, since a sum without it would be too low."""
    parts = [Part(Component.GPU, uuid) for uuid in record.gpu_uuids]
    methods = [account.methods.get(part) for part in parts]
    looks = [gpu_energy.between(account.gpu_points.get(part.device, []), start_s, end_s) for part in parts]
    flags = tuple(dict.fromkeys((*(flag for look in looks for flag in look.flags), *account.flags)))
    if any(part not in account.shares or look.energy_j is None for part, look in zip(parts, looks, strict=True)):
        name = next((method.name for method in methods if method), "none")
        return EnergyReading(component=Component.GPU, provenance=Provenance.UNKNOWN, method=name, flags=flags)
    energy_j = sum(account.shares[part] for part in parts)
    rungs = [look.rung for look in looks if look.rung is not None]
    rung = max(rungs, key=list(Rung).index) if rungs else None
    integrals_j = [look.integral_j for look in looks]
    checked = rung is Rung.COUNTER and all(integral_j is not None for integral_j in integrals_j)
    method = next(method for method in reversed(methods) if method)
    return EnergyReading(
        component=Component.GPU,
        energy_j=energy_j,
        provenance=method.provenance,
        method=method.name,
        rung=rung,
        uncertainty_rel=_weighted(
            [(account.shares[part], look.uncertainty_rel) for part, look in zip(parts, looks, strict=True)]
        ),
        cross_check_j=sum(integral_j for integral_j in integrals_j if integral_j is not None) if checked else None,
        cross_check_method=nvml.POWER_METHOD if checked else None,
        flags=flags,
    )


def _shared(part: Part, account: Account) -> EnergyReading:
    """The attempt's share of what is counted for the whole node."""
    method = account.methods.get(part)
    if method is None or part not in account.shares:
        return EnergyReading(
            component=part.component, provenance=Provenance.UNKNOWN, method=method.name if method else "none"
        )
    is_measured = method.provenance is Provenance.MEASURED
    return EnergyReading(
        component=part.component,
        energy_j=account.shares[part],
        provenance=method.provenance,
        method=f"{method.name}-cpu-share" if is_measured else method.name,
        rung=method.rung,
        uncertainty_rel=math.hypot(method.uncertainty_rel, SHARE_UNCERTAINTY_REL)
        if is_measured
        else method.uncertainty_rel,
        flags=account.flags,
    )


def _weighted(parts: Sequence[tuple[float, float]]) -> float:
    """The relative uncertainty of a sum whose parts, being read by sensors of one kind, err alike."""
    total_j = sum(energy_j for energy_j, _ in parts)
    if total_j <= 0:
        return max(error for _, error in parts)
    return sum(energy_j * error for energy_j, error in parts) / total_j


def _trace(
    booked: Sequence[tuple[float, float]],
    energy_j: float,
    started: datetime,
    start_s: float,
    end_s: float,
    clock: Clock,
) -> tuple[TraceSegment, ...]:
    """Energy between the moments at which time was closed, by the monotonic clock, so that no clock jump shows in it.

    Scaled to the readings' sum: part of a reading may be known at the end alone.
    """
    curve = counted([(start_s, 0.0), *((at_s, joules) for at_s, joules in booked if at_s > start_s)])
    total_j = curve.between(start_s, end_s) if curve else 0.0
    if curve is None or total_j <= 0:
        curve, total_j = Curve((start_s, max(end_s, start_s + 1e-9)), (0.0, energy_j)), energy_j
    inner = curve.knots(start_s, end_s)
    moments = [(at_s, clock.to_grid(started + timedelta(seconds=at_s - start_s))) for at_s in (start_s, *inner, end_s)]
    return tuple(
        TraceSegment(start=start, end=end, energy_j=energy_j * _part(curve.between(begin_s, finish_s), total_j))
        for (begin_s, start), (finish_s, end) in pairwise(moments)
    )


def _part(joules: float, total_j: float) -> float:
    return joules / total_j if total_j > 0 else 0.0


def _killed_by(signum: int) -> str:
    name = signal.Signals(signum).name if signum in set(signal.Signals) else f"signal {signum}"
    return f"killed by {name}" + (
        ", which carbonq did not send: often the machine ran out of memory" if name == "SIGKILL" else ""
    )


def _utc(real_s: float) -> datetime:
    return datetime.fromtimestamp(real_s, UTC)
