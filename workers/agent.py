"""The worker: leases what is due, runs it, measures it, reports it.

Four threads, so that nothing local waits for the network and no meter waits for anything: this one watches processes, the
sampler reads meters, the leaser takes and starts jobs, the courier talks to the queue about what runs.
"""

import contextlib
import fcntl
import logging
import os
import select
import threading
import time
from collections.abc import Iterator, Sequence
from enum import StrEnum

from carbonq.clock import real_now
from carbonq.domain.errors import InvalidInput, QueueRefused, QueueUnreachable
from carbonq.domain.job import WorkerInfo
from carbonq.domain.ports import Board, JobQueue, LogTail, Meter
from carbonq.domain.time import Clock
from carbonq.workers import calibration_file, equipment, measurement, progress, starting
from carbonq.workers.courier import Courier
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.leasing import Leaser
from carbonq.workers.live import Live, LiveAttempts
from carbonq.workers.runner import Ending, Runner
from carbonq.workers.sampler import Sampler
from carbonq.workers.settings import KeepaliveFor, WorkerSettings
from carbonq.workers.site import Site
from carbonq.workers.spool import Spool
from carbonq.workers.starting import Starter
from carbonq.workers.telling import Teller

log = logging.getLogger("carbonq.worker")

IDLE_WAIT_S = 1.0
PRUNE_EVERY_S = 3600.0
SETTLE_LIMIT_S = 5.0  # whatever becomes of the meters, an end is reported
FAREWELL_S = 10.0  # how long a stopping worker tries to deliver what it has


class StopMode(StrEnum):
    """What becomes of running jobs when the worker stops. Every mode takes no new leases."""

    LEAVE = "leave"  # they run on under their shims; the next worker finds them
    WAIT = "wait"  # the worker stays until they have ended
    STOP = "stop"  # they are stopped and go back to the queue


