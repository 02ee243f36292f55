"""Which jobs `status` lists and `wait` waits for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from difflib import get_close_matches

from carbonq.cli.output import note
from carbonq.cli.views import Row, fold
from carbonq.client import Client
from carbonq.domain.errors import InvalidInput
from carbonq.domain.job import ACTIVE, TERMINAL, WAITING, Job, JobState
from carbonq.domain.ports import JobQuery
from carbonq.domain.units import parse_duration

PAGE = 500
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
) -> list[Row]:
    """Newest first: at most `limit` rows that wait or run, and as many that ended (`every`: all of them)."""
    wanted, most = states or frozenset(JobState), EVERYTHING if every else limit
    opened, all_open = _newest(client, wanted - TERMINAL, project, most)
    ended, all_ended = _newest(client, wanted & TERMINAL, project, most)
    jobs = {job.id: job for job in (*opened, *ended)}  # one that ended in between counts as ended
    together = {row.id: row for row in fold(jobs.values())}
    names = dict.fromkeys(row.id for found in (opened, ended) for row in fold(found)[:most])
    whole = [_in_order(together[name].tasks) for name in names]
    if not (all_open and all_ended):
        whole = [_completed(client, row, wanted) for row in whole]
    return sorted(whole, key=lambda row: row.first.submitted_at, reverse=True)


def _newest(client: Client, states: frozenset[JobState], project: str | None, limit: int) -> tuple[list[Job], bool]:
    """The newest jobs, at least `limit` rows of them where there are as many; and whether those are all."""
    found: list[Job] = []
    for page in _pages(client, JobQuery(states, project, limit=PAGE)) if states else ():
        found += page
        if len({job.array_id or job.id for job in found}) > limit:
            return found, False
    return found, True


def _pages(client: Client, query: JobQuery) -> Iterator[list[Job]]:
    """Each page four times the last: the queue reads on from the newest each time, and arrays are long."""
    while page := client.jobs(query):
        yield page
        if len(page) < query.limit:
            return
        query = query._replace(offset=query.offset + query.limit, limit=4 * query.limit)


def _completed(client: Client, row: Row, states: frozenset[JobState]) -> Row:
    """An array's row with all of its tasks in those states, also those of other pages."""
    array_id = row.first.array_id
    if array_id is None:
        return row
    return _in_order(client.jobs(JobQuery(states, array_id=array_id, limit=EVERYTHING)) or row.tasks)


def _in_order(tasks: Sequence[Job]) -> Row:
    first, *_ = ordered = sorted(tasks, key=lambda job: job.array_index or 0)
    return Row(first.array_id or first.id, tuple(ordered))


def open_ids(client: Client) -> list[str]:
    """Ids of all that wait or run; an array by its own id."""
    return [row.id for row in fold(client.jobs(JobQuery(WAITING | ACTIVE, limit=EVERYTHING)))]


def emitted_g(client: Client, rows: Sequence[Row]) -> dict[str, float | None]:
    """What the listed jobs that ended have emitted, as far as it is known."""
    ended = [job for row in rows for job in row.tasks if job.finished_at]
    if not ended:
        return {}
    since = min(job.finished_at for job in ended if job.finished_at) - timedelta(seconds=1)
    return {receipt.job_id: receipt.emissions_g for receipt in client.receipts(since=since)}


def hints(client: Client, rows: Sequence[Row], limit: int) -> None:
    """What a person should know beside the table."""
    counts = client.counts()
    waiting = sum(counts.get(state, 0) for state in WAITING)
    active = sum(counts.get(state, 0) for state in ACTIVE)
    ended = sum(counts.get(state, 0) for state in TERMINAL)
    note(f"\n{waiting:,} waiting, {active:,} running, {ended:,} ended", "dim")
    if len(rows) >= limit:
        note("older rows are left out: `carbonq status --all` lists every one", "dim")
    if waiting and not client.workers():
        note("no worker is running, so nothing starts: `carbonq worker` or `carbonq up` starts one", "yellow")


def nothing(*, filtered: bool) -> None:
    if filtered:
        note("no job matches; `carbonq status --all` lists every one")
    else:
        note("the queue is empty: `carbonq submit job.yaml` hands in a job, `carbonq demo` shows it all at work")
