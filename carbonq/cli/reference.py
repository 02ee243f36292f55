"""The reference of the command line as Markdown, made from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from carbonq.cli.main import app

Command = Any  # typer's own copy of click's class in newer versions, click's in older ones
EXAMPLE = re.compile(r"^Example: (.+)$", re.MULTILINE)


def markdown() -> str:
    """One section a command, in the order of the help."""
    group = typer.main.get_command(app)
    parts = ["## Options of every command", "They may stand before or after the command.", _options(group)]
    for path, command in commands(group):
        parts += [f"## carbonq {path}", *_section(path, command)]
    return "\n\n".join(part for part in parts if part)


def commands(group: Command, path: str = "") -> Iterator[tuple[str, Command]]:
    """Every command with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def _section(path: str, command: Command) -> Iterator[str]:
    about = command.help or ""
    yield EXAMPLE.sub("", about).strip()
    usage = " ".join(part for part in ("carbonq", path, *_usage(command)) if part)
    examples = "\n".join(EXAMPLE.findall(about))
    yield f"```text\n{usage}\n```"
    if examples:
        yield f"For example:\n\n```text\n{examples}\n```"
    yield _options(command)


def _usage(command: Command) -> Iterator[str]:
    if any(_is_option(param) for param in command.params):
        yield "[OPTIONS]"
    yield from (param.metavar or param.name.upper() for param in command.params if not _is_option(param))


def _options(command: Command) -> str:
    rows = [
        f"| {_name(param)} | {_meaning(param)} |" for param in command.params if not getattr(param, "hidden", False)
    ]
    return "\n".join(("| option | meaning |", "| --- | --- |", *rows)) if rows else ""


def _name(param: Any) -> str:
    if not _is_option(param):
        return f"`{param.metavar or param.name.upper()}`"
    value = "" if getattr(param, "is_flag", False) else f" {param.metavar or param.name.upper()}"
    return ", ".join(f"`{flag}{value}`" for flag in sorted(param.opts, key=len, reverse=True)).replace("|", r"\|")


def _meaning(param: Any) -> str:
    default = param.default if isinstance(param.default, str | int | float) else None
    shown = "" if default is None or isinstance(default, bool) else f" Default: `{default:g}`." if isinstance(
        default, int | float
    ) else f" Default: `{default}`."  # fmt: skip
    return f"{(param.help or '').replace('|', chr(92) + '|')}{shown}"


def _is_option(param: Any) -> bool:
    return bool(param.param_type_name == "option")
