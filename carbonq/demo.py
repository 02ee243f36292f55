"""`make demo`: the real loop, small and quick. Real jobs, a real queue, scheduler and worker; only the grid's day is replayed.

Every shortcut is told: the day is a typical one, grid time runs faster than the clock, and the "actual" intensity is the
forecast with a seeded error.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

from carbonq import bootstrap, jobfile, reports
from carbonq.client import Client, Submitted
from carbonq.clock import real_now
from carbonq.domain.carbon import Forecast, IntensitySeries, Origin
from carbonq.domain.errors import CarbonqError, NotFound
from carbonq.domain.job import TERMINAL, Job, JobState
from carbonq.domain.ports import JobQuery
from carbonq.domain.receipt import Receipt, ReceiptStatus
from carbonq.domain.time import TimeMapping
from carbonq.domain.units import format_duration
from carbonq.reports.format import mass
from carbonq.scheduler.queue.server import EmbeddedServer
from carbonq.supervisor import Supervisor

ZONE = "CISO"
ZONE_NAME = "California"
LOCAL = timezone(timedelta(hours=-7), "PDT")
EVENING = datetime(2025, 6, 10, 20, 0, tzinfo=LOCAL)
"""A Tuesday in June after sunset: the dirtiest hour of a typical summer day in California, the cleanest half a day away."""
SPEED = 1200.0
ERROR_REL, SEED = 0.08, 1
EXAMPLES = ("digits.yaml", "digits-sweep.yaml", "cancer.yaml")
READY_S, RUN_S, BOOKED_S = 20.0, 85.0, 10.0
"""Longest waits for the services, for the jobs, and for their receipts; together below two minutes."""

Tell = Callable[[str], None]


class Scene(NamedTuple):
    """What the demo has set up: a client, and whatever keeps it running."""

    client: Client
    supervisor: Supervisor


def run(out: Path, tell: Tell, show: Callable[[str], None]) -> Path:
    """Run the demo; `tell` gets what happens, `show` the report. Returns the report's page. Raises CarbonqError."""
    examples = example_files()
    _announce(tell)
    with (
        tempfile.TemporaryDirectory(prefix="carbonq-demo-", ignore_cleanup_errors=True) as folder,
        _services(Path(folder), tell) as scene,
    ):
        foreseen = scene.client.forecast(ZONE, 24)
        submitted = [_submit(scene.client, path, tell) for path in examples]
        _follow(scene, foreseen, tell)
        receipts = _receipts(scene.client, sum(one.tasks for one in submitted))
        return _report(scene.client, receipts, foreseen, out, show)


def example_files() -> list[Path]:
    """The example jobs: of the checkout that is worked in, or of the one that carbonq is installed from."""
    for root in (Path.cwd(), Path(__file__).resolve().parents[1]):
        folder = root / "configs" / "examples"
        if all((folder / name).exists() for name in EXAMPLES):
            return [folder / name for name in EXAMPLES]
    raise NotFound(
        "the demo's example jobs are not here", hint="run it in a checkout of carbonq: git clone, then make demo"
    )


def _announce(tell: Tell) -> None:
    tell(f"""carbonq demo: real training jobs on a replayed grid day ({ZONE_NAME}, zone {ZONE}).

What is real: the queue, the scheduler, the worker, the jobs, and the energy as far as this
machine tells it. What is not: the day is a typical June day, {SPEED:.0f} times as fast as the clock.
Past and "actual" intensity are the bundled typical profile with a seeded error of about {ERROR_REL:.0%}
(seed {SEED}); the forecast learns from that past as it would from a real one.
""")


@contextmanager
def _services(folder: Path, tell: Tell) -> Iterator[Scene]:
    """The embedded server, the scheduler and a worker on the replayed day."""
    began = time.monotonic()
    server = EmbeddedServer(folder / "data")
    server.start()
    env = _child_env(folder, server.url)
    settings = bootstrap.settings({}, env=env)
    bootstrap.put_time_mapping(
        settings, TimeMapping(real_epoch=real_now(), grid_epoch=EVENING.astimezone(UTC), speed=SPEED)
    )
    supervisor = bootstrap.services(env, folder / "logs", tell)
    supervisor.start()
    try:
        client = bootstrap.client(settings)
        _until(lambda: bool(client.workers()), "the worker", supervisor)
        tell(f"Valkey, scheduler and worker are up after {time.monotonic() - began:.1f} s.")
        if not bootstrap.lacks_for_forecasts():
            _until(lambda: client.forecast(ZONE, 24).origin is Origin.FORECAST, "the forecast", supervisor)
            tell(f"The forecast has learnt from the replayed past after {time.monotonic() - began:.1f} s.")
        tell("")
        yield Scene(client, supervisor)
    finally:
        supervisor.stop()
        server.stop()


