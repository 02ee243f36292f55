"""A bounded tail of each job's output, for those who watch from afar. The worker's disk holds the whole."""

import time
from collections import deque

from carbonq.scheduler.queue.connection import Store
from carbonq.scheduler.queue.scripts import Argument

TAIL_B = 64 * 1024  # of one job
CHUNK_B = 16 * 1024
TAIL_TTL_S = 7 * 86_400.0  # after the last output
READ_LIMIT = 256
POLL_S = 0.01


class RedisLogTail:
    """`LogTail` on Redis 7 or Valkey."""

    def __init__(self, store: Store, *, tail_b: int = TAIL_B) -> None:
        self._store = store
        self._tail_b = tail_b

    def append(self, job_id: str, fence: int, data: bytes) -> None:
        ttl_ms = round(TAIL_TTL_S * 1000)
        calls: list[list[Argument]] = [
            [job_id, fence, chunk, self._tail_b, ttl_ms, int(len(data) > self._tail_b)]
            for chunk in _chunks(data[-self._tail_b :])
        ]
        self._store.run_many("append_log", calls)

    def read(self, job_id: str, after: str = "", *, block_s: float = 0.0) -> tuple[bytes, str]:
        found = self._store.read_stream(self._store.keys.log(job_id), after, limit=READ_LIMIT, block_s=block_s)
        data = b"".join(fields[b"d"] for _, fields in found)
        return data, found[-1][0].decode() if found else after

    def is_cut(self, job_id: str) -> bool:
        return bool(self._store.call("HEXISTS", self._store.keys.log_meta(job_id), "cut"))


class MemoryLogTail:
    """`LogTail` within one process."""

    def __init__(self, *, tail_b: int = TAIL_B) -> None:
        self._tail_b = tail_b
        self._count = 0
        self._fences: dict[str, int] = {}
        self._chunks: dict[str, deque[tuple[int, bytes]]] = {}
        self._cut: set[str] = set()

    def append(self, job_id: str, fence: int, data: bytes) -> None:
        if fence < self._fences.get(job_id, 0):
            return
        self._fences[job_id] = fence
        kept = self._chunks.setdefault(job_id, deque())
        if sum(len(chunk) for _, chunk in kept) + len(data) > self._tail_b:
            self._cut.add(job_id)
        for chunk in _chunks(data[-self._tail_b :]):
            self._count += 1
            kept.append((self._count, chunk))
        while sum(len(chunk) for _, chunk in kept) > self._tail_b:
            kept.popleft()

    def read(self, job_id: str, after: str = "", *, block_s: float = 0.0) -> tuple[bytes, str]:
        give_up = time.monotonic() + block_s
        while True:
            new = [entry for entry in list(self._chunks.get(job_id, ())) if entry[0] > int(after or 0)][:READ_LIMIT]
            if new:
                return b"".join(chunk for _, chunk in new), str(new[-1][0])
            if time.monotonic() >= give_up:
                return b"", after
            time.sleep(POLL_S)

    def is_cut(self, job_id: str) -> bool:
        return job_id in self._cut


def _chunks(data: bytes) -> list[bytes]:
    return [data[first : first + CHUNK_B] for first in range(0, len(data), CHUNK_B)]
