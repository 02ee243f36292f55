"""What the shim writes: small files in one step, the exit record, the log."""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # the typing module takes milliseconds to load
    from typing import Any

EXIT_RECORD_B = 8192  # reserved on disk, so that a full one cannot swallow the end


def write_json(path: str, value: object) -> None:
    """Replace a small file in one step."""
    with open(path + ".new", "w") as file:
        json.dump(value, file)
    os.replace(path + ".new", path)


def read_text(path: str) -> str:
    with open(path) as file:
        return file.read().strip()


class ExitRecord:
    """`exit.json`, with its room on disk taken in advance."""

    def __init__(self, folder: str) -> None:
        self.folder, self.room = folder, os.path.join(folder, "exit.json.room")
        self.fd = os.open(self.room, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(self.fd, 0, EXIT_RECORD_B)

    def write(self, record: dict[str, Any]) -> None:
        text = json.dumps(record).encode()
        os.pwrite(self.fd, text + b" " * (EXIT_RECORD_B - len(text) - 1) + b"\n", 0)
        os.fsync(self.fd)
        os.close(self.fd)
        os.rename(self.room, os.path.join(self.folder, "exit.json"))
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


class Log:
    """The job's output. Full disks and the bound drop output and count it; they never stop the job."""

    def __init__(self, path: str, limit_b: int) -> None:
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.limit_b, self.written_b, self.lost_b, self.gap_b = limit_b, 0, 0, 0

    def write(self, data: bytes) -> None:
        room = max(0, self.limit_b - self.written_b)
        if room == 0:
            self.lost_b += len(data)
            return
        if self.gap_b and self._put(b"\n[carbonq: %d bytes lost here: the disk was full]\n" % self.gap_b):
            self.gap_b = 0
        lost = self._put(data[:room])
        self.gap_b += lost
        self.lost_b += lost + len(data[room:])
        if len(data) >= room and not lost:
            self._put(b"\n[carbonq: this log has reached its %d bytes; what follows is dropped]\n" % self.limit_b)

    def _put(self, data: bytes) -> int:
        """Write what can be written; how many bytes could not."""
        left = memoryview(data)
        while left:
            try:
                count = os.write(self.fd, left)
            except OSError:
                return len(left)
            self.written_b += count
            left = left[count:]
        return 0
