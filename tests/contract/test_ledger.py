"""The ledger: what its adapters must do alike."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from carbonq.domain.job import JobState
from carbonq.domain.receipt import Receipt, ReceiptStatus
from carbonq.testing import MIDNIGHT

if TYPE_CHECKING:
    from tests.contract.conftest import Station

HOUR = timedelta(hours=1)


def _receipt(job_id: str, finished_at: datetime = MIDNIGHT, revision: int = 1) -> Receipt:
    return Receipt(
        revision=revision,
        status=ReceiptStatus.PROVISIONAL,
        issued_at=MIDNIGHT,
        job_id=job_id,
        name="job",
        project="default",
        state=JobState.SUCCEEDED,
        zone="DE",
        pool="default",
        submitted_at=MIDNIGHT,
        started_at=MIDNIGHT,
        finished_at=finished_at,
        deadline=MIDNIGHT,
        deadline_met=True,
        delay_s=0.0,
        duration_s=0.0,
        attempts=1,
        energy_j=0.1 + 0.2,
        emissions_g=-0.5,
        baseline=None,
        avoided_g=None,
        intensity_source="test",
    )


def test_a_receipt_comes_back_as_it_was_booked(station: "Station") -> None:
    assert station.ledger.get("a") is None
    station.ledger.book(_receipt("a"))
    assert station.ledger.get("a") == _receipt("a")


def test_of_several_revisions_the_last_one_counts(station: "Station") -> None:
    for revision in (1, 2, 2, 1):
        station.ledger.book(_receipt("a", revision=revision))
    assert station.ledger.get("a") == _receipt("a", revision=2)
    assert station.ledger.latest() == [_receipt("a", revision=2)]


def test_receipts_are_listed_by_finish_within_half_open_bounds(station: "Station") -> None:
    for number, job_id in enumerate(("c", "a", "b")):
        station.ledger.book(_receipt(job_id, MIDNIGHT + number * HOUR))

    def ids(since: datetime | None = None, until: datetime | None = None) -> list[str]:
        return [receipt.job_id for receipt in station.ledger.latest(since=since, until=until)]

    assert ids() == ["c", "a", "b"]
    assert ids(MIDNIGHT + HOUR) == ["a", "b"]
    assert ids(MIDNIGHT, MIDNIGHT + 2 * HOUR) == ["c", "a"]
    assert ids(MIDNIGHT + 3 * HOUR) == []


def test_booking_takes_a_job_off_the_list_of_the_unbooked(station: "Station") -> None:
    station.submit("a")
    station.queue.cancel("a", MIDNIGHT)
    assert station.queue.unbooked() == ["a"]
    station.ledger.book(_receipt("a"))
    station.ledger.book(_receipt("a"))
    assert station.queue.unbooked() == []


def test_a_receipt_outlives_its_job(station: "Station") -> None:
    station.submit("a")
    station.queue.cancel("a", MIDNIGHT)
    station.ledger.book(_receipt("a"))
    station.real.advance(10)
    assert station.queue.retain(5) == 1
    assert station.ledger.get("a") == _receipt("a")
