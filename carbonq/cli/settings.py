"""Commands about settings and file formats: config, schema."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from carbonq.cli import session
from carbonq.cli.output import Cell, Column, say, table, write_json

config = typer.Typer(rich_markup_mode=None, help="Show the settings and where each comes from.")


@config.callback(invoke_without_command=True)
def _config(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        show(ctx)


@config.command("show")
def show(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Also say where each value comes from.")] = False,
) -> None:
    """Show the settings in force. Passwords are left out.

    What counts, first to last: flags, CARBONQ_* variables, carbonq.yaml here or in a folder above, the user's,
    the system's, the defaults.

    Example: carbonq config show --origin
    """
    from carbonq.settings import keys

    settings = session.of(ctx).settings
    values = settings.redacted()
    origins = {name: settings.origins.get(key, "default") for key, name in keys().items()}
    if session.of(ctx).json:
        write_json({name: {"value": values[name], "origin": origins[name]} for name in origins} if origin else values)
        return
    columns = [Column("SETTING"), Column("VALUE", least=12), *([Column("FROM", least=10)] if origin else [])]
    rows = [
        [name, _shown(values[name]), *([_from(origins[name])] if origin else [])] for name in origins if name in values
    ]
    say(table(columns, rows))


def _shown(value: object) -> Cell | str:
    if value is None:
        return Cell("not set", "dim")
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _from(origin: str) -> Cell:
    return Cell(origin, "dim" if origin.startswith("default") else "")


def schema(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="job, settings, job-record, receipt, … (a wrong name lists all).")
    ] = "job",
) -> None:
    """Print the JSON Schema of a format, for editors and checks.

    `job` is what a job file holds; `job-record` is a job as --json shows it.

    Example: carbonq schema job
    """
    from carbonq import schemas

    write_json(schemas.schema(name))


COMMANDS: tuple[tuple[str, Any], ...] = (("schema", schema),)
