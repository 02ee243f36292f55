"""Journals of bounded length that the worker keeps beside an attempt's own, one JSON value a line."""

import contextlib
import json
from pathlib import Path
from typing import Any


class BoundedJournal:
    """Appends lines. When it is full every second one between its ends goes: what lies long ago grows sparser, while how it
    began and the latest stay whole. A full disk loses lines and stops nothing."""

    def __init__(self, path: Path, *, most: int, ends: int) -> None:
        self.path, self._most, self._ends = path, most, ends
        self._count = len(read_journal(path))

    def add(self, values: list[Any]) -> None:
        if not values:
            return
        with contextlib.suppress(OSError):
            with self.path.open("a") as file:
                file.writelines(json.dumps(value) + "\n" for value in values)
            self._count += len(values)
            if self._count > self._most:
                self._thin()

    def _thin(self) -> None:
        lines = read_journal(self.path)
        kept = [*lines[: self._ends], *lines[self._ends : -self._ends : 2], *lines[-self._ends :]]
        new = self.path.with_suffix(".new")
        new.write_text("".join(json.dumps(line) + "\n" for line in kept))
        new.replace(self.path)
        self._count = len(kept)


def read_journal(path: Path) -> list[Any]:
    """The whole lines; a line cut off by a crash is left out."""
    values = []
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in path.read_text().splitlines():
            with contextlib.suppress(ValueError):
                values.append(json.loads(line))
    return values
