"""Readings that the worker takes for an attempt, kept beside its journal and as bounded as that one."""

import contextlib
import json
from pathlib import Path

from carbonq.workers.measurement import Sample

MOST_LINES = 4000


class SampleFile:
    """One JSON list a line. Whenever it is full every second reading of each device goes: the older, the sparser."""

    def __init__(self, path: Path) -> None:
        self.path, self._lines = path, len(read_samples(path))

    def add(self, sample: Sample) -> None:
        with contextlib.suppress(OSError):  # a full disk: the counters' later readings bridge the gap
            with self.path.open("a") as file:
                file.write(json.dumps(sample) + "\n")
            self._lines += 1
            if self._lines > MOST_LINES:
                self._thin()

    def _thin(self) -> None:
        by_device: dict[tuple[str, str], list[Sample]] = {}
        for sample in read_samples(self.path):
            by_device.setdefault((sample.component, sample.device), []).append(sample)
        kept = sorted(sample for samples in by_device.values() for sample in samples[::2])
        new = self.path.with_suffix(".new")
        new.write_text("".join(json.dumps(sample) + "\n" for sample in kept))
        new.replace(self.path)
        self._lines = len(kept)


def read_samples(path: Path) -> list[Sample]:
    """The whole lines; a line cut off by a crash is left out."""
    samples = []
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            with contextlib.suppress(ValueError, TypeError):
                samples.append(Sample(*json.loads(line)))
    return samples
