"""`energy-charts:direct`: what Europe's plants emit from their stacks, from the production mix of the Energy-Charts API. No key.

`/public_power` has the MW of each kind of plant by the quarter of an hour, or the hour (https://api.energy-charts.info);
`carbonq.forecasters.carbon.generation` makes g/kWh of them by direct factors. What is computed is the mean over what a
country produces. A forecast of it is not published. Licence CC BY 4.0; questions are limited as those of `energy-charts`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, Scope, Zone
from carbonq.domain.errors import NotFound, SourceNonsense
from carbonq.domain.time import floor_to
from carbonq.forecasters.carbon.generation import DAY, HIGHEST_MW, Fuel, intensity_rows
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.readings import Row, moment_of, overlapping, series_of, sound, spans, tidy, usual_step
from carbonq.forecasters.carbon.sources import energy_charts
from carbonq.forecasters.carbon.sources.energy_charts import COUNTRIES, ask, country_of, energy_charts_client, minute

INFO = energy_charts.INFO.model_copy(
    update={
        "name": "energy-charts:direct",
        "title": f"{energy_charts.INFO.title}: the production mix",
        "scope": Scope.DIRECT,
        "horizon_s": 0,
        "lag_s": 3 * 3600,
    }
)
PLANTS: Mapping[str, Fuel] = {
    "Biomass": Fuel.BIOMASS,
    "Fossil brown coal / lignite": Fuel.COAL,
    "Fossil coal-derived gas": Fuel.COAL,  # its carbon comes from coal
    "Fossil gas": Fuel.GAS,
    "Fossil hard coal": Fuel.COAL,
    "Fossil oil": Fuel.OIL,
    "Fossil oil shale": Fuel.COAL,  # burns like lignite
    "Fossil peat": Fuel.COAL,  # burns like lignite
    "Geothermal": Fuel.GEOTHERMAL,
    "Hydro pumped storage": Fuel.STORAGE,
    "Hydro pumped storage consumption": Fuel.STORAGE,
    "Hydro Run-of-River": Fuel.HYDRO,
    "Hydro water reservoir": Fuel.HYDRO,
    "Marine": Fuel.MARINE,
    "Nuclear": Fuel.NUCLEAR,
    "Other renewables": Fuel.BIOMASS,  # mostly gas from waste dumps and sewage
    "Others": Fuel.OTHER,
    "Solar": Fuel.SOLAR,
    "Waste": Fuel.OTHER,  # about half of it is plastics
    "Wind offshore": Fuel.WIND_OFFSHORE,
    "Wind onshore": Fuel.WIND,
}
NO_PLANT = ("load", "share", "trading", "balance")
"""In the names of what the API lists beside the plants, such as `Residual load` and `Renewable share of generation`."""
LONGEST = timedelta(days=90)
"""Of some 20 kinds by the quarter of an hour, that is about 1.5 MB."""


class EnergyChartsMixSource:
    """The countries of Europe: years back, a few hours late, no forecast."""

    name = INFO.name

    def __init__(self, client: JsonClient | None = None) -> None:
        self._client = client or energy_charts_client()
        self.info = INFO

    def zones(self) -> Sequence[Zone]:
        return COUNTRIES

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        country = country_of(zone)
        rows: list[Row] = []
        for first, last in spans(floor_to(start, 3600), end, LONGEST):
            # a day more is asked for, to know which plants run
            asked = {"country": country, "start": minute(first - DAY), "end": minute(last)}
            rows += overlapping(_rows(ask(self._client, "/public_power", asked), self._where), first, last)
        return series_of(zone, overlapping(tidy(rows, self._where), start, end), Origin.MEASURED, self.info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:  # noqa: ARG002  # the port's arguments
        country_of(zone)
        raise NotFound(
            f"{self.name} publishes no forecast",
            where=self._where,
            hint="its history serves carbonq's model; energy-charts, without `:direct`, has a forecast of its own",
        )

    @property
    def _where(self) -> str:
        return f"{self._client.base_url}/public_power"


def _rows(answer: object, where: str) -> list[Row]:
    moments, kinds = _lists(answer, where)
    by_moment = {
        moment: {name: _mw(values[index]) for name, values in kinds.items()}
        for index, moment in sound(enumerate(moments), lambda at: (at[0], moment_of(at[1], where)), where)
    }
    by_moment = {
        moment: by_name for moment, by_name in by_moment.items() if any(mw is not None for mw in by_name.values())
    }
    return list(intensity_rows(by_moment, PLANTS, usual_step(by_moment), INFO.scope, whose=INFO.name))


def _lists(answer: object, where: str) -> tuple[list[Any], dict[str, list[Any]]]:
    """The moments, and by kind of plant a value for each of them."""
    moments = answer.get("unix_seconds") if isinstance(answer, dict) else None
    kinds = answer.get("production_types") if isinstance(answer, dict) else None
    if not isinstance(moments, list) or not isinstance(kinds, list):
        raise SourceNonsense('the answer has no lists "unix_seconds" and "production_types"', where=where)
    plants: dict[str, list[Any]] = {}
    for kind in kinds:
        name, values = (kind.get("name"), kind.get("data")) if isinstance(kind, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(values, list) or len(values) != len(moments):
            raise SourceNonsense(f"a kind of plant without a value for each moment: {kind!r:.80}", where=where)
        if not any(word in name.lower() for word in NO_PLANT):
            plants[name] = values
    return moments, plants


def _mw(value: object) -> float | None:
    """None for what is no number that a grid can have: the kind has not reported then."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= HIGHEST_MW:
        return float(value)
    return None
