"""Tells the board how far the running attempts are: seldom, last of all, and again whatever got lost."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from carbonq.clock import real_now
from carbonq.domain.ports import Board
from carbonq.domain.progress import LEAST_WORK, MOST_WORK, Progress, Told
from carbonq.domain.time import Clock
from carbonq.workers.live import Live
from carbonq.workers.progress import Point
from carbonq.workers.shim.proc import now_s

TELL_EVERY_S = 2.0
"""Of real time, for each attempt; one that ends sooner tells nothing but its end."""
FORGOTTEN_S = 900.0
"""The board drops what has not been told for so long: a worker that is gone leaves nothing behind."""


@dataclass
class Teller:
    """`look` and `tell` belong to one thread."""

    board: Board
    clock: Clock
    timer: Callable[[], float] = time.monotonic
    _told_s: dict[tuple[str, int], float] = field(default_factory=dict[tuple[str, int], float])
    _news: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])

    def look(self, running: Sequence[Live]) -> None:
        """Read what the attempts have written. Raises nothing and asks nobody."""
        keys = {live.record.key for live in running}
        now = self.timer()
        self._told_s = {key: self._told_s.get(key, now) for key in keys}
        self._news &= keys
        self._news |= {live.record.key for live in running if live.progress.look()}

    def tell(self, running: Sequence[Live]) -> None:
        """Raises QueueUnreachable and QueueRefused; what was not told then is told by a later call."""
        for live in running:
            key = live.record.key
            if live.progress.points and self._is_due(key):
                live.progress.remember()
                self.board.put_progress(self._progress(live), FORGOTTEN_S)
                self._told_s[key] = self.timer()
                self._news.discard(key)

    def _is_due(self, key: tuple[str, int]) -> bool:
        silent_s = self.timer() - self._told_s.get(key, 0.0)
        return silent_s >= (TELL_EVERY_S if key in self._news else FORGOTTEN_S / 3)

    def _progress(self, live: Live) -> Progress:
        report, record = live.progress.report, live.record
        unit = report.unit if report else None
        total = report.total if report else None
        least = max(LEAST_WORK, live.progress.points[-1].done)
        if total is None and record.counts_in(unit) and record.work and least <= record.work <= MOST_WORK:
            total = record.work
        return Progress(
            job_id=record.lease.job_id,
            fence=record.lease.fence,
            total=total,
            unit=unit or record.work_unit,
            points=self._told(live.progress.points),
        )

    def _told(self, points: Sequence[Point]) -> tuple[Told, ...]:
        """Seen from now, so that no jump of the wall clock lies between two of them."""
        real, boot_s = real_now(), now_s()
        return tuple(
            Told(self.clock.to_grid(real - timedelta(seconds=boot_s - point.at_s)), point.done) for point in points
        )
