"""Test doubles and factories, for the project's own tests and for those of its users."""

from datetime import UTC, datetime, timedelta
from typing import Any

from carbonq.domain.carbon import Forecast, Origin
from carbonq.domain.energy import Component, EnergyReading, PowerProfile, Provenance, Quantity
from carbonq.domain.job import Capacity, Job, JobState, WorkerInfo
from carbonq.domain.receipt import Baseline, Receipt, ReceiptStatus
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
        "quantiles_g_per_kwh": {
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


def make_receipt(
    job_id: str = "job-1",
    *,
    energy_j: float | None = 3.6e6,
    emissions_g: float | None = 300.0,
    baseline_g: float | None = 400.0,
    submitted_at: datetime = MIDNIGHT,
    delay_s: float = 3600.0,
    duration_s: float = 3600.0,
    **fields: Any,
) -> Receipt:
    """A settled receipt of a job that waited an hour and ran for one, measured by one GPU counter; any field may be given.

    None for `energy_j`, `emissions_g` or `baseline_g` is a receipt on which that is not known.
    """
    started_at = submitted_at + timedelta(seconds=delay_s)
    finished_at = started_at + timedelta(seconds=duration_s)
    reading = EnergyReading(
        component=Component.GPU,
        energy_j=energy_j,
        provenance=Provenance.UNKNOWN if energy_j is None else Provenance.MEASURED,
        method="nvml-counter",
        uncertainty_rel=None if energy_j is None else 0.05,
    )
    end = submitted_at + timedelta(seconds=duration_s)
    known = emissions_g is not None and baseline_g is not None
    defaults: dict[str, Any] = {
        "status": ReceiptStatus.SETTLED,
        "issued_at": finished_at,
        "job_id": job_id,
        "name": "job",
        "project": "default",
        "state": JobState.SUCCEEDED,
        "zone": "DE",
        "pool": "default",
        "submitted_at": submitted_at,
        "started_at": started_at,
        "finished_at": finished_at,
        "deadline": submitted_at + timedelta(days=1),
        "deadline_met": True,
        "delay_s": delay_s,
        "duration_s": duration_s,
        "attempts": 1,
        "energy_j": energy_j,
        "overhead_energy_j": 0.0,
        "readings": (reading,),
        "emissions_g": emissions_g,
        "baseline": Baseline(start=submitted_at, end=end, emissions_g=baseline_g),
        "avoided_g": (baseline_g or 0.0) - (emissions_g or 0.0) if known else None,
        "intensity_source": "csv",
        "intensity_origins": (Origin.MEASURED,),
    }
    return Receipt(**(defaults | fields))
