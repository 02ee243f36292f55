"""Test doubles and factories, for the project's own tests and for those of its users."""

from datetime import UTC, datetime, timedelta
from typing import Any

from carbonq.domain.carbon import Forecast, Origin
from carbonq.domain.energy import PowerProfile, Quantity
from carbonq.domain.job import Capacity, Job, WorkerInfo
from carbonq.domain.time import SlotGrid

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


def make_forecast(*values: float, start: datetime = MIDNIGHT, **fields: Any) -> Forecast:
    """A forecast for FR with these medians in half-hour slots, 20 % less and more as its outer quantiles."""
    defaults: dict[str, Any] = {
        "zone": "FR",
        "source": "test",
        "model": "given",
        "origin": Origin.FORECAST,
        "issued_at": start,
        "fetched_at": start,
        "grid": SlotGrid(start=start, slots=len(values)),
        "quantiles": {
            "0.1": tuple(0.8 * value for value in values),
            "0.5": values,
            "0.9": tuple(1.2 * value for value in values),
        },
    }
    return Forecast(**(defaults | fields))


def make_worker(worker_id: str = "worker-1", **fields: Any) -> WorkerInfo:
    """A worker in FR with four CPU slots, all free; any field of `WorkerInfo` may be given."""
    capacity = fields.get("capacity", Capacity(cpus=4))
    defaults: dict[str, Any] = {
        "worker_id": worker_id,
        "host": "host",
        "zone": "FR",
        "capacity": capacity,
        "free": capacity,
        "started_at": MIDNIGHT,
        "seen_at": MIDNIGHT,
    }
    return WorkerInfo(**(defaults | fields))
