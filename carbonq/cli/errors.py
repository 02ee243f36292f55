"""From an exception to what a person reads and the code that a script sees."""

from __future__ import annotations

import sys
from contextlib import suppress
from errno import EDQUOT, ENOSPC
from typing import TYPE_CHECKING

from carbonq.cli.output import note, paint, plain, safe

if TYPE_CHECKING:
    from carbonq.domain.errors import CarbonqError

INTERRUPTED = 130  # what shells report for a program that SIGINT ended
BROKEN_PIPE = 141  # the same for SIGPIPE


def report(error: BaseException, *, json: bool, debug: bool) -> int:
    """Tell the person, and return the exit code. Only `debug` shows a traceback."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        _leave_the_pipe()
        return BROKEN_PIPE
    if debug:
        import traceback

        traceback.print_exception(error)
    known = _as_known(error)
    if json:
        from json import dumps

        print(dumps(_as_json(known)), file=sys.stderr)
    else:
        _print(known)
    return known.exit_code


def _as_known(error: BaseException) -> CarbonqError:
    """The error in carbonq's own words."""
    from carbonq.domain.errors import CarbonqError, InvalidInput, NotFound

    if isinstance(error, CarbonqError):
        return error
    if isinstance(error, TimeoutError) and not error.errno:
        return CarbonqError(str(error) or "the time is over", hint="`carbonq status` shows where the jobs stand")
    if isinstance(error, OSError) and error.filename is not None:
        kind = NotFound if isinstance(error, FileNotFoundError) else CarbonqError
        kind = InvalidInput if isinstance(error, IsADirectoryError | NotADirectoryError) else kind
        return kind(f"{error.filename}: {error.strerror or error}")
    if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
        return CarbonqError(f"the output could not be written: {error.strerror}", hint="make room, then run it again")
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("carbonq"):
        package = error.name.partition(".")[0]
        return CarbonqError(f"the package {package} is not installed", hint=f"pip install {package}")
    return CarbonqError(
        f"unexpected {type(error).__name__}: {error}",
        hint="this is a mistake in carbonq; run the command again with --debug and report what it prints",
    )


def _as_json(error: CarbonqError) -> dict[str, object]:
    problems = [vars(problem) for problem in getattr(error, "problems", ())]
    found = {"what": error.what, "where": error.where, "hint": error.hint, "problems": problems}
    return {"error": {name: plain(value) for name, value in found.items() if value}, "exit_code": error.exit_code}


def _print(error: CarbonqError) -> None:
    problems = getattr(error, "problems", ())
    first, *more = [str(problem) for problem in problems] or [line for line in str(error).splitlines() if line]
    note(f"{paint('error:', 'red bold', sys.stderr)} {safe(first)}")
    for line in more:
        note(f"{'error: ' if problems else '       '}{safe(line)}")


def _leave_the_pipe() -> None:
    """Nobody reads any more: keep the interpreter from complaining when it flushes at exit."""
    import os

    with suppress(OSError, ValueError):  # a stdout without a file descriptor has nothing to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
