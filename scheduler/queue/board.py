"""What the processes tell each other beside the queue: forecasts, actual intensity, workers, the plan, the clock."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError

from carbonq.domain.carbon import CarbonIntensity, Forecast, IntensitySeries, Zone
from carbonq.domain.job import WorkerInfo
from carbonq.domain.plan import Plan, PlanSnapshot
from carbonq.domain.progress import Progress
from carbonq.domain.time import TimeMapping, to_ms
from carbonq.domain.value import Value
from carbonq.scheduler.queue.connection import Store

ACTUAL_KEPT = timedelta(days=14)
V = TypeVar("V", bound=Value)


def _readable(kind: type[V], text: bytes | None) -> V | None:
    """None for what is absent, and for what another version of carbonq wrote: the scheduler soon puts it anew."""
    try:
        return kind.model_validate_json(text) if text else None
    except ValidationError:
        return None


class RedisBoard:
    """`Board` on Redis 7 or Valkey."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys = store.keys

    def put_forecast(self, forecast: Forecast) -> None:
        self._store.call("SET", self._keys.forecast(forecast.zone), forecast.model_dump_json())

    def forecast(self, zone: Zone) -> Forecast | None:
        text = self._store.call("GET", self._keys.forecast(zone))
        return _readable(Forecast, text)

    def put_actual(self, series: IntensitySeries) -> None:
        key = self._keys.actual(series.zone)

        def merge(text: bytes | None) -> str:
            return merged(_readable(IntensitySeries, text), series).model_dump_json()

        self._store.update(key, merge)

    def actual(self, zone: Zone) -> IntensitySeries | None:
        text = self._store.call("GET", self._keys.actual(zone))
        return _readable(IntensitySeries, text)

    def put_worker(self, worker: WorkerInfo, ttl_s: float) -> None:
        record = ("SET", self._keys.worker(worker.worker_id), worker.model_dump_json(), "PX", round(ttl_s * 1000))
        self._store.atomically([record, ("SADD", self._keys.workers, worker.worker_id)])

    def remove_worker(self, worker_id: str) -> None:
        self._store.atomically([("DEL", self._keys.worker(worker_id)), ("SREM", self._keys.workers, worker_id)])

    def workers(self) -> list[WorkerInfo]:
        names = sorted(name.decode() for name in self._store.call("SMEMBERS", self._keys.workers))
        texts = self._store.call("MGET", *map(self._keys.worker, names)) if names else []
        if gone := [name for name, text in zip(names, texts, strict=True) if text is None]:
            self._store.call("SREM", self._keys.workers, *gone)  # one that is back enters itself again
        return [WorkerInfo.model_validate_json(text) for text in texts if text is not None]

    def put_progress(self, progress: Progress, ttl_s: float) -> bool:
        told = (progress.job_id, progress.fence, progress.model_dump_json(), round(ttl_s * 1000))
        return bool(self._store.run("put_progress", *told))

    def progress(self, job_ids: Sequence[str]) -> dict[str, Progress]:
        texts = self._store.calls([("HGET", self._keys.progress(job_id), "json") for job_id in job_ids])
        found = ((job_id, _readable(Progress, text)) for job_id, text in zip(job_ids, texts, strict=True))
        return {job_id: progress for job_id, progress in found if progress is not None}

    def put_plan(self, snapshot: PlanSnapshot, plan: Plan) -> None:
        parts = ("snapshot", snapshot.model_dump_json(), "plan", plan.model_dump_json())
        self._store.call("HSET", self._keys.plan, *parts)

    def plan(self) -> tuple[PlanSnapshot, Plan] | None:
        snapshot, plan = self._store.call("HMGET", self._keys.plan, "snapshot", "plan")
        if snapshot is None:
            return None
        return PlanSnapshot.model_validate_json(snapshot), Plan.model_validate_json(plan)

    def put_time_mapping(self, mapping: TimeMapping | None) -> None:
        if mapping is None:
            self._store.call("DEL", self._keys.clock)
            return
        flat = ("real_epoch_ms", to_ms(mapping.real_epoch), "grid_epoch_ms", to_ms(mapping.grid_epoch))
        whole = ("speed", mapping.speed, "json", mapping.model_dump_json())  # the scripts read the flat numbers
        self._store.call("HSET", self._keys.clock, *flat, *whole)

    def time_mapping(self) -> TimeMapping | None:
        text = self._store.call("HGET", self._keys.clock, "json")
        return TimeMapping.model_validate_json(text) if text else None

    def put_energy_model(self, state: bytes) -> None:
        self._store.call("SET", self._keys.energy_model, state)

    def energy_model(self) -> bytes | None:
        state: bytes | None = self._store.call("GET", self._keys.energy_model)
        return state

    def lead(self, holder: str, ttl_s: float) -> bool:
        return bool(self._store.run("lead", holder, round(ttl_s * 1000), keys=[self._keys.leader]))

    def resign(self, holder: str) -> None:
        self._store.run("resign", holder, keys=[self._keys.leader])


