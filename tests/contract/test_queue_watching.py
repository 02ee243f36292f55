"""Events, the next due time and waking up: what every queue must do."""

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from carbonq.domain.job import JobState, Outcome
from carbonq.testing import MIDNIGHT

if TYPE_CHECKING:
    from tests.contract.conftest import Station

HOUR = timedelta(hours=1)


def test_a_jobs_life_can_be_read_from_its_events(station: "Station") -> None:
    station.submit("a")
    grant = station.lease_one()
    ended = station.clock.advance(hours=1)
    station.finish(grant)
    events = station.queue.events()
    assert [(event.type, event.state, event.at) for event in events] == [
        ("submitted", JobState.SCHEDULED, MIDNIGHT),
        ("due", JobState.READY, MIDNIGHT),
        ("leased", JobState.RUNNING, MIDNIGHT),
        ("succeeded", JobState.SUCCEEDED, ended),
    ]
    assert {event.job_id for event in events} == {"a"}
    assert [event.fence for event in events] == [0, 0, grant.lease.fence, grant.lease.fence]


def test_events_are_read_on_from_a_cursor(station: "Station") -> None:
    station.submit("a", "b", "c", planned_start=MIDNIGHT + HOUR)
    first = station.queue.events(limit=2)
    assert [event.job_id for event in first] == ["a", "b"]
    assert [event.job_id for event in station.queue.events(first[-1].cursor)] == ["c"]
    last = station.queue.events()[-1].cursor
    assert station.queue.events(last) == []


def test_waiting_for_events_ends_with_the_first_one(station: "Station") -> None:
    later = threading.Timer(0.05, lambda: station.submit("a", planned_start=MIDNIGHT + HOUR))
    later.start()
    began = time.monotonic()
    assert [event.type for event in station.queue.events(block_s=10)] == ["submitted"]
    assert time.monotonic() - began < 5
    later.join()


def test_waiting_for_events_ends_with_its_time(station: "Station") -> None:
    began = time.monotonic()
    assert station.queue.events(block_s=0.05) == []
    assert 0.04 <= time.monotonic() - began < 2


def test_the_next_due_time_is_that_of_the_first_waiting_job(station: "Station") -> None:
    assert station.queue.next_due() is None
    station.submit("late", planned_start=MIDNIGHT + 3 * HOUR)
    station.submit("soon", planned_start=MIDNIGHT + HOUR)
    station.submit("child", needs=("soon",), planned_start=MIDNIGHT)
    assert station.queue.next_due() == MIDNIGHT + HOUR
    station.clock.advance(hours=1)
    grant = station.lease_one()
    assert station.queue.next_due() == MIDNIGHT + 3 * HOUR
    station.finish(grant)  # releases the child, whose planned start has passed
    due = station.queue.next_due()
    assert due is not None
    assert due <= station.clock.now()


def test_while_a_ready_job_waits_the_next_due_time_lies_in_the_past(station: "Station") -> None:
    station.submit("a")
    station.lease(cpus=0)
    due = station.queue.next_due()
    assert due is not None
    assert due < station.clock.now()


def test_a_retry_is_due_after_its_backoff(station: "Station") -> None:
    station.submit("a", max_attempts=2)
    station.finish(station.lease_one(), Outcome.FAILED, backoff_s=10)
    assert station.queue.next_due() == station.job("a").retry_at


def _wakes(station: "Station", cursor: str) -> bool:
    return station.queue.wait_for_change(cursor, 0.02) != cursor


def test_whoever_waits_is_woken_by_what_makes_jobs_due_sooner(station: "Station") -> None:
    cursor = station.queue.wait_for_change("", 10)
    assert not _wakes(station, cursor)
    station.submit("a", "b", max_attempts=2)
    assert _wakes(station, cursor)
    cursor = station.queue.wait_for_change("", 10)
    grants = station.lease(1)
    assert not _wakes(station, cursor)
    station.finish(grants[0], Outcome.FAILED)
    assert _wakes(station, cursor)
    cursor = station.queue.wait_for_change("", 10)
    station.queue.run_now("b", MIDNIGHT)
    assert _wakes(station, cursor)


def test_a_waiter_is_woken_while_it_waits(station: "Station") -> None:
    cursor = station.queue.wait_for_change("", 10)
    later = threading.Timer(0.05, lambda: station.submit("a", planned_start=MIDNIGHT + HOUR))
    later.start()
    began = time.monotonic()
    assert station.queue.wait_for_change(cursor, 10) != cursor
    assert time.monotonic() - began < 5
    later.join()


def test_a_queue_that_is_there_answers_a_ping(station: "Station") -> None:
    station.queue.ping()
