"""The attempts that a worker has in hand, from the start of each until its end is reported."""

import threading
from dataclasses import dataclass, field

from carbonq.workers.folder import AttemptFolder
from carbonq.workers.inventory import Holding
from carbonq.workers.logs import LogReader
from carbonq.workers.progress import ProgressFile
from carbonq.workers.record import AttemptRecord
from carbonq.workers.runner import Attempt, Ending


@dataclass
class Live:
    """One attempt in hand. `ended` once its measurement is spooled; it stays until that is delivered."""

    record: AttemptRecord
    attempt: Attempt
    holding: Holding
    found: bool = False  # started by another worker process: its end has to be looked for
    ended: bool = False
    stopping: bool = False
    ending: Ending | None = None  # how it ended, while its energy is still being settled
    ended_s: float = 0.0  # when that was noticed, by the monotonic clock
    log: LogReader = field(init=False)
    progress: ProgressFile = field(init=False)

    def __post_init__(self) -> None:
        self.log = LogReader(self.folder.log)
        self.progress = ProgressFile(self.folder)

    @property
    def key(self) -> str:
        """Its name in the node's account."""
        return self.folder.path.name

    @property
    def folder(self) -> AttemptFolder:
        return self.attempt.folder

    def stop(self, reason: str) -> None:
        if not (self.stopping or self.ended):
            self.stopping = True
            self.attempt.stop(reason)


class LiveAttempts:
    """A table that the worker's threads share."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, int], Live] = {}
        self._lock = threading.Lock()

    def add(self, live: Live) -> None:
        with self._lock:
            self._by_key[live.record.key] = live

    def remove(self, key: tuple[str, int]) -> Live | None:
        with self._lock:
            return self._by_key.pop(key, None)

    def all(self) -> list[Live]:
        with self._lock:
            return list(self._by_key.values())

    def running(self) -> list[Live]:
        return [live for live in self.all() if not live.ended]
