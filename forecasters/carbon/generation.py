"""From generation by fuel to grams of CO2-equivalent per kWh, by published factors. Pure, but for a word in the log.

What is computed is the mean over what a zone *produces*: imports and exports are not counted, so that a zone which buys much
reads cleaner or dirtier than what its sockets deliver. Only shares matter: levels may be in MW or MWh, net or gross, as long
as all fuels are in the same.

Storage counts on neither side: what it gives was generated, and counted, earlier, and charging is no generation. Negative
generation is a plant's own use while it stands still, and counts as none. A fuel that is not known by name is counted as
`other` and named in `Mix.unknown`.

Lifecycle and direct factors are two tables. They are never mixed: every function takes the scope it works in.
"""

import logging
import math
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import NamedTuple, TypeVar

from carbonq.domain.carbon import Scope
from carbonq.forecasters.carbon.readings import Row

log = logging.getLogger("carbonq.carbon")

Name = TypeVar("Name", bound=str)


class Fuel(StrEnum):
    COAL = "coal"
    GAS = "gas"
    OIL = "oil"
    NUCLEAR = "nuclear"
    HYDRO = "hydro"
    WIND = "wind"  # on land, or not stated
    WIND_OFFSHORE = "wind offshore"
    SOLAR = "solar"
    BIOMASS = "biomass"
    GEOTHERMAL = "geothermal"
    MARINE = "marine"
    OTHER = "other"
    STORAGE = "storage"


class Factor(NamedTuple):
    """Emissions of one fuel's electricity, and who says so."""

    g_per_kwh: float
    source: str


_AR5 = "IPCC AR5 WG3 Annex III, table A.III.2, median"
_EMAPS = "Electricity Maps default factors"

LIFECYCLE: Mapping[Fuel, Factor] = {
    Fuel.COAL: Factor(820, f"{_AR5}, pulverised coal"),
    Fuel.GAS: Factor(490, f"{_AR5}, combined cycle"),
    Fuel.OIL: Factor(650, "UK Parliamentary Office of Science and Technology, postnote 268 (2006); AR5 has none"),
    Fuel.NUCLEAR: Factor(12, _AR5),
    Fuel.HYDRO: Factor(24, _AR5),
    Fuel.WIND: Factor(11, f"{_AR5}, onshore"),
    Fuel.WIND_OFFSHORE: Factor(12, f"{_AR5}, offshore"),
    Fuel.SOLAR: Factor(45, f"{_AR5}: midway between utility scale (48) and rooftops (41), which meters add up"),
    Fuel.BIOMASS: Factor(230, f"{_AR5}, dedicated"),
    Fuel.GEOTHERMAL: Factor(38, _AR5),
    Fuel.MARINE: Factor(17, f"{_AR5}, ocean"),
    Fuel.OTHER: Factor(700, f"{_EMAPS}: taken for a mix of coal, gas, oil and biomass; AR5 has none"),
}
DIRECT: Mapping[Fuel, Factor] = {
    Fuel.COAL: Factor(760, f"{_AR5} of direct emissions, pulverised coal"),
    Fuel.GAS: Factor(370, f"{_AR5} of direct emissions, combined cycle"),
    Fuel.OIL: Factor(406, f"{_EMAPS}: between EIA 2020 and BEIS 2021; AR5 has none"),
    Fuel.NUCLEAR: Factor(0, _AR5),
    Fuel.HYDRO: Factor(0, _AR5),
    Fuel.WIND: Factor(0, _AR5),
    Fuel.WIND_OFFSHORE: Factor(0, _AR5),
    Fuel.SOLAR: Factor(0, _AR5),
    Fuel.BIOMASS: Factor(
        0, "convention of the IPCC guidelines: carbon that plants took up is not counted at the stack"
    ),
    Fuel.GEOTHERMAL: Factor(0, _AR5),
    Fuel.MARINE: Factor(0, _AR5),
    Fuel.OTHER: Factor(575, f"{_EMAPS}: taken for a mix of coal, gas and oil; AR5 has none"),
}

HIGHEST_MW = 3e6
"""More than any grid on earth generates: what is beyond is a mistake, and the fuel counts as not reported."""

SILENT_REL = 0.001
"""A fuel below this share of all generation may fall silent and is then taken for zero."""

