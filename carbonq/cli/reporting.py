"""The report on what finished jobs used, emitted and avoided."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carbonq.cli import session
from carbonq.cli.files import deliver
from carbonq.cli.output import colourful, note, paint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from carbonq.client import Client
    from carbonq.domain.carbon import IntensitySeries
    from carbonq.domain.receipt import Receipt

ROLES = {"heading": "bold", "good": "green", "bad": "red", "muted": "dim"}


def report(
    ctx: typer.Context,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="A span back from now such as 7d, or a date; default: all.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Up to then; as for --since.")] = None,
    by: Annotated[
        str, typer.Option(metavar="KEY", help="Group by project, zone, job, month or label:KEY.")
    ] = "project",
    form: Annotated[
        str | None, typer.Option("--format", "-f", metavar="FORMAT", help="table, json, csv or html.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write there; its ending tells the format.")
    ] = None,
) -> None:
    """Say what finished jobs used, emitted and avoided.

    Avoided is against starting at once; a job that emitted more than that counts below zero.

    Example: carbonq report --since 7d -o report.html
    """
    from carbonq.reports import plain, render

    here = session.of(ctx)
    chosen = _format(here, form, output)
    client = here.client
    now = client.now()
    receipts = client.receipts(since=_moment(since, now, "--since"), until=_moment(until, now, "--until"))
    plots = chosen == "html"
    text = render(
        receipts,
        chosen,
        by=by,
        intensity=_intensity(client, receipts) if plots else (),
        forecasts=(),
        workers=client.workers(),
        issued_at=now,
        zone=_zone(now),
        style=(lambda words, role: paint(words, ROLES.get(role, ""))) if _colours(output) else plain,
    )
    _deliver(text, output)
    if not receipts:
        note("no job has finished in that time; `carbonq status` shows where the jobs stand")


def _format(here: session.Session, form: str | None, output: str | None) -> str:
    """As asked for, else by the file's ending, else a table."""
    from carbonq.reports import Format

    formats = tuple(Format)
    ending = Path(output).suffix[1:].lower() if output else ""
    chosen = form or ("json" if here.json else ending if ending in formats else "table")
    if chosen not in formats:
        raise typer.BadParameter(f"{chosen!r} is none of {', '.join(formats)}", param_hint="--format")
    if chosen == "html" and output is None and sys.stdout.isatty():
        raise typer.BadParameter("a page of HTML needs a file: add -o report.html", param_hint="--format")
    return chosen


def _moment(text: str | None, now: datetime, flag: str) -> datetime | None:
    """A span back from now, or a moment; a time without a zone is local."""
    from datetime import UTC, datetime, timedelta

    from carbonq.domain.errors import InvalidInput
    from carbonq.domain.units import parse_duration

    if text is None:
        return None
    try:
        return now - timedelta(seconds=parse_duration(text))
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        hint = "write a span such as 7d or 12h, or a date such as 2026-01-05 or 2026-01-05T18:00"
        raise InvalidInput(f"{text!r} is neither a span nor a time", where=flag, hint=hint) from None


def _intensity(client: Client, receipts: Sequence[Receipt]) -> list[IntensitySeries]:
    """What each zone's grid was like while its jobs waited and ran; a zone without readings is left out."""
    from carbonq.domain.errors import NotFound, Unreachable

    series: list[IntensitySeries] = []
    for zone in sorted({receipt.zone for receipt in receipts}):
        there = [receipt for receipt in receipts if receipt.zone == zone]
        start, end = min(one.submitted_at for one in there), max(one.finished_at for one in there)
        try:
            series.append(client.actual(zone, start, end))
        except (NotFound, Unreachable) as error:
            note(f"note: no intensity to plot for {zone}: {error.what}", "yellow")
    return series


def _zone(now: datetime) -> Any:
    return now.astimezone().tzinfo


def _colours(output: str | None) -> bool:
    return output is None and colourful(sys.stdout)


def _deliver(text: str, output: str | None) -> None:
    if output is None or output == "-":
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        return
    deliver(text, output)


COMMANDS: tuple[tuple[str, Any], ...] = (("report", report),)
