"""What a job's own process may import. Standard library only, and harmless outside carbonq."""

import json
import math
import os
from contextlib import suppress

PROGRESS_VARIABLE = "CARBONQ_PROGRESS"
"""Set by the worker: the path of a file, or the number of an open file descriptor."""


def progress(done: float, total: float | None = None) -> None:
    """Say that `done` of `total` units of work are finished: epochs, folds, samples.

    A file always holds the last report alone and whole; a descriptor gets one line a report. Without a worker, and
    wherever the report cannot be written, nothing happens: telling how far a job is must never break it.
    """
    target = os.environ.get(PROGRESS_VARIABLE)
    if not target or not math.isfinite(done) or not math.isfinite(total or 0.0):
        return
    line = (json.dumps({"done": done, "total": total}) + "\n").encode()
    with suppress(OSError):
        if target.isdecimal():
            os.write(int(target), line)
        else:
            _replace(target, line)


def _replace(path: str, line: bytes) -> None:
    """Write beside the file and rename over it, so that a reader never sees half a report."""
    beside = f"{path}.{os.getpid()}"
    with open(beside, "wb") as file:  # noqa: PTH123  # pathlib costs a job's start several milliseconds
        file.write(line)
    os.replace(beside, path)  # noqa: PTH105  # as above
