"""`carbonq predict` as a process, and what the service learns: from a real job's receipt to the next job's prediction."""

import json
import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from carbonq import bootstrap, jobfile
from carbonq.domain.energy import Component, EnergyReading, Provenance
from carbonq.domain.job import Capacity, Measurement, Outcome, WorkerInfo
from carbonq.domain.spec import JobFile
from carbonq.scheduler.bookkeeper import Bookkeeper
from carbonq.scheduler.teaching import Teacher
from carbonq.settings import Settings

CARBONQ = [sys.executable, "-m", "carbonq"]
SPEC = """
name: NAME
run: 'true'
deadline: 24h
carbon: {policy: immediate}
workload: {family: resnet, work: WORK, unit: epochs, batch_size: 64}
"""


def test_a_file_is_scored_by_the_installed_command(tmp_path: Path) -> None:
    draw = random.Random(2)
    rows = ["family,gpu_model,gpus,work,energy_j,duration_s"]
    for _ in range(60):
        work, seconds = (units := draw.randint(1, 30)), units * 60 * draw.lognormvariate(0, 0.03)
        rows.append(f"resnet,NVIDIA A40,1,{work},{seconds * 240!r},{seconds!r}")
    (tmp_path / "runs.csv").write_text("\n".join(rows) + "\n")
    done = subprocess.run(
        [*CARBONQ, "predict", "--prequential", "runs.csv", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    carbonq = json.loads(done.stdout)["models"][0]
    assert carbonq["model"] == "carbonq"
    assert carbonq["median_ape_pct"] < 10


@pytest.mark.parametrize("server", ["valkey"], indirect=True)
class TestTheService:
    def test_what_one_scheduler_learnt_every_client_foretells_with(self, redis_url: str, tmp_path: Path) -> None:
        settings = _settings(redis_url, tmp_path)
        cold = _profile(settings, 10)
        assert (cold["runs"], cold["power_method"]) == (0, "prior")
        for index in range(8):
            _run(settings, f"past-{index}", work=1 + index % 3)
        assert _books(settings).book() == 8
        warm = _profile(settings, 10)
        assert (warm["runs"], warm["power_method"], warm["duration_method"]) == (8, "past-runs", "past-runs")
        assert warm["energy"]["p50"] == pytest.approx(10 * 60 * 100, rel=0.3)
        assert warm["energy"]["p05"] < warm["energy"]["p50"] < warm["energy"]["p95"]

    def test_a_scheduler_killed_between_learning_and_booking_learns_nothing_twice(
        self, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = _settings(redis_url, tmp_path)
        for index in range(8):
            _run(settings, f"past-{index}", work=1)
        first = _books(settings)
        monkeypatch.setattr(first, "_account", _killed)
        with pytest.raises(KeyboardInterrupt):
            first.book()
        assert _profile(settings, 1)["runs"] == 8
        assert _books(settings).book() == 8
        assert _profile(settings, 1)["runs"] == 8


def _killed(*_: Any) -> int:
    raise KeyboardInterrupt


def _settings(redis_url: str, folder: Path) -> Settings:
    flags = {"redis_url": redis_url, "zone": "FR", "sources": "typical", "data_dir": str(folder)}
    return bootstrap.settings(flags, env={})


def _file(name: str, work: float) -> JobFile:
    document = SPEC.replace("NAME", name).replace("WORK", str(work)).encode()
    return JobFile(jobfile.parse(document), document, "/")


def _profile(settings: Settings, work: float) -> Any:
    return bootstrap.client(settings).quote(_file("next", work)).profile.model_dump()


def _books(settings: Settings) -> Bookkeeper:
    """Of a scheduler that has just started."""
    on = bootstrap.adapters(settings)
    return Bookkeeper(
        queue=on.queue,
        board=on.board,
        ledger=on.ledger,
        clock=on.clock,
        outlook=bootstrap.outlook(settings, on.board),
        zone="FR",
        teacher=Teacher(on.queue, bootstrap.predictor(settings, on.board, on.speed)),
    )


def _run(settings: Settings, name: str, work: float) -> None:
    """A minute a unit at 100 W."""
    on = bootstrap.adapters(settings)
    bootstrap.client(settings).submit(_file(name, work))
    now = on.clock.now()
    worker = WorkerInfo(
        worker_id="w",
        host="here",
        zone="FR",
        capacity=Capacity(cpus=4),
        free=Capacity(cpus=4),
        started_at=now,
        seen_at=now,
    )
    (grant,) = on.queue.lease(worker, now + timedelta(seconds=1))
    ended = now + timedelta(minutes=work)
    reading = EnergyReading(
        component=Component.CPU, energy_j=6000.0 * work, provenance=Provenance.MEASURED, method="rapl"
    )
    on.queue.finish(
        Measurement(
            job_id=grant.job.id,
            fence=grant.lease.fence,
            attempt=1,
            worker_id="w",
            pool="default",
            zone="FR",
            outcome=Outcome.SUCCEEDED,
            started_at=now,
            ended_at=ended,
            real_started_at=now,
            real_ended_at=ended,
            readings=(reading,),
        )
    )
