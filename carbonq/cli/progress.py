"""A progress line on stderr: only on a terminal, and gone when the work is done."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Self

from carbonq.cli.output import safe, speaks_unicode, terminal_columns

REDRAW_S = 0.1


class Progress:
    """`with Progress("Submitting", 40) as progress: … progress.advance("job 7")`. `total` 0: only the text is shown."""

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done = title, total, 0
        self._drawn_at = 0.0
        self._live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def __enter__(self) -> Self:
        self._draw("")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.clear()

    def advance(self, text: str = "", *, steps: int = 1) -> None:
        self.done += steps
        if self.done >= self.total or time.monotonic() - self._drawn_at >= REDRAW_S:
            self._draw(text)

    def clear(self) -> None:
        """Make room for a line of data."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _draw(self, text: str) -> None:
        if not self._live:
            return
        from carbonq.reports.format import shorten

        self._drawn_at = time.monotonic()
        line = f"{self.title}  {bar(self.done, self.total)}  {safe(text)}"
        print(f"\r\x1b[K{shorten(line, terminal_columns() - 1)}", end="", file=sys.stderr, flush=True)


def bar(done: int, total: int, width: int = 24) -> str:
    """`[#####-----] 5/10`, in blocks where the terminal has them."""
    if not total:
        return ""
    full, empty = ("█", "░") if speaks_unicode(sys.stderr) else ("#", "-")
    filled = min(width, width * done // total)
    return f"{full * filled}{empty * (width - filled)} {done:,}/{total:,}"
