"""Listings, and what is done to many jobs at once: what every queue must do."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from carbonq.domain.errors import JobNotFound
from carbonq.domain.job import ACTIVE, TERMINAL, WAITING, JobState, Outcome
from carbonq.domain.ports import JobQuery, JobRow
from carbonq.scheduler.queue import rows as stepwise
from carbonq.testing import MIDNIGHT, make_receipt

if TYPE_CHECKING:
    from tests.contract.conftest import Station

HOUR = timedelta(hours=1)
S = JobState


def sweep(station: "Station", count: int = 4, array_id: str = "sweep", first: int = 0) -> list[str]:
    """An array of which task i is planned at hour i, for an hour and 10 g."""
    for i in range(first, count):
        start = MIDNIGHT + i * HOUR
        plan = {"planned_start": start, "planned_end": start + HOUR, "planned_emissions_g": 10.0}
        station.submit(f"{array_id}.{i}", array_id=array_id, array_index=i, **plan)
    return [f"{array_id}.{i}" for i in range(count)]


def row(station: "Station", name: str = "sweep") -> JobRow:
    (found,) = [row for row in station.queue.rows(JobQuery()) if row.id == name]
    return found


def names(station: "Station", **query: object) -> list[str]:
    return [row.id for row in station.queue.rows(JobQuery(**query))]  # type: ignore[arg-type]  # fields by name


def test_an_empty_queue_has_no_rows(station: "Station") -> None:
    assert station.queue.rows(JobQuery()) == []


def test_a_job_by_itself_is_a_row_with_its_own_times(station: "Station") -> None:
    start, end = MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR
    station.submit("a", planned_start=start, planned_end=end, planned_emissions_g=7.5)
    assert row(station, "a") == JobRow("a", station.job("a"), {S.SCHEDULED: 1}, start, end, 7.5)


def test_an_array_is_one_row_led_by_the_task_to_start_next(station: "Station") -> None:
    sweep(station)
    found = row(station)
    assert (found.counts, found.tasks) == ({S.READY: 1, S.SCHEDULED: 3}, 4)
    assert (found.start, found.end, found.emissions_g) == (MIDNIGHT, MIDNIGHT + 4 * HOUR, 40.0)
    assert found.lead == station.job("sweep.0")
    station.lease_one()
    assert row(station).counts == {S.RUNNING: 1, S.SCHEDULED: 3}
    assert row(station).lead.id == "sweep.1"


def test_an_array_of_which_nothing_waits_is_led_by_what_runs_then_by_a_failure_then_by_the_last_end(
    station: "Station",
) -> None:
    station.submit("s.0", "s.1", "s.2", array_id="s")
    first, second, third = station.lease(3)
    assert row(station, "s").lead.id == "s.0"
    station.finish(first, ended_at=MIDNIGHT + 3 * HOUR)
    assert row(station, "s").lead.id == "s.1"
    station.finish(second, ended_at=MIDNIGHT + HOUR)
    station.finish(third, Outcome.FAILED, ended_at=MIDNIGHT + 2 * HOUR)
    assert row(station, "s").lead.id == "s.2"
    assert (row(station, "s").start, row(station, "s").end) == (MIDNIGHT, MIDNIGHT + 3 * HOUR)
    assert row(station, "s").counts == {S.SUCCEEDED: 2, S.FAILED: 1}


def test_what_ended_counts_with_its_receipt_and_one_unknown_part_makes_the_sum_unknown(station: "Station") -> None:
    sweep(station)
    station.finish(station.lease_one())
    station.ledger.book(make_receipt("sweep.0", emissions_g=3.0))
    assert row(station).emissions_g == 33.0
    station.ledger.book(make_receipt("sweep.0", emissions_g=None, revision=2))
    assert row(station).emissions_g is None


def test_what_ended_without_a_start_emitted_nothing(station: "Station") -> None:
    sweep(station)
    station.submit("single", planned_emissions_g=5.0)
    station.queue.cancel_many(["sweep.1", "sweep.2", "single"], MIDNIGHT)
    assert (row(station).emissions_g, row(station, "single").emissions_g) == (20.0, 0.0)


def test_rows_are_listed_newest_first_and_each_array_once_whatever_lies_between_its_tasks(station: "Station") -> None:
    sweep(station, 2)
    station.submit("between")
    sweep(station, 4, first=2)
    station.submit("last")
    assert names(station) == ["last", "sweep", "between"]
    assert names(station, limit=1) == ["last"]
    assert names(station, limit=2, offset=1) == ["sweep", "between"]
    assert row(station).tasks == 4


def test_a_row_is_listed_for_any_task_that_matches_and_counts_them_all(station: "Station") -> None:
    sweep(station)
    station.submit("other", project="thesis", planned_start=MIDNIGHT + 9 * HOUR)
    station.finish(station.lease_one())
    assert names(station, states=TERMINAL) == ["sweep"]
    assert names(station, states=WAITING) == ["other", "sweep"]
    assert names(station, states=ACTIVE) == []
    assert names(station, project="thesis") == ["other"]
    assert names(station, project="default", states=TERMINAL) == ["sweep"]
    assert station.queue.rows(JobQuery(states=TERMINAL))[0].tasks == 4


def test_an_array_asked_for_by_its_id_has_a_row_for_each_task(station: "Station") -> None:
    tasks = sweep(station)
    station.submit("other")
    assert names(station, array_id="sweep") == tasks[::-1]


def test_rows_are_the_same_however_small_the_steps(station: "Station", monkeypatch: pytest.MonkeyPatch) -> None:
    sweep(station, 5, "a")
    station.submit("b")
    sweep(station, 7, "c")
    station.finish(station.lease_one())
    whole = station.queue.rows(JobQuery())
    monkeypatch.setattr(stepwise, "HEAD_STEPS", 1)
    monkeypatch.setattr(stepwise, "FOLD_BATCH", 2)
    assert station.queue.rows(JobQuery()) == whole


def test_ids_are_found_by_their_beginning_and_arrays_by_their_own(station: "Station") -> None:
    sweep(station)
    station.submit("sweden", "other")
    assert station.queue.names("swe", limit=10) == ["sweden", "sweep"]
    assert station.queue.names("swe", limit=1) == ["sweden"]
    assert station.queue.names("*", limit=10) == []
    assert station.queue.task_ids("sweep") == ["sweep.0", "sweep.1", "sweep.2", "sweep.3"]
    assert station.queue.task_ids("sweep.2") == ["sweep.2"]
    assert station.queue.task_ids("swe") == []


def test_many_jobs_are_read_in_the_order_asked(station: "Station") -> None:
    station.submit("a", "b", "c")
    assert [job.id for job in station.queue.get_many(["c", "a"])] == ["c", "a"]
    assert station.queue.get_many([]) == []
    with pytest.raises(JobNotFound):
        station.queue.get_many(["a", "nobody"])


def test_many_jobs_are_cancelled_each_by_itself(station: "Station") -> None:
    station.submit("runs")
    station.lease_one()
    sweep(station, 3)
    assert station.queue.cancel_many(["sweep.0", "runs", "sweep.2"], MIDNIGHT) == [S.CANCELLED, S.RUNNING, S.CANCELLED]
    assert station.job("runs").cancel_requested
    with pytest.raises(JobNotFound):
        station.queue.cancel_many(["nobody", "sweep.1"], MIDNIGHT)
    assert station.state("sweep.1") == "cancelled"


def test_many_jobs_are_made_due_at_once(station: "Station") -> None:
    tasks = sweep(station)
    assert station.queue.run_now_many(tasks, MIDNIGHT) == [S.READY] * 4
    assert len(station.lease(4)) == 4


def test_from_the_last_event_on_only_news_are_read(station: "Station") -> None:
    assert station.queue.events(station.queue.last_event()) == []
    station.submit("a")
    cursor = station.queue.last_event()
    assert station.queue.events(cursor) == []
    station.submit("b")
    assert {event.job_id for event in station.queue.events(cursor)} == {"b"}
