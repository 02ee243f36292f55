"""Commands about jobs: submit, status, show, explain, logs, wait, cancel, run-now."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carbonq.cli import session
from carbonq.cli.output import note, say, write_json, write_json_line

if TYPE_CHECKING:
    from carbonq.client import Client, Submitted
    from carbonq.domain.errors import CarbonqError
    from carbonq.domain.job import Job
    from carbonq.domain.spec import JobFile

JobIds = Annotated[list[str], typer.Argument(metavar="JOB...", help="Ids, or unique beginnings of ids.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="An id, or a unique beginning of one.")]


# --- submit


def submit(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Job files; `-` reads one from stdin.")],
    job_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Your own id: handing in the same job again changes nothing."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the jobs to end; exit 1 if one did not succeed.")
    ] = False,
) -> None:
    """Hand in jobs; see when they will run and what that saves.

    Example: carbonq submit job.yaml
    """
    from carbonq.cli.jobfiles import load_all
    from carbonq.cli.progress import Progress

    if job_id and len(files) > 1:
        raise typer.BadParameter("names one job, so give one file", param_hint="--id")
    here = session.of(ctx)
    loaded = load_all(files)
    accepted: list[Submitted] = []
    refused: list[CarbonqError] = []
    with Progress("Submitting", len(loaded) if len(loaded) > 1 else 0) as progress:
        for name, file in loaded:
            outcome = _submit_one(here.client, name, file, job_id)
            progress.clear()
            if isinstance(outcome, Exception):
                refused.append(outcome)
                _report(here, outcome)
            else:
                accepted.append(outcome)
                _show_submitted(here, outcome, brief=len(loaded) > 1)
            progress.advance(name)
    if accepted and not here.json:
        _say_next([one.job_id for one in accepted])
    if wait and accepted:
        _wait_for(here, [one.job_id for one in accepted], None)
    if refused:
        raise typer.Exit(refused[0].exit_code)


def _submit_one(client: Client, name: str, file: JobFile, job_id: str | None) -> Submitted | CarbonqError:
    """A job that cannot be accepted does not keep the others from being handed in."""
    from carbonq.domain.errors import Infeasible, InvalidInput

    try:
        return client.submit(file, job_id=job_id, submitter=_submitter())
    except (Infeasible, InvalidInput) as error:
        error.where = error.where or name
        return error


def _submitter() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        return ""


def _report(here: session.Session, error: CarbonqError) -> None:
    from carbonq.cli.errors import report

    report(error, json=here.json, debug=here.debug)


def _show_submitted(here: session.Session, one: Submitted, *, brief: bool) -> None:
    from carbonq.cli import views, words
    from carbonq.cli.output import paint
    from carbonq.reports.format import count, mass

    if here.json:
        write_json_line(one)
        return
    quote, now = one.quote, here.client.now()
    tasks = f" ({count(one.tasks, 'task')})" if one.tasks > 1 else ""
    if brief:
        start = words.clock_time(quote.planned_start, now)
        saves = words.saving(quote.emissions_now_g, quote.emissions_planned_g)
        say(f"{paint(one.job_id, 'bold')}{tasks}  {start}  {mass(quote.emissions_planned_g)}  {saves}")
    else:
        head = f"Submitted {quote.name}" if one.new else f"Already submitted: {quote.name}, nothing changed"
        say(f"{paint(head, 'bold')}{tasks}")
        say(views.quote(quote, now, job_id=one.job_id))
    views.warnings(quote.warnings)


def _say_next(ids: Sequence[str]) -> None:
    first = ids[0]
    note("")
    note("Next:  carbonq status", "dim")
    note(f"       carbonq logs -f {first}", "dim")
    note(f"       carbonq explain {first}", "dim")


# --- looking


def status(
    ctx: typer.Context,
    jobs: Annotated[
        list[str] | None, typer.Argument(metavar="[JOB...]", help="Only these; an array is shown task by task.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", "-a", help="All ended jobs too, not only the latest.")] = False,
    states: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="waiting, active, ended, or a state; may be repeated."),
    ] = None,
    project: Annotated[str | None, typer.Option(metavar="NAME", help="Only this project's jobs.")] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most this many rows of each kind.")] = 20,
) -> None:
    """List jobs, newest first.

    All that wait or run, and the latest that ended. The tasks of an array share a row; name the array to see each.

    Example: carbonq status --state waiting
    """
    from carbonq.cli import listing, views

    here = session.of(ctx)
    client = here.client
    wanted = listing.states_of(states)
    if jobs:
        rows = [row for name in jobs for row in listing.unfolded(client, name)]
    else:
        rows = listing.rows(client, wanted, project, limit=limit, every=every)
    if here.json:
        write_json(list(listing.jobs_of(client, rows, None if jobs else wanted)))
    elif rows:
        say(views.jobs_table(rows, client.now(), client.underway(row.lead for row in rows)))
        listing.hints(client, cut=not jobs and not every and len(rows) >= limit)
    else:
        listing.nothing(filtered=bool(states or project))


def show(ctx: typer.Context, job: JobId) -> None:
    """Show all of one job.

    Its place in the plan, its attempts with their energy and how that is known, and its receipt.

    Example: carbonq show digits
    """
    from carbonq.cli import listing, views

    here = session.of(ctx)
    client = here.client
    rows = listing.unfolded(client, job)
    found = rows[0].lead
    if len(rows) > 1:
        if here.json:
            write_json({"array_id": found.array_id, "tasks": [row.lead for row in rows]})
        else:
            say(views.jobs_table(rows, client.now(), client.underway(row.lead for row in rows)))
        return
    spec, seen, receipt = client.spec(found.id), client.measurements(found.id), client.receipt(found.id)
    underway = client.underway([found]).get(found.id)
    if here.json:
        told, pace = underway or (None, None)
        parts = {"job": found, "spec": spec, "measurements": seen, "receipt": receipt, "progress": told, "pace": pace}
        write_json(parts)
    else:
        views.job_page(found, spec, seen, receipt, client.now(), underway)


def explain(ctx: typer.Context, job: JobId) -> None:
    """Say why a job runs when it does, and what else was possible.

    Example: carbonq explain digits
    """
    from carbonq.cli import views
    from carbonq.cli.output import paragraph

    here = session.of(ctx)
    told = here.client.explain(job)
    if here.json:
        write_json(told)
        return
    say(paragraph(told.sentence))
    if told.quote is None:
        return
    say()
    say(views.quote(told.quote, here.client.now(), job_id=told.job.id))
    if told.quote.alternatives:
        say()
        say(views.alternatives(told.quote.alternatives, told.quote))
    views.warnings(told.quote.warnings)


def logs(
    ctx: typer.Context,
    job: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing until the job ends.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Every byte as written, also to a terminal.")] = False,
) -> None:
    """Print a job's output.

    On a terminal only text and colours get through; a pipe gets every byte.

    Example: carbonq logs -f digits
    """
    from carbonq.cli import logtext
    from carbonq.domain.job import WAITING

    here = session.of(ctx)
    found = here.client.job(job)
    if follow and found.state in WAITING:
        _say_waits(here.client, found)
    if here.client.log_is_cut(found.id):
        note(f"only the end of the output: the whole of it is on {found.worker_id}, in {_log_place(found)}")
    chunks = here.client.logs(found.id, follow=follow)
    if here.json:
        for line in logtext.lines(chunks):
            write_json_line({"job_id": found.id, "line": line})
        return
    printed = logtext.write(chunks if raw or not sys.stdout.isatty() else logtext.tame(chunks))
    if not printed and not follow:
        note(f"no output yet: {found.id} is {found.state.value}")


def _log_place(job: Job) -> str:
    return f"worker/attempts/{job.id}.{job.fence}/log of its data folder"


def _say_waits(client: Client, job: Job) -> None:
    from carbonq.cli import words

    start = f", planned for {words.when(job.planned_start, client.now())}" if job.planned_start else ""
    note(f"waiting for {job.id} to start{start}; Ctrl-C stops the watching, not the job")


# --- acting


def wait(
    ctx: typer.Context,
    jobs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[JOB...]", help="Ids or beginnings; default: all that have not ended."),
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Give up after this long (real time), such as 2h30m.")
    ] = None,
) -> None:
    """Wait for jobs to end, and print each as it does.

    Exits 1 if one did not succeed. Ctrl-C stops the waiting, not the jobs.

    Example: carbonq wait digits --timeout 2h
    """
    from carbonq.cli import listing

    here = session.of(ctx)
    timeout_s = None if timeout is None else listing.span(timeout, "--timeout")
    ids = jobs or listing.open_ids(here.client)
    if not ids:
        note("nothing to wait for: no job waits or runs")
        return
    _wait_for(here, ids, timeout_s)


def _wait_for(here: session.Session, ids: Sequence[str], timeout_s: float | None) -> None:
    from carbonq.cli import views
    from carbonq.cli.progress import Progress
    from carbonq.domain.job import JobState

    total = sum(len(here.client.task_ids(name)) for name in ids)
    bad = 0
    with Progress("Waiting", total) as progress:
        for job in here.client.wait(ids, timeout_s):
            progress.clear()
            if here.json:
                write_json_line(job)
            else:
                say(views.ended(job))
            bad += job.state is not JobState.SUCCEEDED
            progress.advance()
    if bad:
        note(f"{bad} of {total} did not succeed; `carbonq show JOB` and `carbonq logs JOB` say more", "red")
        raise typer.Exit(1)


def cancel(ctx: typer.Context, jobs: JobIds) -> None:
    """Cancel jobs in any state.

    A running one is stopped with all its processes.

    Example: carbonq cancel digits
    """
    here = session.of(ctx)
    _show_changed(here, here.client.cancel(jobs))


def run_now(ctx: typer.Context, jobs: JobIds) -> None:
    """Start waiting jobs now, whatever the grid is like.

    Example: carbonq run-now digits
    """
    here = session.of(ctx)
    _show_changed(here, here.client.run_now(jobs))


def _show_changed(here: session.Session, jobs: Sequence[Job]) -> None:
    from carbonq.cli import views

    if here.json:
        write_json(jobs)
        return
    for line in views.changed(jobs):
        say(line)


COMMANDS: tuple[tuple[str, Any], ...] = (
    ("submit", submit),
    ("status", status),
    ("show", show),
    ("explain", explain),
    ("logs", logs),
    ("wait", wait),
    ("cancel", cancel),
    ("run-now", run_now),
)
