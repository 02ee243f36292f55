"""How jobs, quotes and receipts look to a person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from carbonq.cli import words
from carbonq.cli.output import Cell, Column, fields, note, paint, paragraph, safe, say, table
from carbonq.domain.carbon import Origin
from carbonq.domain.job import ACTIVE, TERMINAL, WAITING, Job, JobState, Measurement
from carbonq.domain.ports import JobRow
from carbonq.domain.progress import Pace, Underway
from carbonq.domain.quote import Alternative, Quote
from carbonq.domain.receipt import Receipt
from carbonq.domain.units import format_duration
from carbonq.reports.energy import beside, foretold, parts, with_error
from carbonq.reports.format import UNKNOWN, co2e, count, energy, mass, shorten
from carbonq.scheduler.spreading import combined

if TYPE_CHECKING:
    from carbonq.domain.energy import EnergyReading, PowerProfile
    from carbonq.domain.spec import JobSpec

ORIGINS = {
    Origin.MEASURED: "measured",
    Origin.ESTIMATED: "estimated: filled in for a missing reading",
    Origin.REPLAYED: "replayed: made up from a typical day with a stated error",
    Origin.FORECAST: "forecast",
    Origin.MODELLED: "modelled: a typical day, no knowledge of this one",
}

# --- a quote


def quote(quoted: Quote, now: datetime, *, job_id: str = "") -> str:
    """When, how much and why: what `submit` and the dry run of `plan` show."""
    return fields(
        [
            ("job", job_id),
            ("start", f"{_first(quoted)}{words.when(quoted.planned_start, now)}{_where(quoted)}"),
            ("why", quoted.detail or words.REASONS[quoted.reason]),
            ("energy", f"{energy(quoted.energy_j)} {_profile(quoted.profile, quoted.tasks)}"),
            ("carbon", _carbon(quoted)),
            ("slack", _slack(quoted, now)),
            ("forecast", _source(quoted)),
            ("data", quoted.attribution),
        ]
    )


def _first(quoted: Quote) -> str:
    return "the first task: " if quoted.tasks > 1 else ""


def _where(quoted: Quote) -> str:
    return f", in {quoted.zone}" if quoted.zone else ""


def _profile(profile: PowerProfile, tasks: int) -> str:
    each = "each " if tasks > 1 else ""
    power = f"{profile.power_w.p50:.3g} W, {profile.power_method},"
    span = f"{format_duration(profile.duration_s.p50)}, {profile.duration_method}"
    return f"({profile.provenance.value}: {each}{power} for {span})"


def _carbon(quoted: Quote) -> Cell:
    now_g, planned_g = quoted.emissions_now_g, quoted.emissions_planned_g
    if now_g is None or planned_g is None:
        return Cell(f"{UNKNOWN}: {_unforeseen(quoted)}", "yellow")
    low, high = quoted.emissions_planned_low_g, quoted.emissions_planned_high_g
    spread = f" ({mass(low)} to {mass(high)})" if low is not None and high is not None else ""
    text = f"{co2e(planned_g)} planned{spread}, {mass(now_g)} if it started now"
    return Cell(f"{text}: {words.saving(now_g, planned_g)}", "green" if planned_g < now_g else "")


def _unforeseen(quoted: Quote) -> str:
    if quoted.origin is None:
        return f"no forecast for {quoted.zone}"
    who = "it" if quoted.tasks == 1 else f"{quoted.unforeseen_tasks:,} of {quoted.tasks:,} tasks"
    return f"{who} would run beyond the forecast"


def _slack(quoted: Quote, now: datetime) -> Cell:
    deadline, span = words.when(quoted.deadline, now), format_duration(abs(quoted.slack_s))
    last = "the last task ends " if quoted.tasks > 1 else ""
    if quoted.slack_s < 0:
        return Cell(f"{last}{span} {'after the deadline,' if last else 'late for'} {deadline}", "red")
    return Cell(f"{last}{span} before the deadline, {deadline}")


def _source(quoted: Quote) -> Cell:
    if quoted.origin is None:
        return Cell(f"none for {quoted.zone}: the job runs by its deadline all the same", "yellow")
    return Cell(f"{quoted.source}, {words.age(quoted.forecast_age_s)} ({ORIGINS[quoted.origin]})")


def alternatives(options: Sequence[Alternative], quoted: Quote) -> str:
    """Other starts and what they would emit; the planned one is marked."""
    now = quoted.submitted_at
    columns = [
        Column(f"START ({words.zone_name(now)})"),
        Column("END"),
        Column("CO2E", right=True),
        Column("AGAINST THE PLAN", least=10),
    ]

    def row(option: Alternative) -> list[Cell | str]:
        planned = option.start == quoted.planned_start
        difference = "planned" if planned else _difference(option.emissions_g, quoted.emissions_planned_g)
        colour = "green" if planned else ""
        return [
            Cell(words.clock_time(option.start, now), colour),
            Cell(words.clock_time(option.end, now), colour),
            Cell(mass(option.emissions_g), colour),
            Cell(difference, colour),
        ]

    return table(columns, map(row, sorted(_with_the_plan(options, quoted), key=lambda option: option.start)))


def _with_the_plan(options: Sequence[Alternative], quoted: Quote) -> list[Alternative]:
    """The planned start stands among its alternatives."""
    planned_g = quoted.emissions_planned_g
    if planned_g is None or any(option.start == quoted.planned_start for option in options):
        return list(options)
    return [*options, Alternative(start=quoted.planned_start, end=quoted.planned_end, emissions_g=planned_g)]


def _difference(emissions_g: float, planned_g: float | None) -> str:
    if planned_g is None or emissions_g == planned_g:
        return "the same" if planned_g is not None else ""
    return f"{mass(abs(emissions_g - planned_g))} {'more' if emissions_g > planned_g else 'less'}"


# --- many jobs


def jobs_table(rows: Sequence[JobRow], now: datetime, underway: Mapping[str, Underway] = MappingProxyType({})) -> str:
    columns = [
        Column("JOB", least=30),
        Column("STATE", least=14),
        Column(f"START ({words.zone_name(now)})"),
        Column("SLACK", right=True, spare=1),
        Column("CO2E", right=True),
        Column("WHY", least=12, spare=2),
    ]
    return table(columns, [_row(row, now, underway.get(row.lead.id)) for row in rows])


def _row(row: JobRow, now: datetime, underway: Underway | None) -> list[Cell | str]:
    """An array shows the start that is ahead, if one is, and why it is then."""
    lead = row.lead
    return [
        Cell(row.id, "bold" if row.counts.keys() & ACTIVE else ""),
        words.state(lead) if row.tasks == 1 else _count(row.counts),
        words.clock_time(lead.planned_start if lead.state in WAITING else row.start, now),
        words.slack(_row_slack_s(row, now, underway.pace if underway else None)),
        mass(row.emissions_g),
        words.reason(lead, now, underway),
    ]


def _row_slack_s(row: JobRow, now: datetime, pace: Pace | None) -> float:
    """Of an array that of its last task: the tasks share their deadline."""
    slack_s = words.slack_s(row.lead, now, pace)
    return slack_s if row.tasks == 1 or row.end is None else min(slack_s, (row.lead.deadline - row.end).total_seconds())


_RANK = {state: rank for rank, state in enumerate(
    (JobState.RUNNING, JobState.SUSPENDED, JobState.FAILED, JobState.EXPIRED, JobState.READY, JobState.SCHEDULED,
     JobState.PENDING, JobState.CANCELLED, JobState.SUCCEEDED)
)}  # fmt: skip
"""What an array shows first of its tasks."""


def _count(counts: Mapping[JobState, int]) -> Cell:
    met = [state for state in _RANK if counts.get(state)]
    parts = ", ".join(f"{counts[state]:,} {state.value}" for state in met)
    return Cell(f"{count(sum(counts.values()), 'task')}: {parts}", words.STATE_COLOURS[met[0]])


# --- one job


def job_page(
    job: Job,
    spec: JobSpec,
    measurements: Sequence[Measurement],
    receipt: Receipt | None,
    now: datetime,
    underway: Underway | None = None,
) -> None:
    say(f"{paint(safe(job.id), 'bold')}  {paint(words.state(job).text, words.state(job).colour)}")
    say(fields(_asked(job, spec, now)))
    say()
    say(paint("Where it stands", "bold"))
    say(fields(_stands(job, now, underway)))
    if measurements:
        say()
        say(paint("Attempts", "bold"))
        say(attempts(measurements, now))
        say()
        say(paint("Energy", "bold"))
        say(energy_parts((receipt and receipt.readings) or combined(measurements)))
    if receipt:
        say()
        say(paint(f"Receipt ({receipt.status.value}, revision {receipt.revision})", "bold"))
        say(receipt_fields(receipt, now))


def _asked(job: Job, spec: JobSpec, now: datetime) -> list[tuple[str, Cell | str]]:
    need = job.requirement
    command = spec.run if isinstance(spec.run, str) else " ".join(spec.run or ()) or (spec.script or "").strip()
    return [
        ("command", shorten(command.replace("\n", "; "), 200)),
        ("folder", spec.workdir or job.folder),
        ("project", job.project),
        ("labels", ", ".join(f"{name}={value}" for name, value in job.labels.items())),
        ("needs", ", ".join(job.needs)),
        ("resources", _resources(need.gpus, need.gpu_model, need.cpus)),
        ("zones", ", ".join(need.zones)),
        ("expected", f"{energy(job.profile.energy_j)} {_profile(job.profile, 1)}"),
        ("submitted", words.when(job.submitted_at, now) + (f", by {job.submitter}" if job.submitter else "")),
        ("deadline", words.when(job.deadline, now)),
    ]


def _resources(gpus: int, gpu_model: str | None, cpus: int) -> str:
    gpu = f"{count(gpus, gpu_model + ' GPU' if gpu_model else 'GPU')}, " if gpus else ""
    return f"{gpu}{count(cpus, 'CPU slot')}"


def _stands(job: Job, now: datetime, underway: Underway | None) -> list[tuple[str, Cell | str]]:
    waits = job.state not in ACTIVE | TERMINAL
    pace = underway.pace if underway else None
    return [
        ("why", words.reason(job, now)),
        ("planned start", words.when(job.planned_start, now) if job.planned_start and waits else ""),
        ("latest safe start", words.when(job.latest_start, now) if waits else ""),
        ("started", words.when(job.started_at, now) if job.started_at else ""),
        ("progress", words.progress(underway, now) if underway else ""),
        ("rate", words.rate(pace) if pace else ""),
        ("expected end", words.expected_end(pace, now) if pace else ""),
        ("ended", words.when(job.finished_at, now) if job.finished_at else ""),
        ("slack", words.slack(words.slack_s(job, now, pace))),
        ("carbon planned", mass(job.planned_emissions_g)),
        ("if started at once", mass(job.immediate_emissions_g)),
        ("worker", job.worker_id or ""),
        ("exit", "" if job.exit_code is None else str(job.exit_code)),
        ("error", Cell(job.error.replace("\n", "; "), "red")),
        ("attempts", _attempt_count(job)),
    ]


def _attempt_count(job: Job) -> str:
    lost = f", {job.lost_attempts} lost with their worker" if job.lost_attempts else ""
    failed = f", {job.failed_attempts} failed of at most {job.max_attempts}" if job.failed_attempts else ""
    return f"{job.attempts}{failed}{lost}" if job.attempts else "none yet"


def attempts(measurements: Sequence[Measurement], now: datetime) -> str:
    """One line an attempt."""
    columns = [
        Column("#", right=True),
        Column("OUTCOME"),
        Column(f"START ({words.zone_name(now)})"),
        Column("TOOK", right=True),
        Column("ENERGY", right=True),
        Column("WORKER", least=8, spare=1),
    ]
    rows: list[list[Cell | str]] = [
        [
            str(seen.attempt),
            seen.outcome.value,
            words.clock_time(seen.started_at, now),
            format_duration((seen.ended_at - seen.started_at).total_seconds()),
            with_error(seen.readings),
            seen.worker_id,
        ]
        for seen in measurements
    ]
    return table(columns, rows)


def energy_parts(readings: Sequence[EnergyReading]) -> str:
    """One line a part and one for their sum, each number beside how it is known; then what a reader should know of them."""
    if not readings:
        return "  nothing was measured"
    lines = parts(readings)
    columns = [
        Column("PART"),
        Column("ENERGY", right=True),
        Column("KNOWN AS"),
        Column("BY", least=12),
        Column("SECOND WAY", least=12, spare=1),
    ]
    shown = [table(columns, [[line.name, line.energy, line.known_as, line.by, line.second_way] for line in lines])]
    shown += [paragraph(f"{line.name}: {flag}", "yellow") for line in lines for flag in line.flags]
    return "\n".join(shown)


def receipt_fields(receipt: Receipt, now: datetime) -> str:
    promised = receipt.forecast_avoided_g
    kinds = [each.value for each in (receipt.signal, receipt.scope) if each]
    known_as = ", ".join(
        [*([" ".join(kinds)] if kinds else []), *(origin.value for origin in receipt.intensity_origins)]
    )
    return fields(
        [
            ("energy", with_error(receipt.readings) if receipt.readings else energy(receipt.energy_j)),
            ("foretold", foretold(receipt)),
            ("of that overhead", energy(receipt.overhead_energy_j) if receipt.overhead_energy_j else ""),
            ("emitted", mass(receipt.emissions_g)),
            ("if started at once", mass(receipt.baseline.emissions_g) if receipt.baseline else UNKNOWN),
            ("avoided", _avoided(receipt.avoided_g)),
            ("promised", mass(promised) if promised is not None else ""),
            ("intensity", f"{receipt.intensity_source} ({known_as})" if known_as else receipt.intensity_source),
            *((f"{label}, on top", text) for label, text in beside(receipt)),
            ("deadline", _deadline(receipt, now)),
            ("delayed", "" if receipt.delay_s is None else format_duration(receipt.delay_s)),
            *(("note", text) for text in receipt.notes),
        ]
    )


def _avoided(avoided_g: float | None) -> Cell:
    colour = "" if avoided_g is None else "green" if avoided_g > 0 else "red" if avoided_g < 0 else ""
    return Cell(mass(avoided_g), colour)


def _deadline(receipt: Receipt, now: datetime) -> Cell:
    if receipt.deadline_met is None:
        return Cell(words.when(receipt.deadline, now))
    met = receipt.deadline_met
    return Cell(f"{'met' if met else 'missed'}: {words.when(receipt.deadline, now)}", "" if met else "red")


def ended(job: Job) -> str:
    """One line for a job that has just ended."""
    took = ""
    if job.started_at and job.finished_at:
        took = f" after {format_duration((job.finished_at - job.started_at).total_seconds())}"
    shown = words.state(job)
    why = f": {safe(job.error)}" if job.error else f": exit {job.exit_code}" if job.exit_code else ""
    return f"{paint(shown.text, shown.colour)}  {safe(job.id)}{took}{why}"


def changed(jobs: Iterable[Job]) -> Iterator[str]:
    """One line for each job or array that `cancel` and `run-now` dealt with."""
    states: dict[str, Counter[JobState]] = defaultdict(Counter)
    singles: dict[str, Cell] = {}
    for job in jobs:
        name = job.array_id or job.id
        states[name][job.state] += 1
        singles[name] = words.state(job)
    for name, counts in states.items():
        shown = singles[name] if counts.total() == 1 else _count(counts)
        yield f"{safe(name)}  {paint(shown.text, shown.colour)}"


def warnings(texts: Iterable[str]) -> None:
    for text in texts:
        note(f"note: {safe(text)}", "yellow")
