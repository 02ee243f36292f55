"""Commands that run carbonq: worker, scheduler, up, doctor, demo."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from carbonq.cli import session
from carbonq.cli.output import note, paint, safe, say, terminal_width, write_json

Pool = Annotated[str | None, typer.Option(metavar="NAME", help="The pool that the worker belongs to.")]
Cpus = Annotated[int | None, typer.Option("--worker-cpus", min=1, metavar="N", help="CPU slots to offer.")]
Gpus = Annotated[str | None, typer.Option("--worker-gpus", metavar="all|none", help="GPUs to offer.")]


Pue = Annotated[
    float | None, typer.Option("--worker-pue", metavar="X", help="The site's power usage effectiveness, such as 1.3.")
]
Embodied = Annotated[
    float | None, typer.Option("--worker-embodied-kg", metavar="KG", help="What making this machine emitted.")
]
Lifetime = Annotated[
    float | None, typer.Option("--worker-lifetime-years", metavar="YEARS", help="How long this machine is used.")
]


def worker(
    ctx: typer.Context,
    pool: Pool = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    pue: Pue = None,
    embodied_kg: Embodied = None,
    lifetime_years: Lifetime = None,
) -> None:
    """Run jobs on this machine and measure them.

    Ctrl-C lets running jobs end; a second one, or SIGTERM, leaves them running, for the next worker to find.

    Example: carbonq worker
    """
    here = session.of(ctx)
    here.add_flags(
        pool=pool,
        worker_cpus=cpus,
        worker_gpus=gpus,
        worker_pue=pue,
        worker_embodied_kg=embodied_kg,
        worker_lifetime_years=lifetime_years,
    )
    here.part("bootstrap").run_worker(here.settings)


def scheduler(ctx: typer.Context) -> None:
    """Plan the queue and write the receipts.

    It refreshes forecasts, replans, and recovers lost jobs. A second one stands by.

    Example: carbonq scheduler
    """
    here = session.of(ctx)
    here.part("bootstrap").run_scheduler(here.settings)


def up(ctx: typer.Context) -> None:
    """Run all of carbonq on this machine, until Ctrl-C.

    A private queue server, the scheduler and one worker. What waits is kept when it stops.

    Example: carbonq up
    """
    here = session.of(ctx)

    def on_ready(*facts: object) -> None:
        if here.json:
            from carbonq.cli.output import write_json_line

            write_json_line({"ready": True, "facts": [str(fact) for fact in facts]})
            return
        note("carbonq is up. In another terminal:  carbonq submit job.yaml", "green")
        for fact in facts:
            note(f"  {safe(str(fact))}")
        note("Ctrl-C stops it; jobs that wait are kept.", "dim")

    here.part("up").run(here.settings, on_ready=on_ready)


def doctor(ctx: typer.Context) -> None:
    """Check what carbonq finds on this machine.

    Server, zone, forecast, meters, GPUs. Exits 1 if something is broken.

    Example: carbonq doctor
    """
    here = session.of(ctx)
    checks: list[Any] = []
    for check in here.part("doctor").diagnose(here.settings):
        checks.append(check)
        if not here.json:
            _say_check(check)
    if here.json:
        write_json(checks)
    broken = [check for check in checks if check.ok is False]
    if broken:
        raise typer.Exit(1)
    if not here.json:
        note("\nReady: `carbonq up` starts it, `carbonq submit job.yaml` hands in a job.", "green")


NAME_WIDTH = len("source electricity-maps")
MARKS = {True: ("ok", "green"), False: ("BAD", "red"), None: ("--", "yellow")}


def _say_check(check: Any) -> None:
    mark, colour = MARKS[check.ok]
    say(f"{paint(f'{mark:<4}', colour)}{safe(check.name):<{NAME_WIDTH}}  {_beside(check.what)}")
    if check.hint and check.ok is not True:
        say(f"{'':{NAME_WIDTH + 6}}{paint(_beside(check.hint), 'dim')}")


def _beside(text: str) -> str:
    """Wrapped on a terminal, each line under the first."""
    import textwrap

    indent = " " * (NAME_WIDTH + 6)
    room = max(24, (terminal_width() or 10_000) - len(indent))
    return f"\n{indent}".join(textwrap.wrap(safe(text), room, break_on_hyphens=False, break_long_words=False))


def demo(
    ctx: typer.Context,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FOLDER", help="Where the report's page is written.")
    ] = ".",
) -> None:
    """See it all at work within two minutes.

    Real jobs on a private queue, a replayed day of a sunny grid, and the report.

    Example: carbonq demo
    """
    from pathlib import Path

    here = session.of(ctx)
    page = here.part("demo").run(Path(out), note, note if here.json else say)
    note(f"\nThe report as a page: {page}", "green")
    if here.json:
        write_json({"report": str(page)})


COMMANDS: tuple[tuple[str, Any], ...] = (
    ("up", up),
    ("worker", worker),
    ("scheduler", scheduler),
    ("doctor", doctor),
    ("demo", demo),
)
