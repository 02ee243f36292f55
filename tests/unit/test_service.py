"""The scheduler's steps, one by one, on the adapters in memory and a clock that the test moves."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from carbonq.domain.carbon import CarbonIntensity, Forecast, IntensitySeries, Origin, Scope, SignalKind
from carbonq.domain.energy import Component, EnergyReading, Provenance
from carbonq.domain.errors import SourceUnreachable
from carbonq.domain.job import Job, JobState, Measurement, Outcome, WaitReason
from carbonq.domain.ports import Revised
from carbonq.domain.receipt import Receipt, ReceiptStatus
from carbonq.domain.time import SlotGrid
from carbonq.scheduler.ledger import MemoryLedger
from carbonq.scheduler.planner.first_come import FirstComePlanner
from carbonq.scheduler.queue.board import MemoryBoard
from carbonq.scheduler.queue.memory import MemoryQueue
from carbonq.scheduler.service import SchedulerService, SchedulerSettings
from carbonq.testing import MIDNIGHT, ManualClock, make_forecast, make_job, make_worker

SPEC = b"name: job"
SHA = sha256(SPEC).hexdigest()
KWH = 3_600_000.0


class Grid:
    """A source whose day is dirty until 02:00, and which publishes the past up to `published`. It can go down."""

    name = "grid"

    def __init__(self) -> None:
        self.published = MIDNIGHT
        self.down = False
        self.correction = 1.0
        self.origin = Origin.MEASURED
        self.changes: list[tuple[datetime, Revised]] = []
        self.kind: dict[str, Any] = {}
        self.asked: list[str] = []

    def zones(self) -> Sequence[str]:
        return ("FR",)

    def value(self, moment: datetime) -> float:
        return 400.0 if moment < MIDNIGHT + timedelta(hours=2) else 100.0

    def forecast(self, zone: str, now: datetime, end: datetime) -> Forecast:
        self._ask(zone)
        grid = SlotGrid.covering(now, end)
        values = [self.value(start) for start, _ in grid]
        return make_forecast(*values, zone=zone, grid=grid, issued_at=now, fetched_at=now)

    def history(self, zone: str, start: datetime, end: datetime) -> IntensitySeries:
        self._ask(zone)
        readings = tuple(
            CarbonIntensity(
                start=first, end=last, intensity_g_per_kwh=self.value(first) * self.correction, origin=self.origin
            )
            for first, last in SlotGrid.covering(start, end)
            if last <= self.published
        )
        return IntensitySeries(**({"zone": zone, "source": "grid", "readings": readings} | self.kind))

    def refresh(self, zone: str, now: datetime, end: datetime) -> None:
        pass

    def refit(self, now: datetime, *, limit: int) -> int:
        return 0

    def keep_up(self, now: datetime) -> None:
        pass

    def revised(self, since: datetime) -> Sequence[Revised]:
        return [span for changed_at, span in self.changes if changed_at >= since]

    def _ask(self, zone: str) -> None:
        self.asked.append(zone)
        if self.down:
            raise SourceUnreachable("the grid does not answer")


class Lab:
    """A scheduler with all that it talks to."""

    def __init__(self) -> None:
        self.clock, self.grid = ManualClock(), Grid()
        self.queue, self.board = MemoryQueue(real_now=lambda: self.clock.now().timestamp()), MemoryBoard()
        self.ledger = MemoryLedger(self.queue)
        self.board.put_worker(make_worker(), ttl_s=1e9)
        self.service = self.another("one")

    def another(self, holder: str) -> SchedulerService:
        return SchedulerService(
            SchedulerSettings(zone="FR", horizon_s=12 * 3600),
            queue=self.queue,
            board=self.board,
            ledger=self.ledger,
            clock=self.clock,
            planner=FirstComePlanner(),
            outlook=self.grid,
            holder=holder,
        )

    def submit(self, job_id: str = "job", **fields: Any) -> Job:
        job = make_job(job_id, **({"spec_sha256": SHA, "submitted_at": self.clock.now()} | fields))
        self.queue.submit([job], {SHA: SPEC})
        return job

    def run(
        self,
        job_id: str,
        hours: float = 1.0,
        outcome: Outcome = Outcome.SUCCEEDED,
        kwh: float = 1.0,
        zone: str = "FR",
    ) -> None:
        """Lease the job, let it run and finish it."""
        self.queue.run_now(job_id, self.clock.now())
        (grant,) = self.queue.lease(make_worker(zone=zone), self.clock.now())
        started = self.clock.now()
        ended = self.clock.advance(hours=hours)
        self.queue.finish(
            Measurement(
                job_id=job_id,
                fence=grant.lease.fence,
                attempt=grant.lease.attempt,
                worker_id="worker-1",
                pool="default",
                zone=zone,
                outcome=outcome,
                started_at=started,
                ended_at=ended,
                real_started_at=started,
                real_ended_at=ended,
                readings=(
                    EnergyReading(
                        component=Component.CPU, energy_j=kwh * KWH, provenance=Provenance.MODELLED, method="cpu-model"
                    ),
                ),
            )
        )

    def receipt(self, job_id: str = "job") -> Receipt:
        found = self.ledger.get(job_id)
        assert found is not None
        return found


@pytest.fixture
def lab() -> Lab:
    return Lab()


def at(hours: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hours)


# --- foresight


def test_refresh_puts_forecasts_and_the_past_of_every_zone_on_the_board(lab: Lab) -> None:
    lab.clock.advance(hours=3)
    lab.grid.published = at(2)
    lab.board.put_worker(make_worker("de", zone="DE"), ttl_s=1e9)

    lab.service.refresh()

    forecast, actual = lab.board.forecast("DE"), lab.board.actual("FR")
    assert forecast is not None
    assert actual is not None
    assert (forecast.grid.start, actual.readings[-1].end) == (at(3), at(2))


def test_the_zones_that_waiting_jobs_name_are_watched_too(lab: Lab) -> None:
    lab.submit(requirement={"zones": ("ES",)})

    lab.service.refresh()

    assert set(lab.grid.asked) == {"FR", "ES"}


def test_a_source_that_is_down_leaves_the_last_forecast(lab: Lab) -> None:
    lab.service.refresh()
    lab.grid.down = True
    lab.clock.advance(hours=1)

    lab.service.refresh()

    kept = lab.board.forecast("FR")
    assert kept is not None
    assert kept.issued_at == at(0)


# --- planning


def test_replan_gives_a_waiting_job_its_start_and_keeps_the_plan(lab: Lab) -> None:
    lab.submit()

    lab.service.replan()

    job, kept = lab.queue.get("job"), lab.board.plan()
    assert (job.state, job.planned_start, job.reason) == (
        JobState.SCHEDULED,
        at(2),
        WaitReason.CLEANER_SLOT_AHEAD,
    )
    assert kept is not None
    assert [one.job for one in kept[1].assignments] == ["job"]


def test_replanning_is_silent_where_nothing_changes(lab: Lab) -> None:
    lab.submit()
    lab.service.replan()
    events = len(lab.queue.events())
    lab.clock.advance(minutes=7)

    assert lab.service.replan().changes == ()
    assert len(lab.queue.events()) == events


def test_without_any_source_jobs_are_due_at_once(lab: Lab) -> None:
    lab.grid.down = True
    lab.submit()

    lab.service.replan()

    job = lab.queue.get("job")
    assert (job.planned_start, job.reason) == (at(0), WaitReason.NO_FORECAST)
    assert len(lab.queue.lease(make_worker(), lab.clock.now())) == 1


def test_a_forecast_that_is_over_is_not_planned_by(lab: Lab) -> None:
    lab.submit(deadline=MIDNIGHT + timedelta(days=20), latest_start=MIDNIGHT + timedelta(days=19))
    lab.service.refresh()
    lab.grid.down = True
    lab.clock.advance(days=8)

    lab.service.replan()

    assert lab.queue.get("job").reason is WaitReason.NO_FORECAST


@pytest.mark.parametrize("hours", [-40, 300])
def test_a_clock_that_jumps_breaks_no_step(lab: Lab, hours: float) -> None:
    lab.submit()
    lab.service.refresh()
    lab.service.replan()
    lab.clock.advance(hours=hours)

    for step in (
        lab.service.refresh,
        lab.service.replan,
        lab.service.recover,
        lab.service.book,
        lab.service.settle,
        lab.service.retain,
    ):
        step()

    assert lab.queue.get("job").planned_start is not None


# --- recovery


def test_a_job_whose_worker_fell_silent_runs_again(lab: Lab) -> None:
    lab.submit()
    lab.queue.run_now("job", lab.clock.now())
    lab.queue.lease(make_worker(), lab.clock.now(), lease_s=30)
    lab.clock.advance(seconds=31)

    assert lab.service.recover() == ["job"]
    assert lab.queue.get("job").state is JobState.READY


# --- receipts


def test_a_finished_job_is_booked_at_once_and_settled_when_the_grid_has_reported(lab: Lab) -> None:
    lab.submit()
    lab.service.replan()
    lab.clock.advance(hours=2)
    lab.run("job")

    assert lab.service.book() == 1
    first = lab.receipt()
    assert (first.revision, first.status, first.emissions_g) == (1, ReceiptStatus.PROVISIONAL, None)

    lab.grid.published = at(3)
    assert lab.service.settle() == 1
    last = lab.receipt()
    assert (last.revision, last.status, last.emissions_g, last.avoided_g) == (2, ReceiptStatus.SETTLED, 100.0, 300.0)
    assert last.forecast_avoided_g is None


def test_settling_says_nothing_where_nothing_is_new(lab: Lab) -> None:
    lab.submit()
    lab.run("job")
    lab.service.book()

    assert (lab.service.settle(), lab.service.settle(), lab.receipt().revision) == (0, 0, 1)


def test_part_of_the_actual_intensity_is_news(lab: Lab) -> None:
    lab.submit()
    lab.run("job", hours=2)
    lab.service.book()
    lab.grid.published = at(1)

    assert lab.service.settle() == 1
    assert [slot.emissions_g for slot in lab.receipt().slots] == [100.0, 100.0, None]


def test_what_was_provisional_is_settled_by_a_scheduler_that_comes_later(lab: Lab) -> None:
    lab.submit()
    lab.run("job")
    lab.service.book()
    lab.grid.published = at(1)

    assert lab.another("two").settle() == 1
    assert lab.receipt().status is ReceiptStatus.SETTLED


def test_what_the_grid_never_reports_is_given_up_after_a_week(lab: Lab) -> None:
    lab.submit()
    lab.run("job")
    lab.service.book()
    lab.clock.advance(days=8)
    lab.grid.published = at(1)

    assert (lab.service.settle(), lab.receipt().status) == (0, ReceiptStatus.PROVISIONAL)


def test_a_zone_that_nobody_works_in_any_more_is_asked_about_until_its_receipts_are_settled(lab: Lab) -> None:
    lab.submit(requirement={"zones": ["DE"]})
    lab.run("job", zone="DE")
    lab.service.refresh()
    assert "DE" not in lab.grid.asked
    lab.service.book()
    lab.grid.asked.clear()
    lab.service.refresh()
    assert "DE" in lab.grid.asked

    lab.grid.published = at(24)
    lab.service.settle()
    lab.grid.asked.clear()
    lab.service.refresh()
    assert (lab.receipt().status, "DE" in lab.grid.asked) == (ReceiptStatus.SETTLED, False)


def test_a_source_that_is_down_delays_the_settlement_and_nothing_else(lab: Lab) -> None:
    lab.submit()
    lab.run("job")
    lab.grid.down = True

    assert lab.service.book() == 1
    assert lab.receipt().energy_j == KWH
    lab.grid.down, lab.grid.published = False, at(1)
    assert lab.service.settle() == 1


def settled_job(lab: Lab) -> None:
    """A job of one kWh that waited from 400 to 100 g/kWh, settled."""
    lab.submit()
    lab.clock.advance(hours=3)
    lab.run("job")
    lab.grid.published = lab.clock.now()
    lab.service.book()
    assert lab.receipt().status is ReceiptStatus.SETTLED


def correct(lab: Lab, factor: float) -> None:
    """Two days later the grid changes what it had reported."""
    now = lab.clock.advance(days=2)
    lab.grid.correction = factor
    lab.grid.changes.append((now, Revised("FR", MIDNIGHT, MIDNIGHT + timedelta(hours=6))))


def test_a_correction_by_the_grid_revises_a_settled_receipt_and_says_so(lab: Lab) -> None:
    settled_job(lab)
    correct(lab, 1.1)
    assert lab.service.revise() == 1
    receipt = lab.receipt()
    assert receipt.revision == 2
    assert (receipt.emissions_g, receipt.avoided_g) == pytest.approx((110, 330))
    assert receipt.actuals_changed_at == lab.clock.now()
    assert receipt.notes[-1] == "actuals changed: emissions 100 g before, baseline 400 g before"
    assert lab.service.revise() == 0


@pytest.mark.parametrize("factor", [1.0, 1.0005])
def test_a_correction_that_moves_no_gram_worth_telling_makes_no_revision(lab: Lab, factor: float) -> None:
    settled_job(lab)
    correct(lab, factor)
    assert (lab.service.revise(), lab.receipt().revision) == (0, 1)


@pytest.mark.parametrize(
    "other", [{"signal": SignalKind.MARGINAL}, {"scope": Scope.DIRECT}, {"source": "elsewhere"}], ids=str
)
def test_figures_of_another_series_are_no_correction_by_the_grid(lab: Lab, other: dict[str, Any]) -> None:
    settled_job(lab)
    correct(lab, 1.1)
    lab.grid.kind = other
    assert (lab.service.revise(), lab.receipt().revision) == (0, 1)


def test_a_filled_gap_is_labelled_and_replaced_once_the_reading_is_there(lab: Lab) -> None:
    lab.grid.origin = Origin.ESTIMATED
    settled_job(lab)
    assert "part of the intensity is estimated: by its provider, or for a gap in the readings" in lab.receipt().notes
    lab.grid.origin = Origin.MEASURED
    correct(lab, 1.0)
    assert lab.service.revise() == 1
    assert lab.receipt().intensity_origins == (Origin.MEASURED,)
    assert lab.receipt().notes[-1] == "actuals changed: what was estimated has been reported"


def test_a_correction_elsewhere_or_long_ago_changes_no_receipt(lab: Lab) -> None:
    settled_job(lab)
    correct(lab, 1.1)
    lab.grid.changes = [(lab.clock.now(), Revised("DE", MIDNIGHT, MIDNIGHT + timedelta(hours=6)))]
    assert lab.service.revise() == 0
    correct(lab, 1.1)
    lab.clock.advance(days=31)
    assert lab.another("two").revise() == 0


def test_a_scheduler_that_takes_over_finds_corrections_made_before(lab: Lab) -> None:
    settled_job(lab)
    correct(lab, 1.1)
    lab.clock.advance(days=5)
    assert lab.another("two").revise() == 1


def test_the_baseline_waits_for_capacity_as_the_job_would_have(lab: Lab) -> None:
    """Two jobs of four slots each, submitted together: one of them would have waited for the other."""
    lab.grid.published = at(24)
    for job_id in ("first", "second"):
        lab.submit(job_id, requirement={"cpus": 4})
    lab.clock.advance(hours=4)
    for job_id in ("first", "second"):
        lab.run(job_id, hours=1)

    lab.service.book()

    starts = [lab.receipt(job_id).baseline for job_id in ("first", "second")]
    assert [baseline and baseline.start for baseline in starts] == [at(0), at(1)]
    assert [baseline and baseline.waited_for_capacity_s for baseline in starts] == [0, 3600]


def test_energy_that_a_stale_attempt_reports_late_is_booked_as_a_revision(lab: Lab) -> None:
    lab.grid.published = at(24)
    lab.submit()
    lab.queue.run_now("job", lab.clock.now())
    (stale,) = lab.queue.lease(make_worker("lost"), lab.clock.now(), lease_s=30)
    lab.clock.advance(seconds=60)
    lab.service.recover()
    lab.run("job")
    lab.service.book()
    before = lab.receipt()

    late = lab.queue.measurements("job")[0].model_copy(
        update={"fence": stale.lease.fence, "attempt": 1, "outcome": Outcome.LOST, "worker_id": "lost"}
    )
    lab.queue.finish(late)
    lab.service.book()

    after = lab.receipt()
    assert (before.overhead_energy_j, after.overhead_energy_j, after.revision) == (None, KWH, before.revision + 1)
    assert (before.baseline, after.energy_j) == (after.baseline, 2 * KWH)


def test_late_energy_does_not_make_a_receipt_forget_that_its_grid_corrected_itself(lab: Lab) -> None:
    lab.submit()
    lab.clock.advance(hours=3)
    lab.queue.run_now("job", lab.clock.now())
    (stale,) = lab.queue.lease(make_worker("lost"), lab.clock.now(), lease_s=30)
    lab.clock.advance(seconds=60)
    lab.service.recover()
    lab.run("job")
    lab.grid.published = at(24)
    lab.service.book()
    correct(lab, 1.1)
    lab.service.revise()
    corrected = lab.receipt()

    lab.clock.advance(minutes=5)
    done = lab.queue.measurements("job")[0]
    late = done.model_copy(
        update={"fence": stale.lease.fence, "attempt": 1, "outcome": Outcome.LOST, "worker_id": "lost"}
    )
    lab.queue.finish(late)
    lab.service.book()

    after = lab.receipt()
    assert (corrected.actuals_changed_at, after.revision) == (lab.clock.now() - timedelta(minutes=5), 3)
    assert (after.actuals_changed_at, after.notes[-1]) == (corrected.actuals_changed_at, corrected.notes[-1])
    assert after.notes[-1].startswith("actuals changed: emissions 100")


def test_a_job_cancelled_while_it_waited_gets_a_receipt_of_nothing(lab: Lab) -> None:
    lab.submit()
    lab.queue.cancel("job", lab.clock.now())

    assert lab.service.book() == 1
    assert (lab.receipt().energy_j, lab.receipt().status) == (0.0, ReceiptStatus.SETTLED)


def test_a_failed_job_is_booked_without_a_saving(lab: Lab) -> None:
    lab.grid.published = at(24)
    lab.submit()
    lab.run("job", outcome=Outcome.FAILED)

    lab.service.book()

    assert (lab.receipt().state, lab.receipt().avoided_g, lab.receipt().emissions_g) == (JobState.FAILED, None, 400.0)


def test_old_jobs_are_forgotten_once_they_are_booked(lab: Lab) -> None:
    lab.submit()
    lab.run("job")
    lab.service.book()
    lab.clock.advance(days=31)

    assert lab.service.retain() == 1
    assert lab.receipt().job_id == "job"


# --- the lead


def test_one_leads_and_the_other_takes_over_once_it_resigns(lab: Lab) -> None:
    other = lab.another("two")

    assert (lab.service.lead(), other.lead(), other.leads) == (True, False, False)
    lab.service.stop()
    assert (other.lead(), lab.service.lead()) == (True, False)
