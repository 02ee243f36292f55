"""The attempts that a worker has in hand, from the start of each until its end is reported."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from carbonq.domain.ports import Counter
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.inventory import Holding
from carbonq.workers.logs import LogReader
from carbonq.workers.measurement import Sample
from carbonq.workers.progress import ProgressFile
from carbonq.workers.record import AttemptRecord
from carbonq.workers.runner import Attempt
from carbonq.workers.samples import SampleFile


@dataclass
class Live:
    """One attempt in hand. `ended` once its measurement is spooled; it stays until that is delivered."""

    record: AttemptRecord
    attempt: Attempt
    holding: Holding
    found: bool = False  # started by another worker process: its end has to be looked for
    ended: bool = False
    stopping: bool = False
    log: LogReader = field(init=False)
    samples: SampleFile = field(init=False)
    progress: ProgressFile = field(init=False)

    def __post_init__(self) -> None:
        self.log = LogReader(self.folder.log)
        self.samples = SampleFile(self.folder.samples)
        self.progress = ProgressFile(self.folder)

    @property
    def folder(self) -> AttemptFolder:
        return self.attempt.folder

    def stop(self, reason: str) -> None:
        if not (self.stopping or self.ended):
            self.stopping = True
            self.attempt.stop(reason)

    def sample(self, meters: Sequence[Sequence[Counter]]) -> None:
        """Keep what concerns this attempt: its GPUs, and whatever counts for the whole node."""
        for counters in meters:
            for counter in counters:
                if not counter.device or counter.device in self.record.gpu_uuids:
                    self.samples.add(
                        Sample(
                            counter.monotonic_s,
                            counter.component,
                            counter.device,
                            counter.energy_j,
                            counter.method,
                            counter.provenance,
                            counter.uncertainty_rel or 0.0,
                        )
                    )


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
