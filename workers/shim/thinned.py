"""Readings over time in a file that stays short and never lags behind."""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # the typing module takes milliseconds to load
    from collections.abc import Sequence
    from typing import Any

    Row = Sequence[str | float | None]

LONGEST_S = (
    10.0  # between two readings: no more than this is lost when everything is killed, and no RAPL wrap is missed
)


class Thinned:
    """At most `most` readings of one or more rows each, below a header.

    A reading that comes sooner than `interval_s` after the last one that was kept holds its place only until the next.
    When all are used, every second one goes and the interval doubles: the file gets sparser, and its end stays fresh.
    """

    def __init__(self, path: str, header: list[Any], interval_s: float, most: int) -> None:
        self.path, self.header, self.interval_s, self.most = path, header, interval_s, most
        self.kept: list[tuple[float, list[Row]]] = []
        self.latest: tuple[float, list[Row]] | None = None  # where it is not kept
        self.kept_b = 0  # how long the file is without the latest
        self.stale = True  # the file lags behind, or is not there yet

    def add(self, at_s: float, rows: list[Row], *, keep: bool = False) -> None:
        if keep or not self.kept or at_s - self.kept[-1][0] >= self.interval_s * 0.9:
            if len(self.kept) >= self.most:
                del self.kept[1::2]
                self.interval_s *= 2
                self.stale = True
            self.kept.append((at_s, rows))
            self.latest = None
        else:
            self.latest = at_s, rows
        self._store(rows)

    def all(self) -> list[Row]:
        return [row for _, rows in [*self.kept, *([self.latest] if self.latest else [])] for row in rows]

    def due_s(self) -> float:
        """When the next reading is to be taken."""
        last = self.latest or (self.kept[-1] if self.kept else None)
        return last[0] + min(self.interval_s, LONGEST_S) if last else 0.0

    def _store(self, rows: list[Row]) -> None:
        try:
            if self.stale:
                self._rewrite()
            else:
                self._append(rows)
        except OSError:
            self.stale = True  # a full disk: all of it is written again when there is room

    def _append(self, rows: list[Row]) -> None:
        text = _text(rows)
        fd = os.open(self.path, os.O_WRONLY)
        try:
            if os.pwrite(fd, text, self.kept_b) < len(text):
                self.stale = True
            os.ftruncate(fd, self.kept_b + len(text))
        finally:
            os.close(fd)
        if self.latest is None:
            self.kept_b += len(text)

    def _rewrite(self) -> None:
        kept = _text([self.header, *(row for _, rows in self.kept for row in rows)])
        with open(self.path + ".new", "wb") as file:
            file.write(kept + (_text(self.latest[1]) if self.latest else b""))
        os.replace(self.path + ".new", self.path)
        self.kept_b, self.stale = len(kept), False


def _text(rows: Sequence[Sequence[Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
