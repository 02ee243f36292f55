"""The planner's whole input and its answer, as one file each can hold (see `docs/reference/plan.md`)."""

from typing import Self

from pydantic import Field, model_validator

from carbonq.domain.carbon import Zone
from carbonq.domain.time import SlotGrid
from carbonq.domain.value import UtcTime, Value

Segment = tuple[int, int]
"""Slots `[first, end)`."""


class PoolSnapshot(Value):
    """A pool's machines. `gpus` is the pool's unit: CPU slots where it has no GPU. `busy` is [first slot, end slot, units]."""

    name: str
    zone: Zone
    gpus: int = Field(ge=0)
    busy: tuple[tuple[int, int, int], ...] = ()


class PlanJob(Value):
    """A job runs in slots `[earliest_slot, deadline_slot)`, in one pool. `power_w` is its whole draw while it runs."""

    id: str
    gpus: int = Field(ge=1)
    power_w: float = Field(ge=0)
    duration_slots: int = Field(ge=1)
    earliest_slot: int = Field(ge=0)
    deadline_slot: int
    pools: tuple[str, ...]
    interruptible: bool = False
    min_run_slots: int = Field(default=1, ge=1)
    max_runs: int | None = Field(default=None, ge=1)
    resume_slots: int = Field(default=0, ge=0)


class PlanSnapshot(Value):
    """Everything a plan depends on: the same snapshot gives the same plan."""

    schema_version: int = 1
    start: UtcTime
    slot_minutes: int = Field(default=30, gt=0)
    horizon_slots: int = Field(ge=1)
    pools: tuple[PoolSnapshot, ...]
    intensity_g_per_kwh: dict[Zone, tuple[float, ...]]
    intensity_quantiles: dict[Zone, dict[str, tuple[float, ...]]] = Field(default_factory=dict)
    jobs: tuple[PlanJob, ...] = ()

    @property
    def grid(self) -> SlotGrid:
        return SlotGrid(start=self.start, slot_s=self.slot_minutes * 60, slots=self.horizon_slots)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for pool in self.pools:
            if len(self.intensity_g_per_kwh.get(pool.zone, ())) != self.horizon_slots:
                raise ValueError(
                    f"intensity_g_per_kwh.{pool.zone}: needs {self.horizon_slots} values for pool {pool.name}"
                )
        return self


class Assignment(Value):
    """Where and when a job is to run, what that emits, and why."""

    job: str
    pool: str
    segments: tuple[Segment, ...]
    emissions_g: float
    reason: str


class Plan(Value):
    """A plan for every job of a snapshot. Bound and gap are None where a planner proves none, or where jobs are late."""

    schema_version: int = 1
    method: str
    emissions_g: float
    lower_bound_g: float | None = None
    gap: float | None = None
    solve_s: float
    assignments: tuple[Assignment, ...] = ()
    late: tuple[str, ...] = ()
    unplaced: tuple[str, ...] = ()
    price_g_per_gpu_slot: dict[str, tuple[float, ...]] = Field(default_factory=dict)
