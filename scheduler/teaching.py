"""What ended jobs teach the predictor of energy: each once, when its first receipt is booked."""

import logging
from collections.abc import Iterator, Sequence

from carbonq.domain.errors import InvalidInput, QueueUnreachable
from carbonq.domain.job import Job, JobState, Measurement
from carbonq.domain.ports import EnergyPredictor, JobQuery, JobQueue, PastRun
from carbonq.domain.spec import JobSpec

log = logging.getLogger("carbonq.scheduler")

LEARNT_ANEW = 20_000
"""As many past jobs, the newest, are taken in where nothing that was learnt can be read."""


class Teacher:
    """Nothing that goes wrong in learning keeps a receipt from being booked."""

    def __init__(self, queue: JobQueue, predictor: EnergyPredictor) -> None:
        self._queue, self._predictor = queue, predictor
        self._took_over = False

    def forget(self) -> None:
        """Another may have taught since: look at the board again."""
        self._took_over = False

    def take_over(self) -> None:
        """Go on from what is on the board. Where that cannot be read, learn anew from the jobs that the queue still knows."""
        if self._took_over:
            return
        if not self._predictor.recall():
            self._teach(self._past())
        self._took_over = True

    def teach(self, ended: Sequence[tuple[Job, Sequence[Measurement]]]) -> None:
        """Jobs that are about to be booked for the first time."""
        self._teach(list(self._runs(ended)))

    def _teach(self, runs: Sequence[PastRun]) -> None:
        if not runs:
            return
        try:
            learnt = self._predictor.learn(runs)
        except QueueUnreachable:
            raise
        except Exception:
            log.exception("learning failed: %d of the jobs that ended teach nothing", len(runs))
        else:
            log.info("learnt the energy of %d runs", learnt)

    def _past(self) -> list[PastRun]:
        """Oldest first. Those without a receipt are taught when they are booked."""
        jobs = self._queue.jobs(JobQuery(states=frozenset({JobState.SUCCEEDED}), limit=LEARNT_ANEW))[::-1]
        unbooked = set(self._queue.unbooked(LEARNT_ANEW))
        booked = [job for job in jobs if job.id not in unbooked]
        return list(self._runs([(job, self._queue.measurements(job.id)) for job in booked]))

    def _runs(self, ended: Sequence[tuple[Job, Sequence[Measurement]]]) -> Iterator[PastRun]:
        from carbonq.jobfile import parse

        specs: dict[str, JobSpec | None] = {}
        for job, measurements in ended:
            if job.state is not JobState.SUCCEEDED:
                continue
            if job.spec_sha256 not in specs:
                try:
                    specs[job.spec_sha256] = parse(self._queue.spec(job.id), job.name)
                except InvalidInput as error:  # such as one that a newer version accepted
                    log.warning("%s teaches nothing: %s", job.id, error.what)
                    specs[job.spec_sha256] = None
            spec = specs[job.spec_sha256]
            if spec is not None:
                yield PastRun(job.id, spec, tuple(measurements))
