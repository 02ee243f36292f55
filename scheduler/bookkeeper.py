"""Books receipts: a first one when a job has ended, further revisions as the grids report what they emitted."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from carbonq.domain.carbon import IntensitySeries, Origin, Zone
from carbonq.domain.errors import JobNotFound, NotFound, QueueUnreachable, Unreachable
from carbonq.domain.job import Job, Measurement
from carbonq.domain.ports import Board, CarbonOutlook, JobQuery, JobQueue, Ledger, Revised
from carbonq.domain.receipt import Receipt, ReceiptStatus
from carbonq.domain.time import Clock
from carbonq.scheduler.accounting import (
    CAPACITY_UNKNOWN,
    BaselineStart,
    make_receipt,
    remembering,
    with_changed_actuals,
)
from carbonq.scheduler.baseline import baseline_starts
from carbonq.scheduler.pools import pools_of
from carbonq.scheduler.teaching import Teacher

log = logging.getLogger("carbonq.scheduler")

SETTLE_WITHIN = timedelta(days=7)
"""How long a grid may take to report. What is provisional after that stays so."""
REVISE_WITHIN = timedelta(days=30)
"""How long after a job's end its receipt follows what its grid corrects."""
NEIGHBOURS = 20_000
"""As many jobs of the same time as the baseline's simulation looks at."""


class _Ended(NamedTuple):
    job: Job
    measurements: Sequence[Measurement]
    baseline: BaselineStart
    last: Receipt | None

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From its baseline's start to the last moment that its account looks at."""
        ends = [m.ended_at for m in self.measurements]
        length = sum((m.ended_at - m.started_at for m in self.measurements), timedelta())
        starts = [m.started_at for m in self.measurements]
        return min([self.baseline.start, *starts]), max([self.baseline.start + length, *ends])


