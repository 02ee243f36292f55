"""All that the worker tells the queue about its attempts, on a thread of its own: a slow or absent server delays nothing else."""

import logging
import threading
import time
from dataclasses import dataclass, field

from carbonq.domain.errors import NotFound, QueueRefused, QueueUnreachable
from carbonq.domain.ports import JobQueue, LeaseStatus, LogTail
from carbonq.workers.live import Live, LiveAttempts
from carbonq.workers.settings import WorkerSettings
from carbonq.workers.spool import Entry, Spool
from carbonq.workers.telling import Teller

log = logging.getLogger("carbonq.worker")

LONGEST_PAUSE_S = 5.0
MOST_CHUNKS = 8  # of an ended job's log, delivered before its end is reported
STOPS = {LeaseStatus.STALE: "stale", LeaseStatus.CANCEL: "cancel"}


@dataclass
class Courier:
    """Streams logs, renews leases, delivers measurements, tells progress. Whatever the server does not take now is offered again."""

    settings: WorkerSettings
    queue: JobQueue
    tail: LogTail
    live: LiveAttempts
    spool: Spool
    teller: Teller
    news: threading.Event = field(default_factory=threading.Event)  # a measurement was spooled
    _failures: int = 0
    _next_heartbeat_s: float = 0.0

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self.news.wait(self._pause_s())
            self.news.clear()
            try:
                self.round()
            except Exception:  # one round is lost, never the worker
                log.exception("a defect in carbonq; reporting goes on")
                self._failures += 1

    def round(self) -> bool:
        """One round of everything. False where the server could not be reached."""
        self.teller.look(self.live.running())
        try:
            self.deliver()
            self.stream()
            self.renew()
            self.teller.tell(self.live.running())
        except (QueueUnreachable, QueueRefused) as error:
            self._failures += 1
            if self._failures == 1:
                log.warning("%s; jobs run on, and their ends are kept on disk until the queue is back", error.what)
            return False
        if self._failures:
            log.warning("the queue is back")
        self._failures = 0
        return True

    def deliver(self) -> None:
        """Report every spooled end; an entry leaves the disk only once the queue has answered."""
        in_hand = {live.record.key: live for live in self.live.all()}
        for entry in self.spool.entries():
            measurement = entry.spooled.measurement
            live = in_hand.get((measurement.job_id, measurement.fence))
            if live is not None:
                self._stream_rest(live)
            self._report(entry, live)

    def stream(self) -> None:
        for live in self.live.running():
            self._stream_chunk(live)

    def renew(self) -> None:
        running = self.live.running()
        if not running or time.monotonic() < self._next_heartbeat_s:
            return
        statuses = self.queue.heartbeat([live.record.lease for live in running], lease_s=self.settings.lease_s)
        self._next_heartbeat_s = time.monotonic() + min(self.settings.heartbeat_s, self.settings.lease_s / 3)
        for live, status in zip(running, statuses, strict=True):
            if status in STOPS and not live.stopping:
                log.info("%s: %s, stopping it", live.record.lease.job_id, STOPS[status])
                live.stop(STOPS[status])

    def _report(self, entry: Entry, live: Live | None) -> None:
        measurement = entry.spooled.measurement
        try:
            accepted = self.queue.finish(measurement, backoff_s=entry.spooled.backoff_s)
        except NotFound:  # the server lost its data, or is another one
            log.warning(
                "%s: the queue does not know this job; its measurement is kept in %s",
                measurement.job_id,
                self.spool.folder,
            )
            self.spool.set_aside(entry)
            self._let_go(live)
            return
        note = "" if accepted else " (an older attempt: booked as overhead)"
        log.info("%s: %s%s %s", measurement.job_id, measurement.outcome, note, measurement.error)
        self._let_go(live)
        self.spool.remove(entry)

    def _let_go(self, live: Live | None) -> None:
        if live is not None:
            live.folder.mark_reported()
            live.attempt.dismiss()
            self.live.remove(live.record.key)

    def _stream_chunk(self, live: Live) -> bool:
        chunk = live.log.read()
        if not chunk.data:
            return False
        self.tail.append(live.record.lease.job_id, live.record.lease.fence, chunk.data)
        live.log.delivered(chunk)
        return True

    def _stream_rest(self, live: Live) -> None:
        for _ in range(MOST_CHUNKS):
            if not self._stream_chunk(live):
                return

    def _pause_s(self) -> float:
        return min(LONGEST_PAUSE_S, self.settings.log_interval_s * 2.0 ** min(self._failures, 10))
