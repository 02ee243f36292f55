"""Mean intensity over any span of time: the arithmetic that quotes and plans share with receipts."""

from collections.abc import Sequence
from datetime import datetime

from carbonq.domain.carbon import Forecast, quantile_band
from carbonq.domain.time import SlotGrid
from carbonq.domain.units import energy_g


def mean_over(grid: SlotGrid, values: Sequence[float], start: datetime, end: datetime) -> float | None:
    """The time-weighted mean of slot values over `[start, end)`, part slots by their share; None beyond the grid.

    An empty span has the value of the slot that holds it.
    """
    first_s, last_s = (start - grid.start).total_seconds(), (end - grid.start).total_seconds()
    if first_s < 0 or last_s > grid.slots * grid.slot_s or first_s >= grid.slots * grid.slot_s:
        return None
    first = int(first_s // grid.slot_s)
    if last_s <= (first + 1) * grid.slot_s:
        return values[first]
    last = min(int(last_s // grid.slot_s), grid.slots - 1)
    whole = sum(values[first + 1 : last]) * grid.slot_s
    head = ((first + 1) * grid.slot_s - first_s) * values[first]
    tail = (last_s - last * grid.slot_s) * values[last]
    return (head + whole + tail) / (last_s - first_s)


def expected_g(forecast: Forecast | None, start: datetime, end: datetime, energy_j: float) -> float | None:
    """Grams by the forecast's median of energy drawn evenly over `[start, end)`; None where nothing is foreseen."""
    if forecast is None:
        return None
    return _grams(energy_j, mean_over(forecast.grid, forecast.median_g_per_kwh, start, end))


def expected_band_g(
    forecast: Forecast | None, start: datetime, end: datetime, energy_j: float
) -> tuple[float | None, float | None]:
    """As `expected_g`, were the intensity at its outermost quantiles, low and high, throughout."""
    if forecast is None:
        return None, None
    low, high = quantile_band(forecast)
    return (
        _grams(energy_j, mean_over(forecast.grid, low, start, end)),
        _grams(energy_j, mean_over(forecast.grid, high, start, end)),
    )


def on_slots(forecast: Forecast, quantile: str, grid: SlotGrid) -> tuple[float, ...]:
    """A quantile on another grid, its first and last value held where that grid reaches beyond the forecast."""
    own, values = forecast.grid, forecast.quantiles_g_per_kwh[quantile]
    if own.slot_s == grid.slot_s and own.start == grid.start and own.slots >= grid.slots:
        return tuple(values[: grid.slots])
    return tuple(_held(own, values, start, end) for start, end in grid)


def _held(grid: SlotGrid, values: Sequence[float], start: datetime, end: datetime) -> float:
    mean = mean_over(grid, values, max(start, grid.start), min(end, grid.end))
    return mean if mean is not None else values[0] if start < grid.start else values[-1]


def _grams(energy_j: float, intensity_g_per_kwh: float | None) -> float | None:
    return None if intensity_g_per_kwh is None else energy_g(energy_j, intensity_g_per_kwh)
