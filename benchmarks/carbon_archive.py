"""What the archive of readings and the record of forecasts cost: time for each step, and room on the disk.

    python benchmarks/carbon_archive.py [--zones 200] [--json]

Half-hourly readings of two years, in a temporary folder, with the file system's own fsync. Each figure is a median, with the
slowest beside it.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from carbonq.domain.carbon import CarbonIntensity, Forecast, IntensitySeries, Origin
from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.archive import Archive, SeriesKey
from carbonq.forecasters.carbon.models.series import QUANTILES
from carbonq.forecasters.carbon.record import EVERY, KEEP, Record

NOW, STEP = datetime(2026, 7, 1, tzinfo=UTC), timedelta(minutes=30)
YEARS = timedelta(days=730)


class Figure(NamedTuple):
    what: str
    value: float
    worst: float | None
    unit: str
    limit: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zones", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cq-") as folder:
        figures = [*one_zone(Path(folder, "one")), *many_zones(Path(folder, "many"), options.zones)]
        figures += record(Path(folder, "record"))
    if options.json:
        print(json.dumps([figure._asdict() for figure in figures], indent=1))
    else:
        for what, value, worst, unit, limit in figures:
            slowest = f"slowest {worst:.1f} {unit}" if worst is not None else ""
            wanted = f"(at most {limit:g})" if limit else ""
            print(f"{what:<56} {value:>8.2f} {unit:<3} {slowest:<20} {wanted}")


def one_zone(folder: Path) -> list[Figure]:
    archive, history = Archive(folder), series("GB", NOW - YEARS, YEARS // STEP)
    key = SeriesKey.of(history)
    backfilled = timed("keep two years that were backfilled", lambda _: archive.add(history, NOW), 1)
    size_kb = sum(file.stat().st_size for file in folder.rglob("*.parquet")) / 1000
    added = timed(
        "keep one more reading",
        lambda index: archive.add(series("GB", NOW + index * STEP, 1), NOW + (index + 1) * STEP),
        300,
        limit=5,
    )
    bare = timed("... of which the disk takes to sync a file of that size", lambda _: sync(folder / "bare"), 100)
    again = series("GB", NOW - timedelta(hours=48), 96)
    return [
        backfilled,
        added,
        bare,
        timed("see that two days asked for again have not changed", lambda _: archive.add(again, NOW), 100),
        timed("read two years on a grid", lambda _: archive.readings(key, 1800, NOW - YEARS, NOW), 50, limit=50),
        timed("read eight days on a grid", lambda _: archive.readings(key, 1800, NOW - timedelta(days=8), NOW), 50),
        timed("tell the coverage of two years", lambda _: archive.coverage(key), 50),
        Figure("two years of one zone on the disk", size_kb, None, "kB"),
    ]


def many_zones(folder: Path, zones: int) -> list[Figure]:
    archive, history = Archive(folder), series("Z", NOW - YEARS, YEARS // STEP)
    day = series("Z", NOW, 48)
    for number in range(zones):
        named = {"zone": f"Z{number}"}
        archive.add(history.model_copy(update=named), NOW)
        archive.add(day.model_copy(update=named), NOW + timedelta(days=1))
    began = time.perf_counter()
    archive.compact()
    took_s = time.perf_counter() - began
    return [
        Figure(f"compact a day of {zones} zones with two years each", took_s, None, "s"),
        timed(f"list the series of {zones} zones", lambda _: archive.keys(), 10),
    ]


def record(folder: Path) -> list[Figure]:
    past, days = Record(folder), KEEP // timedelta(days=1)
    kept = timed("keep a forecast of four days", lambda index: past.keep(forecast(NOW + index * EVERY)), days * 4)
    past.compact(NOW + KEEP)
    since = NOW + KEEP - timedelta(days=14)
    size_mb = sum(file.stat().st_size for file in folder.rglob("*.parquet")) / 1e6
    return [
        kept,
        timed("read the forecasts of 14 days", lambda _: past.issued("GB", since, NOW + KEEP), 20),
        Figure("120 days of one zone's forecasts on the disk", size_mb, None, "MB"),
    ]


def sync(path: Path) -> None:
    """What any writer has to do for a file to be whole after a power failure."""
    with path.open("wb") as stream:
        stream.write(b"x" * 3000)
        stream.flush()
        os.fsync(stream.fileno())
    path.replace(path.with_suffix(".there"))


def series(zone: str, start: datetime, count: int) -> IntensitySeries:
    """A day's shape and noise, to a tenth of a gram. The same moment has the same value whatever the span."""
    steps = np.arange(count) + int(start.timestamp() // STEP.total_seconds())
    values = np.round(200 + 60 * np.cos(steps / 48 * 2 * np.pi) + (steps * 7919 % 400) / 10, 1)
    readings = (
        CarbonIntensity(
            start=start + index * STEP,
            end=start + (index + 1) * STEP,
            intensity_g_per_kwh=float(value),
            origin=Origin.MEASURED,
        )
        for index, value in enumerate(values)
    )
    return IntensitySeries(zone=zone, source="uk", readings=tuple(readings))


def forecast(issued_at: datetime) -> Forecast:
    grid = SlotGrid(start=issued_at, slots=4 * 48)
    rng = np.random.default_rng(int(issued_at.timestamp()))
    median_g_per_kwh = 250 + np.cumsum(rng.normal(0, 5, grid.slots))
    spread = np.sqrt(np.arange(1, grid.slots + 1))
    quantiles = {str(each): tuple((median_g_per_kwh + (each - 0.5) * spread * 9).tolist()) for each in QUANTILES}
    return Forecast(
        zone="GB",
        source="uk",
        model="carbonq",
        origin=Origin.FORECAST,
        issued_at=issued_at,
        fetched_at=issued_at,
        grid=grid,
        quantiles_g_per_kwh=quantiles,
    )


def timed(what: str, step: Callable[[int], object], times: int, *, limit: float | None = None) -> Figure:
    took_ms = []
    for index in range(times):
        began = time.perf_counter()
        step(index)
        took_ms.append(1000 * (time.perf_counter() - began))
    return Figure(what, median(took_ms), max(took_ms) if times > 1 else None, "ms", limit)


if __name__ == "__main__":
    main()
