"""The client over the in-memory adapters: what a user asks of the queue, and what comes back."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from carbonq import jobfile, queue_client
from carbonq.client import Catalogue
from carbonq.domain.carbon import Forecast, IntensitySeries, Zone
from carbonq.domain.errors import Infeasible, InvalidInput, JobConflict, JobNotFound, QueueUnreachable
from carbonq.domain.job import JobState, Measurement, Outcome, WaitReason
from carbonq.domain.ports import JobQuery, PastRun, Revised
from carbonq.domain.spec import JobFile
from carbonq.domain.time import floor_to
from carbonq.forecasters.energy.predictor import ModelPredictor
from carbonq.queue_client import ClientSettings, QueueClient, new_id
from carbonq.scheduler.ledger import MemoryLedger
from carbonq.scheduler.planner.first_come import FirstComePlanner
from carbonq.scheduler.queue.board import MemoryBoard
from carbonq.scheduler.queue.logtail import MemoryLogTail
from carbonq.scheduler.queue.memory import MemoryQueue
from carbonq.testing import MIDNIGHT, ManualClock, make_forecast, make_worker

ZONE = "FR"


class CleanAtNoon:
    """A source that says 300 g/kWh all day, but 100 from 12:00 to 14:00."""

    name = "noon"

    def __init__(self) -> None:
        self.asked = 0

    def zones(self) -> Sequence[Zone]:
        return (ZONE,)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        self.asked += 1
        start = floor_to(now, 1800)
        slots = -(-int((end - start).total_seconds()) // 1800)
        values = [100.0 if 12 <= (start + timedelta(seconds=1800 * slot)).hour < 14 else 300.0 for slot in range(slots)]
        return make_forecast(*values, start=start, zone=zone, source=self.name, fetched_at=now, issued_at=now)

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        return self.forecast(zone, start, end).series()

    def refresh(self, zone: str, now: datetime, end: datetime) -> None:
        pass

    def refit(self, now: datetime, *, limit: int) -> int:
        return 0

    def keep_up(self, now: datetime) -> None:
        pass

    def revised(self, since: datetime) -> Sequence[Revised]:  # the port's name
        return ()


class Desk:
    """A client and the parts behind it."""

    def __init__(self) -> None:
        self.clock, self.board, self.log_tail, self.source = (
            ManualClock(),
            MemoryBoard(),
            MemoryLogTail(),
            CleanAtNoon(),
        )
        self.queue = MemoryQueue()
        self.board.put_worker(make_worker(zone=ZONE), ttl_s=3600)
        self.client = QueueClient(
            ClientSettings(zone=ZONE, slot_s=1800, horizon_s=2 * 86_400, fresh_s=1800),
            queue=self.queue,
            board=self.board,
            ledger=MemoryLedger(self.queue),
            log_tail=self.log_tail,
            clock=self.clock,
            planner=FirstComePlanner(),
            outlook=self.source,
            catalogue=lambda: Catalogue({ZONE: ("noon",)}, ()),
            predictor=ModelPredictor(self.board),
        )


@pytest.fixture
def desk() -> Desk:
    return Desk()


def file(**fields: object) -> JobFile:
    document = jobfile.dump({"name": "train", "run": "true", "deadline": "20h", "duration": "2h"} | fields)
    return JobFile(jobfile.parse(document), document, "/work")


def test_a_job_is_planned_into_the_clean_hours_at_submit(desk: Desk) -> None:
    submitted = desk.client.submit(file())
    assert submitted.quote.planned_start == MIDNIGHT + timedelta(hours=12)
    job = desk.client.job(submitted.job_id)
    assert (job.state, job.planned_start) == (JobState.SCHEDULED, MIDNIGHT + timedelta(hours=12))
    assert submitted.quote.emissions_now_g == pytest.approx(3 * (submitted.quote.emissions_planned_g or 0))


def test_a_dry_run_keeps_nothing(desk: Desk) -> None:
    desk.client.quote(file())
    assert desk.client.jobs(JobQuery()) == []


def test_submitting_again_with_the_same_id_changes_nothing(desk: Desk) -> None:
    first = desk.client.submit(file(), job_id="mine")
    desk.clock.advance(hours=1)
    again = desk.client.submit(file(), job_id="mine")
    assert (first.new, again.new) == (True, False)
    assert [job.submitted_at for job in desk.client.jobs(JobQuery())] == [MIDNIGHT]


def test_an_id_that_another_spec_has_is_refused(desk: Desk) -> None:
    desk.client.submit(file(), job_id="mine")
    with pytest.raises(JobConflict):
        desk.client.submit(file(name="other"), job_id="mine")


def test_a_deadline_that_cannot_be_met_is_refused_with_the_earliest_finish(desk: Desk) -> None:
    with pytest.raises(Infeasible) as refused:
        desk.client.submit(file(duration="3h", deadline="1h"))
    assert "earliest finish is 2026-01-05T03:00:00Z" in str(refused.value)
    assert desk.client.jobs(JobQuery()) == []


def test_a_unique_beginning_stands_for_an_id(desk: Desk) -> None:
    job_id = desk.client.submit(file()).job_id
    assert desk.client.job("tra").id == job_id
    desk.client.submit(file())
    with pytest.raises(InvalidInput, match="2 jobs begin with 'tra'"):
        desk.client.job("tra")
    with pytest.raises(JobNotFound):
        desk.client.job("nobody")
    with pytest.raises(JobNotFound):
        desk.client.job("")


def test_an_array_is_named_as_a_whole_and_task_by_task(desk: Desk) -> None:
    array = desk.client.submit(file(array=12))
    assert [task.array_index for task in desk.client.tasks(array.job_id)] == list(range(12))
    assert desk.client.job(f"{array.job_id}.11").array_index == 11
    with pytest.raises(InvalidInput, match="array of 12 tasks"):
        desk.client.job(array.job_id)
    assert {job.state for job in desk.client.cancel([array.job_id])} == {JobState.CANCELLED}


def test_a_job_is_known_by_the_beginning_of_its_id_however_long_the_arrays_beside_it(desk: Desk) -> None:
    array = desk.client.submit(file(array=3), job_id="sweep-1").job_id
    desk.client.submit(file(), job_id="sweden-1")
    assert desk.client.task_ids("sweep") == [f"{array}.0", f"{array}.1", f"{array}.2"]
    assert desk.client.job("swed").id == "sweden-1"
    with pytest.raises(InvalidInput, match="2 jobs begin with 'swe'"):
        desk.client.task_ids("swe")


def test_an_arrays_tasks_are_told_as_they_end(desk: Desk) -> None:
    array = desk.client.submit(file(array=3)).job_id
    desk.client.cancel([f"{array}.1"])
    ends = desk.client.wait([array], timeout_s=5)
    assert next(ends).id == f"{array}.1"
    desk.client.cancel([f"{array}.2", f"{array}.0"])
    assert [job.id for job in ends] == [f"{array}.2", f"{array}.0"]


def test_what_ended_unseen_is_found_all_the_same(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue keeps its last events alone: whoever was stopped in between may have missed some."""
    early, late = (desk.client.submit(file()).job_id for _ in range(2))
    desk.client.cancel([early])
    monkeypatch.setattr(queue_client, "LOOK_AGAIN_S", -1.0)
    monkeypatch.setattr(desk.queue, "events", lambda *_, **__: [])
    ends = desk.client.wait([early, late], timeout_s=5)
    assert next(ends).id == early
    desk.client.cancel([late])
    assert next(ends).id == late


