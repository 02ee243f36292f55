"""From measurements and actual intensity to a receipt. Pure; grid time. `docs/explanation/receipts.md` has the rules."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from carbonq.domain.carbon import IntensitySeries, Origin, Zone
from carbonq.domain.energy import TraceSegment
from carbonq.domain.job import Job, JobState, Measurement, Outcome
from carbonq.domain.receipt import ACTUALS_CHANGED, Baseline, EmissionsSlot, Receipt, ReceiptStatus
from carbonq.domain.units import known_sum
from carbonq.scheduler import apart
from carbonq.scheduler.spreading import back_to_back, combined, covers, length_of, segments_of, spread

SMALLEST_CHANGE_REL = 1e-3
"""Corrections that move a job's grams by less are not worth a revision: energy is never known that well."""
CAPACITY_UNKNOWN = "the pool's capacity is not known: the baseline starts at submission"


class BaselineStart(NamedTuple):
    """When the job would have started at once, had everything been started at once."""

    start: datetime
    capacity_known: bool = True


def make_receipt(
    job: Job,
    measurements: Sequence[Measurement],
    actual: Mapping[Zone, IntensitySeries],
    baseline_start: BaselineStart,
    *,
    issued_at: datetime,
    revision: int = 1,
    default_zone: Zone = "",
) -> Receipt:
    """One ended job's account, from every attempt's measurement.

    `actual` is what the grids reported; where it has gaps the receipt stays provisional.
    """
    account = _Account(job, tuple(sorted(measurements, key=lambda m: m.attempt)), actual)
    last = account.measurements[-1] if account.measurements else None
    zone = last.zone if last else (job.requirement.zones or (default_zone,))[0]
    slots = account.slots()
    energy_j = account.energy_j()
    emissions_g = known_sum(slot.emissions_g for slot in slots) if energy_j is not None else None
    baseline, baseline_slots = account.baseline(baseline_start)
    baseline_g = baseline.emissions_g if baseline else None
    started_at = account.useful[0].started_at if account.useful else job.started_at
    series = actual.get(zone)
    building = apart.building(account.measurements if energy_j is not None else (), actual)
    return Receipt(
        revision=revision,
        status=ReceiptStatus.SETTLED if account.is_settled(baseline) else ReceiptStatus.PROVISIONAL,
        issued_at=issued_at,
        job_id=job.id,
        name=job.name,
        project=job.project,
        labels=job.labels,
        state=job.state,
        zone=zone,
        pool=last.pool if last else job.pool or "",
        submitted_at=job.submitted_at,
        started_at=started_at,
        finished_at=job.finished_at or issued_at,
        deadline=job.deadline,
        deadline_met=_deadline_met(job),
        delay_s=(started_at - baseline.start).total_seconds() if started_at and baseline else None,
        duration_s=sum(length_of(m).total_seconds() for m in account.useful) if account.useful else None,
        attempts=job.attempts,
        energy_j=energy_j,
        overhead_energy_j=account.overhead_j(),
        readings=combined(account.measurements),
        slots=slots,
        emissions_g=emissions_g,
        baseline=baseline,
        avoided_g=baseline_g - emissions_g if baseline_g is not None and emissions_g is not None else None,
        forecast_avoided_g=_promised_g(job),
        pue=building.pue,
        facility_energy_j=building.energy_j,
        facility_g=building.emissions_g,
        embodied_g=apart.embodied_g(account.measurements),
        predicted_energy_j=apart.foreseen_energy(job.profile),
        predicted_duration_s=job.profile.duration_s,
        prediction_method=apart.foreseen_by(job.profile),
        intensity_source=series.source if series else "",
        signal=series.signal if series else None,
        scope=series.scope if series else None,
        intensity_origins=_origins((*slots, *baseline_slots)),
        attribution=series.attribution if series else "",
        notes=tuple(_notes(account, slots, baseline_slots, baseline_start)),
    )


def with_changed_actuals(last: Receipt, anew: Receipt) -> Receipt | None:
    """The revision of a settled receipt after its grid changed its figures, with a note; None where that is of no weight.

    None as well where the new figures are of another series, as after a change of settings: then the grid changed nothing.
    """
    if (last.intensity_source, last.signal, last.scope) != (anew.intensity_source, anew.signal, anew.scope):
        return None
    before, after = (last.emissions_g, _baseline_g(last)), (anew.emissions_g, _baseline_g(anew))
    if last.intensity_origins == anew.intensity_origins and not any(map(_differ, before, after)):
        return None
    told = ", ".join(
        f"{what} {_grams(was)} before"
        for what, was, now in zip(("emissions", "baseline"), before, after, strict=True)
        if _differ(was, now)
    )
    note = f"{ACTUALS_CHANGED}: {told or 'what was estimated has been reported'}"
    return anew.model_copy(update={"actuals_changed_at": anew.issued_at, "notes": (*anew.notes, note)})


def remembering(last: Receipt | None, anew: Receipt) -> Receipt:
    """A further revision for another reason, such as late energy, with when and how the grid's figures had changed before it."""
    if last is None or last.actuals_changed_at is None:
        return anew
    told = (note for note in last.notes if note.startswith(ACTUALS_CHANGED))
    return anew.model_copy(update={"actuals_changed_at": last.actuals_changed_at, "notes": (*anew.notes, *told)})


def _baseline_g(receipt: Receipt) -> float | None:
    return receipt.baseline.emissions_g if receipt.baseline else None