CLOSED_AFTER = timedelta(days=3)
"""A fuel that was silent for longer is no longer waited for."""

DAY = timedelta(days=1)

Generation = Mapping[Fuel, float]
"""Generation by fuel during one interval, in MW or in MWh."""


class Mix(NamedTuple):
    """Generation by fuel, and the names that no table knew and that were counted as `other`."""

    generation: dict[Fuel, float]
    unknown: frozenset[str]


@cache
def _tell_unknown(name: str, whose: str) -> None:
    log.warning("%s names a fuel %r that is not known here: counted as other", whose, name)


def factors(scope: Scope) -> Mapping[Fuel, Factor]:
    return LIFECYCLE if scope is Scope.LIFECYCLE else DIRECT


def mix_of(by_name: Mapping[str, float | None], names: Mapping[str, Fuel]) -> Mix:
    """Generation by a provider's own names (`B04`, `NG`), summed by fuel. None, and what no grid can have, is left out."""
    generation: dict[Fuel, float] = {}
    for name, value in credible(by_name).items():
        fuel = names.get(name, Fuel.OTHER)
        generation[fuel] = generation.get(fuel, 0.0) + value
    return Mix(generation, frozenset(name for name in by_name if name not in names))


def credible(by_name: Mapping[str, float | None]) -> dict[str, float]:
    """What was reported, and can be."""
    return {
        name: value
        for name, value in by_name.items()
        if value is not None and math.isfinite(value) and abs(value) <= HIGHEST_MW
    }


def intensity_g_per_kwh(generation: Generation, scope: Scope) -> float | None:
    """The mean over what is generated, or None where nothing is."""
    table = factors(scope)
    produced = {fuel: value for fuel, value in generation.items() if fuel is not Fuel.STORAGE and value > 0}
    total = math.fsum(produced.values())
    return math.fsum(value * table[fuel].g_per_kwh for fuel, value in produced.items()) / total if total else None


def reported(
    by_moment: Mapping[datetime, Mapping[Name, float]], storage: Collection[Name] = ()
) -> Iterator[tuple[datetime, Mapping[Name, float]]]:
    """The moments at which every fuel has reported, in order: providers publish some fuels hours before the others.

    A fuel that is missing counts as zero if it hardly ran when last heard (or, never heard yet, when next heard) and did
    not run at this hour of the day before, as solar at night. One that fell silent while it ran makes the moment unknown,
    until it has been silent for so long that it must have been closed or renamed; so do the days before it is first heard.
    Nobody waits for `storage`.
    """
    totals = {
        moment: math.fsum(value for name, value in by_moment[moment].items() if name not in storage and value > 0)
        for moment in sorted(by_moment)
    }
    unknown: set[datetime] = set()
    for name in {name for by_name in by_moment.values() for name in by_name}.difference(storage):
        runs = {
            moment: by_moment[moment][name] > SILENT_REL * total
            for moment, total in totals.items()
            if name in by_moment[moment]
        }
        heard, running = next(iter(runs.items()))
        for moment in totals:
            if moment in runs:
                heard, running = moment, runs[moment]
            elif abs(moment - heard) <= CLOSED_AFTER and (running or runs.get(moment - DAY, False)):
                unknown.add(moment)
    return ((moment, by_moment[moment]) for moment in totals if moment not in unknown)


def intensity_rows(
    by_moment: Mapping[datetime, Mapping[str, float | None]],
    names: Mapping[str, Fuel],
    step: timedelta,
    scope: Scope,
    *,
    whose: str,
) -> Iterator[Row]:
    """One row for each moment, the start of an interval of `step`, that is wholly reported and generated anything.

    Generation comes by a provider's own names, and is waited for by them: lignite does not stand for all coal. Names that
    `names` does not know are told to the log, once each time the program runs, as those of `whose`.
    """
    known = {moment: credible(by_name) for moment, by_name in by_moment.items()}
    storage = {name for name, fuel in names.items() if fuel is Fuel.STORAGE}
    for moment, by_name in reported(known, storage):
        mix = mix_of(by_name, names)
        for name in mix.unknown:
            _tell_unknown(name, whose)
        value = intensity_g_per_kwh(mix.generation, scope)
        if value is not None:
            yield Row(moment, moment + step, value)
