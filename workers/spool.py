"""Measurements that wait to be delivered: on disk, so that neither an outage nor a crash loses one."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from pydantic import ValidationError

from carbonq.domain.job import Measurement
from carbonq.domain.value import Value
from carbonq.workers.folder import replace_bytes


class Spooled(Value):
    measurement: Measurement
    backoff_s: float = 0.0


class Entry(NamedTuple):
    path: Path
    spooled: Spooled


class Spool:
    """One file a measurement, named by job and fence: the same attempt cannot be there twice.

    What a full disk does not take is held in memory: its attempt's folder still tells all of it to the next worker.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: dict[Path, Entry] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, measurement: Measurement, backoff_s: float = 0.0) -> Entry:
        """On return it is on the disk, if there is room. What was written first stays: a measurement never changes."""
        path = self.folder / f"{quote(measurement.job_id, safe='')}.{measurement.fence}.json"
        if (entry := self._read(path)) is not None:
            return entry
        entry = Entry(path, Spooled(measurement=measurement, backoff_s=backoff_s))
        try:
            replace_bytes(path, entry.spooled.model_dump_json().encode(), durable=True)
        except OSError:
            self._held[path] = entry
        return entry

    def entries(self) -> Iterator[Entry]:
        """Oldest first. A file that cannot be read is set aside as `.broken`, never deleted."""
        for path in sorted(self.folder.glob("*.json"), key=_age):
            if (entry := self._read(path)) is not None:
                yield entry
        yield from list(self._held.values())

    def remove(self, entry: Entry) -> None:
        self._held.pop(entry.path, None)
        entry.path.unlink(missing_ok=True)

    def set_aside(self, entry: Entry) -> None:
        """Keep it, but deliver it no more."""
        if self._held.pop(entry.path, None) is None:
            entry.path.replace(entry.path.with_suffix(".refused"))

    @staticmethod
    def _read(path: Path) -> Entry | None:
        try:
            return Entry(path, Spooled.model_validate_json(path.read_bytes()))
        except FileNotFoundError:
            return None
        except ValidationError:
            path.replace(path.with_suffix(".broken"))
            return None


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
