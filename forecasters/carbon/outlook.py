"""What is known of a zone's intensity, from the best source that answers: never nothing, and never without saying how.

Forecast: the first source in the user's order that answers sensibly; the last good forecast as far as it still reaches, if a
source failed or it is of the last day; then the typical profile; for a zone that nothing knows, the world's average. A forecast
that ends too early is extended with the typical profile, shifted to its level, and says from where (`Forecast.extended_from`).

Past: measured readings of one source, never a mixture of providers, whose levels differ.
"""

import logging
import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, SignalKind, SourceInfo, Zone
from carbonq.domain.errors import CarbonqError, NotFound, SourceNonsense
from carbonq.domain.ports import IntensitySource, Revised
from carbonq.domain.time import DEFAULT_SLOT_S, SlotGrid
from carbonq.domain.units import format_duration
from carbonq.forecasters.carbon.readings import checked_intensity
from carbonq.forecasters.carbon.sources.typical import TypicalSource
from carbonq.forecasters.carbon.sources.world import WorldAverage

Answer = TypeVar("Answer")

log = logging.getLogger("carbonq.carbon")

RECENT = timedelta(days=1)
"""A model's forecast of today knows more of the day than a typical profile, also where no source failed."""
LEVEL_SPAN = timedelta(days=1)
"""An extension takes its level from this last part of the forecast: a whole day, so that night meets night."""


class SourceProblem(NamedTuple):
    """Why a source was passed over. NotFound where it just does not know the zone."""

    source: str
    error: Exception

    @property
    def is_failure(self) -> bool:
        return not isinstance(self.error, NotFound)

    def __str__(self) -> str:
        what = self.error.what if isinstance(self.error, CarbonqError) else f"{type(self.error).__name__}: {self.error}"
        return f"{self.source}: {what}"


class Foreseen(NamedTuple):
    forecast: Forecast
    problems: tuple[SourceProblem, ...]


class Observed(NamedTuple):
    series: IntensitySeries
    problems: tuple[SourceProblem, ...]


class Catalogue(NamedTuple):
    """Which sources list a zone, in the order they are asked."""

    sources: dict[Zone, tuple[str, ...]]
    problems: tuple[SourceProblem, ...]


