"""The one place that names adapters and puts the parts together. Each part is imported only where it is wanted."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from carbonq.config import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from carbonq.client import Catalogue, Client, Grid
    from carbonq.domain.carbon import Forecast, IntensitySeries, Zone
    from carbonq.domain.energy import PowerProfile
    from carbonq.domain.job import Lease
    from carbonq.domain.ports import Board, CarbonOutlook, EnergyPredictor, IntensitySource, Revised
    from carbonq.domain.progress import Pace, Progress
    from carbonq.domain.time import Clock, TimeMapping
    from carbonq.forecasters.carbon.foresight.feature_feed import FeatureSource
    from carbonq.forecasters.carbon.models.series import CarbonModel
    from carbonq.forecasters.carbon.outlook import Outlook
    from carbonq.scheduler.bundles import Margin
    from carbonq.scheduler.ledger import RedisLedger
    from carbonq.scheduler.queue.board import RedisBoard
    from carbonq.scheduler.queue.connection import Store
    from carbonq.scheduler.queue.logtail import RedisLogTail
    from carbonq.scheduler.queue.redis_queue import RedisQueue
    from carbonq.scheduler.queue.server import EmbeddedServer
    from carbonq.settings import Settings
    from carbonq.supervisor import Supervisor
    from carbonq.workers.agent import Agent
    from carbonq.workers.settings import KeepaliveFor

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def settings(flags: Mapping[str, object] | None = None, *, env: Mapping[str, str] | None = None) -> Settings:
    """The settings in force. Raises InvalidInput."""
    return load_settings(flags, env)


# --- the queue


class Adapters(NamedTuple):
    """The queue's adapters on one server and namespace, and the clock that this queue runs on.

    `speed`: grid seconds a real second; other than 1 in a replay only.
    """

    store: Store
    queue: RedisQueue
    board: RedisBoard
    ledger: RedisLedger
    log_tail: RedisLogTail
    clock: Clock
    speed: float


def server(settings: Settings) -> EmbeddedServer:
    """The private server of this user and data folder, running or not."""
    from carbonq.scheduler.queue.server import EmbeddedServer, socket_for

    folder = settings.data_dir / "server"
    return EmbeddedServer(folder, socket=socket_for(folder, settings.runtime_dir))


def url(settings: Settings) -> str:
    """The configured server, else the private one's socket."""
    return settings.redis_url or server(settings).url


def adapters(settings: Settings) -> Adapters:
    """Connected: the server is there and fit. Raises QueueUnreachable and QueueRefused."""
    from carbonq.clock import clock_for
    from carbonq.scheduler.ledger import RedisLedger
    from carbonq.scheduler.queue.board import RedisBoard
    from carbonq.scheduler.queue.connection import Store
    from carbonq.scheduler.queue.logtail import RedisLogTail
    from carbonq.scheduler.queue.redis_queue import RedisQueue

    store = Store.connect(url(settings), namespace=settings.namespace)
    board = RedisBoard(store)
    mapping = board.time_mapping()
    speed = mapping.speed if mapping else 1.0
    return Adapters(store, RedisQueue(store), board, RedisLedger(store), RedisLogTail(store), clock_for(mapping), speed)


def put_time_mapping(settings: Settings, mapping: TimeMapping | None) -> None:
    """Run this queue on a replayed grid time, or on the clock's own again. For the processes that start from now on."""
    adapters(settings).board.put_time_mapping(mapping)


# --- foresight


def outlook(settings: Settings, board: RedisBoard | None) -> Outlook:
    """The configured sources in their order, with the last forecast on the board as a stand-in."""
    from carbonq.forecasters.carbon.outlook import Outlook
    from carbonq.forecasters.carbon.registry import make_sources

    sources, unusable = make_sources(settings)
    for word, error in unusable:
        logging.getLogger("carbonq").warning("the source %s is left out: %s (%s)", word, error.what, error.hint)
    last_good = board.forecast if board is not None else lambda _zone: None
    made = Outlook(sources, last_good=last_good, slot_s=settings.slot_minutes * 60, signal=settings.signal)
    if made.skipped:
        names = ", ".join(source.name for source in made.skipped)
        logging.getLogger("carbonq").info("not asked, as `signal: %s` is set: %s", settings.signal, names)
    return made