def _differ(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(after - before) > SMALLEST_CHANGE_REL * max(abs(before), abs(after))


def _grams(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g} g"


class _Account:
    """The measurements of one job beside the intensity of their zones."""

    def __init__(
        self,
        job: Job,
        measurements: tuple[Measurement, ...],
        actual: Mapping[Zone, IntensitySeries],
    ) -> None:
        self.job, self.measurements, self.actual = job, measurements, actual

    @property
    def useful(self) -> tuple[Measurement, ...]:
        """The attempts whose work counts: the one that succeeded, and those that were cut at a checkpoint before it."""
        if not any(m.outcome is Outcome.SUCCEEDED for m in self.measurements):
            return ()
        return tuple(m for m in self.measurements if m.outcome in (Outcome.SUCCEEDED, Outcome.CHECKPOINTED))

    @property
    def overhead(self) -> tuple[Measurement, ...]:
        useful = self.useful
        return tuple(m for m in self.measurements if m not in useful)

    @property
    def unmeasured(self) -> int:
        return max(0, self.job.attempts - len(self.measurements))

    def energy_j(self) -> float | None:
        """Joules of all attempts; None where those of the work itself, or of every attempt, are unknown."""
        if not self.job.attempts and not self.measurements:
            return 0.0  # it never ran: that much is known
        must = self.useful or self.measurements
        if any(m.energy_j is None for m in self.useful) or all(m.energy_j is None for m in must):
            return None
        return sum(m.energy_j for m in self.measurements if m.energy_j is not None)

    def overhead_j(self) -> float | None:
        """Joules of lost and failed attempts; None where one of them is unknown."""
        energies = [m.energy_j for m in self.overhead]
        if self.unmeasured or any(energy is None for energy in energies):
            return None
        return sum(energy for energy in energies if energy is not None)

    def slots(self) -> tuple[EmissionsSlot, ...]:
        found = [slot for m in self.measurements for slot in self._spread(m.zone, segments_of(m))]
        return tuple(sorted(found, key=lambda slot: slot.start))

    def baseline(self, at: BaselineStart) -> tuple[Baseline | None, tuple[EmissionsSlot, ...]]:
        """The useful attempts' own traces, back to back from the baseline's start, in the zone where the work was done."""
        if not self.useful:
            return None, ()
        moved, end = back_to_back(self.useful, at.start)
        slots = tuple(self._spread(self.useful[-1].zone, moved))
        known = all(m.energy_j is not None for m in self.useful)
        waited_s = max(0.0, (at.start - self.job.earliest_start).total_seconds())
        grams = known_sum(slot.emissions_g for slot in slots) if known else None
        return Baseline(start=at.start, end=end, emissions_g=grams, waited_for_capacity_s=waited_s), slots

    def is_settled(self, baseline: Baseline | None) -> bool:
        """Whether the grids have reported all the time that was used, here and in the baseline."""
        spans = [(m.zone, s.start, s.end) for m in self.measurements for s in segments_of(m)]
        if baseline:
            spans.append((self.useful[-1].zone, baseline.start, baseline.end))
        return all(covers(self.actual.get(zone), start, end) for zone, start, end in spans)

    def _spread(self, zone: Zone, segments: Sequence[TraceSegment]) -> list[EmissionsSlot]:
        return spread(segments, self.actual.get(zone))


def _deadline_met(job: Job) -> bool | None:
    if job.state is JobState.CANCELLED:
        return None
    return job.state is JobState.SUCCEEDED and job.finished_at is not None and job.finished_at <= job.deadline


def _promised_g(job: Job) -> float | None:
    if job.immediate_emissions_g is None or job.planned_emissions_g is None:
        return None
    return job.immediate_emissions_g - job.planned_emissions_g


def _origins(slots: Iterable[EmissionsSlot]) -> tuple[Origin, ...]:
    met = {slot.origin for slot in slots if slot.origin is not None}
    return tuple(origin for origin in Origin if origin in met)


def _notes(
    account: _Account, slots: Sequence[EmissionsSlot], baseline: Sequence[EmissionsSlot], at: BaselineStart
) -> Iterator[str]:
    job = account.job
    if not job.attempts and not account.measurements:
        yield "it never started: nothing was used"
    elif not account.useful:
        yield "it did not succeed: there is nothing to compare it with, and nothing is counted as avoided"
    if account.unmeasured:
        yield f"{account.unmeasured} of {job.attempts} attempts left no measurement: their energy is not in these figures"
    for m in account.measurements:
        if m.energy_j is None:
            yield f"the energy of attempt {m.attempt} is not known"
        elif abs(sum(s.energy_j for s in m.trace) - m.energy_j) > 1e-6 * m.energy_j:
            yield f"attempt {m.attempt} has no full power trace: its energy is spread as far as the trace says"
    yield from apart.notes(account.measurements)
    if any(slot.intensity_g_per_kwh is None for slot in (*slots, *baseline)):
        yield "the actual intensity of part of the time has not been published yet"
    origins = _origins((*slots, *baseline))
    if Origin.ESTIMATED in origins:
        yield "part of the intensity is estimated: by its provider, or for a gap in the readings"
    if Origin.MODELLED in origins:
        yield "part of the intensity is a typical profile, not a reading"
    if Origin.REPLAYED in origins:
        yield "the intensity is replayed: a profile with a stated error stands for the actual one"
    if account.useful and not at.capacity_known:
        yield CAPACITY_UNKNOWN