def _child_env(folder: Path, url: str) -> dict[str, str]:
    """Nothing of the user's own settings: the demo is the same everywhere, and touches nobody's queue."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CARBONQ_")}
    return kept | {
        "XDG_CONFIG_HOME": str(folder / "config"),
        "CARBONQ_REDIS_URL": url,
        "CARBONQ_NAMESPACE": "demo",
        "CARBONQ_DATA_DIR": str(folder / "data"),
        "CARBONQ_RUNTIME_DIR": str(folder / "run"),
        "CARBONQ_ZONE": ZONE,
        "CARBONQ_SOURCES": f"replay:error={ERROR_REL}:typical",
        "CARBONQ_WORKER_CPUS": "2",
        "CARBONQ_WORKER_GPUS": "none",
    }


def _until(condition: Callable[[], bool], what: str, supervisor: Supervisor) -> None:
    give_up = time.monotonic() + READY_S
    while not condition():
        supervisor.watch()
        if time.monotonic() > give_up:
            logs = "\n".join(
                f"{name}: {supervisor.log_of(name).read_text(errors='replace')[-600:]}"
                for name in ("scheduler", "worker")
            )
            raise CarbonqError(f"{what} did not come up within {READY_S:.0f} s", where=logs.strip())
        time.sleep(0.05)


def _submit(client: Client, path: Path, tell: Tell) -> Submitted:
    submitted = client.submit(jobfile.load(path), submitter="demo")
    quote = submitted.quote
    what = f"{quote.name}, {submitted.tasks} tasks: from" if submitted.tasks > 1 else f"{quote.name}:"
    tell(f"$ carbonq submit {path.parent.name}/{path.name}")
    tell(f"  {what} {_clock(quote.planned_start)}, deadline {_clock(quote.deadline)}")
    tell(f"  {mass(quote.emissions_planned_g)} instead of {mass(quote.emissions_now_g)} now")
    return submitted


def _follow(scene: Scene, foreseen: Forecast, tell: Tell) -> None:
    """Progress until every job has ended: one line in place on a terminal, a line for each change elsewhere."""
    tell("")
    give_up = time.monotonic() + RUN_S
    live = sys.stderr.isatty()
    last = ""
    while True:
        scene.supervisor.watch()
        jobs = scene.client.jobs(JobQuery(limit=1000))
        line = _progress(scene.client.now(), foreseen, jobs)
        if live:
            print(f"\r\x1b[2K{line}", end="", file=sys.stderr, flush=True)
        elif (counts := line.rpartition("  ")[2]) != last:
            last = counts
            tell(line)
        if all(job.state in TERMINAL for job in jobs):
            break
        if time.monotonic() > give_up:
            raise CarbonqError(
                f"the jobs did not end within {RUN_S:.0f} s",
                where=line,
                hint="the machine may be very busy; run it again",
            )
        time.sleep(0.2)
    if live:
        print(file=sys.stderr)
    _tell_failures(jobs, scene.client, tell)


def _tell_failures(jobs: Sequence[Job], client: Client, tell: Tell) -> None:
    for job in jobs:
        if job.state is not JobState.SUCCEEDED:
            tell(f"{job.id} {job.state}: {job.error}")
            tell(b"".join(client.logs(job.id)).decode(errors="replace")[-500:])


BARS = "▁▂▃▄▅▆▇█"


def _progress(now: datetime, forecast: Forecast, jobs: Sequence[Job]) -> str:
    """`06:30 PDT  208 g/kWh  ▇█▇▆▅▄▂▁▁▂▃  waiting 7, running 1, done 0`; the bar of the present hour stands between marks."""
    values = forecast.median_g_per_kwh[::2]
    low, high = min(values), max(values)
    here = forecast.grid.index(now) // 2
    scaled = [BARS[int((value - low) / (high - low or 1) * (len(BARS) - 1))] for value in values]
    curve = "".join(f"[{bar}]" if index == here else bar for index, bar in enumerate(scaled))
    running = sum(job.state is JobState.RUNNING for job in jobs)
    done = sum(job.state in TERMINAL for job in jobs)
    expected = forecast.at(now)
    intensity = f"{expected:3.0f} g/kWh" if expected is not None else "  ? g/kWh"
    return f"{now.astimezone(LOCAL):%H:%M} PDT  {intensity}  {curve}  waiting {len(jobs) - running - done}, running {running}, done {done}"


def _receipts(client: Client, expected: int) -> list[Receipt]:
    """All receipts, settled if they are within a few seconds."""
    give_up = time.monotonic() + BOOKED_S
    while True:
        receipts = client.receipts()
        settled = [receipt for receipt in receipts if receipt.status is ReceiptStatus.SETTLED]
        if len(settled) >= expected or time.monotonic() > give_up:
            return receipts
        time.sleep(0.1)


def _report(
    client: Client, receipts: Sequence[Receipt], foreseen: Forecast, out: Path, show: Callable[[str], None]
) -> Path:
    start, end = EVENING.astimezone(UTC), client.now()
    actual: tuple[IntensitySeries, ...] = ()
    with suppress(CarbonqError):
        actual = (client.actual(ZONE, start, end),)
    notes = (
        f"A demo: a typical June day of {ZONE_NAME}, replayed {SPEED:.0f} times as fast as the clock.",
        f'The "actual" intensity is the typical profile with a seeded error of about {ERROR_REL:.0%} (seed {SEED}): it is not a measurement.',
        f"The jobs ran for seconds; on the replayed clock a second is {format_duration(SPEED)}. Energy is real and never scaled.",
    )
    show(
        reports.render(
            receipts, "table", by="job", zone=LOCAL, issued_at=client.now(), title="carbonq demo", notes=notes
        )
    )
    page = out / "demo-report.html"
    page.write_text(
        reports.render(
            receipts,
            "html",
            by="job",
            intensity=actual,
            forecasts=(foreseen,),
            zone=LOCAL,
            issued_at=client.now(),
            title="carbonq demo",
            notes=notes,
        ),
        encoding="utf-8",
    )
    return page


def _clock(moment: datetime) -> str:
    local = moment.astimezone(LOCAL)
    return f"{local:%H:%M} PDT" if local.date() == EVENING.date() else f"{local:%H:%M} PDT tomorrow"
