"""Grid carbon intensity: what it was, and what it is expected to be."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field, model_validator

from carbonq.domain.time import SlotGrid
from carbonq.domain.value import UtcTime, Value

Zone = str
"""A grid's code: ISO 3166 or a provider's subdivision, such as `FR`, `DE`, `US-CAL-CISO`. Upper case."""


class SignalKind(StrEnum):
    AVERAGE = "average"
    MARGINAL = "marginal"


class Scope(StrEnum):
    """Which emissions a signal counts."""

    LIFECYCLE = "lifecycle"  # with building the plants and providing the fuel
    DIRECT = "direct"  # from the stack alone


class Origin(StrEnum):
    """How an intensity was obtained, surest first."""

    MEASURED = "measured"  # published by the grid's operator after the fact
    ESTIMATED = "estimated"  # filled in for a missing reading, by the provider or by us
    REPLAYED = "replayed"  # made up from a profile with a stated error: the demo's "actual"
    FORECAST = "forecast"
    MODELLED = "modelled"  # a typical profile: no knowledge of this very day


class SourceInfo(Value):
    """What a source says of itself. Times in seconds; 0 for "none", None for "not stated"."""

    name: str = Field(description="the settings' word for it")
    title: str
    signal: SignalKind = SignalKind.AVERAGE
    scope: Scope = Scope.LIFECYCLE
    resolution_s: int | None = None
    horizon_s: int = Field(default=0, description="how far its own forecast reaches; 0: it publishes none")
    history_s: int | None = Field(default=None, description="how far back it answers; None: years")
    lag_s: int = Field(default=0, description="how late its readings usually come")
    licence: str
    attribution: str
    terms_url: str = ""
    key_setting: str | None = Field(default=None, description="the setting that holds its key; None: it needs none")

    @property
    def forecasts(self) -> bool:
        return self.horizon_s > 0


class CarbonIntensity(Value):
    """gCO2-equivalent per kWh during `[start, end)`. Negative values are kept: some marginal signals have them."""

    start: UtcTime
    end: UtcTime
    intensity_g_per_kwh: float
    origin: Origin

    @model_validator(mode="after")
    def _runs_forward(self) -> "CarbonIntensity":
        if self.end <= self.start:
            raise ValueError("an intensity's end must lie after its start")
        return self


class IntensitySeries(Value):
    """Readings of one zone, sorted, without overlaps; gaps are allowed."""

    zone: Zone
    source: str
    signal: SignalKind = SignalKind.AVERAGE
    scope: Scope = Scope.LIFECYCLE
    attribution: str = ""
    readings: tuple[CarbonIntensity, ...] = ()

    @model_validator(mode="after")
    def _is_sorted(self) -> "IntensitySeries":
        for earlier, later in zip(self.readings, self.readings[1:], strict=False):
            if later.start < earlier.end:
                raise ValueError(f"readings of {self.zone} overlap at {later.start}")
        return self

    def at(self, moment: datetime) -> CarbonIntensity | None:
        """The reading that holds `moment`, or None in a gap."""
        index = bisect_right(self.readings, moment, key=lambda reading: reading.start) - 1
        return self.readings[index] if index >= 0 and moment < self.readings[index].end else None

    def within(self, start: datetime, end: datetime) -> Iterator[CarbonIntensity]:
        """The readings that overlap `[start, end)`, in order, uncut."""
        first = max(0, bisect_right(self.readings, start, key=lambda reading: reading.start) - 1)
        for reading in self.readings[first:]:
            if reading.start >= end:
                return
            if reading.end > start:
                yield reading

    def mean(self, start: datetime, end: datetime) -> float | None:
        """The time-weighted mean over `[start, end)` in g/kWh, or None where any part of it is unknown."""
        known_s = total = 0.0
        for reading in self.within(start, end):
            overlap_s = (min(end, reading.end) - max(start, reading.start)).total_seconds()
            known_s += overlap_s
            total += overlap_s * reading.intensity_g_per_kwh
        missing_s = (end - start).total_seconds() - known_s
        return total / known_s if known_s and missing_s < 1e-6 else None

    def on(self, grid: SlotGrid) -> list[float | None]:
        """One mean a slot: coarser readings are held, finer ones averaged, gaps are None."""
        return [self.mean(start, end) for start, end in grid]


class Forecast(Value):
    """Expected intensity of one zone: quantiles per slot, with where they come from and when they were made."""

    schema_version: int = 1
    zone: Zone
    source: str
    model: str
    signal: SignalKind = SignalKind.AVERAGE
    scope: Scope = Scope.LIFECYCLE
    origin: Origin
    attribution: str = ""
    issued_at: UtcTime
    fetched_at: UtcTime
    grid: SlotGrid
    quantiles_g_per_kwh: dict[str, tuple[float, ...]] = Field(
        description='keys such as "0.1", "0.5", "0.9"; g/kWh, one a slot'
    )
    extended_from: UtcTime | None = Field(
        default=None, description="from here on it is a typical profile, because the source's own forecast ended"
    )
    readings_until: UtcTime | None = Field(
        default=None, description="the end of the last reading it rests on; None where it rests on none"
    )
    skill: float | None = Field(
        default=None, description="1 - its error / yesterday's curve's, over the last 14 days; None where not yet known"
    )
    notes: tuple[str, ...] = Field(
        default=(), description="what a reader should know, such as a model that stepped back"
    )

    @model_validator(mode="after")
    def _covers_its_grid(self) -> "Forecast":
        if "0.5" not in self.quantiles_g_per_kwh:
            raise ValueError('a forecast needs its median, quantile "0.5"')
        for name, values in self.quantiles_g_per_kwh.items():
            if len(values) != self.grid.slots:
                raise ValueError(f"quantile {name} has {len(values)} values for {self.grid.slots} slots")
        return self

    @property
    def median_g_per_kwh(self) -> tuple[float, ...]:
        return self.quantiles_g_per_kwh["0.5"]

    def at(self, moment: datetime) -> float | None:
        """The median of the slot that holds `moment`, or None outside the forecast."""
        index = self.grid.index(moment)
        return self.median_g_per_kwh[index] if 0 <= index < self.grid.slots else None

    def origin_at(self, moment: datetime) -> Origin:
        """How the value at `moment` was obtained: beyond the source's own reach it is modelled."""
        return Origin.MODELLED if self.extended_from is not None and moment >= self.extended_from else self.origin

    def cut(self, start: datetime, end: datetime) -> "Forecast":
        """The part whose slots cover `[start, end)`, as far as there is any."""
        first = max(0, self.grid.index(start))
        up_to = -((self.grid.start - end) // timedelta(seconds=self.grid.slot_s))  # rounded up
        last = max(first, min(self.grid.slots, up_to))
        return self.model_copy(
            update={
                "grid": SlotGrid(start=self.grid.at(first), slot_s=self.grid.slot_s, slots=last - first),
                "quantiles_g_per_kwh": {name: values[first:last] for name, values in self.quantiles_g_per_kwh.items()},
            }
        )

    def series(self) -> IntensitySeries:
        """The median as a series, so that plans and receipts share one arithmetic."""
        readings = tuple(
            CarbonIntensity(start=start, end=end, intensity_g_per_kwh=value, origin=self.origin_at(start))
            for (start, end), value in zip(self.grid, self.median_g_per_kwh, strict=True)
        )
        return IntensitySeries(
            zone=self.zone,
            source=self.source,
            signal=self.signal,
            scope=self.scope,
            attribution=self.attribution,
            readings=readings,
        )


def quantile_band(forecast: Forecast) -> tuple[Sequence[float], Sequence[float]]:
    """The outermost quantiles, low and high; the median twice where there is nothing else."""
    keys = sorted(forecast.quantiles_g_per_kwh, key=float)
    return forecast.quantiles_g_per_kwh[keys[0]], forecast.quantiles_g_per_kwh[keys[-1]]
