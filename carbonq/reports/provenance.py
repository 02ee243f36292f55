"""Where a report's numbers come from: sources, their age, remarks, and what is assumed. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from pydantic import Field

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, Scope, SignalKind, Zone
from carbonq.domain.receipt import ACTUALS_CHANGED, Receipt
from carbonq.domain.value import UtcTime, Value
from carbonq.reports.summary import Tally

MADE_UP = frozenset({Origin.REPLAYED, Origin.MODELLED})
"""Origins that say nothing about what the grid did on that very day."""


class IntensityUse(Value):
    """One source of the intensity that receipts were reckoned with."""

    zone: Zone
    source: str
    signal: SignalKind | None = Field(description="None where neither a receipt nor a series says it")
    scope: Scope | None = Field(description="as of the signal")
    origins: tuple[Origin, ...]
    attribution: str
    jobs: int


class ForecastUse(Value):
    """A forecast that is shown beside what came."""

    zone: Zone
    source: str
    model: str
    signal: SignalKind
    scope: Scope
    origin: Origin
    issued_at: UtcTime
    fetched_at: UtcTime
    age_s: float = Field(description="from its issue to the report's")
    attribution: str


class Remark(Value):
    """A note, and how many jobs it is about; 0 for one about the whole report."""

    text: str
    jobs: int


class _Kind(NamedTuple):
    """What must not be added up as one: grams by different signals are different quantities."""

    zone: Zone
    source: str
    signal: SignalKind | None
    scope: Scope | None


def intensity_uses(receipts: Iterable[Receipt], series: Sequence[IntensitySeries]) -> tuple[IntensityUse, ...]:
    """The sources that receipts name, each signal and scope of one for itself; where a receipt does not say them, the series
    of that zone and source do."""
    known = {(one.zone, one.source): one for one in series}
    uses: dict[_Kind, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        uses[_kind(receipt, known.get((receipt.zone, receipt.intensity_source)))].append(receipt)
    return tuple(
        IntensityUse(
            zone=kind.zone,
            source=kind.source,
            signal=kind.signal,
            scope=kind.scope,
            origins=tuple(origin for origin in Origin if any(origin in one.intensity_origins for one in uses[kind])),
            attribution=next(
                (one.attribution for one in reversed(uses[kind]) if one.attribution),
                known[kind[:2]].attribution if kind[:2] in known else "",
            ),
            jobs=len(uses[kind]),
        )
        for kind in sorted(uses, key=lambda kind: tuple(map(str, kind)))
    )


def _kind(receipt: Receipt, series: IntensitySeries | None) -> _Kind:
    signal = receipt.signal or (series.signal if series else None)
    scope = receipt.scope or (series.scope if series else None)
    return _Kind(receipt.zone, receipt.intensity_source, signal, scope)


def forecast_uses(forecasts: Iterable[Forecast], issued_at: datetime) -> tuple[ForecastUse, ...]:
    return tuple(
        ForecastUse(
            zone=one.zone,
            source=one.source,
            model=one.model,
            signal=one.signal,
            scope=one.scope,
            origin=one.origin,
            issued_at=one.issued_at,
            fetched_at=one.fetched_at,
            age_s=(issued_at - one.issued_at).total_seconds(),
            attribution=one.attribution,
        )
        for one in sorted(forecasts, key=lambda one: (one.zone, one.issued_at))
    )


def remarks(notes: Sequence[str], receipts: Iterable[Receipt]) -> tuple[Remark, ...]:
    """The report's own notes, then each different note of the receipts once, most frequent first.

    What each receipt was before its grid's correction is in the receipt; here it counts in `Tally.revised_jobs`.
    """
    said = Counter(
        note for receipt in receipts for note in dict.fromkeys(receipt.notes) if not note.startswith(ACTUALS_CHANGED)
    )
    about_jobs = sorted(said.items(), key=lambda item: (-item[1], item[0]))
    return (
        *(Remark(text=note, jobs=0) for note in dict.fromkeys(notes)),
        *(Remark(text=note, jobs=jobs) for note, jobs in about_jobs if note not in notes),
    )


def made_up(receipts: Iterable[Receipt]) -> frozenset[Origin]:
    """Which origins among the receipts' are replayed or modelled."""
    return MADE_UP.intersection(origin for receipt in receipts for origin in receipt.intensity_origins)


def kind_of(source: IntensityUse) -> str:
    """`average lifecycle`; empty where nothing says it."""
    return " ".join(filter(None, (source.signal, source.scope)))


def kinds(sources: Iterable[IntensityUse]) -> tuple[str, ...]:
    """The different quantities among their grams."""
    return tuple(sorted({kind_of(source) for source in sources} - {""}))


def different_grams(mixed: Sequence[str]) -> str:
    """What a reader must know of totals over several kinds."""
    return f"grams by {' and by '.join(mixed)} intensity are different quantities: the totals add them up, so look at each by itself"


def assumptions(total: Tally, sources: Sequence[IntensityUse]) -> tuple[str, ...]:
    """What a reader must know before he quotes a number."""
    said = [
        (
            "Avoided = emissions had the job started at once - emissions as it ran. A job that emitted more than it would"
            " have at once counts with its negative number; nothing is clipped."
        ),
        (
            "At once means: the same job in the same pool with the same power draw, started at its submission or as soon"
            " as there was room for it."
        ),
        "Emissions = energy in each stretch of time x the grid's carbon intensity then (g CO2e per kWh).",
        "What is unknown is left out of a sum and counted beside it; it is never taken for 0.",
        (
            "Energy is that of the components listed here. The building (by its PUE) and the making of the machines stand"
            " on lines of their own where they are stated, and in no sum; network and storage elsewhere are not known."
        ),
        (
            "The uncertainty of energy is one standard deviation: errors of one method add up, those of different"
            " methods combine as the root of the sum of squares. The uncertainty of the intensity is not in it."
        ),
    ]
    signals = {source.signal for source in sources}
    if SignalKind.AVERAGE in signals:
        said.append(
            "The average intensity shares the grid's emissions out over its whole output. It does not say which power"
            " plant answered this one load, which a marginal signal tries to."
        )
    if SignalKind.MARGINAL in signals:
        said.append("A marginal intensity estimates what one more kWh emits; it is a model's answer, never a reading.")
    if len(mixed := kinds(sources)) > 1:
        said.append(f"{different_grams(mixed).capitalize()}.")
    if total.overhead_energy_j:
        said.append(
            "Energy of attempts that failed or were lost is in the emissions and not in the baseline: a retry makes"
            " the saving smaller."
        )
    return tuple(said)