def asked_sources(settings: Settings) -> list[str]:
    """The names of the configured sources that can be asked and have the wanted signal, in their order."""
    from carbonq.forecasters.carbon.outlook import Outlook
    from carbonq.forecasters.carbon.registry import make_sources

    sources, _ = make_sources(settings)
    skipped = Outlook(sources, signal=settings.signal).skipped
    return [source.name for source in sources if source not in skipped]


class OnDemand:
    """A client's outlook. Most commands find what they need on the board: the sources are set up when one is asked."""

    def __init__(self, make: Callable[[], Outlook]) -> None:
        self._make = make

    @cached_property
    def _outlook(self) -> Outlook:
        return self._make()

    def refresh(self, zone: Zone, now: datetime, end: datetime) -> None:
        self._outlook.refresh(zone, now, end)

    def refit(self, now: datetime, *, limit: int) -> int:
        return self._outlook.refit(now, limit=limit)

    def keep_up(self, now: datetime) -> None:
        self._outlook.keep_up(now)

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        return self._outlook.history(zone, start, end)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        return self._outlook.forecast(zone, now, end)

    def revised(self, since: datetime) -> Sequence[Revised]:
        return self._outlook.revised(since)


def catalogue(settings: Settings) -> Catalogue:
    """The configured sources and the zones they list; asks those whose list is the provider's."""
    from carbonq.client import Catalogue, SourceUse
    from carbonq.forecasters.carbon.outlook import Outlook
    from carbonq.forecasters.carbon.registry import make_sources

    sources, unusable = make_sources(settings)
    asked = Outlook(sources, signal=settings.signal)
    found = asked.catalogue()
    problems = {problem.source: str(problem) for problem in found.problems}
    counts = Counter(name for names in found.sources.values() for name in names)
    uses = [
        SourceUse(source.name, source.info, counts[source.name], problems.get(source.name, _why_skipped(source, asked)))
        for source in sources
    ]
    left_out = (SourceUse(word, None, 0, f"{error.what}; {error.hint}") for word, error in unusable)
    return Catalogue(found.sources, (*uses, *left_out))


def _why_skipped(source: IntensitySource, asked: Outlook) -> str:
    return (
        f"its signal is {source.info.signal}; `signal: {source.info.signal}` would use it"
        if source in asked.skipped
        else ""
    )


FORECAST_NEEDS = ("numpy", "pyarrow")
"""The packages without which nothing is archived and no model learns: forecasts are then the source's own, or typical."""


def lacks_for_forecasts() -> tuple[str, ...]:
    """Which of them are not installed."""
    from importlib.util import find_spec

    return tuple(name for name in FORECAST_NEEDS if find_spec(name) is None)


def foresight(settings: Settings, board: RedisBoard | None) -> CarbonOutlook:
    """The outlook with the archive of readings and the models that learn from it, where the packages for them are there."""
    simple = outlook(settings, board)
    if lacking := lacks_for_forecasts():
        logging.getLogger("carbonq").warning(
            "without %s no readings are kept and no model learns: pip install 'carbonq[forecast]'",
            " and ".join(lacking),
        )
        return simple
    from carbonq.forecasters.carbon.foresight import Foresight

    return Foresight(simple, archive_folder(settings), _carbon_model, features=list(_features(settings, simple)))


def _features(settings: Settings, outlook: Outlook) -> Iterator[FeatureSource]:
    """What models may learn from beside the readings: the weather where it is wanted, and what ENTSO-E expects where it is a source."""
    if settings.weather == "open-meteo":
        from carbonq.forecasters.carbon.weather import open_meteo

        yield open_meteo(settings.open_meteo_url)
    if "entsoe" in settings.sources:
        from carbonq.forecasters.carbon.sources.entsoe import DayAhead, EntsoeSource

        yield from (DayAhead(source) for source in outlook.measuring if isinstance(source, EntsoeSource))


