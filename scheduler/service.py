"""The scheduler: refreshes forecasts, replans, recovers, books and retains, while it is the one that leads.

Each step is a plain method. APScheduler calls them by the clock, a watching thread when something happens; with the scheduler
dead, jobs still start by their plan or their latest safe start: workers need only the queue.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from types import FrameType
from uuid import uuid4

from apscheduler.schedulers.background import BackgroundScheduler

from carbonq.domain.carbon import Forecast, Zone
from carbonq.domain.errors import CarbonqError, NotFound, QueueUnreachable, Unreachable
from carbonq.domain.job import ACTIVE, WAITING, Event, Job
from carbonq.domain.ports import Board, CarbonOutlook, EnergyPredictor, JobQuery, JobQueue, Ledger, PaceMaker, Planner
from carbonq.domain.time import DEFAULT_SLOT_S, Clock
from carbonq.scheduler.bookkeeper import Bookkeeper
from carbonq.scheduler.bundles import DEFAULT_MARGIN, HORIZON_S, Margin, Scene
from carbonq.scheduler.deciding import Decision, decide
from carbonq.scheduler.lanes import Lane
from carbonq.scheduler.pacing import paces
from carbonq.scheduler.teaching import Teacher

log = logging.getLogger("carbonq.scheduler")

MOST_JOBS = 100_000
FORESEEN = timedelta(days=7)
PAST = timedelta(days=2)
"""How far back the board's past intensity is kept up to date; older gaps are asked for when a receipt needs them."""
REPLAN_ON = frozenset({"submitted", "released", "retried", "checkpointed", "lost", "succeeded", "failed", "cancelled"})
REST = 9.0
"""Events make no step take more than a tenth of the time: with many jobs ending, one plan stands for many events."""
FITS_AT_ONCE = 2
"""So many models are fitted before it is looked whether the scheduler should stop."""
GRACE_S = 3.0
"""A step may take so long to finish when the scheduler stops: longer than any plan or receipt, shorter than a provider that hangs."""
BOOK_ON = frozenset({"succeeded", "failed", "cancelled", "expired"})


@dataclass(frozen=True)
class SchedulerSettings:
    """Seconds of grid time where the grid sets the pace, of real time where processes do."""

    zone: Zone
    slot_s: int = DEFAULT_SLOT_S
    horizon_s: int = HORIZON_S
    margin: Margin = DEFAULT_MARGIN
    refresh_grid_s: float = 900.0
    replan_grid_s: float = 60.0
    refit_grid_s: float = 900.0  # how often is looked whether a model is due, which it is once a day
    keep_up_grid_s: float = 86_400.0
    revise_grid_s: float = 3600.0
    book_real_s: float = 10.0
    recover_real_s: float = 2.0
    retain_real_s: float = 3600.0
    keep_real_s: float = 30 * 86_400.0
    lead_real_s: float = 6.0  # how long the lock outlives a leader that died
    debounce_real_s: float = 0.3
    shortest_real_s: float = 0.5  # no loop goes faster, however fast a replay runs


