"""Workers seen as pools: groups of like machines in one zone, counted in one unit."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from carbonq.domain.carbon import Zone
from carbonq.domain.job import Job, Requirement, WorkerInfo


class Pool(NamedTuple):
    """What the planner sees as one pool. A GPU machine is two: its GPUs, and its CPU slots for jobs without a GPU."""

    name: str  # unique among the pools of one view
    label: str | None  # the workers' own name for their pool; None for a pool that is only assumed
    zone: Zone
    units: int
    counts_gpus: bool
    workers: tuple[WorkerInfo, ...] = ()

    def fits(self, need: Requirement) -> bool:
        """Whether at least one machine here could run such a task, were it idle."""
        return self.counts_gpus == bool(need.gpus) and any(
            worker.capacity.fits(need, worker.zone) for worker in self.workers
        )

    def held_by(self, job: Job) -> int:
        """Units that a running job holds here."""
        if all(worker.worker_id != job.worker_id for worker in self.workers):
            return 0
        return job.requirement.gpus if self.counts_gpus else job.requirement.cpus


def pools_of(workers: Iterable[WorkerInfo]) -> tuple[Pool, ...]:
    """The pools that these workers form, by name. Workers of one label in two zones, or with two models, are apart."""
    by_place: dict[tuple[str, Zone], list[WorkerInfo]] = defaultdict(list)
    for worker in sorted(workers, key=lambda worker: worker.worker_id):
        by_place[worker.pool, worker.zone].append(worker)
    labels = [label for label, _ in by_place]
    found: list[Pool] = []
    for (label, zone), here in by_place.items():
        found += _pools_at(label if labels.count(label) == 1 else f"{label}/{zone}", here)
    return tuple(sorted(found))


def assumed_pool(zone: Zone, jobs: Sequence[Job]) -> Pool:
    """A pool for jobs that no known worker could run: large enough for all of them at once."""
    return Pool(f"assumed/{zone}", None, zone, sum(job.requirement.units for job in jobs), counts_gpus=False)


def _pools_at(name: str, workers: Sequence[WorkerInfo]) -> list[Pool]:
    label, zone = workers[0].pool, workers[0].zone
    by_model: dict[str | None, list[WorkerInfo]] = defaultdict(list)
    for worker in workers:
        if worker.capacity.gpus:
            by_model[worker.capacity.gpu_model].append(worker)
    pools = [
        Pool(
            name if len(by_model) == 1 else f"{name}/{model or 'gpu'}",
            label,
            zone,
            sum(worker.capacity.gpus for worker in alike),
            True,
            tuple(alike),
        )
        for model, alike in by_model.items()
    ]
    cpus = sum(worker.capacity.cpus for worker in workers)
    if cpus:
        pools.append(Pool(f"{name}/cpu" if by_model else name, label, zone, cpus, False, tuple(workers)))
    return pools
