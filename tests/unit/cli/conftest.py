"""The command line in this process, before a scripted client: what it prints, and the code that it exits with."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from carbonq.cli.main import app
from carbonq.client import Explanation, SourceUse, Submitted, ZoneInfo
from carbonq.domain.carbon import CarbonIntensity, Forecast, IntensitySeries, Origin
from carbonq.domain.errors import JobNotFound
from carbonq.domain.job import TERMINAL, Event, Job, JobState, Measurement, WaitReason, WorkerInfo
from carbonq.domain.plan import Assignment, Plan, PlanSnapshot, PoolSnapshot
from carbonq.domain.ports import JobQuery, JobRow
from carbonq.domain.progress import Underway
from carbonq.domain.quote import Alternative, Quote
from carbonq.domain.receipt import Receipt
from carbonq.domain.spec import JobFile, JobSpec
from carbonq.domain.time import SlotGrid
from carbonq.scheduler.queue.folding import leader, part_of, row_of
from carbonq.testing import MIDNIGHT, make_profile


def make_quote(**fields: Any) -> Quote:
    """A one-hour job that waits three hours for half the carbon."""
    start = MIDNIGHT + timedelta(hours=3)
    defaults: dict[str, Any] = {
        "name": "digits",
        "tasks": 1,
        "feasible": True,
        "zone": "GB",
        "pool": "default",
        "submitted_at": MIDNIGHT,
        "planned_start": start,
        "planned_end": start + timedelta(hours=1),
        "latest_start": MIDNIGHT + timedelta(hours=22),
        "deadline": MIDNIGHT + timedelta(days=1),
        "slack_s": 72_000.0,
        "earliest_finish": MIDNIGHT + timedelta(hours=1),
        "profile": make_profile(),
        "energy_j": 360_000.0,
        "emissions_now_g": 20.0,
        "emissions_planned_g": 10.0,
        "emissions_planned_low_g": 8.0,
        "emissions_planned_high_g": 13.0,
        "reason": WaitReason.CLEANER_SLOT_AHEAD,
        "source": "uk",
        "origin": Origin.FORECAST,
        "forecast_age_s": 720.0,
        "alternatives": tuple(
            Alternative(start=MIDNIGHT + timedelta(hours=h), end=MIDNIGHT + timedelta(hours=h + 1), emissions_g=grams)
            for h, grams in ((0, 20.0), (3, 10.0), (6, 15.0))
        ),
    }
    return Quote(**(defaults | fields))


def make_forecast(**fields: Any) -> Forecast:
    """A day of half hours: 200 g/kWh, but 100 from 03:00 to 05:00."""
    medians = tuple(100.0 if 6 <= slot < 10 else 200.0 for slot in range(48))
    defaults: dict[str, Any] = {
        "zone": "GB",
        "source": "uk",
        "model": "operator",
        "origin": Origin.FORECAST,
        "issued_at": MIDNIGHT - timedelta(minutes=12),
        "fetched_at": MIDNIGHT,
        "grid": SlotGrid(start=MIDNIGHT, slots=48),
        "quantiles_g_per_kwh": {
            "0.1": tuple(m * 0.9 for m in medians),
            "0.5": medians,
            "0.9": tuple(m * 1.2 for m in medians),
        },
    }
    return Forecast(**(defaults | fields))


def make_plan() -> tuple[PlanSnapshot, Plan]:
    snapshot = PlanSnapshot(
        start=MIDNIGHT,
        horizon_slots=4,
        pools=(PoolSnapshot(name="default", zone="GB", gpus=4),),
        intensity_g_per_kwh={"GB": (200.0, 200.0, 100.0, 100.0)},
    )
    places = (
        Assignment(job="later", pool="default", segments=((2, 4),), emissions_g=10.0, reason="CleanerSlotAhead"),
        Assignment(job="sooner", pool="default", segments=((0, 1),), emissions_g=20.0, reason="StartsNow"),
    )
    return snapshot, Plan(method="window", emissions_g=30.0, solve_s=0.001, assignments=places, gap=0.0)


class ScriptedClient:
    """A `Client` that answers from memory and remembers what it was asked to change."""

    def __init__(self) -> None:
        self.clock = MIDNIGHT
        self.held: list[Job] = []
        self.quoted = make_quote()
        self.measured: dict[str, list[Measurement]] = {}
        self.booked: list[Receipt] = []
        self.told: dict[str, Underway] = {}
        self.output: list[bytes] = []
        self.cut: set[str] = set()
        self.found_forecast = make_forecast()
        self.current_plan: tuple[PlanSnapshot, Plan] | None = None
        self.known_workers: list[WorkerInfo] = []
        self.known_sources: list[SourceUse] = []
        self.submitted: list[tuple[JobFile, str | None, str]] = []
        self.cancelled: list[str] = []
        self.hurried: list[str] = []
        self.asked: list[tuple[Any, ...]] = []
        self.failure: Exception | None = None
        self.spoilt: dict[str, Exception] = {}

    def now(self) -> datetime:
        return self.clock

    def quote(self, file: JobFile) -> Quote:
        return self.quoted.model_copy(update={"name": file.spec.name, "tasks": file.spec.tasks})

    def submit(self, file: JobFile, *, job_id: str | None = None, submitter: str = "") -> Submitted:
        if error := self.spoilt.get(file.spec.name):
            raise error
        self.submitted.append((file, job_id, submitter))
        known = [one for one, given, _ in self.submitted[:-1] if job_id and given == job_id]
        return Submitted(job_id or f"{file.spec.name}-1", file.spec.tasks, not known, self.quote(file))

    def jobs(self, query: JobQuery) -> list[Job]:
        if self.failure:
            raise self.failure
        chosen = [
            job
            for job in sorted(self.held, key=lambda job: job.submitted_at, reverse=True)
            if (query.states is None or job.state in query.states)
            and query.project in (None, job.project)
            and query.array_id in (None, job.array_id)
        ]
        return chosen[query.offset : query.offset + query.limit]

    def rows(self, query: JobQuery) -> list[JobRow]:
        matching = self.jobs(query._replace(offset=0, limit=len(self.held)))
        names = [job.id if query.array_id else job.array_id or job.id for job in matching]
        return [self.row(name) for name in list(dict.fromkeys(names))[query.offset : query.offset + query.limit]]

    def row(self, name: str) -> JobRow:
        tasks = [job for job in self.held if name in (job.id, job.array_id)]
        said = {receipt.job_id: (receipt.emissions_g,) for receipt in self.booked}
        parts = [part_of(job, said.get(job.id)) for job in tasks]
        return row_of(name, parts, self.job(leader(parts)))

    def counts(self) -> dict[JobState, int]:
        return {state: sum(job.state is state for job in self.held) for state in JobState}

    def job(self, job_id: str) -> Job:
        found = [job for job in self.held if job.id.startswith(job_id)]
        if not found:
            raise JobNotFound(job_id)
        return found[0]

    def spec(self, job_id: str) -> JobSpec:
        return JobSpec(name=self.job(job_id).name, run="python train.py", deadline=86_400.0)

    def tasks(self, job_id: str) -> list[Job]:
        return [job for job in self.held if job.array_id == job_id] or [self.job(job_id)]

    def task_ids(self, job_id: str) -> list[str]:
        return [job.id for job in self.tasks(job_id)]

    def measurements(self, job_id: str) -> list[Measurement]:
        return self.measured.get(job_id, [])

    def receipt(self, job_id: str) -> Receipt | None:
        return next((receipt for receipt in self.booked if receipt.job_id == job_id), None)

    def underway(self, jobs: Iterable[Job]) -> dict[str, Underway]:
        return {job.id: self.told[job.id] for job in jobs if job.id in self.told}

    def explain(self, job_id: str) -> Explanation:
        job = self.job(job_id)
        waits = job.state not in TERMINAL
        return Explanation(job, self.quoted if waits else None, f"{job.id} waits for cleaner power.")

    def cancel(self, job_ids: Sequence[str]) -> list[Job]:
        self.cancelled += job_ids
        return [self.job(name).model_copy(update={"state": JobState.CANCELLED}) for name in job_ids]

    def run_now(self, job_ids: Sequence[str]) -> list[Job]:
        self.hurried += job_ids
        return [self.job(name).model_copy(update={"state": JobState.READY}) for name in job_ids]

    def wait(self, job_ids: Sequence[str], timeout_s: float | None = None) -> Iterator[Job]:
        self.asked.append(("wait", tuple(job_ids), timeout_s))
        for name in job_ids:
            yield from self.tasks(name)
        if self.failure:
            raise self.failure

    def events(self, after: str = "", *, limit: int = 1000, block_s: float = 0.0) -> list[Event]:
        return []

    def logs(self, job_id: str, *, follow: bool = False) -> Iterator[bytes]:
        self.asked.append(("logs", job_id, follow))
        yield from self.output

    def log_is_cut(self, job_id: str) -> bool:
        return job_id in self.cut

    def forecast(self, zone: str | None, hours: float) -> Forecast:
        self.asked.append(("forecast", zone, hours))
        return self.found_forecast

    def actual(self, zone: str | None, start: datetime, end: datetime) -> IntensitySeries:
        reading = CarbonIntensity(start=start, end=end, intensity_g_per_kwh=150.0, origin=Origin.MEASURED)
        return IntensitySeries(zone=zone or "GB", source="uk", readings=(reading,))

    def zones(self) -> list[ZoneInfo]:
        return [ZoneInfo("GB", ("uk", "typical"), "Great Britain"), ZoneInfo("FR", ("typical",), "France")]

    def sources(self) -> list[SourceUse]:
        return self.known_sources

    def plan(self) -> tuple[PlanSnapshot, Plan] | None:
        return self.current_plan

    def workers(self) -> list[WorkerInfo]:
        return self.known_workers

    def receipts(self, *, since: datetime | None = None, until: datetime | None = None) -> list[Receipt]:
        self.asked.append(("receipts", since, until))
        return [one for one in self.booked if (not since or one.finished_at >= since)]


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Cli:
    """`cli("status", "--json")` runs the command; `cli.client` is what it talks to, `cli.house` the bootstrap."""

    client: ScriptedClient = field(default_factory=ScriptedClient)
    flags: Mapping[str, object] = field(default_factory=dict)
    house: SimpleNamespace = field(default_factory=SimpleNamespace)
    parts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parts["bootstrap"] = self.house
        self.house.settings = self._settings
        self.house.client = self.house.grid = lambda settings: self.client

    def _settings(self, flags: Mapping[str, object]) -> object:
        self.flags = flags
        return flags

    def __call__(self, *words: str, text: str | None = None, env: Mapping[str, str] | None = None) -> Answer:
        done = CliRunner().invoke(app, list(words), obj=self.parts, input=text, env=env)
        return Answer(done.exit_code, done.stdout, done.stderr)

    def holds(self, *jobs: Job) -> None:
        self.client.held += jobs


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A queue that is empty and a clock that stands at MIDNIGHT, in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setenv("COLUMNS", "100")
    return Cli()
