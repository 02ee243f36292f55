"""What a running attempt tells of its progress: read from its file, thinned, and remembered across the worker's restarts.

The file is the job's: anything may stand in it. It is read without following links or waiting for a pipe's other end, its
last line alone, and what is no report is passed over, so that half-written text leaves the last report standing.
"""

import json
import os
import re
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from carbonq.domain.progress import MOST_POINTS, MOST_WORK
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.record import AttemptRecord
from carbonq.workers.shim.proc import now_s

FILE, HISTORY = "progress.json", "progress.seen"
TAIL_B = 1024
"""A report is one short line; of what stands before it nothing is read."""
MOST_UNIT = 32  # as in the job file
_PLAIN = re.compile(r"([0-9.][0-9.eE+-]*)(?:\s*(?:/|of)\s*([0-9.][0-9.eE+-]*))?\s*")


class Report(NamedTuple):
    """One line as the job wrote it."""

    done: float
    total: float | None = None
    unit: str | None = None


class Point(NamedTuple):
    """So many units were done at that moment of CLOCK_BOOTTIME."""

    at_s: float
    done: float


def parse(line: str) -> Report | None:
    """`{"done": 3, "total": 10}`, with a `unit` if one likes, or in short `3/10` or `3`. None for anything else."""
    if plain := _PLAIN.fullmatch(line):
        done, total, unit = *plain.groups(), None
    else:
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(told, dict):
            return None
        done, total, unit = told.get("done"), told.get("total"), told.get("unit")
    amount, whole = _number(done), _number(total)
    if amount is None:
        return None
    return Report(amount, whole or None, _name(unit))


class ProgressFile:
    """An attempt's reports as they come. One thread looks; nothing raises."""

    def __init__(self, folder: AttemptFolder) -> None:
        self._folder = folder
        self._seen: tuple[int, ...] = ()
        self._looked_s = 0.0
        self.report: Report | None = None
        self.points: list[Point] = self._recall()

    def look(self) -> bool:
        """Take in the report that stands in the file now. True where it is a new one."""
        before_s, self._looked_s = self._looked_s, now_s()
        seen, report, age_s = self._read()
        if report is None:
            return False
        last, known = self.points[-1] if self.points else None, self.report
        self._seen, self.report = seen, report
        if last is None or report.done != last.done:
            # By the wall clock, which jumps: but no earlier than the look that did not see it yet, and no later than now.
            at_s = max(self._looked_s - max(age_s, 0.0), before_s, last.at_s if last else 0.0)
            self.points = thinned([*self.points, Point(at_s, report.done)])
        return report != known

    def remember(self) -> None:
        """Keep the history on disk, for the worker's next start."""
        with suppress(OSError):  # a full disk: after a restart the history begins anew
            self._folder.write(HISTORY, {"points": self.points})

    def _recall(self) -> list[Point]:
        kept = self._folder.read(HISTORY) or {}
        try:
            points = [Point(float(at_s), float(done)) for at_s, done in kept.get("points", ())]
        except (TypeError, ValueError, OverflowError):
            return []
        now = now_s()
        sound = all(0 <= point.at_s <= now and 0 <= point.done <= MOST_WORK for point in points)
        return points[-MOST_POINTS:] if sound else []

    def _read(self) -> tuple[tuple[int, ...], Report | None, float]:
        """What tells one state of the file from another, its report if that is a new one, and how many seconds old it is."""
        try:
            fd = os.open(self._folder.path / FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return (), None, 0.0
        try:
            found = os.fstat(fd)
            seen = (found.st_ino, found.st_size, found.st_mtime_ns)
            if not stat.S_ISREG(found.st_mode) or seen == self._seen:
                return seen, None, 0.0
            text = os.pread(fd, TAIL_B, max(0, found.st_size - TAIL_B))
        except OSError:
            return (), None, 0.0
        finally:
            os.close(fd)
        return seen, _last(text), time.time() - found.st_mtime_ns / 1e9


def work_done(folder: AttemptFolder, record: AttemptRecord) -> float | None:
    """Units of work as the attempt reported them last, also one that has ended; None where it told nothing, or counted
    something else than its workload does."""
    file = ProgressFile(folder)
    file.look()
    return file.report.done if file.report and record.counts_in(file.report.unit) else None


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most `MOST_POINTS`: every second of the older half goes, so that the last ones stand close together."""
    if len(points) <= MOST_POINTS:
        return list(points)
    half = len(points) // 2
    return [*points[:half:2], *points[half:]]


def _last(text: bytes) -> Report | None:
    """The report in the last whole line; also in one without an end, if it is whole by itself: JSON closes its own brace."""
    *lines, rest = text.decode(errors="replace").split("\n")
    for line in [rest] * rest.rstrip().endswith("}") + lines[::-1]:
        if line.strip():
            return parse(line.strip())
    return None


def _name(value: object) -> str | None:
    """What can be shown of a unit's name: no line ends, no control characters, no halves of characters."""
    return "".join(filter(str.isprintable, value))[:MOST_UNIT].strip() or None if isinstance(value, str) else None


def _number(value: object) -> float | None:
    """An amount of work: not negative, and neither beyond counting nor finer than noise."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return round(number, 9) if 0 <= number <= MOST_WORK else None
