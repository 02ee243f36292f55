"""Commands about the plan and what it rests on: plan, forecast, zones."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from carbonq.cli import session
from carbonq.cli.output import Column, note, say, table, write_json


def plan(
    ctx: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="A job file, or `-`: when would it run? Nothing is submitted."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most this many lines of the current plan.")] = 50,
) -> None:
    """Show the current plan, or try a job file without submitting.

    With a file, exits 5 for a job that cannot meet its deadline.

    Example: carbonq plan job.yaml
    """
    here = session.of(ctx)
    if file is None:
        _current(here, limit)
    else:
        _dry_run(here, file)


def _dry_run(here: session.Session, file: str) -> None:
    from carbonq.cli import jobfiles, views, words
    from carbonq.cli.output import paint
    from carbonq.domain.errors import Infeasible
    from carbonq.reports.format import count

    read = jobfiles.load(file)  # before the queue is asked: a mistake in the file is told with or without a server
    quote = here.client.quote(read)
    now = here.client.now()
    if here.json:
        write_json(quote)
    else:
        tasks = f" ({count(quote.tasks, 'task')})" if quote.tasks > 1 else ""
        say(f"{paint(f'{quote.name} would run like this', 'bold')}{tasks}")
        say(views.quote(quote, now))
        if quote.alternatives:
            say()
            say(views.alternatives(quote.alternatives, quote))
        views.warnings(quote.warnings)
    if not quote.feasible:
        raise Infeasible(
            f"{quote.name} cannot be done by {words.when(quote.deadline, now)}",
            where=file,
            hint=f"the earliest finish is {words.when(quote.earliest_finish, now)}; move the deadline there or later",
        )
    if not here.json:
        note(f"\nNothing was submitted. Next:  carbonq submit {file}", "dim")


def _current(here: session.Session, limit: int) -> None:
    found = here.client.plan()
    if here.json:
        write_json(found and {"snapshot": found[0], "plan": found[1]})
        return
    if found is None:
        note("there is no plan yet: `carbonq up` or `carbonq scheduler` makes one")
        return
    from carbonq.cli import planview

    planview.show(*found, now=here.client.now(), limit=limit)


def forecast(
    ctx: typer.Context,
    zone: Annotated[str | None, typer.Argument(metavar="[ZONE]", help="Default: the configured zone.")] = None,
    hours: Annotated[float, typer.Option(min=0.5, max=168, metavar="N", help="How far to look ahead.")] = 24,
    window: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="How long a job runs: its cleanest time. Default: those of 1h, 4h and 8h."),
    ] = None,
    history: Annotated[
        str | None, typer.Option(metavar="FILE", help="With --at: forecast from this file's readings alone.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="T", help="The moment at which that forecast is made; nothing later is seen.")
    ] = None,
    train_from: Annotated[
        str | None, typer.Option(metavar="T", help="With --history: use no reading before; default: the first row.")
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="With --history: as for `carbonq backtest`. May be repeated."),
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="With --history: a published forecast, for models that mix it in."),
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="With --history: a model that `carbonq backtest` knows.")
    ] = "carbonq",
) -> None:
    """Show the carbon intensity ahead, and its cleanest windows.

    Example: carbonq forecast GB --hours 48 --window 4h
    """
    from carbonq.cli.listing import span

    here = session.of(ctx)
    window_s = span(window, "--window") if window else None
    if history is not None or at is not None:
        from carbonq.cli import historical

        past = historical.Past(history, at, train_from, tuple(features or ()), published)
        historical.forecast(here, past, model, hours, window_s, zone)
        return
    wanted = zone.upper() if zone else here.flags.get("zone")
    found = here.grid.forecast(str(wanted) if wanted else None, hours)
    if here.json:
        write_json(found)
        return
    from carbonq.cli import chart

    say(chart.forecast(found, here.grid.now(), hours, window_s))


def zones(
    ctx: typer.Context,
    search: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="Only zones with this in code or note.")
    ] = None,
) -> None:
    """List the sources of carbon intensity and the zones they know.

    Example: carbonq zones US
    """
    here = session.of(ctx)
    sought = (search or "").lower()
    found = [info for info in here.grid.zones() if sought in f"{info.zone} {info.note}".lower()]
    sources = here.grid.sources()
    if here.json:
        write_json({"sources": sources, "zones": found})
        return
    from carbonq.cli import zonelist

    if not search:
        say(zonelist.sources(sources))
        say()
    if found:
        columns = [Column("ZONE"), Column("SOURCES, IN THE ORDER THEY ARE ASKED", least=12), Column("NOTE", least=10)]
        say(table(columns, [(info.zone, ", ".join(info.sources), info.note) for info in found]))
        zonelist.hint(found)
    else:
        note(f"no zone matches {search!r}; `carbonq zones` lists every one" if search else "no source knows any zone")


COMMANDS: tuple[tuple[str, Any], ...] = (("plan", plan), ("forecast", forecast), ("zones", zones))
