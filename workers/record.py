"""What a worker writes down of an attempt before it starts: enough to report it, whoever reads it later. No secrets."""

from pydantic import Field

from carbonq.domain.carbon import Zone
from carbonq.domain.job import Lease, Requirement
from carbonq.domain.value import UtcTime, Value

FILE = "order.json"


class AttemptRecord(Value):
    schema_version: int = 1
    lease: Lease
    job_name: str
    pool: str
    zone: Zone
    requirement: Requirement
    gpu_uuids: tuple[str, ...] = ()
    gpu_power_limit_w: float | None = None
    leased_real_at: UtcTime
    timeout_s: float | None = None
    backoff_s: float = Field(default=0.0, description="how long a retry of this attempt waits")
    first_word: str | None = Field(default=None, description="the command of a shell line, to tell a missing one")
    search_path: str = ""
    workdir: str = ""
    work: float | None = Field(default=None, description="units of work in all, as its workload says")
    work_unit: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.lease.job_id, self.lease.fence

    def counts_in(self, unit: str | None) -> bool:
        """Whether a report of progress in this unit counts the workload's work: unless both are named, and differ."""
        return unit is None or self.work_unit is None or unit == self.work_unit


def backoff_s(failed_attempts: int, first_s: float) -> float:
    """Doubles with each failure, up to an hour."""
    return min(3600.0, first_s * 2.0 ** min(failed_attempts, 20))
