"""Test doubles and factories, for the project's own tests and for those of its users."""

from datetime import UTC, datetime, timedelta
from typing import Any

from carbonq.domain.energy import PowerProfile, Quantity
from carbonq.domain.job import Job

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday: the moment at which tests begin."""


class ManualClock:
    """Grid time that stands still until it is told to move."""

    def __init__(self, start: datetime = MIDNIGHT) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def to_grid(self, real: datetime) -> datetime:  # noqa: ARG002  # every real moment is the one grid moment
        return self._now

    def seconds_until(self, grid: datetime) -> float:
        return (grid - self._now).total_seconds()

    def advance(self, **span: float) -> datetime:
        """Move on, as in `clock.advance(hours=2)`; negative spans are clock jumps backwards."""
        self._now += timedelta(**span)
        return self._now


def make_profile(power_w: float = 100.0, duration_s: float = 3600.0) -> PowerProfile:
    return PowerProfile(
        power_w=Quantity.around(power_w, 0.2),
        duration_s=Quantity.around(duration_s, 0.1),
        power_method="declared",
        duration_method="declared",
    )


def make_job(job_id: str = "job-1", **fields: Any) -> Job:
    """A one-hour, one-CPU job submitted at MIDNIGHT with a day to go; any field of `Job` may be given."""
    defaults: dict[str, Any] = {
        "id": job_id,
        "name": "job",
        "spec_sha256": "0" * 64,
        "submitted_at": MIDNIGHT,
        "deadline": MIDNIGHT + timedelta(days=1),
        "latest_start": MIDNIGHT + timedelta(hours=22),
        "profile": make_profile(),
    }
    return Job(**(defaults | fields))
