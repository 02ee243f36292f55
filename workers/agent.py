"""The worker: leases what is due, runs it, measures it, reports it.

Three threads, so that nothing local waits for the network: this one watches processes and meters, one leases and starts,
the courier talks to the queue about what runs.
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
from carbonq.domain.errors import CarbonqError, InvalidInput, QueueRefused, QueueUnreachable
from carbonq.domain.job import WorkerInfo
from carbonq.domain.ports import Board, Grant, JobQueue, LogTail, Meter
from carbonq.domain.time import Clock
from carbonq.workers import equipment, measurement, starting
from carbonq.workers.courier import Courier
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.inventory import Holding
from carbonq.workers.live import Live, LiveAttempts
from carbonq.workers.record import AttemptRecord
from carbonq.workers.runner import Ending, Runner
from carbonq.workers.samples import read_samples
from carbonq.workers.settings import KeepaliveFor, WorkerSettings
from carbonq.workers.spool import Spool
from carbonq.workers.starting import Starter

log = logging.getLogger("carbonq.worker")

FULL_WAIT_S = 0.2  # between looks at due jobs that do not fit: another may become due behind them
MOST_GRANTS = 16
PRUNE_EVERY_S = 3600.0
TROUBLE_PAUSE_S = 1.0
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
        self.settings, self.queue, self.board, self.clock = settings, queue, board, clock
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.runner = Runner(settings.data_dir / "attempts", prewarmed=settings.prewarmed_shims)
        self.equipment = equipment.find(settings, meters, ours=_gpus_in_use(self.runner))
        self.starter = Starter(settings, self.runner, self.equipment.locks, keepalive)
        self.spool = Spool(settings.data_dir / "spool")
        self.live = LiveAttempts()
        self.courier = Courier(settings, queue, log_tail, self.live, self.spool)
        self.inventory = self.equipment.inventory
        self.started_at = real_now()
        self._stop_mode: StopMode | None = None
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._no_more_leases, self._no_more_reports = threading.Event(), threading.Event()
        self._leasing = threading.Thread(target=self._lease, name="lease")
        self._reporting = threading.Thread(target=self.courier.run, args=(self._no_more_reports,), name="courier")
        self._next_sample_s = self._next_prune_s = 0.0

    def run(self) -> None:
        """Work until stopped. Raises InvalidInput where another worker uses the same data folder."""
        with self._only_worker_of_its_folder():
            self.runner.prewarm()
            self._take_up_what_is_there()
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
        return WorkerInfo(
            worker_id=self.equipment.worker_id,
            host=os.uname().nodename,
            pool=self.settings.pool,
            zone=self.settings.zone,
            capacity=self.inventory.capacity,
            free=self.inventory.free,
            gpu_uuids=self.inventory.gpu_uuids,
            meters=self.equipment.meter_names,
            started_at=self.started_at,
            seen_at=real_now(),
        )

    # the main thread: processes and meters

    def _watch(self) -> None:
        while not self._is_done():
            self._wait_for_news()
            for live in self.live.running():
                if (ending := live.attempt.poll()) is not None:
                    self._account(live, ending)
            if time.monotonic() >= self._next_sample_s:
                self._sample(self.live.running())
                self._leasing = threading.Thread(target=self._lease, name="lease")
        self._reporting = threading.Thread(target=self.courier.run, args=(self._no_more_reports,), name="courier")
        self._next_sample_s = time.monotonic() + self.settings.sample_interval_s
            self.runner.reap()
            self.runner.prewarm()
            self._prune()

    def _is_done(self) -> bool:
        if self._stop_mode is None:
            return False
        self._no_more_leases.set()
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
        wait_s = self._next_sample_s - time.monotonic() if self._meters_run(running) else 1.0
        if any(live.found for live in running):
            wait_s = min(wait_s, self.settings.log_interval_s)
        poll.poll(max(0, int(wait_s * 1000)))
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_r, 4096)

    def _meters_run(self, running: Sequence[Live]) -> bool:
        return bool(running and self.equipment.meters)

    def _sample(self, running: Sequence[Live]) -> None:
        if self._meters_run(running):
            read = [(meter, meter.read()) for meter in self.equipment.meters]
            for live in running:
                live.sample(read)

    def _account(self, live: Live, ending: Ending) -> None:
        """The end of an attempt: measured, written to disk, its place given back; then it is the courier's."""
        self._sample([live])
        self._spool(live.record, live.folder, ending)
        live.ended = True
        self.inventory.give_back(live.holding)
        self.courier.news.set()

    def _spool(self, record: AttemptRecord, folder: AttemptFolder, ending: Ending) -> None:
        points = [line for line in folder.lines("meter.jsonl") if line and not isinstance(line[0], str)]
        measured = measurement.build(
            record,
            starting.diagnose(record, ending),
            points or ending.points,
            read_samples(folder.samples),
            self.clock,
        )
        self.spool.put(measured, record.backoff_s)

    # after a restart

    def _take_up_what_is_there(self) -> None:
        for folder in self.runner.existing():
            record = starting.read_record(folder)
            if record is None:  # the worker died before it had written what it was about to do
                folder.remove()
                continue
            holding = self.inventory.adopt(record.requirement, record.gpu_uuids)
            live = Live(record, self.runner.find(folder), holding, found=True)
            self.live.add(live)
            log.info("%s: found again, attempt %d", record.lease.job_id, record.lease.attempt)

    # the leasing thread

    def _lease(self) -> None:
        cursor, failures, registered_until_s = "", 0, 0.0
        while not self._no_more_leases.is_set():
            try:
                if time.monotonic() >= registered_until_s:
                    self.board.put_worker(self.info(), self.settings.registration_ttl_s)
                    registered_until_s = time.monotonic() + self.settings.registration_ttl_s / 3
                cursor = cursor or self.queue.wait_for_change("", 0.0)
                wait_s = self._lease_what_is_due()
                if wait_s > 0:
                    cursor = self.queue.wait_for_change(cursor, wait_s)
                failures = 0
            except (QueueUnreachable, QueueRefused):
                failures += 1
                self._no_more_leases.wait(min(5.0, 0.1 * 2.0 ** min(failures, 10)))
            except Exception:
                log.exception("a defect in carbonq; leasing goes on")
                self._no_more_leases.wait(TROUBLE_PAUSE_S)
        self._wake()

    def _lease_what_is_due(self) -> float:
        """Start what is due and fits; how long to wait for a change before looking again."""
        free = self.inventory.free
        if free.cpus < 1 or not self._has_disk_room():
            self.inventory.wait_for_room(self.settings.max_wait_s)
            return 0.0
        now = self.clock.now()
        grants = self.queue.lease(self.info(), now, limit=min(free.cpus, MOST_GRANTS), lease_s=self.settings.lease_s)
        for grant in grants:
            self._start(grant)
        if grants:
            return 0.0
        due = self.queue.next_due()
        if due is None:
            return self.settings.max_wait_s
        if due <= now:
            return min(FULL_WAIT_S, self.settings.max_wait_s)  # it does not fit here
        return min(self.settings.max_wait_s, self.clock.seconds_until(due))

    def _has_disk_room(self) -> bool:
        usage = os.statvfs(self.settings.data_dir)
        if usage.f_bavail * usage.f_frsize >= self.settings.min_free_disk_b:
            return True
        log.warning(
            "less than %d MiB free in %s: no job is started",
            self.settings.min_free_disk_b >> 20,
            self.settings.data_dir,
        )
        return False

    def _start(self, grant: Grant) -> None:
        holding = self.inventory.take(grant.job.requirement)
        if holding is None:
            self._refuse(grant, Ending(reason="no-room", error="it was leased but did not fit on the worker"))
            return
        record = self.starter.record(grant, holding)
        folder = AttemptFolder.of(self.runner.attempts_dir, grant.job.id, grant.lease.fence)
        try:
            self.equipment.take_gpus(holding.gpu_uuids)
            folder.make()
            record, attempt = self.starter.start(grant, record, folder)
        except (CarbonqError, OSError) as error:
            self.inventory.give_back(holding)
            folder.remove()
            self._refuse(grant, _refusal(error))
            if isinstance(error, OSError):  # the worker's own trouble, which may pass
                self._no_more_leases.wait(TROUBLE_PAUSE_S)
            return
        live = Live(record, attempt, holding)
        self._sample([live])
        self.live.add(live)
        log.info("%s: started, attempt %d", grant.job.id, grant.lease.attempt)
        self._wake()

    def _refuse(self, grant: Grant, ending: Ending) -> None:
        record = self.starter.record(grant, holding=_NOTHING)
        self.spool.put(measurement.build(record, ending, (), (), self.clock), record.backoff_s)
        self.courier.news.set()

    # housekeeping

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
        path = self.settings.data_dir / "worker.lock"
        with path.open("w") as lock:
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
        self.inventory.wake()
        self._leasing.join()
        until_s = time.monotonic() + FAREWELL_S
        self._no_more_reports.set()
        self.courier.news.set()
        self._reporting.join()
        while any(live.ended for live in self.live.all()) and time.monotonic() < until_s:
            if not self.courier.round():
                break
        with contextlib.suppress(QueueUnreachable, QueueRefused):
            self.board.remove_worker(self.equipment.worker_id)
        self.runner.close()
        self.equipment.close()
        os.close(self._wake_r)
        os.close(self._wake_w)


_NOTHING = Holding(0, 0, ())


def _gpus_in_use(runner: Runner) -> set[str]:
    records = map(starting.read_record, runner.existing())
    return {uuid for record in records if record is not None for uuid in record.gpu_uuids}


def _refusal(error: CarbonqError | OSError) -> Ending:
    """A job that cannot start anywhere as it is says so; a worker in trouble hands it back."""
    if isinstance(error, CarbonqError):
        return Ending(could_not_start="refused", subject="", error=str(error))
    return Ending(reason="worker-trouble", error=f"the worker could not start it: {error}")
