"""Which jobs `status` lists and `wait` waits for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from carbonq.cli.output import note
from carbonq.client import Client
from carbonq.domain.errors import InvalidInput
from carbonq.domain.job import ACTIVE, TERMINAL, WAITING, Job, JobState
from carbonq.domain.ports import JobQuery, JobRow
from carbonq.domain.units import parse_duration

EVERYTHING = 1_000_000
GROUPS = {"waiting": WAITING, "active": ACTIVE, "ended": TERMINAL, "open": WAITING | ACTIVE}


def states_of(names: Sequence[str] | None) -> frozenset[JobState] | None:
    """The states that `--state` means. Raises InvalidInput."""
    if not names:
        return None
    known = GROUPS | {state.value: frozenset({state}) for state in JobState}
    for name in names:
        if name.lower() not in known:
            close = get_close_matches(name.lower(), known, 1)
            hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(known)}"
            raise InvalidInput(f"no state {name!r}", where="--state", hint=hint)
    return frozenset().union(*(known[name.lower()] for name in names))


def span(text: str, flag: str) -> float:
    """Seconds. Raises InvalidInput."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InvalidInput(str(error), where=flag) from error


def rows(
    client: Client, states: frozenset[JobState] | None, project: str | None, *, limit: int, every: bool
) -> list[JobRow]:
    """Newest first: at most `limit` rows that wait or run, and as many that ended (`every`: all of them)."""
    wanted, most = states or frozenset(JobState), EVERYTHING if every else limit
    opened = _rows(client, wanted - TERMINAL, project, most)
    seen = {row.id for row in opened}
    ended = [row for row in _rows(client, wanted & TERMINAL, project, most + len(seen)) if row.id not in seen]
    return sorted([*opened, *ended[:most]], key=lambda row: row.lead.submitted_at, reverse=True)


def _rows(client: Client, states: frozenset[JobState], project: str | None, limit: int) -> list[JobRow]:
    return client.rows(JobQuery(states, project, limit=limit)) if states else []


def unfolded(client: Client, name: str) -> list[JobRow]:
    """A job's row, or that of each task of an array, with what it emitted once that is known."""
    first, *others = client.task_ids(name)
    job = client.job(first)
    if others and job.array_id:
        return client.rows(JobQuery(array_id=job.array_id, limit=EVERYTHING))[::-1]
    receipt = client.receipt(job.id)
    return [JobRow.of(job, receipt.emissions_g if receipt else job.foreseen_g)]


def jobs_of(client: Client, rows: Iterable[JobRow], states: frozenset[JobState] | None) -> Iterator[Job]:
    """The jobs behind the rows, an array's task by task."""
    for row in rows:
        jobs = [row.lead] if row.tasks == 1 else client.tasks(row.id)
        yield from (job for job in jobs if states is None or job.state in states)


def open_ids(client: Client) -> list[str]:
    """Ids of all that wait or run; an array by its own id."""
    return [row.id for row in client.rows(JobQuery(WAITING | ACTIVE, limit=EVERYTHING))]


def hints(client: Client, *, cut: bool) -> None:
    """What a person should know beside the table."""
    counts = client.counts()
    waiting = sum(counts.get(state, 0) for state in WAITING)
    active = sum(counts.get(state, 0) for state in ACTIVE)
    ended = sum(counts.get(state, 0) for state in TERMINAL)
    note(f"\n{waiting:,} waiting, {active:,} running, {ended:,} ended", "dim")
    if cut:
        note("older rows are left out: `carbonq status --all` lists every one", "dim")
    if waiting and not client.workers():
        note("no worker is running, so nothing starts: `carbonq worker` or `carbonq up` starts one", "yellow")


def nothing(*, filtered: bool) -> None:
    if filtered:
        note("no job matches; `carbonq status --all` lists every one")
    else:
        note("the queue is empty: `carbonq submit job.yaml` hands in a job, `carbonq demo` shows it all at work")