def archive_folder(settings: Settings) -> Path:
    return settings.data_dir / "carbon"


def _carbon_model(step_s: int) -> CarbonModel:
    from carbonq.forecasters.carbon.models.zone_model import ZoneModel

    return ZoneModel(step_s=step_s)


def predictor(settings: Settings, board: Board, speed: float) -> EnergyPredictor:
    """What clients foretell with and the scheduler teaches: the model that lies on the board."""
    from carbonq.forecasters.energy.predictor import ModelPredictor

    return ModelPredictor(board, default_duration_s=settings.default_duration_s, speed=speed)


def _pace(profile: PowerProfile, progress: Progress, now: datetime) -> Pace | None:
    """See `carbonq.forecasters.energy.inflight`, which most commands do not need."""
    from carbonq.forecasters.energy.inflight import pace

    return pace(profile, progress, now)


# --- the client


def client(settings: Settings) -> Client:
    """A client of the configured queue. Raises QueueUnreachable where nothing answers."""
    from carbonq.queue_client import ClientSettings, QueueClient
    from carbonq.scheduler.planner.first_come import FirstComePlanner

    on = adapters(settings)
    on_demand = OnDemand(lambda: outlook(settings, on.board))
    return QueueClient(
        ClientSettings(
            zone=settings.zone,
            slot_s=settings.slot_minutes * 60,
            horizon_s=settings.horizon_hours * 3600,
            fresh_s=2 * settings.refresh_s,
            margin=_margin(settings),
        ),
        queue=on.queue,
        board=on.board,
        ledger=on.ledger,
        log_tail=on.log_tail,
        clock=on.clock,
        planner=FirstComePlanner(),
        outlook=on_demand,
        catalogue=cache(lambda: catalogue(settings)),
        predictor=predictor(settings, on.board, on.speed),
        pace_maker=_pace,
    )


def grid(settings: Settings) -> Grid:
    """What can be asked of the grid: through the queue, where its server answers, else of the sources themselves."""
    from carbonq.clock import SystemClock
    from carbonq.domain.errors import QueueUnreachable
    from carbonq.grid_client import GridClient, GridSettings

    try:
        return client(settings)
    except QueueUnreachable:
        on_demand = OnDemand(lambda: outlook(settings, None))
        of_sources = GridSettings(settings.zone, 2 * settings.refresh_s)
        return GridClient(
            of_sources, clock=SystemClock(), outlook=on_demand, catalogue=cache(lambda: catalogue(settings))
        )


# --- the services


def run_worker(settings: Settings) -> None:
    """Work until a signal says stop.

    SIGTERM leaves running jobs to their shims, for the next worker to find; SIGINT waits for them, and a second one leaves them.
    """
    from carbonq.supervisor import end_with_parent
    from carbonq.workers.agent import StopMode

    _log_to_stderr()
    agent = _agent(settings, adapters(settings))
    interrupts = iter((StopMode.WAIT, StopMode.LEAVE))
    signal.signal(signal.SIGTERM, lambda *_: agent.stop(StopMode.LEAVE))
    signal.signal(signal.SIGINT, lambda *_: agent.stop(next(interrupts, StopMode.LEAVE)))
    end_with_parent()
    agent.run()


def worker_dir(settings: Settings) -> Path:
    """Where this machine's worker keeps its attempts, logs and calibration."""
    return settings.data_dir / "worker"


def _agent(settings: Settings, on: Adapters) -> Agent:
    from carbonq.workers.agent import Agent
    from carbonq.workers.settings import YEAR_S, WorkerSettings

    return Agent(
        WorkerSettings(
            data_dir=worker_dir(settings),
            zone=settings.zone,
            pool=settings.pool,
            cpus=settings.worker_cpus,
            use_gpus=settings.worker_gpus == "all",
            secrets_dir=settings.secrets_dir,
            lease_s=settings.lease_s,
            max_wait_s=settings.poll_s,
            log_limit_b=settings.log_limit_b,
            pue=settings.worker_pue,
            embodied_g=None if settings.worker_embodied_kg is None else settings.worker_embodied_kg * 1e3,
            lifetime_s=settings.worker_lifetime_years * YEAR_S,
        ),
        queue=on.queue,
        board=on.board,
        log_tail=on.log_tail,
        clock=on.clock,
        keepalive=_keepalive(settings, on.queue),
    )


