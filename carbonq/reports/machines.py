"""Where the machines' energy went: jobs, carbonq itself, and what no job used. Pure."""

from collections.abc import Iterable

from pydantic import Field

from carbonq.domain.job import ComponentAccount, WorkerInfo
from carbonq.domain.value import UtcTime, Value
from carbonq.reports import format as fmt
from carbonq.reports.words import part_name


class MachineUse(Value):
    """One worker's account, as it last put it on the board. `counted_j = jobs_j + carbonq_j + unattributed_j`."""

    worker_id: str
    since: UtcTime = Field(description="real time")
    until: UtcTime = Field(description="real time")
    components: tuple[ComponentAccount, ...]


def machine_uses(workers: Iterable[WorkerInfo]) -> tuple[MachineUse, ...]:
    return tuple(
        MachineUse(
            worker_id=worker.worker_id,
            since=worker.account.since,
            until=worker.account.until,
            components=worker.account.components,
        )
        for worker in sorted(workers, key=lambda worker: worker.worker_id)
        if worker.account and worker.account.components
    )


def machine_rows(uses: Iterable[MachineUse]) -> list[tuple[str, tuple[str, ...]]]:
    """Worker and span; part, counted, jobs', carbonq's own with its share, no job's, method, provenance."""
    return [
        (
            f"{use.worker_id}, {fmt.span((use.until - use.since).total_seconds())}",
            (
                part_name(one.component),
                fmt.energy(one.counted_j),
                fmt.energy(one.jobs_j),
                fmt.energy(one.carbonq_j) + _share(one),
                fmt.energy(one.unattributed_j),
                fmt.printable(one.method),
                one.provenance.value,
            ),
        )
        for use in uses
        for one in use.components
    ]


def _share(one: ComponentAccount) -> str:
    return f" ({fmt.percent(one.carbonq_j / one.counted_j)})" if one.counted_j else ""
