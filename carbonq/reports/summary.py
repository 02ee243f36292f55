"""Receipts added up: in all and by group. Pure; what is unknown is counted, and never taken for 0."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from math import fsum, isfinite

from pydantic import Field

from carbonq.domain.energy import Component, EnergyReading, Provenance, total_of
from carbonq.domain.errors import InvalidInput
from carbonq.domain.job import JobState
from carbonq.domain.receipt import Receipt, ReceiptStatus
from carbonq.domain.value import UtcTime, Value

GROUPINGS = ("project", "label:KEY", "zone", "job", "month")


class Tally(Value):
    """The sum of some receipts. A sum is None where nothing of it is known; `*_unknown_jobs` says what it leaves out."""

    jobs: int
    states: dict[JobState, int]
    provisional_jobs: int
    revised_jobs: int = Field(description="jobs whose grid changed its figures after their receipt was settled")
    energy_j: float | None
    energy_unknown_jobs: int
    energy_partly_unknown_jobs: int = Field(description="a component or an attempt is unknown: the sum is too low")
    energy_uncertainty_rel: float | None = Field(description="relative standard uncertainty of the known readings")
    measured_energy_j: float
    modelled_energy_j: float
    overhead_energy_j: float | None = Field(description="of lost and failed attempts: part of `energy_j`")
    facility_energy_j: float | None = Field(description="of the buildings by their PUE: in no other figure")
    facility_g: float | None = Field(description="what that emitted: in no other figure")
    facility_jobs: int = Field(description="jobs whose sites state their PUE")
    embodied_g: float | None = Field(description="of the machines' making: in no other figure")
    embodied_jobs: int = Field(description="jobs whose machines state it")
    emissions_g: float | None
    emissions_unknown_jobs: int
    compared_jobs: int = Field(description="jobs whose emissions and baseline are both known")
    compared_emissions_g: float | None
    baseline_g: float | None = Field(description="of the compared jobs, had each started at once")
    avoided_g: float | None = Field(description="baseline - emissions of the compared jobs; negative where more")
    avoided_rel: float | None = Field(description="avoided / baseline")
    forecast_jobs: int = Field(description="compared jobs whose plan promised a saving")
    forecast_avoided_g: float | None = Field(description="what the plan promised for them")
    forecast_realised_g: float | None = Field(description="what was avoided by the very same jobs")
    deadlines_met: int
    deadlines_missed: int
    deadlines_unknown: int
    mean_delay_s: float | None


class Group(Value):
    """`name` is None for jobs without the label that is grouped by."""

    name: str | None
    tally: Tally


class MethodUse(Value):
    """The readings of one component by one method."""

    component: Component
    method: str
    provenance: Provenance
    jobs: int
    energy_j: float | None
    uncertainty_rel: float | None


class Summary(Value):
    """What a report is made from."""

    by: str
    start: UtcTime | None = Field(description="the first submission")
    end: UtcTime | None = Field(description="the last finish")
    total: Tally
    groups: tuple[Group, ...] = Field(description="by month in order of time, else largest energy first")
    methods: tuple[MethodUse, ...]


def summarise(receipts: Sequence[Receipt], by: str = "project", zone: tzinfo = UTC) -> Summary:
    """Add up in one pass a group. `zone` is the clock that months are cut by. Raises InvalidInput for another `by`."""
    key = grouping(by, zone)
    members: dict[str | None, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        members[key(receipt)].append(receipt)
    groups = [Group(name=name, tally=tally(own)) for name, own in members.items()]
    return Summary(
        by=by,
        start=min((receipt.submitted_at for receipt in receipts), default=None),
        end=max((receipt.finished_at for receipt in receipts), default=None),
        total=tally(receipts),
        groups=tuple(sorted(groups, key=_by_name if by == "month" else _by_size)),
        methods=method_uses(receipts),
    )


def grouping(by: str, zone: tzinfo = UTC) -> Callable[[Receipt], str | None]:
    """What `by` groups a receipt under. Raises InvalidInput."""
    kind, _, label = by.partition(":")
    if kind == "label" and label:
        return lambda receipt: receipt.labels.get(label)
    keys: dict[str, Callable[[Receipt], str]] = {
        "project": lambda receipt: receipt.project,
        "zone": lambda receipt: receipt.zone,
        "job": lambda receipt: receipt.name,
        "month": lambda receipt: _month(receipt.finished_at, zone),
    }
    if by not in keys:
        raise InvalidInput(f"a report cannot be grouped by {by!r}", hint=f"choose one of {', '.join(GROUPINGS)}")
    return keys[by]


def tally(receipts: Sequence[Receipt]) -> Tally:
    compared = [
        (r, r.emissions_g, b) for r in receipts if r.emissions_g is not None and (b := baseline_g(r)) is not None
    ]
    promised = [(r.forecast_avoided_g, b - e) for r, e, b in compared if r.forecast_avoided_g is not None]
    baseline = _sum(b for _, _, b in compared)
    avoided = _sum(b - e for _, e, b in compared)
    energies = [r.energy_j for r in receipts if r.energy_j is not None]
    emissions = [r.emissions_g for r in receipts if r.emissions_g is not None]
    delays = [r.delay_s for r in receipts if r.delay_s is not None]
    readings = [reading for r in receipts for reading in r.readings]
    return Tally(
        jobs=len(receipts),
        states={state: n for state in JobState if (n := sum(r.state is state for r in receipts))},
        provisional_jobs=sum(r.status is ReceiptStatus.PROVISIONAL for r in receipts),
        revised_jobs=sum(r.actuals_changed_at is not None for r in receipts),
        energy_j=_sum(energies),
        energy_unknown_jobs=len(receipts) - len(energies),
        energy_partly_unknown_jobs=sum(r.energy_j is not None and _lacks_a_part(r) for r in receipts),
        energy_uncertainty_rel=total_of(readings).uncertainty_rel,
        measured_energy_j=_known_energy_j(readings, Provenance.MEASURED),
        modelled_energy_j=_known_energy_j(readings, Provenance.MODELLED),
        overhead_energy_j=_sum(r.overhead_energy_j for r in receipts if r.overhead_energy_j is not None),
        facility_energy_j=_sum(r.facility_energy_j for r in receipts if r.facility_energy_j is not None),
        facility_g=_sum(r.facility_g for r in receipts if r.facility_g is not None),
        facility_jobs=sum(r.facility_energy_j is not None for r in receipts),
        embodied_g=_sum(r.embodied_g for r in receipts if r.embodied_g is not None),
        embodied_jobs=sum(r.embodied_g is not None for r in receipts),
        emissions_g=_sum(emissions),
        emissions_unknown_jobs=len(receipts) - len(emissions),
        compared_jobs=len(compared),
        compared_emissions_g=_sum(e for _, e, _ in compared),
        baseline_g=baseline,
        avoided_g=avoided,
        avoided_rel=_share(avoided, baseline),
        forecast_jobs=len(promised),
        forecast_avoided_g=_sum(promise for promise, _ in promised),
        forecast_realised_g=_sum(realised for _, realised in promised),
        deadlines_met=sum(r.deadline_met is True for r in receipts),
        deadlines_missed=sum(r.deadline_met is False for r in receipts),
        deadlines_unknown=sum(r.deadline_met is None for r in receipts),
        mean_delay_s=fsum(delays) / len(delays) if delays else None,
    )


def baseline_g(receipt: Receipt) -> float | None:
    """What the job would have emitted at once; None where that is not known."""
    return receipt.baseline.emissions_g if receipt.baseline else None


def avoided_g(receipt: Receipt) -> float | None:
    """Baseline - emissions, where both are known; never clipped."""
    baseline = baseline_g(receipt)
    return None if baseline is None or receipt.emissions_g is None else baseline - receipt.emissions_g


def method_uses(receipts: Iterable[Receipt]) -> tuple[MethodUse, ...]:
    """How each component's energy was obtained, measured first."""
    used: dict[tuple[Component, str, Provenance], list[EnergyReading]] = defaultdict(list)
    jobs: dict[tuple[Component, str, Provenance], set[str]] = defaultdict(set)
    for receipt in receipts:
        for reading in receipt.readings:
            key = reading.component, reading.method, reading.provenance
            used[key].append(reading)
            jobs[key].add(receipt.job_id)
    return tuple(
        MethodUse(
            component=component,
            method=method,
            provenance=provenance,
            jobs=len(jobs[component, method, provenance]),
            energy_j=_sum(reading.energy_j for reading in own if reading.energy_j is not None),
            uncertainty_rel=total_of(own).uncertainty_rel,
        )
        for (component, method, provenance), own in sorted(
            used.items(), key=lambda item: (list(Provenance).index(item[0][2]), item[0][0], item[0][1])
        )
    )


def _lacks_a_part(receipt: Receipt) -> bool:
    """A component, or an attempt before the last, left no reading."""
    lost_track = receipt.attempts > 1 and receipt.overhead_energy_j is None
    return lost_track or any(reading.energy_j is None for reading in receipt.readings)


def _known_energy_j(readings: Iterable[EnergyReading], provenance: Provenance) -> float:
    return fsum(reading.energy_j or 0.0 for reading in readings if reading.provenance is provenance)


def _sum(values: Iterable[float]) -> float | None:
    known = list(values)
    return fsum(known) if known else None


def _share(part: float | None, whole: float | None) -> float | None:
    """None of what is unknown, of nothing and of less; and where the whole is too small to divide by."""
    if part is None or whole is None or whole <= 0:
        return None
    share = part / whole
    return share if isfinite(share) else None


def _month(time: datetime, zone: tzinfo) -> str:
    return time.astimezone(zone).strftime("%Y-%m")


def _by_name(group: Group) -> str:
    return group.name or ""


def _by_size(group: Group) -> tuple[float, str]:
    return -(group.tally.energy_j if group.tally.energy_j is not None else -1.0), group.name or ""
