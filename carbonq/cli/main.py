"""The `carbonq` command. Only typer is loaded before a command runs, so that help and completion are quick."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from carbonq.cli import backtesting, calibrating, jobs, planning, predicting, reporting, services, settings
from carbonq.cli.session import Session

START = """Start here:
  carbonq up                 queue, scheduler and one worker on this machine
  carbonq submit job.yaml    hand in a job; it runs in clean hours, by its deadline
  carbonq report             what that saved
"""
# Options that may stand before or after the command, and whether each takes a value.
EVERYWHERE = {"--json": False, "--debug": False, "--redis-url": True, "--namespace": True, "--zone": True}


def hoist(args: Sequence[str]) -> list[str]:
    """The arguments with the options of `EVERYWHERE` moved to the front, up to a `--`."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in EVERYWHERE:
            front += [word, *([value] if EVERYWHERE[word] and (value := next(words, None)) is not None else [])]
        elif word.partition("=")[0] in EVERYWHERE:
            front.append(word)
        else:
            rest.append(word)
    return front + rest


class Commands(TyperGroup):
    """Groups the commands in the help, takes the common options anywhere, and turns errors into exit codes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, hoist(args))

    def invoke(self, ctx: Any) -> Any:
        given = {name: ctx.params[name] for name in ("redis_url", "namespace", "zone")}
        flags = {name: value for name, value in given.items() if value is not None}
        session = Session(ctx.obj or {}, flags, json=ctx.params["json"], debug=ctx.params["debug"])
        ctx.obj = session
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if _is_usage_error(error):
                raise
            from carbonq.cli.errors import report

            raise typer.Exit(report(error, json=session.json, debug=session.debug)) from error
        return result

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command and not command.hidden:
                panel = getattr(command, "rich_help_panel", None) or "Commands"
                panels.setdefault(str(panel), []).append((name, command.get_short_help_str(formatter.width)))
        for title, rows in panels.items():
            with formatter.section(title):
                formatter.write_dl(rows, col_max=12)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # the signature of a hook
        formatter.write("\n" + START)


class Command(TyperCommand):
    """A command whose help names the options that all commands share."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # the signature of a hook
        formatter.write_paragraph()
        formatter.write_text("Also for every command: --json, --zone, --redis-url, --namespace, --debug.")


def _is_usage_error(error: BaseException) -> bool:
    """Typer's own errors (bad flags) show themselves; older typers have them in click, newer ones in a copy of it."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"carbonq {version('carbonq')}")
        raise typer.Exit


app = typer.Typer(
    name="carbonq",
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(invoke_without_command=True)
def carbonq(  # what the options say is taken up in `Commands.invoke`
    ctx: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print data as JSON, with units in the keys.")] = False,  # noqa: ARG001
    redis_url: Annotated[str | None, typer.Option(metavar="URL", help="The queue's Redis or Valkey.")] = None,  # noqa: ARG001
    namespace: Annotated[str | None, typer.Option(metavar="NAME", help="Which queue on that server.")] = None,  # noqa: ARG001
    zone: Annotated[str | None, typer.Option(metavar="ZONE", help="The grid zone, such as FR or US-CAL-CISO.")] = None,  # noqa: ARG001
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,  # noqa: ARG001
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run compute when the grid is clean, and measure what it used.

    The options below may stand before or after the command.
    """
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


JOBS, PLANS, SERVICES, REPORTS = "Jobs", "Plan and forecasts", "Services", "Reports and settings"
for panel, commands in (
    (JOBS, jobs.COMMANDS),
    (PLANS, (*planning.COMMANDS, *predicting.COMMANDS, *backtesting.COMMANDS)),
    (SERVICES, (*services.COMMANDS, *calibrating.COMMANDS)),
    (REPORTS, (*reporting.COMMANDS, *settings.COMMANDS)),
):
    for name, command in commands:
        app.command(name, cls=Command, rich_help_panel=panel)(command)
app.add_typer(settings.config, name="config", rich_help_panel=REPORTS)


def _open_what_is_closed() -> None:
    """A caller may have closed the standard streams (`>&-`): what is written to them goes nowhere, and breaks nothing."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            opened = open(os.devnull, mode)  # noqa: PTH123, SIM115  # stays open as long as the process
            if opened.fileno() != descriptor:
                os.dup2(opened.fileno(), descriptor)  # so that no file or socket takes its number
            setattr(sys, name, opened)


def main() -> None:
    """The console entry point."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError):  # a replaced stream may be no text file
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app()
