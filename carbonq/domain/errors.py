"""Every error that carbonq raises on purpose.

CarbonqError                exit 1   what went wrong, where, how to go on
+-- InvalidInput            exit 2   the user's file, flag or setting is wrong
+-- NotFound                exit 3   no such job, zone or file
|   +-- JobNotFound
+-- Unreachable             exit 4   Redis or a data source does not answer
|   +-- QueueUnreachable
|   +-- SourceUnreachable
|   |   +-- SourceRefused            it answers, and says no: a status other than 200
|   +-- SourceNonsense               it answered, but not with what it documents
+-- Infeasible              exit 5   the job cannot meet its deadline
+-- QueueRefused            exit 1   the server is not fit to keep jobs (eviction, version, schema)
+-- JobConflict             exit 2   the id is taken by another spec
+-- StaleFence              exit 1   a newer attempt holds the job
"""

from dataclasses import dataclass


class CarbonqError(Exception):
    """An error for a person: three lines at most. `what` went wrong, `where`, and `hint`, how to go on."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.hint = what, where, hint

    def __str__(self) -> str:
        return "\n".join(line for line in (self.what, self.where, self.hint) if line)


@dataclass(frozen=True)
class Problem:
    """One mistake in a file. `line` and `column` count from 1; 0 where the place is not known."""

    file: str
    line: int
    column: int
    what: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.what}" + (f"; {self.hint}" if self.hint else "")


class InvalidInput(CarbonqError):
    """The user's input is wrong. `problems` lists every mistake found, in the order of the file."""

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", hint: str = "", problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(what, where=where, hint=hint)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems)) if self.problems else super().__str__()


class JobConflict(InvalidInput):
    """A job with this id was submitted before, with another spec."""


class NotFound(CarbonqError):
    exit_code = 3


class JobNotFound(NotFound):
    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job {job_id!r}", hint="`carbonq status --all` lists the jobs that the queue still knows")
        self.job_id = job_id


class Unreachable(CarbonqError):
    exit_code = 4


class QueueUnreachable(Unreachable):
    """The queue's server does not answer. Never a reason to call a job failed."""


class SourceUnreachable(Unreachable):
    """A carbon data provider does not answer, or refuses."""


class SourceRefused(SourceUnreachable):
    """A carbon data provider answered with an HTTP status that means no. `retry_after_s`: what it asked to be left in peace for."""

    def __init__(
        self, what: str, *, status: int, where: str = "", hint: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.status, self.retry_after_s = status, retry_after_s


class SourceNonsense(Unreachable):
    """A carbon data provider answered with something other than it documents."""


class Infeasible(CarbonqError):
    exit_code = 5


class QueueRefused(CarbonqError):
    """The server is reached but not fit to keep jobs: it evicts, is too old, or holds a newer schema."""


class StaleFence(CarbonqError):
    """A newer attempt holds the job: what comes with the older fence changes no state."""


class StorageFailed(CarbonqError):
    """A file in the data folder cannot be written or read. What was kept before is untouched."""