def test_a_job_that_needs_an_array_waits_for_all_of_its_tasks(desk: Desk) -> None:
    array = desk.client.submit(file(array=12)).job_id
    single = desk.client.submit(file()).job_id

    child = desk.client.job(desk.client.submit(file(needs=[array, single])).job_id)

    assert child.needs == (*(f"{array}.{index}" for index in range(12)), single)
    assert child.reason is WaitReason.WAITS_FOR_PARENTS


def test_too_many_links_between_jobs_are_refused(desk: Desk) -> None:
    array = desk.client.submit(file(array=400)).job_id

    with pytest.raises(InvalidInput, match="300 tasks that need 400 jobs each are too many links"):
        desk.client.submit(file(array=300, needs=[array]))


def test_a_user_who_asks_for_pauses_is_told_that_there_are_none_yet(desk: Desk) -> None:
    told = "it runs in one piece: `interruptible` is kept, but nothing is paused yet"

    assert desk.client.quote(file(interruptible={"mode": "suspend"})).warnings == (told,)
    assert desk.client.submit(file()).quote.warnings == ()


def test_a_waiting_job_is_explained_with_what_it_would_emit_now_and_then(desk: Desk) -> None:
    explained = desk.client.explain(desk.client.submit(file()).job_id)
    assert explained.quote is not None
    assert explained.quote.planned_start == MIDNIGHT + timedelta(hours=12)
    assert explained.sentence