class SchedulerService:
    """Errors: the steps raise what the ports raise; the loops log it, once an outage, and go on."""

    def __init__(
        self,
        settings: SchedulerSettings,
        *,
        queue: JobQueue,
        board: Board,
        ledger: Ledger,
        clock: Clock,
        planner: Planner,
        outlook: CarbonOutlook,
        pace_maker: PaceMaker | None = None,
        predictor: EnergyPredictor | None = None,
        holder: str = "",
        timer: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._queue, self._board, self._clock = queue, board, clock
        self._planner, self._outlook, self._timer = planner, outlook, timer
        self._pace_maker = pace_maker
        self._books = Bookkeeper(
            queue=queue,
            board=board,
            ledger=ledger,
            clock=clock,
            outlook=outlook,
            zone=settings.zone,
            teacher=Teacher(queue, predictor) if predictor else None,
        )
        self._holder = holder or f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._leads = False
        self._outage = False
        self._stopping = threading.Event()
        self._periods: dict[str, float] = {}
        self._took_s: dict[str, float] = {}
        self._lanes = {name: Lane() for name in ("default", "sources", "models", "books")}
        self._ticker = BackgroundScheduler(
            timezone=UTC,
            executors=self._lanes,
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._watcher = threading.Thread(target=self._watch, name="carbonq-scheduler-watch", daemon=True)

    # --- the steps

    def refresh(self) -> None:
        """Fetch forecasts and past intensity of every zone that workers, jobs or open receipts are in, and put them on the board."""
        for zone in self._zones() | self._books.zones():
            if not self._stopping.is_set():
                self._refresh_zone(zone)

    def refit(self) -> int:
        """Let the forecast's models learn, where a new day has begun or much has come. Then forecast anew."""
        began_s, fitted = self._timer(), 0
        while not self._stopping.is_set() and (more := self._outlook.refit(self._clock.now(), limit=FITS_AT_ONCE)):
            fitted += more
        if fitted:
            log.info("fitted %d models in %.1f s", fitted, self._timer() - began_s)
            for zone in self._zones():
                self._foresee(zone)
            self._soon("replan")
        return fitted

    def keep_up(self) -> None:
        self._outlook.keep_up(self._clock.now())

    def replan(self) -> Decision:
        """Plan all waiting jobs anew and tell the queue what changes."""
        decision = decide(self._scene(), self._planner, timer=self._timer)
        changed = self._queue.assign(decision.changes, self._clock.now()) if decision.changes else 0
        self._board.put_plan(decision.snapshot, decision.plan)
        if changed:
            log.info("planned %d jobs, %d of them anew (%.2f s)", len(decision.starts), changed, decision.plan.solve_s)
        if decision.plan.late:
            log.warning("%d jobs cannot meet their deadline on the machines there are", len(decision.plan.late))
        return decision

    def recover(self) -> list[str]:
        """Return jobs whose worker fell silent to the queue."""
        lost = self._queue.recover(self._clock.now())
        for job_id in lost:
            log.warning("%s: its worker fell silent; it runs again", job_id)
        return lost

    def book(self) -> int:
        return self._books.book()

    def settle(self) -> int:
        return self._books.settle()

    def revise(self) -> int:
        return self._books.revise()

    def retain(self) -> int:
        """Delete the records of jobs that ended long ago and are booked."""
        deleted = self._queue.retain(self._settings.keep_real_s)
        if deleted:
            log.info("deleted the records of %d old jobs", deleted)
        return deleted

    def lead(self) -> bool:
        """Take or keep the lead. False while another scheduler has it."""
        led, self._leads = self._leads, self._board.lead(self._holder, self._settings.lead_real_s)
        if self._leads and not led:
            log.info("%s leads", self._holder)
            self._books.forget()
            self._soon(*self._periods)
        elif led and not self._leads:
            log.warning("%s no longer leads and stands by", self._holder)
        return self._leads

    @property
    def leads(self) -> bool:
        return self._leads

    # --- the loops

    def run(self, stop: threading.Event | None = None) -> None:
        """Serve until `stop` is set or SIGTERM or SIGINT arrives; then as `stop`, and return."""
        stop = stop or threading.Event()
        with _stopped_by_signals(stop):
            self.start()
            try:
                stop.wait()
            finally:
                self.stop()

    def start(self) -> None:
        self._queue.ping()
        self._every("refresh", self._real_s(self._settings.refresh_grid_s), self._refresh_and_tell, "sources")
        self._every("replan", self._real_s(self._settings.replan_grid_s), self.replan)
        self._every("book", self._settings.book_real_s, self.book, "books")
        self._every("settle", self._real_s(self._settings.refresh_grid_s), self.settle, "books")
        self._every("refit", self._real_s(self._settings.refit_grid_s), self.refit, "models")
        self._every("keep_up", self._real_s(self._settings.keep_up_grid_s), self.keep_up, "models")
        self._every("revise", self._real_s(self._settings.revise_grid_s), self.revise, "books")
        self._every("recover", self._settings.recover_real_s, self.recover)
        self._every("retain", self._settings.retain_real_s, self.retain)
        self._ticker.start()
        self._watcher.start()

    def stop(self) -> None:
        """Let the steps under way finish, if they do so soon, then hand over the lead."""
        self._stopping.set()
        if self._ticker.running:
            self._watcher.join()
            self._ticker.shutdown(wait=False)
            until_s = monotonic() + GRACE_S
            left = [name for name, lane in self._lanes.items() if not lane.rest(max(0.0, until_s - monotonic()))]
            if left:
                log.info("stopping without waiting any longer for the %s", " and the ".join(left))
        try:
            self._board.resign(self._holder)
        except QueueUnreachable as error:
            log.warning("could not resign, the lead falls free by itself: %s", error.what)
        self._leads = False
        log.info("%s has stopped", self._holder)

    def _every(self, name: str, real_s: float, step: Callable[[], object], executor: str = "default") -> None:
        period_s = max(real_s, self._settings.shortest_real_s)
        self._periods[name] = period_s
        self._ticker.add_job(self._guarded, "interval", (name, step), seconds=period_s, id=name, executor=executor)

    def _guarded(self, name: str, step: Callable[[], object]) -> None:
        """One step of a loop. Nothing that goes wrong in it ends the loop."""
        if not self._leads or self._stopping.is_set():
            return
        began_s = self._timer()
        try:
            step()
        except QueueUnreachable as error:
            self._note_outage(error)
        except CarbonqError as error:
            log.error("%s: %s", name, error)  # noqa: TRY400  # an error for a person: its text says it all
        except Exception:
            log.exception("%s failed; it is tried again", name)
        finally:
            self._took_s[name] = self._timer() - began_s

    def _refresh_and_tell(self) -> None:
        self.refresh()
        self._soon("replan", "settle", "refit")

    def _watch(self) -> None:
        """Keep the lead and look for events, by the monotonic clock: it goes on when the wall clock jumps."""
        cursor = ""
        pause_s = self._settings.lead_real_s / 4
        while not self._stopping.is_set():
            try:
                self.lead()
                events = self._queue.events(cursor, block_s=min(1.0, pause_s))
                cursor = events[-1].cursor if events else cursor
                self._outage = False
                self._react(events)
                self._mend_ticker()
            except QueueUnreachable as error:
                self._note_outage(error)
                self._stopping.wait(min(1.0, pause_s))
            except Exception:
                log.exception("the watch failed; it goes on")
                self._stopping.wait(min(1.0, pause_s))

    def _react(self, events: list[Event]) -> None:
        types = {event.type for event in events}
        if types & REPLAN_ON:
            self._soon("replan")
        if types & BOOK_ON:
            self._soon("book")

    def _soon(self, *names: str) -> None:
        """Run these steps in a moment, for all that happens until then. A long step, of a long queue, rests longer."""
        if not self._ticker.running:
            return
        for name in names:
            rest_s = max(self._settings.debounce_real_s, REST * self._took_s.get(name, 0.0))
            soon = datetime.now(UTC) + timedelta(seconds=rest_s)
            job = self._ticker.get_job(name)
            if job is not None and job.next_run_time > soon:
                job.modify(next_run_time=soon)

    def _mend_ticker(self) -> None:
        """APScheduler goes by wall time: after a jump back its next runs would lie far ahead."""
        now = datetime.now(UTC)
        for name, period_s in self._periods.items():
            job = self._ticker.get_job(name)
            if job is not None and job.next_run_time > now + timedelta(seconds=period_s + 1):
                job.modify(next_run_time=now)

    def _note_outage(self, error: CarbonqError) -> None:
        self._leads = False
        if not self._outage and not self._stopping.is_set():
            self._outage = True
            log.warning("the queue cannot be reached; it is tried again until it can: %s", error.what)

    # --- what the steps need

    def _real_s(self, grid_s: float) -> float:
        return self._clock.seconds_until(self._clock.now() + timedelta(seconds=grid_s))

    def _scene(self) -> Scene:
        now = self._clock.now()
        jobs = self._queue.jobs(JobQuery(states=WAITING | ACTIVE, limit=MOST_JOBS))[::-1]
        kept = {zone: self._board.forecast(zone) or self._foresee(zone) for zone in self._zones(jobs)}
        running = tuple(job for job in jobs if job.state in ACTIVE)
        return Scene(
            now=now,
            default_zone=self._settings.zone,
            waiting=tuple(job for job in jobs if job.state in WAITING),
            running=running,
            paces=paces(self._board, running, self._pace_maker, now),
            workers=tuple(self._board.workers()),
            forecasts={
                zone: forecast for zone, forecast in kept.items() if forecast is not None and forecast.grid.end > now
            },
            slot_s=self._settings.slot_s,
            horizon_s=self._settings.horizon_s,
            margin=self._settings.margin,
        )

    def _zones(self, jobs: Iterable[Job] | None = None) -> set[Zone]:
        """Where jobs may run: this scheduler's own zone, the workers', and those that waiting jobs name."""
        if jobs is None:
            jobs = self._queue.jobs(JobQuery(states=WAITING, limit=MOST_JOBS))
        named = {zone for zones in {job.requirement.zones for job in jobs} for zone in zones}
        return {self._settings.zone, *named, *(worker.zone for worker in self._board.workers())}

    def _refresh_zone(self, zone: Zone) -> Forecast | None:
        """What the sources say of a zone, put on the board; what fails is logged and leaves the board as it was."""
        now = self._clock.now()
        self._outlook.refresh(zone, now, self._foreseen_until(now))
        forecast = self._foresee(zone)
        try:
            self._board.put_actual(self._outlook.history(zone, now - PAST, now))
        except QueueUnreachable:
            raise
        except CarbonqError as error:
            log.warning("no past of %s: %s", zone, error.what)
        return forecast

    def _foreseen_until(self, now: datetime) -> datetime:
        """As far as is planned, and at least a week: people ask for that."""
        return now + max(FORESEEN, timedelta(seconds=self._settings.horizon_s))

    def _foresee(self, zone: Zone) -> Forecast | None:
        """The forecast of a zone by what is known of it, put on the board."""
        now = self._clock.now()
        try:
            forecast = self._outlook.forecast(zone, now, self._foreseen_until(now))
        except (Unreachable, NotFound) as error:
            log.warning("no news of %s: %s", zone, error.what)
            return self._board.forecast(zone)
        self._board.put_forecast(forecast)
        return forecast


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set the event; elsewhere than in the main thread signals are not ours to handle."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
