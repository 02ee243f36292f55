"""What a receipt shows beside its sums, never in them: the building, the machine's making, the prediction. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from carbonq.domain.carbon import IntensitySeries, Zone
from carbonq.domain.energy import PowerProfile, Quantity
from carbonq.domain.job import Measurement
from carbonq.domain.units import known_sum
from carbonq.scheduler.spreading import segments_of, spread


class Building(NamedTuple):
    """What the site drew beside its machines: cooling, conversion, light."""

    pue: float | None = None
    energy_j: float | None = None
    emissions_g: float | None = None


def building(measurements: Sequence[Measurement], actual: Mapping[Zone, IntensitySeries]) -> Building:
    """Each attempt's energy times what its site's PUE is above 1. All None where a site of known energy does not state it."""
    known = [(m, m.energy_j) for m in measurements if m.energy_j is not None]
    above = [(m, energy_j, m.pue - 1) for m, energy_j in known if m.pue is not None]
    if not known or len(above) < len(known):
        return Building()
    energy_j = sum(own_j * rest for _, own_j, rest in above)
    grams = known_sum(
        None if slot.emissions_g is None else slot.emissions_g * rest
        for m, _, rest in above
        for slot in spread(segments_of(m), actual.get(m.zone))
    )
    total_j = sum(own_j for _, own_j in known)
    return Building(1 + (energy_j / total_j if total_j else above[-1][2]), energy_j, grams)


def embodied_g(measurements: Sequence[Measurement]) -> float | None:
    """Of all attempts; None where one of the machines does not state it."""
    return known_sum(m.embodied_g for m in measurements) if measurements else None


def foreseen_energy(profile: PowerProfile) -> Quantity:
    """As predicted; else power times duration, quantile by quantile: as though both were high together, so never too narrow."""
    if profile.energy is not None:
        return profile.energy
    power, duration = profile.power_w, profile.duration_s
    return Quantity(
        p50=power.p50 * duration.p50,
        p10=power.p10 * duration.p10,
        p90=power.p90 * duration.p90,
        p05=None if power.p05 is None or duration.p05 is None else power.p05 * duration.p05,
        p95=None if power.p95 is None or duration.p95 is None else power.p95 * duration.p95,
    )


def foreseen_by(profile: PowerProfile) -> str:
    """`past-runs`, or `declared and past-runs` where power and duration differ in it."""
    return " and ".join(dict.fromkeys((profile.power_method, profile.duration_method)))


def notes(measurements: Sequence[Measurement]) -> Iterator[str]:
    """What is left out because only some of the machines state it."""
    if _in_part([m.pue for m in measurements]):
        yield "not every site it ran at states its PUE: the building's energy is left out"
    if _in_part([m.embodied_g for m in measurements]):
        yield "not every machine it ran on states what making it emitted: that line is left out"


def _in_part(figures: Sequence[float | None]) -> bool:
    return any(figure is None for figure in figures) and any(figure is not None for figure in figures)
