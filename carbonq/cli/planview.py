"""The current plan as a table: what runs when, where, and why."""

from __future__ import annotations

from datetime import datetime

from carbonq.cli import words
from carbonq.cli.output import Cell, Column, note, say, table
from carbonq.domain.plan import Assignment, Plan, PlanSnapshot
from carbonq.reports.format import count, mass, percent


def show(snapshot: PlanSnapshot, plan: Plan, *, now: datetime, limit: int) -> None:
    """Jobs by their start; those without a place last."""
    chosen = sorted(plan.assignments, key=lambda place: (place.segments[0][0] if place.segments else 0, place.job))
    if chosen or plan.unplaced:
        columns = [
            Column(f"START ({words.zone_name(now)})"),
            Column("END"),
            Column("POOL", spare=2),
            Column("CO2E", right=True),
            Column("JOB", least=30),
            Column("WHY", least=12, spare=1),
        ]
        rows = [_row(snapshot, place, place.job in plan.late, now) for place in chosen[:limit]]
        rows += [[Cell("no place", "red"), "", "", "", job, ""] for job in plan.unplaced[: limit - len(rows)]]
        say(table(columns, rows))
    _summary(snapshot, plan, now, hidden=max(0, len(chosen) + len(plan.unplaced) - limit))


def _row(snapshot: PlanSnapshot, place: Assignment, late: bool, now: datetime) -> list[Cell | str]:
    first, end = (place.segments[0][0], place.segments[-1][1]) if place.segments else (0, 0)
    return [
        words.clock_time(snapshot.grid.at(first), now),
        words.clock_time(snapshot.grid.at(end), now),
        place.pool,
        mass(place.emissions_g),
        place.job,
        Cell(f"late: {_why(place)}", "red") if late else _why(place),
    ]


def _why(place: Assignment) -> str:
    """The reason in words where it is one of the known ones."""
    known = {reason.value: text for reason, text in words.REASONS.items()}
    return known.get(place.reason, place.reason)


def _summary(snapshot: PlanSnapshot, plan: Plan, now: datetime, *, hidden: int) -> None:
    if hidden:
        note(f"… and {count(hidden, 'more line')}: --limit {hidden + 50} shows them", "dim")
    if not plan.assignments and not plan.unplaced:
        note("nothing is planned: no job waits")
        return
    jobs = count(len(plan.assignments), "job")
    gap = f", at most {percent(plan.gap)} above the best possible" if plan.gap is not None else ""
    late = f", {len(plan.late)} late" if plan.late else ""
    made = words.when(snapshot.start, now)
    note(f"\n{jobs}{late}, {mass(plan.emissions_g)} in all{gap}; {plan.method}, for the time from {made}", "dim")
