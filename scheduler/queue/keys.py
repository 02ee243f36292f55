"""Every key that carbonq keeps in Redis, under one hash tag that holds the namespace.

One tag keeps a namespace in one slot of a cluster, so that a script may touch any of its keys; two namespaces share a
server without seeing each other. The scripts get these very names: `lua_names` declares them as Lua locals.
"""

import re

from carbonq.domain.carbon import Zone
from carbonq.domain.errors import InvalidInput

_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_LUA_NAMES = {
    "JOB": "job:",  # <id> -> hash: `ask` (the job as submitted, JSON) and flat fields that the scripts change
    "SPEC": "spec:",  # <sha256> -> hash: `bytes` as submitted, `refs` how many jobs share them
    "CHILDREN": "children:",  # <id> -> list: jobs that wait for this one
    "MEASUREMENTS": "measurements:",  # <id> -> hash: fence -> "1" (accepted) or "0" (overhead), then JSON
    "LOG": "log:",  # <id> -> stream: the tail of its output
    "LOG_META": "log-meta:",  # <id> -> hash: `bytes` kept, the newest `fence` that wrote, `cut` where older output was dropped
    "PROGRESS": "progress:",  # <id> -> hash: what its running attempt last told, the `fence` it holds and `json`; expires
    "STATE": "state:",  # <state> -> zset: job by submission
    "PROJECT": "project:",  # <project> -> zset: job by submission
    "ARRAY": "array:",  # <array id> -> zset: task by submission
    "LINE": "line:",  # <pool>|<class> -> zset of ready jobs, sorted by rank
    "LINES": "lines:",  # <pool> -> set: classes with somebody in line
    "WAITING": "waiting",  # zset: jobs to become ready, by grid ms
    "BACKOFF": "backoff",  # zset: jobs to be retried, by real ms
    "PINNED": "pinned",  # zset: ready jobs offered to one pool alone, by latest safe start in grid ms
    "DROPS": "drops",  # zset: waiting jobs that are dropped when late, by grid ms
    "LEASES": "leases",  # zset: active jobs by expiry in real ms
    "UNBOOKED": "unbooked",  # zset: ended jobs without a receipt, by end in real ms
    "BOOKED": "booked",  # zset: ended jobs with a receipt that retention may delete, by end in real ms
    "EVENTS": "events",  # stream: one entry a transition
    "WAKE": "wake",  # stream of one entry: something may be leasable sooner
    "SEQUENCE": "sequence",  # counter: submissions
    "CLOCK": "clock",  # hash: the replay's mapping of real to grid time
    "SERVER": "server",  # hash: run id of the server last seen, and when it was first seen
    "SCHEMA": "schema",  # version of this layout
    "LEDGER": "ledger",  # stream: receipts, every revision
    "RECEIPTS": "receipts",  # zset: job by finish in grid ms
    "RECEIPT_LAST": "receipt-last",  # hash: job -> "<revision>:<stream id>" of its last receipt
}


class Keys:
    """The keys of one namespace. Attributes are whole keys, methods those of one job, spec or zone."""

    def __init__(self, namespace: str) -> None:
        if not _NAMESPACE.fullmatch(namespace):
            raise InvalidInput(
                f"{namespace!r} is no namespace", hint="use 1 to 64 letters, digits, dots, dashes and underscores"
            )
        self.namespace = namespace
        self.root = f"{{carbonq:{namespace}}}:"
        self.waiting, self.backoff, self.leases = self._whole("WAITING"), self._whole("BACKOFF"), self._whole("LEASES")
        self.unbooked, self.booked = self._whole("UNBOOKED"), self._whole("BOOKED")
        self.events, self.wake = self._whole("EVENTS"), self._whole("WAKE")
        self.clock, self.schema = self._whole("CLOCK"), self._whole("SCHEMA")
        self.ledger, self.receipts = self._whole("LEDGER"), self._whole("RECEIPTS")
        self.receipt_last = self._whole("RECEIPT_LAST")
        self.plan = self.root + "plan"
        self.energy_model = self.root + "energy-model"
        self.workers = self.root + "workers"
        self.leader = self.root + "leader"
        self.migrating = self.root + "migrating"

    def _whole(self, name: str) -> str:
        return self.root + _LUA_NAMES[name]

    def job(self, job_id: str) -> str:
        return self._whole("JOB") + job_id

    def spec(self, sha256: str) -> str:
        return self._whole("SPEC") + sha256

    def measurements(self, job_id: str) -> str:
        return self._whole("MEASUREMENTS") + job_id

    def log(self, job_id: str) -> str:
        return self._whole("LOG") + job_id

    def log_meta(self, job_id: str) -> str:
        return self._whole("LOG_META") + job_id

    def progress(self, job_id: str) -> str:
        return self._whole("PROGRESS") + job_id

    def state(self, state: str) -> str:
        return self._whole("STATE") + state

    def project(self, project: str) -> str:
        return self._whole("PROJECT") + project

    def array(self, array_id: str) -> str:
        return self._whole("ARRAY") + array_id

    def forecast(self, zone: Zone) -> str:
        return f"{self.root}forecast:{zone}"

    def actual(self, zone: Zone) -> str:
        return f"{self.root}actual:{zone}"

    def worker(self, worker_id: str) -> str:
        return f"{self.root}worker:{worker_id}"


def lua_names() -> str:
    """Lua locals for the keys that scripts touch; `KEYS[1]` is the namespace's root."""
    return "".join(f"local {name} = KEYS[1] .. '{key}'\n" for name, key in _LUA_NAMES.items())