class Bookkeeper:
    """Knows which receipts are still provisional; asks the ledger once, on taking over."""

    def __init__(
        self,
        *,
        queue: JobQueue,
        board: Board,
        ledger: Ledger,
        clock: Clock,
        outlook: CarbonOutlook,
        zone: Zone,
        teacher: Teacher | None = None,
    ) -> None:
        self._queue, self._board, self._ledger = queue, board, ledger
        self._clock, self._outlook, self._zone = clock, outlook, zone
        self._teacher = teacher
        self._provisional: dict[str, Receipt] | None = None
        self._revised_until: datetime | None = None

    def zones(self) -> set[Zone]:
        """Whose actual intensity receipts wait for, as far as they have been looked at: nobody may work there any more."""
        return {receipt.zone for receipt in list((self._provisional or {}).values())}

    def book(self) -> int:
        """Receipts for all that has ended, or whose account has changed since. How many were booked."""
        if self._teacher:
            self._teacher.take_over()
        ended = [found for found in map(self._look_up, self._queue.unbooked()) if found]
        if not ended:
            return 0
        starts = self._baselines([job for job, _ in ended])
        last_of = {job.id: self._ledger.get(job.id) for job, _ in ended}
        if self._teacher:
            self._teacher.teach([found for found in ended if last_of[found[0].id] is None])
        return self._account(
            [
                _Ended(job, measurements, _kept(last_of[job.id]) or starts[job.id], last_of[job.id])
                for job, measurements in ended
            ]
        )

    def settle(self) -> int:
        """Revisions for provisional receipts whose actual intensity has arrived. How many were booked."""
        waiting: list[_Ended] = []
        for last in list(self._open().values()):
            found = self._look_up(last.job_id)
            if found is None or self._clock.now() - last.finished_at > SETTLE_WITHIN:
                self._open().pop(last.job_id, None)
                continue
            baseline = _kept(last) or BaselineStart(found[0].earliest_start, capacity_known=False)
            waiting.append(_Ended(*found, baseline, last))
        return self._account(waiting, only_news=True)

    def revise(self) -> int:
        """Revisions for settled receipts whose grids have since changed what they reported. How many were booked."""
        now = self._clock.now()
        oldest = now - REVISE_WITHIN
        takes_over = self._revised_until is None
        spans = [span for span in self._outlook.revised(self._revised_until or oldest) if span.end > oldest]
        touched = self._touched(spans, estimates_too=takes_over) if spans or takes_over else []
        ended = {last.job_id: (last, found) for last in touched if (found := self._look_up(last.job_id))}
        booked = 0
        for last, (job, measurements) in ended.values():
            baseline = _kept(last) or BaselineStart(job.earliest_start, capacity_known=False)
            one = _Ended(job, measurements, baseline, last)
            anew = self._receipt(one, {m.zone: self._outlook.history(m.zone, *one.span) for m in measurements})
            changed = with_changed_actuals(last, anew)
            if changed is not None and not _is_open(changed):
                self._ledger.book(changed)
                booked += 1
        self._revised_until = now
        if booked:
            log.info("revised %d settled receipts: their grids corrected what they had reported", booked)
        return booked

    def _touched(self, spans: Sequence[Revised], *, estimates_too: bool) -> list[Receipt]:
        """The settled receipts that rest on intensity of these spans, and those on estimates: nobody else remembers, after a
        restart, that a reading may have come in their place."""
        return [
            receipt
            for receipt in self._ledger.latest(since=self._clock.now() - REVISE_WITHIN)
            if not _is_open(receipt)
            and (
                (estimates_too and Origin.ESTIMATED in receipt.intensity_origins)
                or any(_rests_on(receipt, span) for span in spans)
            )
        ]

    def _account(self, ended: Sequence[_Ended], *, only_news: bool = False) -> int:
        actual = self._actual(ended) if ended else {}
        booked = 0
        for one in ended:
            receipt = remembering(one.last, self._receipt(one, actual))
            if only_news and receipt.slots == self._open()[one.job.id].slots and _is_open(receipt):
                continue
            self._ledger.book(receipt)
            booked += 1
            self._remember(receipt)
        if booked:
            log.info("booked %d receipts, %d wait for actual intensity", booked, len(self._open()))
        return booked

    def _receipt(self, ended: _Ended, actual: Mapping[Zone, IntensitySeries]) -> Receipt:
        return make_receipt(
            ended.job,
            ended.measurements,
            actual,
            ended.baseline,
            issued_at=self._clock.now(),
            revision=ended.last.revision + 1 if ended.last else 1,
            default_zone=self._zone,
        )

    def _remember(self, receipt: Receipt) -> None:
        if _is_open(receipt):
            self._open()[receipt.job_id] = receipt
        else:
            self._open().pop(receipt.job_id, None)

    def _open(self) -> dict[str, Receipt]:
        if self._provisional is None:
            recent = self._ledger.latest(since=self._clock.now() - SETTLE_WITHIN)
            self._provisional = {receipt.job_id: receipt for receipt in recent if _is_open(receipt)}
        return self._provisional

    def forget(self) -> None:
        """Ask the ledger again next time: another scheduler may have booked meanwhile."""
        self._provisional = None
        self._revised_until = None
        if self._teacher:
            self._teacher.forget()

    def _look_up(self, job_id: str) -> tuple[Job, Sequence[Measurement]] | None:
        try:
            return self._queue.get(job_id), self._queue.measurements(job_id)
        except JobNotFound:
            return None  # retention took it

    def _baselines(self, jobs: Iterable[Job]) -> dict[str, BaselineStart]:
        """First come, first served among all jobs of the time in question."""
        ended = {job.id: job for job in jobs}
        since = min(job.earliest_start for job in ended.values())
        others = {
            job.id: job
            for job in self._queue.jobs(JobQuery(limit=NEIGHBOURS))
            if (job.finished_at is None or job.finished_at > since)
            and (job.started_at is not None or job.finished_at is None)
        }
        return baseline_starts((others | ended).values(), pools_of(self._board.workers()))

    def _actual(self, ended: Sequence[_Ended]) -> dict[Zone, IntensitySeries]:
        """What each zone's grid has reported of the time in question: as kept on the board, else asked anew."""
        spans: dict[Zone, tuple[datetime, datetime]] = {}
        for one in ended:
            for zone in {m.zone for m in one.measurements}:
                start, end = spans.get(zone, one.span)
                spans[zone] = min(start, one.span[0]), max(end, one.span[1])
        found = {zone: self._reported(zone, start, end) for zone, (start, end) in spans.items()}
        return {zone: series for zone, series in found.items() if series is not None}

    def _reported(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries | None:
        kept = self._board.actual(zone)
        if kept is not None and kept.mean(start, end) is not None:
            return kept
        try:
            return self._outlook.history(zone, start, end)
        except QueueUnreachable:
            raise
        except (Unreachable, NotFound) as error:
            log.warning("no actual intensity of %s for now: %s", zone, error.what)
            return kept


def _kept(last: Receipt | None) -> BaselineStart | None:
    """The baseline's start does not change from one revision to the next."""
    if last is None or last.baseline is None:
        return None
    return BaselineStart(last.baseline.start, CAPACITY_UNKNOWN not in last.notes)


def _rests_on(receipt: Receipt, span: Revised) -> bool:
    """Whether a run or its baseline fell into the span. A job that ran several times may have done so in other zones."""
    if receipt.zone != span.zone and receipt.attempts < 2:
        return False
    parts = [(slot.start, slot.end) for slot in receipt.slots]
    if receipt.baseline:
        parts.append((receipt.baseline.start, receipt.baseline.end))
    return any(start < span.end and end > span.start for start, end in parts)


def _is_open(receipt: Receipt) -> bool:
    return receipt.status is ReceiptStatus.PROVISIONAL
