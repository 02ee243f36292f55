"""Takes leases on what is due and fits, and starts it: on a thread of its own, blocked on the queue most of the time."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from carbonq.domain.errors import CarbonqError, QueueRefused, QueueUnreachable
from carbonq.domain.job import WorkerInfo
from carbonq.domain.ports import Board, Grant, JobQueue
from carbonq.domain.time import Clock
from carbonq.workers import measurement
from carbonq.workers.equipment import Equipment
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.inventory import Holding
from carbonq.workers.live import Live
from carbonq.workers.runner import Ending
from carbonq.workers.sampler import Sampler
from carbonq.workers.settings import WorkerSettings
from carbonq.workers.site import Site
from carbonq.workers.spool import Spool
from carbonq.workers.starting import Starter

log = logging.getLogger("carbonq.worker")

FULL_WAIT_S = 0.2  # between looks at due jobs that do not fit: another may become due behind them
TROUBLE_PAUSE_S = 1.0
LONGEST_PAUSE_S = 5.0
SERVER_TICK_S = 0.11
"""A server ends a blocked read up to a tick of its cron (hz 10) late: the last stretch is slept here."""
MOST_GRANTS = 16  # of one call: their starts follow each other
NOTHING = Holding(0, 0, ())


@dataclass
class Leaser:
    """`info` is the worker as it stands; `started` is told of each new attempt; `refused` that one was spooled."""

    settings: WorkerSettings
    queue: JobQueue
    board: Board
    clock: Clock
    equipment: Equipment
    starter: Starter
    spool: Spool
    sampler: Sampler
    site: Site
    info: Callable[[], WorkerInfo]
    started: Callable[[Live], None]
    refused: Callable[[], None]
    _registered_until_s: float = 0.0

    def run(self, stopping: threading.Event) -> None:
        cursor, failures = "", 0
        while not stopping.is_set():
            try:
                self._register()
                cursor = cursor or self.queue.wait_for_change("", 0.0)  # before looking, so that no change is missed
                wait_s = self._lease_what_is_due(stopping)
                if wait_s > 0:
                    cursor = self.queue.wait_for_change(cursor, wait_s)
                failures = 0
            except (QueueUnreachable, QueueRefused):
                failures += 1
                stopping.wait(min(LONGEST_PAUSE_S, 0.1 * 2.0 ** min(failures, 10)))
            except Exception:
                log.exception("a defect in carbonq; leasing goes on")
                stopping.wait(TROUBLE_PAUSE_S)

    def _register(self) -> None:
        if time.monotonic() >= self._registered_until_s:
            self.board.put_worker(self.info(), self.settings.registration_ttl_s)
            self._registered_until_s = time.monotonic() + self.settings.registration_ttl_s / 3

    def _lease_what_is_due(self, stopping: threading.Event) -> float:
        """Start what is due and fits; how long to wait for a change before looking again."""
        free = self.equipment.inventory.free
        if free.cpus < 1 or not self._has_disk_room():
            self.equipment.inventory.wait_for_room(self.settings.max_wait_s)
            return 0.0
        now = self.clock.now()
        grants = self.queue.lease(self.info(), now, limit=min(free.cpus, MOST_GRANTS), lease_s=self.settings.lease_s)
        for grant in grants:
            if not self._start(grant):
                stopping.wait(TROUBLE_PAUSE_S)
        if grants:
            return 0.0
        due = self.queue.next_due()
        if due is None:
            return self.settings.max_wait_s
        if due <= now:
            return min(FULL_WAIT_S, self.settings.max_wait_s)  # it does not fit here
        left_s = self.clock.seconds_until(due)
        if left_s > SERVER_TICK_S:
            return min(self.settings.max_wait_s, left_s - SERVER_TICK_S)
        stopping.wait(max(0.0, left_s))
        return 0.0

    def _has_disk_room(self) -> bool:
        usage = os.statvfs(self.settings.data_dir)
        if usage.f_bavail * usage.f_frsize >= self.settings.min_free_disk_b:
            return True
        least_mib = self.settings.min_free_disk_b >> 20
        log.warning("less than %d MiB free in %s: no job is started", least_mib, self.settings.data_dir)
        return False

    def _start(self, grant: Grant) -> bool:
        """False where the trouble is the worker's own, and may pass."""
        inventory = self.equipment.inventory
        holding = inventory.take(grant.job.requirement)
        if holding is None:
            self._refuse(grant, Ending(reason="no-room", error="it was leased but did not fit on the worker"))
            return False
        record = self.starter.record(grant, holding, self.equipment.power_limit_w(holding.gpu_uuids))
        folder = AttemptFolder.of(self.starter.runner.attempts_dir, grant.job.id, grant.lease.fence)
        try:
            self.equipment.take_gpus(holding.gpu_uuids)
            folder.make()
            self.sampler.begin(folder.path.name, folder, cpus=holding.cpus, gpus=holding.gpu_uuids)
            record, attempt = self.starter.start(grant, record, folder)
        except (CarbonqError, OSError) as error:
            self.sampler.forget(folder.path.name)
            inventory.give_back(holding)
            folder.remove()
            self._refuse(grant, _refusal(error))
            return isinstance(error, CarbonqError)
        self.started(Live(record, attempt, holding))
        log.info("%s: started, attempt %d", grant.job.id, grant.lease.attempt)
        return True

    def _refuse(self, grant: Grant, ending: Ending) -> None:
        record = self.starter.record(grant, NOTHING)
        self.spool.put(measurement.build(record, ending, None, self.clock, self.site), record.backoff_s)
        self.refused()


def _refusal(error: CarbonqError | OSError) -> Ending:
    """A job that cannot start anywhere as it is says so; a worker in trouble hands it back."""
    if isinstance(error, CarbonqError):
        return Ending(could_not_start="refused", error="; ".join(str(error).splitlines()))
    return Ending(reason="worker-trouble", error=f"the worker could not start it: {error}")
