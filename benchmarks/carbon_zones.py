"""What it costs to forecast many zones for one scheduler: time to learn and to answer, and memory.

    python benchmarks/carbon_zones.py [--zones 200] [--step-minutes 60] [--json]

Each zone has two years of made-up readings (a day and a year, weather that comes and goes, seeded noise) that go through the
archive, the nightly fit and the forecast as in the service, in one process and in one thread, with one thread of linear algebra.
"""

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import NamedTuple

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # as the scheduler sets it

import numpy as np

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, SourceInfo, Zone
from carbonq.domain.errors import NotFound
from carbonq.domain.time import to_ms
from carbonq.forecasters.carbon.foresight import Foresight
from carbonq.forecasters.carbon.models.series import FloatArray
from carbonq.forecasters.carbon.models.zone_model import ZoneModel
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.forecasters.carbon.readings import Row, series_of

NOW = datetime(2026, 7, 1, 6, tzinfo=UTC)
YEARS, WEEK = timedelta(days=730), timedelta(days=7)


class Figure(NamedTuple):
    what: str
    value: float
    unit: str
    most: float | None = None


class MadeUp:
    """Readings of any number of zones, up to the present. It publishes no forecast."""

    name = "made-up"

    def __init__(self, zones: int, step: timedelta) -> None:
        self._zones, self._step = tuple(f"Z{number}" for number in range(zones)), step
        self.info = SourceInfo(
            name=self.name,
            title="made-up readings",
            resolution_s=int(step.total_seconds()),
            history_s=int(YEARS.total_seconds()),
            licence="none",
            attribution="made up",
        )

    def zones(self) -> Sequence[Zone]:
        return self._zones

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        step_ms = int(self._step.total_seconds() * 1000)
        first, last = -(-to_ms(start) // step_ms), to_ms(end) // step_ms
        values = intensity(int(zone[1:]), np.arange(first, last, dtype=np.float64) * (step_ms / 1000))
        moment = datetime.fromtimestamp(first * step_ms / 1000, UTC)
        rows = [
            Row(moment + k * self._step, moment + (k + 1) * self._step, round(float(value), 2))
            for k, value in enumerate(values)
        ]
        return series_of(zone, rows, Origin.MEASURED, self.info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:  # noqa: ARG002  # the port's call
        raise NotFound("made-up publishes no forecast")


def intensity(seed: int, seconds: FloatArray) -> FloatArray:
    """The same for the same moment, in whatever portions it is asked for; g/kWh. `seconds` count from 1970."""
    draw = np.random.default_rng(seed)
    days = seconds / 86_400
    weather = np.zeros(len(days))
    for period, phase in zip(draw.uniform(1.3, 9.0, 12), draw.uniform(0, 1, 12), strict=True):
        weather += np.sin(2 * np.pi * (days / period + phase))
    noise = np.modf(np.sin(seconds / 1800 * 12.9898 + seed) * 43758.5453)[0]  # a hash of the moment
    found: FloatArray = (
        300 + 60 * np.cos(2 * np.pi * days) + 40 * np.cos(2 * np.pi * days / 365.25) + 20 * weather + 10 * noise
    )
    return np.maximum(found, 5.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zones", type=int, default=200)
    parser.add_argument("--step-minutes", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cq-") as folder:
        figures = measured(options.zones, timedelta(minutes=options.step_minutes), Path(folder))
    if options.json:
        print(json.dumps([figure._asdict() for figure in figures], indent=1))
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{options.zones} zones, two years of readings each, every {options.step_minutes} min")
    for what, value, unit, most in figures:
        print(f"{what:<48} {value:>9.3f} {unit:<4}" + (f" at most {most:g}" if most else ""))


def measured(zones: int, step: timedelta, folder: Path) -> list[Figure]:
    source = MadeUp(zones, step)
    # a timer that leaps: the service spreads the past of many zones over many rounds, here it may all come at once
    foresight = Foresight(Outlook([source]), folder, ZoneModel, timer=count(step=1000.0).__next__)
    began_s = time.perf_counter()
    for zone in source.zones():
        backfill(foresight, source, zone)
    filled_s = time.perf_counter() - began_s
    began_s, fitted = time.perf_counter(), 0
    while more := foresight.refit(NOW, limit=10):
        fitted += more
    fitted_s = time.perf_counter() - began_s
    later = NOW + step
    forecasts_s = [timed(partial(foresight.forecast, zone, NOW, NOW + WEEK)) for zone in source.zones()]
    updates_s = [timed(partial(foresight.refresh, zone, later, later + WEEK)) for zone in source.zones()]
    return [
        Figure("zones fitted", fitted, ""),
        Figure("two years of one zone into the archive", filled_s / zones, "s"),
        Figure("one zone's fit, mean", fitted_s / max(fitted, 1), "s", 5),
        Figure("all zones' fit, in one thread", fitted_s / 60, "min", 10),
        Figure("one forecast of a week, median", median(forecasts_s), "s", 0.2),
        Figure("one more reading, asked, archived and laid out, median", median(updates_s), "s"),
        Figure("memory at its highest", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "GiB", 1),
    ]


def backfill(foresight: Foresight, source: MadeUp, zone: Zone) -> None:
    """As the service does, round after round, until all of the past is known."""
    for _ in range(100):
        foresight.refresh(zone, NOW, NOW + WEEK)
        if foresight.history(zone, NOW - YEARS, NOW - YEARS + timedelta(days=2)).readings:
            return
    raise SystemExit(f"{source.name}: {zone} is not there after 100 rounds")


def timed(step: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    step()
    return time.perf_counter() - began_s


if __name__ == "__main__":
    main()
