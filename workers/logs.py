"""New bytes of a job's log, for the bounded tail that others can read."""

import contextlib
from pathlib import Path
from typing import NamedTuple

CHUNK_B = 256 * 1024
BACKLOG_B = 1024 * 1024  # a tail is bounded: beyond this, older output is left to the file on the worker's disk


class Chunk(NamedTuple):
    data: bytes
    end_b: int  # where the next one starts in the log


class LogReader:
    """Reads on from where the last delivery ended, also after a restart; a crash in between repeats a few bytes."""

    def __init__(self, log: Path) -> None:
        self.log, self._place = log, log.with_name("log.sent")
        self.sent_b = self._recall()

    def read(self) -> Chunk:
        """What has not been delivered, some 256 KiB at a time; empty where there is nothing new."""
        try:
            with self.log.open("rb") as file:
                start_b = max(self.sent_b, file.seek(0, 2) - BACKLOG_B)
                file.seek(start_b)
                data = file.read(CHUNK_B)
        except OSError:
            return Chunk(b"", self.sent_b)
        return Chunk(self._notice(start_b - self.sent_b) + data, start_b + len(data))

    def delivered(self, chunk: Chunk) -> None:
        self.sent_b = chunk.end_b
        with contextlib.suppress(OSError):  # a full disk: after a restart the tail repeats itself
            self._place.write_text(str(self.sent_b))

    def _notice(self, skipped_b: int) -> bytes:
        if not skipped_b:
            return b""
        return b"\n[carbonq: %d bytes are left out here; the whole log is on the worker's disk]\n" % skipped_b

    def _recall(self) -> int:
        try:
            return int(self._place.read_text())
        except (OSError, ValueError):
            return 0