def _keepalive(settings: Settings, queue: RedisQueue) -> KeepaliveFor:
    """How an attempt's shim renews its lease while no worker is there."""
    from redis.connection import parse_url

    from carbonq.workers.settings import Keepalive

    place: Mapping[str, Any] = parse_url(url(settings))  # type: ignore[no-untyped-call]  # redis-py's own parser, untyped

    def keepalive(lease: Lease, lease_s: float) -> Keepalive:
        return Keepalive(
            command=queue.keepalive_command(lease, lease_s),
            unix_socket=place.get("path"),
            host=place.get("host", "127.0.0.1"),
            port=place.get("port", 6379),
            database=int(place.get("db", 0)),
            username=place.get("username"),
            password=place.get("password"),
            tls=url(settings).startswith("rediss://"),
            tls_ca_file=place.get("ssl_ca_certs"),
        )

    return keepalive


def run_scheduler(settings: Settings) -> None:
    """Plan, recover and account until a signal says stop.

    Where no other server is configured, starts the private one, and again should it be killed.
    """
    from carbonq.scheduler.queue.server_watch import kept_up
    from carbonq.supervisor import end_with_parent

    _log_to_stderr()
    _keep_to_one_core()
    private = server(settings) if settings.redis_url is None else None
    if private is not None:
        logging.getLogger("carbonq").info("private server at %s", private.start())
    stop = _stop_on_signals()
    end_with_parent()
    try:
        with kept_up(private) if private is not None else nullcontext():
            _serve(settings, stop)
    finally:
        if private is not None:
            private.stop()


def _keep_to_one_core() -> None:
    """Before numpy is loaded: its linear algebra would spread each small fit over all cores, where threads that wait for each
    other beside running jobs make it nine times slower (measured on two busy cores: 18 s instead of 2 s)."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _serve(settings: Settings, stop: threading.Event) -> None:
    from carbonq.scheduler.planner.first_come import FirstComePlanner
    from carbonq.scheduler.service import SchedulerService, SchedulerSettings

    on = adapters(settings)
    SchedulerService(
        SchedulerSettings(
            zone=settings.zone,
            slot_s=settings.slot_minutes * 60,
            horizon_s=settings.horizon_hours * 3600,
            margin=_margin(settings),
            refresh_grid_s=settings.refresh_s,
            replan_grid_s=settings.replan_s,
            keep_real_s=settings.retention_s,
        ),
        queue=on.queue,
        board=on.board,
        ledger=on.ledger,
        clock=on.clock,
        planner=FirstComePlanner(),
        outlook=foresight(settings, on.board),
        predictor=predictor(settings, on.board, on.speed),
        pace_maker=_pace,
    ).run(stop)


def _margin(settings: Settings) -> Margin:
    from carbonq.scheduler.bundles import Margin

    return Margin(settings.deadline_margin_rel, settings.deadline_margin_min_s)


def services(env: Mapping[str, str], logs: Path, tell: Callable[[str], None]) -> Supervisor:
    """The scheduler and one worker, to be kept running with `env` as children of this process.

    On one machine people mean by `python` the one that carbonq lives with, activated or not: it leads their PATH.
    """
    from carbonq.supervisor import Supervisor

    program = [sys.executable, "-m", "carbonq"]
    path = os.pathsep.join((os.path.dirname(sys.executable), env.get("PATH", os.defpath)))  # noqa: PTH120  # a text among texts
    commands = {"scheduler": [*program, "scheduler"], "worker": [*program, "worker"]}
    return Supervisor(commands, {**env, "PATH": path}, logs, tell)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    # of a step that takes longer than its turn, as with a slow provider, it would warn at each turn
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
