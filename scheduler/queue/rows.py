"""The queue's listing: jobs by themselves, arrays as one row each, read in steps that never hold the server for long."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from carbonq.domain.job import Job, JobState
from carbonq.domain.ports import JobQuery, JobRow
from carbonq.domain.time import from_ms
from carbonq.scheduler.queue.connection import Store
from carbonq.scheduler.queue.folding import Part, leader, part_of, row_of
from carbonq.scheduler.queue.scripts import Argument, Reply

HEAD_STEPS = 1000  # jobs or arrays looked at by one script, a few milliseconds
FOLD_BATCH = 1000  # tasks added up by one script


class Head(NamedTuple):
    """Which row there is, before it is read."""

    id: str
    is_array: bool


class RowReader:
    """Rows and ids from Redis. `read` gives jobs by id, None for those that are gone by then."""

    def __init__(self, store: Store, read: Callable[[Sequence[str]], list[Job | None]]) -> None:
        self._store = store
        self._keys = store.keys
        self._read = read

    def rows(self, query: JobQuery) -> list[JobRow]:
        heads = list(islice(self._heads(query), query.offset, query.offset + query.limit))
        parts = self._folded([head.id for head in heads if head.is_array])
        leads = [leader(parts[head.id]) if parts.get(head.id) else head.id for head in heads]
        jobs = dict(zip(leads, self._read(leads), strict=True))
        booked = self._emitted_g([head.id for head in heads if not head.is_array])
        return [
            row_of(head.id, parts.get(head.id) or [part_of(job, booked.get(head.id))], job)
            for head, lead in zip(heads, leads, strict=True)
            if (job := jobs[lead]) is not None
        ]

    def names(self, beginning: str, limit: int) -> list[str]:
        return [head.id for head in islice(self._heads(JobQuery(limit=limit), beginning), limit)]

    def task_ids(self, job_id: str) -> list[str]:
        if self._store.call("EXISTS", self._keys.job(job_id)):
            return [job_id]
        return [task.decode() for task in self._store.call("ZRANGE", self._keys.array(job_id), 0, -1)]

    def _heads(self, query: JobQuery, beginning: str = "") -> Iterator[Head]:
        """Newest first, also while the indexes change: each row once."""
        seen: set[str] = set()
        below, most = "+inf", min(HEAD_STEPS, query.offset + query.limit)
        how: list[Argument] = [beginning, "tasks" if query.array_id else "", *(query.states or JobState)]
        while below:
            below, *found = _texts(self._store.run("heads", most, HEAD_STEPS, below, *how, keys=self._indexes(query)))
            for row_id, is_array in zip(found[::2], found[1::2], strict=True):
                if row_id not in seen:
                    seen.add(row_id)
                    yield Head(row_id, is_array == "1")

    def _indexes(self, query: JobQuery) -> list[str]:
        if query.array_id:
            return [self._keys.array(query.array_id)]
        if query.project:
            return [self._keys.project(query.project)]
        return [self._keys.state(state) for state in query.states or JobState]

    def _folded(self, arrays: Sequence[str]) -> dict[str, list[Part]]:
        sizes = self._store.calls([("ZCARD", self._keys.array(array)) for array in arrays])
        slices = [
            (array, first) for array, size in zip(arrays, sizes, strict=True) for first in range(0, size, FOLD_BATCH)
        ]
        replies = self._store.run_many("fold", [(array, first, first + FOLD_BATCH - 1) for array, first in slices])
        parts: dict[str, list[Part]] = {}
        for (array, _), reply in zip(slices, replies, strict=True):
            if reply:
                parts.setdefault(array, []).append(_part(_texts(reply)))
        return parts

    def _emitted_g(self, job_ids: Sequence[str]) -> dict[str, tuple[float | None]]:
        found = self._store.calls([("HGET", self._keys.job(job_id), "emitted_g") for job_id in job_ids])
        return {
            job_id: (float(text) if text else None,)
            for job_id, text in zip(job_ids, found, strict=True)
            if text is not None
        }


def _part(reply: Sequence[str]) -> Part:
    lead, rank, start, end, grams, *counts = reply
    return Part(
        lead=lead,
        rank=rank,
        start=from_ms(int(start)) if start else None,
        end=from_ms(int(end)) if end else None,
        emissions_g=float(grams) if grams else None,
        counts=Counter({JobState(s): int(n) for s, n in zip(counts[::2], counts[1::2], strict=True)}),
    )


def _texts(reply: Sequence[Reply]) -> list[str]:
    return [item.decode() if isinstance(item, bytes) else str(item) for item in reply]
