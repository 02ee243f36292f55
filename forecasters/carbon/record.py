"""The record of what was foreseen: one forecast of each zone every six hours, for 120 days, to be held against what came.

    <folder>/forecasts/zone=GB/signal=average/scope=lifecycle/2026-07.parquet

It is kept as the archive of readings is, and as safely.
"""

from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from carbonq.domain.carbon import Forecast, Scope, SignalKind, Zone
from carbonq.forecasters.carbon.archive import names
from carbonq.forecasters.carbon.archive.files import locked
from carbonq.forecasters.carbon.archive.moments import from_us, to_us
from carbonq.forecasters.carbon.archive.shelf import Column, Columns, Layout, Shelf
from carbonq.forecasters.carbon.models.series import QUANTILES, FloatArray

EVERY = timedelta(hours=6)
"""Neighbouring forecasts of a zone hardly differ: four a day tell as much as ninety-six."""
KEEP = timedelta(days=120)
"""A season, by which weights and intervals are learned. Removed by whole months, so up to 151 days are on the disk."""
AHEAD = timedelta(days=4)
"""How much of each forecast is kept: as far as its skill is told."""

_EVERY_US = EVERY // timedelta(microseconds=1)
_QUANTILE_COLUMNS = tuple(f"p{round(100 * quantile):02d}" for quantile in QUANTILES)
_LAYOUT = Layout(
    (
        Column("issued_at", "moment"),
        Column("start", "moment"),
        Column("end", "moment"),
        Column("source", "text"),
        Column("model", "text"),
        *(Column(name, "maybe") for name in _QUANTILE_COLUMNS),
    ),
    part="M",
)


class Issued(NamedTuple):
    """A forecast as it was issued: `quantiles[q, i]` in g/kWh for `[start + i * step_s, …)`, shape (len(QUANTILES), steps);
    NaN for quantiles that it did not have."""

    source: str
    model: str
    issued_at: datetime
    start: datetime
    step_s: int
    quantiles: FloatArray


class Record:
    """The forecasts below one folder. Errors: StorageFailed, and CarbonqError where pyarrow is not installed."""

    def __init__(self, folder: Path, *, wait_s: float = 5.0) -> None:
        self._folder, self._wait_s = folder / "forecasts", wait_s
        self._kept: dict[Path, int] = {}  # by zone, the last six hours that have theirs

    def keep(self, forecast: Forecast) -> bool:
        """Keep it, unless these six hours have theirs: the first that was issued counts."""
        shelf = self._shelf(forecast.zone, forecast.signal, forecast.scope)
        window = to_us(forecast.issued_at) // _EVERY_US
        if self._kept.get(shelf.folder) == window or not forecast.grid.slots:
            return False
        is_new = False

        def fresh(there: Columns) -> Columns:
            nonlocal is_new
            is_new = not len(there["start"])
            return _columns(forecast) if is_new else {name: values[:0] for name, values in there.items()}

        with self._writing():
            shelf.add(window * _EVERY_US, (window + 1) * _EVERY_US, fresh)
        self._kept[shelf.folder] = window
        return is_new

    def issued(
        self,
        zone: Zone,
        start: datetime,
        end: datetime,
        *,
        signal: SignalKind = SignalKind.AVERAGE,
        scope: Scope = Scope.LIFECYCLE,
    ) -> tuple[Issued, ...]:
        """The forecasts of a zone that were issued within `[start, end)`, oldest first."""
        rows = self._shelf(zone, signal, scope).read(to_us(start), to_us(end))
        _, begins = np.unique(rows["issued_at"], return_index=True)
        return tuple(
            _issued({name: values[first:last] for name, values in rows.items()})
            for first, last in pairwise([*begins, len(rows["issued_at"])])
        )

    def compact(self, now: datetime) -> int:
        """Fold what came since the last time, and remove what is older than `KEEP`. Returns how many files went."""
        removed = 0
        for folder in sorted(self._folder.glob("zone=*/signal=*/scope=*")):
            about = names.about(folder.relative_to(self._folder).parts, Shelf(folder, _LAYOUT, {}).abouts())
            if about is not None:
                shelf = Shelf(folder, _LAYOUT, about)
                with self._writing():
                    shelf.fold()
                    removed += shelf.drop_parts_before(to_us(now - KEEP))
        return removed

    def _shelf(self, zone: Zone, signal: SignalKind, scope: Scope) -> Shelf:
        about = {"zone": zone, "signal": signal.value, "scope": scope.value}
        return Shelf(self._folder.joinpath(*names.parts(about)), _LAYOUT, about)

    def _writing(self) -> AbstractContextManager[None]:
        return locked(self._folder / ".lock", self._wait_s)


def _columns(forecast: Forecast) -> Columns:
    step_s = forecast.grid.slot_s
    count = min(forecast.grid.slots, AHEAD // timedelta(seconds=step_s))
    start = to_us(forecast.grid.start) + np.arange(count, dtype=np.int64) * step_s * 1_000_000
    given = {float(name): values[:count] for name, values in forecast.quantiles_g_per_kwh.items()}
    # a tenth of a gram is far below any forecast's error, and a quarter of the bytes
    quantiles = {
        name: np.round(given[quantile], 1) if quantile in given else np.full(count, np.nan)
        for name, quantile in zip(_QUANTILE_COLUMNS, QUANTILES, strict=True)
    }
    return {
        "issued_at": np.full(count, to_us(forecast.issued_at), np.int64),
        "start": start,
        "end": start + step_s * 1_000_000,
        "source": np.full(count, forecast.source, np.object_),
        "model": np.full(count, forecast.model, np.object_),
        **quantiles,
    }


def _issued(rows: Columns) -> Issued:
    """From the rows of one forecast."""
    return Issued(
        source=rows["source"][0],
        model=rows["model"][0],
        issued_at=from_us(int(rows["issued_at"][0])),
        start=from_us(int(rows["start"][0])),
        step_s=int(rows["end"][0] - rows["start"][0]) // 1_000_000,
        quantiles=np.array([rows[name] for name in _QUANTILE_COLUMNS]),
    )