class Outlook:
    """The sources in their order, as one source that always answers. `last_good` finds the latest forecast kept of a zone.

    Sources of another signal than the one wanted are skipped; the typical profile, an average, is the last resort of both.
    """

    name = "outlook"

    def __init__(
        self,
        sources: Sequence[IntensitySource],
        *,
        last_good: Callable[[Zone], Forecast | None] = lambda _zone: None,
        slot_s: int = DEFAULT_SLOT_S,
        signal: SignalKind = SignalKind.AVERAGE,
    ) -> None:
        self._sources = tuple(source for source in sources if source.info.signal is signal or _is_typical(source))
        self.skipped = tuple(source for source in sources if source not in self._sources)
        self._last_good, self.slot_s, self._signal = last_good, slot_s, signal
        self.info = SourceInfo(
            name=self.name,
            title="The best of the configured sources",
            horizon_s=366 * 86_400,
            licence="that of the source each answer names",
            attribution="",
        )
        self._typical, self._world = TypicalSource(slot_s=slot_s), WorldAverage(slot_s=slot_s)

    @property
    def measuring(self) -> tuple[IntensitySource, ...]:
        """The sources that know particular days, in their order."""
        return tuple(source for source in self._sources if not _is_typical(source))

    def last_good(self, zone: Zone) -> Forecast | None:
        """The latest forecast kept of a zone; one of the other signal, from before the setting was changed, is none."""
        kept = self._last_good(zone)
        return kept if kept is not None and kept.signal is self._signal else None

    def zones(self) -> Sequence[Zone]:
        return tuple(self.catalogue().sources)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        """As `foresee`; what went wrong is logged."""
        foreseen = self.foresee(zone, now, end)
        _log_failures(foreseen.problems)
        if foreseen.forecast.source == self._world.name:
            log.warning("no source knows zone %r: going on with a %s", zone, foreseen.forecast.model)
        elif any(problem.is_failure for problem in foreseen.problems):
            log.warning("%s: going on with %s, %s", zone, foreseen.forecast.source, _age(foreseen.forecast, now))
        return foreseen.forecast

    def refresh(self, zone: Zone, now: datetime, end: datetime) -> None:
        """Nothing: `forecast` asks the sources itself."""

    def refit(self, now: datetime, *, limit: int) -> int:  # noqa: ARG002  # the port's names
        """Nothing: no model learns here."""
        return 0

    def keep_up(self, now: datetime) -> None:
        """Nothing: nothing is kept on disk."""

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        """As `observe`; what went wrong is logged."""
        observed = self.observe(zone, start, end)
        _log_failures(observed.problems)
        return observed.series

    def revised(self, since: datetime) -> Sequence[Revised]:  # noqa: ARG002  # the port's name
        """Nothing: without an archive nobody remembers what was answered before."""
        return ()

    def catalogue(self) -> Catalogue:
        attempts = _Attempts()
        sources: dict[Zone, tuple[str, ...]] = {}
        for source in self._sources:
            for zone in attempts.ask(source.name, source.zones) or ():
                sources[zone] = (*sources.get(zone, ()), source.name)
        return Catalogue(dict(sorted(sources.items())), attempts.problems)

    def foresee(self, zone: Zone, now: datetime, end: datetime) -> Foreseen:
        """Expected intensity over slots that cover `[now, end)` wholly, and why sources were passed over."""
        attempts = _Attempts()
        grid = SlotGrid.covering(now, end, self.slot_s)
        answer: Forecast | None = None
        for source in self._sources:
            answer = attempts.ask(source.name, lambda: sensible(source.forecast(zone, now, end), zone, grid))  # noqa: B023  # called at once
            if answer is not None:
                break
        if answer is None or answer.origin is Origin.MODELLED:
            kept = attempts.ask("last good forecast", lambda: still_good(self.last_good(zone), zone, grid))
            if kept is not None and (attempts.any_failed or self._may_be_recent(kept, now)):
                answer = kept
        if answer is None:
            answer = self.modelled(zone, now, end)
        return Foreseen(self.extended(answer, grid), attempts.problems)

    def _may_be_recent(self, kept: Forecast, now: datetime) -> bool:
        return bool(self.measuring) and now - kept.issued_at <= RECENT

    def observe(self, zone: Zone, start: datetime, end: datetime) -> Observed:
        """Past readings within `[start, end)` of the one source that covers most of it.

        A typical profile stands in only if no source is there that may yet publish the past. A series without readings
        says that they are still to come.
        """
        attempts = _Attempts()
        measured: list[IntensitySeries] = []
        stand_in: IntensitySeries | None = None
        for source in self._sources:
            series = attempts.ask(source.name, lambda: source.history(zone, start, end))  # noqa: B023  # called at once
            if series is None:
                continue
            if _is_modelled(series):
                stand_in = stand_in or series
                continue
            measured.append(series)
            if _covered_s(series, start, end) >= (end - start).total_seconds():
                break
        best = max(measured, key=lambda series: _covered_s(series, start, end), default=None)
        if measured or attempts.any_failed:
            return Observed(best or IntensitySeries(zone=zone, source=self.name), attempts.problems)
        return Observed(stand_in or self.modelled_past(zone, start, end), attempts.problems)

    def modelled(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        """The typical profile, or the world's average."""
        typical = _Attempts().ask(self._typical.name, lambda: self._typical.forecast(zone, now, end))
        answer = typical or self._world.forecast(zone, now, end)
        if self._signal is SignalKind.AVERAGE:
            return answer
        return answer.model_copy(update={"notes": (*answer.notes, f"an average: no {self._signal} source answers")})

    def modelled_past(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        typical = _Attempts().ask(self._typical.name, lambda: self._typical.history(zone, start, end))
        return typical or self._world.history(zone, start, end)

    def extended(self, own: Forecast, grid: SlotGrid) -> Forecast:
        """The forecast, and from its end to the grid's the typical profile at the forecast's level.

        The profile is an average's: a marginal forecast goes on flat.
        """
        if own.grid.slots >= grid.slots:
            return own
        since = max(own.grid.start, own.grid.end - LEVEL_SPAN)
        shape = self._world.forecast if own.signal is SignalKind.MARGINAL else self.modelled
        model = shape(own.zone, since, grid.end)
        overlap = own.grid.slots - own.grid.index(since)
        level = _ratio(own.median_g_per_kwh[-overlap:], model.median_g_per_kwh[:overlap])
        return own.model_copy(
            update={
                "model": f"{own.model}, then {model.model}",
                "extended_from": own.grid.end,
                "grid": grid,
                "quantiles_g_per_kwh": {
                    name: values + tuple(value * level for value in model.quantiles_g_per_kwh[name][overlap:])
                    for name, values in own.quantiles_g_per_kwh.items()
                    if name in model.quantiles_g_per_kwh
                },
            }
        )


def _is_typical(source: IntensitySource) -> bool:
    return isinstance(source, TypicalSource)


class _Attempts:
    """Asks, and keeps what went wrong instead of raising it: a provider's surprise must not hold up a job."""

    def __init__(self) -> None:
        self.problems: tuple[SourceProblem, ...] = ()

    @property
    def any_failed(self) -> bool:
        return any(problem.is_failure for problem in self.problems)

    def ask(self, source: str, question: Callable[[], Answer]) -> Answer | None:
        try:
            return question()
        except Exception as error:  # noqa: BLE001  # whatever a provider's adapter may raise: it is reported, the next is asked
            self.problems = (*self.problems, SourceProblem(source, error))
            return None


def _log_failures(problems: Sequence[SourceProblem]) -> None:
    for problem in problems:
        if problem.is_failure:
            log.warning("%s", problem)


def _age(forecast: Forecast, now: datetime) -> str:
    if forecast.origin is Origin.MODELLED:
        return forecast.model
    return f"a forecast issued {format_duration((now - forecast.issued_at).total_seconds())} ago"


def sensible(forecast: Forecast, zone: Zone, grid: SlotGrid) -> Forecast:
    """The forecast, if it is of this zone and begins where it was asked to. Raises SourceNonsense."""
    if forecast.grid.slot_s != grid.slot_s:
        raise SourceNonsense(f"answers in slots of {forecast.grid.slot_s} s instead of {grid.slot_s} s")
    if forecast.zone != zone or forecast.grid.start != grid.start:
        raise SourceNonsense(
            f"asked for {zone} from {grid.start}, it answers for {forecast.zone} from {forecast.grid.start}"
        )
    if grid.slots and not forecast.grid.slots:
        raise SourceNonsense(f"an empty forecast for {zone}")
    for values in forecast.quantiles_g_per_kwh.values():
        for value in values:
            checked_intensity(value, forecast.source)
    return forecast


def still_good(kept: Forecast | None, zone: Zone, grid: SlotGrid) -> Forecast | None:
    """What a kept forecast itself still says about the grid's slots; None where it is over, or was no forecast."""
    if kept is None or kept.origin is Origin.MODELLED or kept.grid.slot_s != grid.slot_s:
        return None
    reach = min(kept.extended_from or kept.grid.end, kept.grid.end, grid.end)
    if grid.start < kept.grid.start or reach <= grid.start:
        return None
    own = {"model": kept.model.partition(", then ")[0], "extended_from": None}
    return sensible(kept.cut(grid.start, reach).model_copy(update=own), zone, grid)


def _ratio(own: Sequence[float], model: Sequence[float]) -> float:
    """How much higher the forecast lies than the model over the same slots; 1 where a ratio has no meaning."""
    ours, usual = math.fsum(own), math.fsum(model)
    return ours / usual if ours > 0 and usual > 0 else 1.0


def _is_modelled(series: IntensitySeries) -> bool:
    return bool(series.readings) and all(reading.origin is Origin.MODELLED for reading in series.readings)


def _covered_s(series: IntensitySeries, start: datetime, end: datetime) -> float:
    return sum(
        (min(reading.end, end) - max(reading.start, start)).total_seconds() for reading in series.within(start, end)
    )
