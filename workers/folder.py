"""An attempt's folder on disk: what lies in it, and how it is read after whatever happened to its writers."""

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class AttemptFolder:
    """`<data_dir>/attempts/<job_id>.<fence>`; see `carbonq.workers.shim` for the files that the shim writes."""

    path: Path

    @classmethod
    def of(cls, attempts_dir: Path, job_id: str, fence: int) -> "AttemptFolder":
        return cls(attempts_dir / f"{quote(job_id, safe='')}.{fence}")

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def samples(self) -> Path:
        """What the attempt has used so far, as the worker closes time: moment and joules, one JSON list a line."""
        return self.path / "samples.jsonl"

    @property
    def gpu_points(self) -> Path:
        """Where its GPUs' counters and power stood, as the worker saw it: UUID and point, one JSON list a line."""
        return self.path / "gpu_points.jsonl"

    @property
    def is_reported(self) -> bool:
        return (self.path / "reported").exists()

    def make(self) -> None:
        self.path.mkdir(mode=0o700, parents=True)

    def mark_reported(self) -> None:
        with contextlib.suppress(OSError):  # a full disk: it is reported again one day, and known already
            (self.path / "reported").touch()

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def read(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the folder; None where it is missing or was cut off."""
        try:
            value = json.loads((self.path / name).read_bytes())
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def lines(self, name: str) -> list[list[Any]]:
        """The whole lines of a journal; a line cut off by a crash is left out."""
        try:
            texts = (self.path / name).read_text().splitlines()
        except (OSError, ValueError):
            return []
        values = []
        for text in texts:
            try:
                values.append(json.loads(text))
            except ValueError:
                continue
        return values

    def append(self, name: str, line: object) -> None:
        """Add a line to a journal whose writer is gone, and perhaps broke off in the middle of one."""
        with contextlib.suppress(OSError), (self.path / name).open("a") as file:  # a full disk loses no more than this
            file.write("\n" + json.dumps(line) + "\n")

    def write(self, name: str, value: object) -> None:
        replace_json(self.path / name, value)


def replace_json(path: Path, value: object, *, durable: bool = False) -> None:
    """Write a private JSON file in one step; `durable` waits until it is on the disk."""
    replace_bytes(path, json.dumps(value).encode(), durable=durable)


def replace_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(fd)
    new.replace(path)
    if durable:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
