"""What a worker may be told. Every field has a default that suits a single machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from carbonq.domain.carbon import Zone
from carbonq.domain.job import Lease

POWERCAP = Path("/sys/class/powercap")
YEAR_S = 365.25 * 86_400.0


@dataclass(frozen=True)
class WorkerSettings:
    """A worker's settings. Times are real time."""

    data_dir: Path  # attempts, logs, spool; private to the user
    zone: Zone
    pool: str = "default"
    worker_id: str = ""  # empty: made once, kept in the data folder
    cpus: int | None = None  # CPU slots to offer; None: those this process may use
    memory_b: int | None = None  # None: the machine's
    use_gpus: bool = True
    gpu_lock_dir: Path = Path("/run/lock")
    secrets_dir: Path | None = None  # one file a secret, readable by its owner alone
    lease_s: float = 30.0
    heartbeat_s: float = 1.0  # how soon a cancel is noticed
    registration_ttl_s: float = 15.0
    max_wait_s: float = 1.0  # longest single wait for the queue
    log_interval_s: float = 0.2
    sample_interval_s: float = 1.0
    grace_s: float = 10.0  # between SIGTERM and SIGKILL
    linger_s: float = 900.0  # how long a shim keeps the lease of an ended job that no worker has reported
    log_limit_b: int = 256 * 2**20  # of one attempt's log on disk
    min_free_disk_b: int = 64 * 2**20  # below it no job is started
    retry_backoff_s: float = 10.0  # doubled with each failed attempt, up to an hour
    keep_attempts_s: float = 7 * 86_400.0  # how long a reported attempt's log stays on disk
    powercap_dir: Path = POWERCAP
    cpu_meter: Literal["rapl", "pyrapl", "model"] = "rapl"  # where it can be read, else the next best
    prewarmed_shims: int = 2
    pue: float | None = None  # of the site, as its operator states it
    embodied_g: float | None = None  # CO2e of making this machine
    lifetime_s: float = 4 * YEAR_S  # over which that is spread


@dataclass(frozen=True)
class Keepalive:
    """How an attempt's shim renews its lease by itself. The command is opaque: the queue's adapter makes it.

    The server answers it with `held`, `stale` or `cancel`; any other reply counts as no answer.
    """

    command: tuple[str, ...]
    unix_socket: str | None = None
    host: str = "127.0.0.1"
    port: int = 6379
    database: int = 0
    username: str | None = None
    password: str | None = None
    tls: bool = False
    tls_ca_file: str | None = None


class KeepaliveFor(Protocol):
    """Makes the keepalive of one lease; None where the queue cannot be reached by a plain connection."""

    def __call__(self, lease: Lease, lease_s: float) -> Keepalive | None: ...