class MemoryBoard:
    """`Board` within one process. `real_now` tells seconds; only their differences count."""

    def __init__(self, real_now: Callable[[], float] = time.monotonic) -> None:
        self._real_now = real_now
        self._forecasts: dict[Zone, Forecast] = {}
        self._actual: dict[Zone, IntensitySeries] = {}
        self._workers: dict[str, tuple[WorkerInfo, float]] = {}
        self._progress: dict[str, tuple[Progress, float]] = {}
        self._plan: tuple[PlanSnapshot, Plan] | None = None
        self._mapping: TimeMapping | None = None
        self._energy_model: bytes | None = None
        self._leader: tuple[str, float] | None = None

    def put_forecast(self, forecast: Forecast) -> None:
        self._forecasts[forecast.zone] = forecast

    def forecast(self, zone: Zone) -> Forecast | None:
        return self._forecasts.get(zone)

    def put_actual(self, series: IntensitySeries) -> None:
        self._actual[series.zone] = merged(self._actual.get(series.zone), series)

    def actual(self, zone: Zone) -> IntensitySeries | None:
        return self._actual.get(zone)

    def put_worker(self, worker: WorkerInfo, ttl_s: float) -> None:
        self._workers[worker.worker_id] = worker, self._real_now() + ttl_s

    def remove_worker(self, worker_id: str) -> None:
        self._workers.pop(worker_id, None)

    def workers(self) -> list[WorkerInfo]:
        now = self._real_now()
        return [worker for _, (worker, until) in sorted(self._workers.items()) if now < until]

    def put_progress(self, progress: Progress, ttl_s: float) -> bool:
        known = self.progress([progress.job_id]).get(progress.job_id)
        if known is not None and progress.fence < known.fence:
            return False
        self._progress[progress.job_id] = progress, self._real_now() + ttl_s
        return True

    def progress(self, job_ids: Sequence[str]) -> dict[str, Progress]:
        now = self._real_now()
        found = {job_id: self._progress[job_id] for job_id in job_ids if job_id in self._progress}
        return {job_id: progress for job_id, (progress, until) in found.items() if now < until}

    def put_plan(self, snapshot: PlanSnapshot, plan: Plan) -> None:
        self._plan = snapshot, plan

    def plan(self) -> tuple[PlanSnapshot, Plan] | None:
        return self._plan

    def put_time_mapping(self, mapping: TimeMapping | None) -> None:
        self._mapping = mapping

    def time_mapping(self) -> TimeMapping | None:
        return self._mapping

    def put_energy_model(self, state: bytes) -> None:
        self._energy_model = state

    def energy_model(self) -> bytes | None:
        return self._energy_model

    def lead(self, holder: str, ttl_s: float) -> bool:
        now = self._real_now()
        if self._leader and self._leader[0] != holder and now < self._leader[1]:
            return False
        self._leader = holder, now + ttl_s
        return True

    def resign(self, holder: str) -> None:
        if self._leader and self._leader[0] == holder:
            self._leader = None


def merged(known: IntensitySeries | None, new: IntensitySeries) -> IntensitySeries:
    """Both series' readings, the new ones where they overlap, of the last `ACTUAL_KEPT`. What surrounds a finer new
    reading keeps the old value."""
    kept = list(known.readings) if known else []
    for reading in new.readings:
        kept = [piece for old in kept for piece in _without(old, reading.start, reading.end)]
    readings = sorted((*kept, *new.readings), key=lambda reading: reading.start)
    since = readings[-1].end - ACTUAL_KEPT if readings else None
    recent = tuple(reading for reading in readings if since is None or reading.end > since)
    return new.model_copy(update={"readings": recent})


def _without(reading: CarbonIntensity, start: datetime, end: datetime) -> list[CarbonIntensity]:
    """What of a reading lies outside `[start, end)`."""
    if end <= reading.start or reading.end <= start:
        return [reading]
    before = [reading.model_copy(update={"end": start})] if reading.start < start else []
    after = [reading.model_copy(update={"start": end})] if end < reading.end else []
    return before + after
