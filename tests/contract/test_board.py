"""The board: what its adapters must do alike."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from carbonq.domain.carbon import CarbonIntensity, Forecast, IntensitySeries, Origin
from carbonq.domain.job import Capacity, WorkerInfo
from carbonq.domain.plan import Plan, PlanSnapshot, PoolSnapshot
from carbonq.domain.ports import Board
from carbonq.domain.progress import Progress, Told
from carbonq.domain.time import SlotGrid, TimeMapping
from carbonq.scheduler.queue.board import ACTUAL_KEPT, MemoryBoard, RedisBoard
from carbonq.scheduler.queue.connection import Store
from carbonq.testing import MIDNIGHT

HOUR = timedelta(hours=1)


@pytest.fixture(params=["memory", "valkey", "redis"])
def board(request: pytest.FixtureRequest, empty_server: Callable[[str], str]) -> Iterator[Board]:
    if request.param == "memory":
        yield MemoryBoard()
        return
    store = Store.connect(empty_server(request.param))
    yield RedisBoard(store)
    store.close()


def _readings(*values: tuple[float, float, float]) -> tuple[CarbonIntensity, ...]:
    return tuple(
        CarbonIntensity(
            start=MIDNIGHT + first * HOUR, end=MIDNIGHT + last * HOUR, intensity_g_per_kwh=g, origin=Origin.MEASURED
        )
        for first, last, g in values
    )


def _series(*values: tuple[float, float, float]) -> IntensitySeries:
    return IntensitySeries(zone="DE", source="test", readings=_readings(*values))


def _worker(worker_id: str) -> WorkerInfo:
    return WorkerInfo(
        worker_id=worker_id,
        host="here",
        zone="DE",
        capacity=Capacity(cpus=4),
        free=Capacity(cpus=4),
        started_at=MIDNIGHT,
        seen_at=MIDNIGHT,
    )


def _until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_the_last_forecast_of_each_zone_is_kept(board: Board) -> None:
    assert board.forecast("DE") is None
    forecast = Forecast(
        zone="DE",
        source="test",
        model="test",
        origin=Origin.FORECAST,
        issued_at=MIDNIGHT,
        fetched_at=MIDNIGHT,
        grid=SlotGrid(start=MIDNIGHT, slots=2),
        quantiles_g_per_kwh={"0.5": (0.1, 0.2)},
    )
    board.put_forecast(forecast)
    newer = forecast.model_copy(update={"model": "newer"})
    board.put_forecast(newer)
    assert board.forecast("DE") == newer
    assert board.forecast("FR") is None


def test_later_readings_of_the_same_time_replace_earlier_ones(board: Board) -> None:
    assert board.actual("DE") is None
    board.put_actual(_series((0, 1, 100), (1, 2, 200)))
    board.put_actual(_series((1, 2, 250), (2, 3, 300)))
    assert board.actual("DE") == _series((0, 1, 100), (1, 2, 250), (2, 3, 300))


def test_a_finer_reading_leaves_the_rest_of_a_coarse_one(board: Board) -> None:
    board.put_actual(_series((0, 2, 100)))
    board.put_actual(_series((0.5, 1, 50)))
    assert board.actual("DE") == _series((0, 0.5, 100), (0.5, 1, 50), (1, 2, 100))


def test_old_readings_fall_out_of_the_window(board: Board) -> None:
    days = ACTUAL_KEPT / timedelta(days=1)
    board.put_actual(_series((0, 1, 100), (1, 2, 200)))
    board.put_actual(_series((24 * days, 24 * days + 1, 300)))
    kept = board.actual("DE")
    assert kept is not None
    assert [reading.intensity_g_per_kwh for reading in kept.readings] == [200, 300]


def test_no_readings_are_no_obstacle(board: Board) -> None:
    board.put_actual(_series())
    board.put_actual(_series((0, 1, 100)))
    board.put_actual(_series())
    assert board.actual("DE") == _series((0, 1, 100))


def test_a_worker_is_seen_until_its_time_to_live_ends(board: Board) -> None:
    board.put_worker(_worker("b"), ttl_s=60)
    board.put_worker(_worker("a"), ttl_s=60)
    board.put_worker(_worker("brief"), ttl_s=0.05)
    assert [worker.worker_id for worker in board.workers()][:2] == ["a", "b"]
    _until(lambda: board.workers() == [_worker("a"), _worker("b")])
    board.put_worker(_worker("brief"), ttl_s=60)  # it is back
    assert [worker.worker_id for worker in board.workers()] == ["a", "b", "brief"]
    board.remove_worker("a")
    board.remove_worker("nobody")
    assert [worker.worker_id for worker in board.workers()] == ["b", "brief"]


def _progress(job_id: str = "job", fence: int = 1, done: float = 3.0) -> Progress:
    points = (Told(MIDNIGHT, 1.0), Told(MIDNIGHT + timedelta(microseconds=1), done))
    return Progress(job_id=job_id, fence=fence, total=10.0, unit="epoch", points=points)


def test_the_last_that_each_running_job_told_is_kept(board: Board) -> None:
    assert board.progress([]) == {}
    assert board.progress(["job", "other"]) == {}
    assert board.put_progress(_progress(), ttl_s=60)
    assert board.put_progress(_progress(done=4.0), ttl_s=60)
    assert board.put_progress(_progress("other", fence=7), ttl_s=60)
    assert board.progress(["other", "job", "silent"]) == {
        "job": _progress(done=4.0),
        "other": _progress("other", fence=7),
    }


def test_what_an_older_attempt_tells_of_its_progress_is_dropped(board: Board) -> None:
    board.put_progress(_progress(fence=2), ttl_s=60)
    assert not board.put_progress(_progress(fence=1, done=9.0), ttl_s=60)
    assert board.progress(["job"]) == {"job": _progress(fence=2)}
    assert board.put_progress(_progress(fence=3, done=1.0), ttl_s=60)
    assert board.progress(["job"]) == {"job": _progress(fence=3, done=1.0)}


def test_progress_is_forgotten_once_nobody_tells_it_any_more(board: Board) -> None:
    board.put_progress(_progress(), ttl_s=0.05)
    _until(lambda: board.progress(["job"]) == {})
    assert board.put_progress(_progress(fence=0), ttl_s=60)


def test_the_plan_is_kept_with_what_it_was_made_from(board: Board) -> None:
    assert board.plan() is None
    pool = PoolSnapshot(name="default", zone="DE", gpus=1)
    snapshot = PlanSnapshot(start=MIDNIGHT, horizon_slots=1, pools=(pool,), intensity_g_per_kwh={"DE": (1.5,)})
    plan = Plan(method="test", emissions_g=1.0, solve_s=0.1)
    board.put_plan(snapshot, plan)
    assert board.plan() == (snapshot, plan)


def test_the_mapping_of_time_is_kept_to_the_microsecond_until_it_is_taken_back(board: Board) -> None:
    assert board.time_mapping() is None
    mapping = TimeMapping(
        real_epoch=MIDNIGHT + timedelta(microseconds=1), grid_epoch=MIDNIGHT - timedelta(days=200), speed=720.5
    )
    board.put_time_mapping(mapping)
    assert board.time_mapping() == mapping
    board.put_time_mapping(None)
    assert board.time_mapping() is None


def test_what_was_learnt_of_energy_is_kept_byte_for_byte(board: Board) -> None:
    assert board.energy_model() is None
    for state in (b'{"version": 1}', bytes(range(256)) * 4096):
        board.put_energy_model(state)
        assert board.energy_model() == state


def test_one_holder_leads_until_it_resigns(board: Board) -> None:
    assert board.lead("one", 60)
    assert board.lead("one", 60)
    assert not board.lead("two", 60)
    board.resign("two")
    assert not board.lead("two", 60)
    board.resign("one")
    assert board.lead("two", 60)


def test_a_leader_that_falls_silent_is_succeeded(board: Board) -> None:
    assert board.lead("one", 0.05)
    _until(lambda: board.lead("two", 60))
    assert not board.lead("one", 60)


def test_what_another_version_wrote_is_as_good_as_absent(redis_url: str) -> None:
    store = Store.connect(redis_url)
    board = RedisBoard(store)
    for key in (store.keys.forecast("DE"), store.keys.actual("DE")):
        store.call("SET", key, '{"schema_version": 0, "zone": "DE"}')

    assert (board.forecast("DE"), board.actual("DE")) == (None, None)
    series = _series((0, 1, 100))
    board.put_actual(series)
    assert board.actual(series.zone) == series
