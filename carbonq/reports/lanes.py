"""Where each job's bar goes: a lane a job while they are few, lanes shared by many. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import Enum
from heapq import heappop, heappush
from itertools import groupby
from typing import NamedTuple

from carbonq.domain.receipt import Receipt
from carbonq.reports.words import job_name

JOBS_WITH_OWN_LANE = 40


class Kind(Enum):
    WAIT = "wait"  # between the start at once and the real one
    AT_ONCE = "at once"
    RUN = "run"
    DEADLINE = "deadline"


class Mark(NamedTuple):
    kind: Kind
    start: datetime
    end: datetime
    receipt: Receipt


class Lane(NamedTuple):
    """One line of the plot; a label without marks is a pool's heading."""

    label: str
    marks: Sequence[Mark] = ()


def lanes(receipts: Sequence[Receipt], until: datetime) -> list[Lane]:
    """Lanes pool by pool, the earliest first; marks from back to front. Deadlines after `until` are left out."""
    pools = [
        (pool, sorted(own, key=lambda receipt: (_begins(receipt), receipt.job_id)))
        for pool, own in groupby(sorted(receipts, key=lambda receipt: receipt.pool), lambda receipt: receipt.pool)
    ]
    if len(receipts) > JOBS_WITH_OWN_LANE:
        return [lane for pool, own in pools for lane in (Lane(f"pool {pool}"), *_shared_lanes(own))]
    return [lane for pool, own in pools for lane in (Lane(f"pool {pool}"), *_own_lanes(own, until))]


def spans(receipt: Receipt) -> list[tuple[datetime, datetime]]:
    """When it ran: its slots with neighbours joined, so that a pause shows; else from start to finish."""
    joined: list[tuple[datetime, datetime]] = []
    for slot in receipt.slots:
        if joined and slot.start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], slot.end)
        else:
            joined.append((slot.start, slot.end))
    if joined or receipt.started_at is None:
        return joined
    return [(receipt.started_at, receipt.finished_at)]


def _own_lanes(receipts: Iterable[Receipt], until: datetime) -> Iterator[Lane]:
    return (Lane(job_name(receipt), list(_story(receipt, until))) for receipt in receipts)


def _story(receipt: Receipt, until: datetime) -> Iterator[Mark]:
    """One job's marks, from the back to the front."""
    ran = spans(receipt)
    if receipt.baseline:
        once = receipt.baseline
        if ran and ran[0][0] > once.end:
            yield Mark(Kind.WAIT, once.end, ran[0][0], receipt)
        yield Mark(Kind.AT_ONCE, once.start, once.end, receipt)
    yield from (Mark(Kind.RUN, start, end, receipt) for start, end in ran)
    if receipt.deadline <= until:
        yield Mark(Kind.DEADLINE, receipt.deadline, receipt.deadline, receipt)


def _shared_lanes(receipts: Sequence[Receipt]) -> Iterator[Lane]:
    ran = [Mark(Kind.RUN, start, end, receipt) for receipt in receipts for start, end in spans(receipt)]
    once = [Mark(Kind.AT_ONCE, r.baseline.start, r.baseline.end, r) for r in receipts if r.baseline]
    for label, marks in (("as run", ran), ("had all started at once", once)):
        for index, packed in enumerate(_packed(marks)):
            yield Lane("" if index else label, packed)


def _packed(marks: Iterable[Mark]) -> list[list[Mark]]:
    """The fewest lanes in which no two marks overlap."""
    packed: list[list[Mark]] = []
    free: list[tuple[datetime, int]] = []
    for mark in sorted(marks, key=lambda mark: mark.start):
        if free and free[0][0] <= mark.start:
            _, lane = heappop(free)
        else:
            lane = len(packed)
            packed.append([])
        packed[lane].append(mark)
        heappush(free, (mark.end, lane))
    return packed


def _begins(receipt: Receipt) -> datetime:
    return receipt.started_at or receipt.finished_at
