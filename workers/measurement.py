"""From what an attempt left on disk to its immutable `Measurement`. Pure."""

import math
import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from carbonq.domain.energy import Component, EnergyReading, Provenance, TraceSegment
from carbonq.domain.job import Measurement, Outcome
from carbonq.domain.time import Clock
from carbonq.workers import attribution
from carbonq.workers.attribution import Curve, Point
from carbonq.workers.meters import cpu_model, rapl
from carbonq.workers.record import AttemptRecord
from carbonq.workers.runner import Ending

LONG_GAP_S = 10.0
OUTCOMES = {"timeout": Outcome.TIMED_OUT, "cancel": Outcome.CANCELLED}
LOSSES = {
    "stale": "a newer attempt holds the job, or it was ended",
    "drain": "its worker was stopped",
    "terminated": "its shim was asked to end by somebody else, as at a shutdown",
}


class Sample(NamedTuple):
    """One reading that the worker took."""

    at_s: float
    component: str
    device: str
    energy_j: float | None
    method: str
    provenance: str
    uncertainty_rel: float


class Metered(NamedTuple):
    """A component's energy curve and how it was obtained; no curve where it is not known."""

    component: Component
    curve: Curve | None
    method: str
    provenance: Provenance
    uncertainty_rel: float


def build(
    record: AttemptRecord, ending: Ending, points: Sequence[Point], samples: Sequence[Sample], clock: Clock
) -> Measurement:
    """The attempt's account. Its energy ends with its last process; its trace sums to the known readings."""
    outcome, error = judge(record, ending)
    start_s, end_s = ending.started_s, ending.ended_s
    started = record.leased_real_at if ending.started_real_s is None else _utc(ending.started_real_s)
    has_run = start_s is not None and end_s is not None and not ending.could_not_start
    span_s = (start_s, max(start_s, end_s)) if start_s is not None and end_s is not None else (0.0, 0.0)
    metered = meter(record, points, samples) if has_run else []
    ended = started + timedelta(seconds=span_s[1] - span_s[0])
    return Measurement(
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
        readings=tuple(_reading(item, *span_s) for item in metered),
        trace=_trace(metered, points, started, *span_s, clock),
        gpu_uuids=record.gpu_uuids,
        cpu_time_s=ending.cpu_s,
        log_lost_b=ending.log_lost_b,
    )


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


def meter(record: AttemptRecord, points: Sequence[Point], samples: Sequence[Sample]) -> list[Metered]:
    """The best that is known of each component: counters before models."""
    found = [_cpu(record, points, samples)]
    dram = attribution.counted((point[0] or 0.0, point[4]) for point in points)
    if dram is not None:
        found.append(_shared(Component.DRAM, points, dram, rapl.METHOD, Provenance.MEASURED))
    return ([_gpus(record, samples)] if record.gpu_uuids else []) + found


def _gpus(record: AttemptRecord, samples: Sequence[Sample]) -> Metered:
    mine = [sample for sample in samples if sample.component == Component.GPU and sample.device in record.gpu_uuids]
    curves = [
        attribution.counted((sample.at_s, sample.energy_j) for sample in mine if sample.device == uuid)
        for uuid in record.gpu_uuids
    ]
    known = [curve for curve in curves if curve is not None]
    if len(known) < len(curves):
        return Metered(Component.GPU, None, mine[-1].method if mine else "none", Provenance.UNKNOWN, 0.0)
    return Metered(
        Component.GPU, _sum(known), mine[-1].method, Provenance(mine[-1].provenance), mine[-1].uncertainty_rel
    )


def _cpu(record: AttemptRecord, points: Sequence[Point], samples: Sequence[Sample]) -> Metered:
    package = attribution.counted((point[0] or 0.0, point[3]) for point in points)
    if package is not None:
        return _shared(Component.CPU, points, package, rapl.METHOD, Provenance.MEASURED)
    mine = [sample for sample in samples if sample.component == Component.CPU]
    node = attribution.counted((sample.at_s, sample.energy_j) for sample in mine)
    if node is not None:
        return _shared(Component.CPU, points, node, mine[-1].method, Provenance(mine[-1].provenance))
    curve = attribution.modelled_by_cpu_time(
        points, record.requirement.cpus, cpu_model.IDLE_W_PER_CPU, cpu_model.BUSY_W_PER_CPU
    )
    return Metered(Component.CPU, curve, cpu_model.METHOD, Provenance.MODELLED, cpu_model.UNCERTAINTY_REL)


def _shared(component: Component, points: Sequence[Point], node: Curve, method: str, provenance: Provenance) -> Metered:
    """The job's share of what a meter counts for the whole node."""
    curve = attribution.shared_by_cpu_time(points, node)
    return Metered(component, curve, f"{method}-cpu-share", provenance, attribution.SHARE_UNCERTAINTY_REL)


def _reading(item: Metered, start_s: float, end_s: float) -> EnergyReading:
    if item.curve is None:
        return EnergyReading(component=item.component, provenance=Provenance.UNKNOWN, method=item.method)
    return EnergyReading(
        component=item.component,
        energy_j=item.curve.between(start_s, end_s),
        provenance=item.provenance,
        method=item.method,
        uncertainty_rel=_uncertainty(item, start_s, end_s),
    )


def _uncertainty(item: Metered, start_s: float, end_s: float) -> float:
    """The meter's own, and where its last reading before the end is old, half of what was used since then as well."""
    curve = item.curve
    if curve is None:
        return item.uncertainty_rel
    last_s = max((at_s for at_s in curve.at_s if at_s <= end_s), default=start_s)
    total_j = curve.between(start_s, end_s)
    if end_s - last_s < LONG_GAP_S or total_j <= 0:
        return item.uncertainty_rel
    return math.hypot(item.uncertainty_rel, 0.5 * curve.between(last_s, end_s) / total_j)


def _trace(
    metered: Sequence[Metered],
    points: Sequence[Point],
    started: datetime,
    start_s: float,
    end_s: float,
    clock: Clock,
) -> tuple[TraceSegment, ...]:
    """Segments between the journal's readings; moments by the monotonic clock, so that no clock jump shows in them."""
    curves = [item.curve for item in metered if item.curve is not None]
    if not curves:
        return ()
    inner = sorted({point[0] for point in points if point[0] is not None and start_s < point[0] < end_s})
    moments = [(at_s, clock.to_grid(started + timedelta(seconds=at_s - start_s))) for at_s in (start_s, *inner, end_s)]
    return tuple(
        TraceSegment(start=start, end=end, energy_j=sum(curve.between(begin_s, finish_s) for curve in curves))
        for (begin_s, start), (finish_s, end) in pairwise(moments)
    )


def _sum(curves: Sequence[Curve]) -> Curve:
    moments = sorted({at_s for curve in curves for at_s in curve.at_s})
    return Curve(tuple(moments), tuple(sum(curve.at(at_s) for curve in curves) for at_s in moments))


def _killed_by(signum: int) -> str:
    name = signal.Signals(signum).name if signum in set(signal.Signals) else f"signal {signum}"
    return f"killed by {name}" + (
        ", which carbonq did not send: often the machine ran out of memory" if name == "SIGKILL" else ""
    )


def _utc(real_s: float) -> datetime:
    return datetime.fromtimestamp(real_s, UTC)
