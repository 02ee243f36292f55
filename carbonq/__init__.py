"""carbonq: run compute when the grid is clean, and measure what it used.

    import carbonq

    submitted = carbonq.submit("job.yaml")
    print(submitted.job_id, submitted.quote.planned_start)
    for job in carbonq.connect().wait([submitted.job_id]):
        print(job.state)

Imports are lazy: `import carbonq` costs next to nothing, inside jobs too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from carbonq.client import Client, Submitted

__version__ = "0.1.0"
__all__ = ["connect", "progress", "submit"]


def connect(**settings: Any) -> Client:
    """A client of the queue that the settings name; keywords are settings and win over files and environment.

    Raises QueueUnreachable where nothing answers, InvalidInput for a setting that makes no sense.
    """
    from carbonq.bootstrap import client
    from carbonq.bootstrap import settings as settings_in_force

    return client(settings_in_force(settings))


def progress(done: float, total: float | None = None) -> None:
    """From within a job: so many of so many units of work are done. Does nothing elsewhere; see `carbonq.job.progress`."""
    from carbonq.job import progress as tell

    tell(done, total)


def submit(job: str | PathLike[str] | Mapping[str, Any], *, job_id: str | None = None, **settings: Any) -> Submitted:
    """Submit a job file, or a mapping of the same fields, and return its id and its quote.

    The same `job_id` again is the same job, not a second one. Raises InvalidInput, Infeasible, QueueUnreachable.
    """
    from collections.abc import Mapping as MappingType
    from pathlib import Path

    from carbonq import jobfile
    from carbonq.domain.spec import JobFile

    if isinstance(job, MappingType):
        document = jobfile.dump(dict(job))
        file = JobFile(jobfile.parse(document, "the job"), document, str(Path.cwd()))
    else:
        file = jobfile.load(Path(job))
    return connect(**settings).submit(file, job_id=job_id)
