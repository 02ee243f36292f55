"""A job that tells how far it is, from its one line to the plan: a real worker, a real server, the real planner."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import carbonq
from carbonq import jobfile
from carbonq.clock import SystemClock
from carbonq.domain.job import Job
from carbonq.domain.ports import JobQuery
from carbonq.domain.progress import Progress
from carbonq.domain.spec import JobFile
from carbonq.domain.time import SlotGrid, floor_to
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.forecasters.energy.inflight import pace
from carbonq.scheduler.ledger import RedisLedger
from carbonq.scheduler.planner.first_come import FirstComePlanner
from carbonq.scheduler.service import SchedulerService, SchedulerSettings
from carbonq.testing import make_forecast
from tests.worker_rig import Rig, until

SLOW = """
n=0
while [ ! -e stop ]; do
  n=$((n + 1))
  echo "{\\"done\\": $n, \\"total\\": 150000}" > "$CARBONQ_PROGRESS"
  sleep 0.2
done
"""
"""Foreseen is an hour; at this rate it takes more than eight."""


@pytest.fixture
def rig(redis_url: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(redis_url, tmp_path, cpus=1)
    yield rig
    rig.close()


def _scheduler(rig: Rig) -> SchedulerService:
    """Its steps alone, on a grid that gets a little less clean hour by hour: what waits is to run as soon as it can."""
    start = floor_to(datetime.now(UTC), 1800)
    rising = tuple(100.0 + 10 * slot for slot in range(48))
    grid = SlotGrid(start=start, slots=48)
    rig.board.put_forecast(make_forecast(*rising, start=start, zone="DE", grid=grid))
    return SchedulerService(
        SchedulerSettings(zone="DE", horizon_s=86_400),
        queue=rig.queue,
        board=rig.board,
        ledger=RedisLedger(rig.store),
        clock=SystemClock(),
        planner=FirstComePlanner(),
        outlook=Outlook([]),
        pace_maker=pace,
    )


def _told(rig: Rig, job: Job, steps: int = 5) -> Progress:
    def look() -> Progress | None:
        found = rig.board.progress([job.id]).get(job.id)
        return found if found and len(found.points) > steps else None

    return until(look, f"{job.id} tells how far it is")


def test_what_waits_behind_a_job_that_is_slower_than_foreseen_moves(rig: Rig) -> None:
    rig.work()
    scheduler = _scheduler(rig)
    slow = rig.running(rig.submit(script=SLOW))
    behind = rig.submit(due=datetime.now(UTC) + timedelta(hours=2))

    def planned_start() -> timedelta:
        scheduler.replan()
        start = rig.queue.get(behind).planned_start
        assert start is not None
        return start - datetime.now(UTC)

    assert planned_start() < timedelta(hours=2.5)
    told = _told(rig, slow)
    assert (told.fence, told.total) == (slow.fence, 150_000)
    assert planned_start() > timedelta(hours=7)

    (rig.folder / "stop").touch()
    rig.ended(slow.id)
    assert planned_start() < timedelta(hours=7)


def test_a_client_sees_how_far_a_job_is_and_quotes_by_its_pace(rig: Rig) -> None:
    rig.work()
    client = carbonq.connect(redis_url=rig.url, zone="DE", sources=["typical"])
    slow = rig.running(rig.submit(script=SLOW))
    _told(rig, slow)

    found = client.underway(client.jobs(JobQuery()))[slow.id]

    assert found.pace is not None
    assert 1 < found.pace.rate_per_s < 5.5
    assert found.pace.end(client.now()) - client.now() > timedelta(hours=7)
    document = jobfile.dump({"name": "next", "run": "true", "deadline": "23h", "duration": "10m"})
    quoted = client.quote(JobFile(jobfile.parse(document), document, str(rig.folder)))
    assert quoted.planned_start - client.now() > timedelta(hours=7)
    (rig.folder / "stop").touch()
    rig.ended(slow.id)


def test_the_next_worker_goes_on_from_what_the_last_one_saw(rig: Rig) -> None:
    rig.work()
    slow = rig.running(rig.submit(script=SLOW))
    before = _told(rig, slow)
    rig.rest()
    rig.work()

    def look() -> Progress | None:
        found = rig.board.progress([slow.id])[slow.id]
        return found if found.done > before.done else None

    after = until(look, "the next worker tells how far it is")
    assert abs(after.points[0].at - before.points[0].at) < timedelta(seconds=1)
    assert after.points[0].done == before.points[0].done
    (rig.folder / "stop").touch()
    rig.ended(slow.id)