class Agent:
    def __init__(
        self,
        settings: WorkerSettings,
        *,
        queue: JobQueue,
        board: Board,
        log_tail: LogTail,
        clock: Clock,
        keepalive: KeepaliveFor | None = None,
        meters: Sequence[Meter] | None = None,
    ) -> None:
        """`meters` None: the best that this machine has."""
        self.settings, self.board, self.clock = settings, board, clock
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.runner = Runner(settings.data_dir / "attempts", prewarmed=settings.prewarmed_shims)
        self.equipment = equipment.find(settings, meters, ours=_gpus_in_use(self.runner))
        self.spool = Spool(settings.data_dir / "spool")
        self.live = LiveAttempts()
        self.courier = Courier(settings, queue, log_tail, self.live, self.spool, Teller(board, clock))
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.site = _site(settings, self.equipment)
        self.sampler = Sampler(
            self.equipment.meters,
            self.equipment.cpu_model,
            cpus=self.equipment.threads,
            folder=settings.data_dir,
            interval_s=settings.sample_interval_s,
            poll_s=self.equipment.gpu_poll_s,
            settled=self._wake,
        )
        self.leaser = Leaser(
            settings,
            queue,
            board,
            clock,
            self.equipment,
            Starter(settings, self.runner, self.equipment.locks, keepalive),
            self.spool,
            info=self.info,
            sampler=self.sampler,
            site=self.site,
            started=self._take_on,
            refused=self.courier.news.set,
        )
        self.started_at = real_now()
        self._stop_mode: StopMode | None = None
        self._no_more_leases, self._no_more_reports = threading.Event(), threading.Event()
        self._leasing = threading.Thread(target=self._lease, name="leaser")
        self._reporting = threading.Thread(target=self.courier.run, args=(self._no_more_reports,), name="courier")
        self._next_prune_s = 0.0

    def run(self) -> None:
        """Work until stopped. Raises InvalidInput where another worker uses the same data folder."""
        with self._only_worker_of_its_folder():
            self.runner.prewarm()
            self._take_up_what_is_there()
            self.sampler.start()
            self._leasing.start()
            self._reporting.start()
            try:
                self._watch()
            finally:
                self._end()

    def stop(self, mode: StopMode = StopMode.LEAVE) -> None:
        """Ask `run` to return; may be called from a signal handler, and again with a firmer mode."""
        self._stop_mode = mode
        self._wake()

    def info(self) -> WorkerInfo:
        """This worker as it registers itself."""
        inventory = self.equipment.inventory
        return WorkerInfo(
            worker_id=self.equipment.worker_id,
            host=os.uname().nodename,
            pool=self.settings.pool,
            zone=self.settings.zone,
            capacity=inventory.capacity,
            free=inventory.free,
            gpu_uuids=inventory.gpu_uuids,
            meters=self.equipment.meter_names,
            started_at=self.started_at,
            seen_at=real_now(),
            account=self.sampler.node_account(),
        )

    # what the leaser's thread does

    def _lease(self) -> None:
        self.leaser.run(self._no_more_leases)
        self._wake()

    def _take_on(self, live: Live) -> None:
        self.live.add(live)
        self._wake()

    # the main thread: processes

    def _watch(self) -> None:
        while not self._is_done():
            self._wait_for_news()
            for live in self.live.running():
                self._look_after(live)
            self.runner.reap()
            self.runner.prewarm()
            self._prune()

    def _is_done(self) -> bool:
        if self._stop_mode is None:
            return False
        self._no_more_leases.set()
        self.equipment.inventory.wake()
        if self._stop_mode is StopMode.LEAVE:
            return True
        may_still_start = self._leasing.is_alive()
        running = self.live.running()
        if self._stop_mode is StopMode.STOP:
            for live in running:
                live.stop("drain")
        return not (running or may_still_start)

    def _wait_for_news(self) -> None:
        running = self.live.running()
        poll = select.poll()
        for fd in (self._wake_r, *(live.attempt.fileno() for live in running if live.attempt.fileno() >= 0)):
            poll.register(fd, select.POLLIN)
        wait_s = self.settings.log_interval_s if any(live.found for live in running) else IDLE_WAIT_S
        poll.poll(max(0, int(wait_s * 1000)))
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_r, 4096)

    def _notice_end(self, live: Live) -> None:
        live.ending = live.attempt.poll()
        if live.ending is not None:
            live.ended_s = time.monotonic()
            self.sampler.end(live.key, live.ending)

    def _look_after(self, live: Live) -> None:
        """Notice its end; report it once all of its time is accounted for."""
        if live.ending is None:
            self._notice_end(live)
        if live.ending is None:
            return
        if self.sampler.is_settled(live.key) or time.monotonic() - live.ended_s > SETTLE_LIMIT_S:
            self._account(live, live.ending)

    def _account(self, live: Live, ending: Ending) -> None:
        """The end of an attempt: measured, written to disk, its place given back; then it is the courier's."""
        measured = measurement.build(
            live.record,
            starting.diagnose(live.record, ending),
            self.sampler.account(live.key),
            self.clock,
            self.site,
            work_done=progress.work_done(live.folder, live.record),
        )
        self.spool.put(measured, live.record.backoff_s)
        self.sampler.forget(live.key)
        live.ended = True
        self.equipment.inventory.give_back(live.holding)
        self.courier.news.set()

    # before and after

    def _take_up_what_is_there(self) -> None:
        for folder in self.runner.existing():
            record = starting.read_record(folder)
            if record is None:  # the worker died before it had written what it was about to do
                folder.remove()
                continue
            holding = self.equipment.inventory.adopt(record.requirement, record.gpu_uuids)
            live = Live(record, self.runner.find(folder), holding, found=True)
            self.sampler.adopt(live.key, folder, cpus=record.requirement.cpus, gpus=record.gpu_uuids)
            self._notice_end(live)
            self.live.add(live)
            log.info("%s: found again, attempt %d", record.lease.job_id, record.lease.attempt)

    def _prune(self) -> None:
        """Remove what was reported long ago: the log's whole text lives here until then."""
        if time.monotonic() < self._next_prune_s:
            return
        self._next_prune_s = time.monotonic() + PRUNE_EVERY_S
        for path in self.runner.attempts_dir.iterdir():
            folder = AttemptFolder(path)
            if folder.is_reported and time.time() - path.stat().st_mtime > self.settings.keep_attempts_s:
                folder.remove()

    @contextlib.contextmanager
    def _only_worker_of_its_folder(self) -> Iterator[None]:
        with (self.settings.data_dir / "worker.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InvalidInput(
                    f"another worker uses {self.settings.data_dir}",
                    hint="stop it first, or give this one a data folder of its own",
                ) from None
            yield

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_w, b"w")

    def _end(self) -> None:
        self._no_more_leases.set()
        self._leasing.join()
        self._no_more_reports.set()
        self.courier.news.set()
        self._reporting.join()
        self.sampler.stop()
        until_s = time.monotonic() + FAREWELL_S
        while any(live.ended for live in self.live.all()) and time.monotonic() < until_s and self.courier.round():
            pass
        with contextlib.suppress(QueueUnreachable, QueueRefused):
            self.board.remove_worker(self.equipment.worker_id)
        self.runner.close()
        self.equipment.close()


def _gpus_in_use(runner: Runner) -> set[str]:
    records = map(starting.read_record, runner.existing())
    return {uuid for record in records if record is not None for uuid in record.gpu_uuids}


def _site(settings: WorkerSettings, found: equipment.Equipment) -> Site:
    return Site(
        capacity=found.inventory.capacity,
        calibration=calibration_file.load(settings.data_dir / calibration_file.NAME),
        pue=settings.pue,
        embodied_g=settings.embodied_g,
        lifetime_s=settings.lifetime_s,
    )
