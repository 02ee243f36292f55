"""The ledger: receipts, appended revision by revision, never changed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from carbonq.domain.receipt import Receipt
from carbonq.domain.time import to_ms
from carbonq.scheduler.queue.connection import Store

if TYPE_CHECKING:
    from carbonq.scheduler.queue.memory import MemoryQueue


class RedisLedger:
    """`Ledger` on Redis 7 or Valkey: one stream of every revision, with the place of each job's last one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys = store.keys

    def book(self, receipt: Receipt) -> None:
        emissions = "" if receipt.emissions_g is None else repr(receipt.emissions_g)
        place = (receipt.job_id, receipt.revision, to_ms(receipt.finished_at))
        self._store.run("book", *place, receipt.model_dump_json(), emissions)

    def latest(self, *, since: datetime | None = None, until: datetime | None = None) -> list[Receipt]:
        first = to_ms(since) if since else "-inf"
        last = f"({to_ms(until)}" if until else "+inf"
        jobs = self._store.call("ZRANGE", self._keys.receipts, first, last, "BYSCORE")
        return self._read([job.decode() for job in jobs])

    def get(self, job_id: str) -> Receipt | None:
        return next(iter(self._read([job_id])), None)

    def _read(self, job_ids: list[str]) -> list[Receipt]:
        if not job_ids:
            return []
        places = self._store.call("HMGET", self._keys.receipt_last, *job_ids)
        entries = [place.partition(b":")[2] for place in places if place]
        found = self._store.calls([("XRANGE", self._keys.ledger, entry, entry) for entry in entries])
        return [Receipt.model_validate_json(fields[b"receipt"]) for ((_, fields),) in found]


class MemoryLedger:
    """`Ledger` within one process, beside the queue whose jobs it books."""

    def __init__(self, queue: MemoryQueue | None = None) -> None:
        self._queue = queue
        self._last: dict[str, Receipt] = {}

    def book(self, receipt: Receipt) -> None:
        last = self._last.get(receipt.job_id)
        if last is None or last.revision < receipt.revision:
            self._last[receipt.job_id] = receipt
        if self._queue:
            self._queue.mark_booked(receipt.job_id, self._last[receipt.job_id].emissions_g)

    def latest(self, *, since: datetime | None = None, until: datetime | None = None) -> list[Receipt]:
        within = [
            receipt
            for receipt in self._last.values()
            if (since is None or since <= receipt.finished_at) and (until is None or receipt.finished_at < until)
        ]
        return sorted(within, key=lambda receipt: (receipt.finished_at, receipt.job_id))

    def get(self, job_id: str) -> Receipt | None:
        return self._last.get(job_id)