def test_waiting_ends_with_the_job(desk: Desk) -> None:
    job_id = desk.client.submit(file()).job_id
    with pytest.raises(TimeoutError):
        list(desk.client.wait([job_id], timeout_s=0.01))
    desk.client.cancel([job_id])
    assert [job.state for job in desk.client.wait([job_id], timeout_s=5)] == [JobState.CANCELLED]


@pytest.mark.parametrize("call", ["get", "get_many"])
def test_waiting_and_following_bear_with_a_queue_that_is_away_for_a_moment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    job_id = desk.client.submit(file()).job_id
    desk.log_tail.append(job_id, 1, b"step 1\n")
    desk.client.cancel([job_id])
    monkeypatch.setattr(queue_client, "AGAIN_S", 0.001)
    waiting, following = desk.client.wait([job_id]), desk.client.logs(job_id, follow=True)
    answer, outages = getattr(desk.queue, call), iter([True, True, True])

    def away_at_first(*given: object, **named: object) -> object:
        if next(outages, False):
            raise QueueUnreachable("no server answers")
        return answer(*given, **named)

    assert next(following) == b"step 1\n"
    monkeypatch.setattr(desk.queue, call, away_at_first)
    assert list(following) == []
    assert [job.state for job in waiting] == [JobState.CANCELLED]


def test_waiting_does_not_go_on_for_ever_without_a_queue(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = desk.client.submit(file()).job_id

    def away(*_: object, **__: object) -> object:
        raise QueueUnreachable("no server answers")

    monkeypatch.setattr(queue_client, "OUTAGE_S", 0.01)
    monkeypatch.setattr(queue_client, "AGAIN_S", 0.001)
    waiting = desk.client.wait([job_id])
    monkeypatch.setattr(desk.queue, "get_many", away)
    with pytest.raises(QueueUnreachable):
        next(waiting)


def test_run_now_makes_a_job_due(desk: Desk) -> None:
    job_id = desk.client.submit(file()).job_id
    desk.client.run_now([job_id])
    assert [grant.job.id for grant in desk.queue.lease(make_worker(zone=ZONE), desk.clock.now())] == [job_id]


def test_a_fresh_forecast_on_the_board_spares_the_source(desk: Desk) -> None:
    desk.board.put_forecast(desk.source.forecast(ZONE, MIDNIGHT, MIDNIGHT + timedelta(days=2)))
    asked = desk.source.asked
    assert desk.client.forecast(None, 24).grid.slots == 48
    desk.clock.advance(minutes=20)
    assert desk.client.forecast(None, 48).grid.slots == 96
    assert desk.source.asked == asked
    desk.clock.advance(hours=2)
    desk.client.forecast(None, 24)
    assert desk.source.asked == asked + 1


def test_a_quote_is_made_with_what_lies_on_the_board(desk: Desk) -> None:
    document = jobfile.dump({"name": "train", "run": "true", "deadline": "20h"})
    asked = JobFile(jobfile.parse(document), document, "/work")
    assert desk.client.quote(asked).profile.duration_method == "assumed"
    runs = [PastRun(f"job-{i}", asked.spec, [_half_an_hour(f"job-{i}")]) for i in range(8)]
    ModelPredictor(desk.board).learn(runs)
    profile = desk.client.quote(asked).profile
    assert (profile.duration_method, profile.power_method, profile.runs) == ("past-runs", "prior", 8)
    assert profile.duration_s.p50 == pytest.approx(1800, rel=0.1)


def _half_an_hour(job_id: str) -> Measurement:
    """Of unknown energy."""
    ended = MIDNIGHT + timedelta(minutes=30)
    return Measurement(
        job_id=job_id, fence=1, attempt=1, worker_id="worker-1", pool="default", zone=ZONE,
        outcome=Outcome.SUCCEEDED, exit_code=0,
        started_at=MIDNIGHT, ended_at=ended, real_started_at=MIDNIGHT, real_ended_at=ended,
    )  # fmt: skip


def test_logs_end_with_the_job(desk: Desk) -> None:
    job_id = desk.client.submit(file()).job_id
    desk.log_tail.append(job_id, 1, b"step 1\n")
    assert b"".join(desk.client.logs(job_id)) == b"step 1\n"
    desk.client.cancel([job_id])
    assert b"".join(desk.client.logs(job_id, follow=True)) == b"step 1\n"


def test_new_ids_are_the_name_and_random_bits() -> None:
    ids = {new_id("train") for _ in range(100)}
    assert len(ids) == 100
    assert all(job_id.startswith("train-") for job_id in ids)
