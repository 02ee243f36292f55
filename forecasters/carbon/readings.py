"""From rows of numbers to a series, and from a series to a forecast: what every source has in common."""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from carbonq.domain.carbon import CarbonIntensity, Forecast, IntensitySeries, Origin, SourceInfo, Zone
from carbonq.domain.errors import SourceNonsense
from carbonq.domain.time import SlotGrid

LOWEST_G_PER_KWH, HIGHEST_G_PER_KWH = -1000.0, 5000.0
"""Beyond these no grid is: the dirtiest plants emit some 1,500 g/kWh, marginal signals dip below zero."""


class Row(NamedTuple):
    """One interval of a provider's answer, in g/kWh."""

    start: datetime
    end: datetime
    intensity_g_per_kwh: float


def checked_intensity(value: object, where: str) -> float:
    """The value as a float. Raises SourceNonsense for anything but a finite number that a grid can have."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SourceNonsense(f"{value!r:.80} is no carbon intensity", where=where)
    if not (math.isfinite(value) and LOWEST_G_PER_KWH <= value <= HIGHEST_G_PER_KWH):
        raise SourceNonsense(f"{value!r:.80} g/kWh is no carbon intensity that a grid can have", where=where)
    return float(value)


def tidy(rows: Iterable[Row], where: str) -> list[Row]:
    """Sorted; of rows that start together the last one counts. Raises SourceNonsense for rows that overlap otherwise."""
    by_start = {row.start: row for row in rows}
    ordered = [by_start[start] for start in sorted(by_start)]
    for earlier, later in pairwise(ordered):
        if later.start < earlier.end:
            raise SourceNonsense(f"the interval from {later.start} begins before the one before it ends", where=where)
    return ordered


def overlapping(rows: Iterable[Row], start: datetime, end: datetime) -> Iterator[Row]:
    """The rows that overlap `[start, end)`, uncut; none where no time lies between."""
    return (row for row in rows if row.start < end and row.end > start and start < end)


def series_of(zone: Zone, rows: Iterable[Row], origin: Origin, info: SourceInfo) -> IntensitySeries:
    return IntensitySeries(
        zone=zone,
        source=info.name,
        signal=info.signal,
        scope=info.scope,
        attribution=info.attribution,
        readings=tuple(
            CarbonIntensity(start=start, end=end, intensity_g_per_kwh=value, origin=origin)
            for start, end, value in rows
        ),
    )


def known_stretch(series: IntensitySeries, grid: SlotGrid) -> tuple[float, ...]:
    """One mean a slot, from the grid's first slot up to the first that is not wholly known."""
    values: list[float] = []
    for value in series.on(grid):
        if value is None:
            break
        values.append(value)
    return tuple(values)


def forecast_of(
    zone: Zone,
    grid: SlotGrid,
    quantiles: Mapping[str, tuple[float, ...]],
    *,
    model: str,
    origin: Origin,
    info: SourceInfo,
    now: datetime,
) -> Forecast:
    """A forecast made and fetched at `now`, over as many of the grid's slots as the median has values."""
    return Forecast(
        zone=zone,
        source=info.name,
        model=model,
        signal=info.signal,
        scope=info.scope,
        origin=origin,
        attribution=info.attribution,
        issued_at=now,
        fetched_at=now,
        grid=grid.model_copy(update={"slots": len(quantiles["0.5"])}),
        quantiles_g_per_kwh=dict(quantiles),
    )
