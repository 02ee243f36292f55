"""The production mix of Energy-Charts against a server on loopback that speaks the API's documented lists."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from carbonq.domain.carbon import Origin, Scope
from carbonq.domain.errors import NotFound, SourceNonsense
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.registry import make_source
from carbonq.forecasters.carbon.sources.energy_charts_mix import EnergyChartsMixSource
from carbonq.forecasters.carbon.testing.energy_charts import EnergyChartsServer, midday_sun
from carbonq.forecasters.carbon.testing.server import Answer, says

NOW = datetime(2026, 7, 6, 9, 0, tzinfo=UTC)
DAY, QUARTER = timedelta(days=1), timedelta(minutes=15)
COAL_G_PER_KWH = 760
Spoil = Callable[[dict[str, Any]], None]


@pytest.fixture
def server() -> Iterator[EnergyChartsServer]:
    with EnergyChartsServer(NOW, until=NOW) as server:
        yield server


@pytest.fixture
def mix(server: EnergyChartsServer) -> EnergyChartsMixSource:
    return EnergyChartsMixSource(JsonClient(server.url, sleep=lambda _: None))


def test_each_quarter_has_the_direct_emissions_of_what_was_produced(mix: EnergyChartsMixSource) -> None:
    """Of 1,000 MW as many from coal as the made-up intensity says, the rest nuclear; storage and trade count for nothing."""
    series = mix.history("DE", NOW - DAY, NOW)
    assert [reading.intensity_g_per_kwh for reading in series.readings] == pytest.approx(
        [COAL_G_PER_KWH * midday_sun(reading.start) / 1000 for reading in series.readings]
    )
    assert {reading.end - reading.start for reading in series.readings} == {QUARTER}
    assert {reading.origin for reading in series.readings} == {Origin.MEASURED}
    assert (series.source, series.scope) == ("energy-charts:direct", Scope.DIRECT)


def test_a_day_before_is_asked_for_but_not_told(mix: EnergyChartsMixSource, server: EnergyChartsServer) -> None:
    assert mix.history("DE", NOW - DAY, NOW).readings[0].start == NOW - DAY
    assert server.paths == ["/public_power?country=de&start=2026-07-04T09%3A00Z&end=2026-07-06T09%3A00Z"]


def test_a_year_is_asked_for_by_the_quarter(mix: EnergyChartsMixSource, server: EnergyChartsServer) -> None:
    assert mix.history("DE", NOW - 365 * DAY, NOW - DAY).mean(NOW - 365 * DAY, NOW - DAY) is not None
    assert len(server.requests) == 5


def _spoilt(server: EnergyChartsServer, spoil: Spoil) -> Answer:
    plants = server.plants(NOW - 2 * DAY, NOW)
    spoil(plants)
    return says(plants)


def _coal(answer: dict[str, Any]) -> list[Any]:
    return next(kind["data"] for kind in answer["production_types"] if "coal" in kind["name"])


@pytest.mark.parametrize("value", [None, "40", True, 1e12, 10**400, [1]])
def test_a_moment_at_which_a_plant_that_runs_did_not_report_is_a_gap(
    mix: EnergyChartsMixSource, server: EnergyChartsServer, value: object
) -> None:
    """Without its coal, the grid would look clean."""
    usual = len(mix.history("DE", NOW - DAY, NOW).readings)
    server.faults.append(_spoilt(server, lambda answer: _coal(answer).__setitem__(120, value)))
    assert len(mix.history("DE", NOW - DAY, NOW).readings) == usual - 1


def test_a_kind_that_no_table_knows_counts_as_other(mix: EnergyChartsMixSource, server: EnergyChartsServer) -> None:
    def spoil(answer: dict[str, Any]) -> None:
        moments = len(answer["unix_seconds"])
        answer["production_types"] = [{"name": "Fusion (trial)", "data": [5.0] * moments}]

    server.faults.append(_spoilt(server, spoil))
    assert {reading.intensity_g_per_kwh for reading in mix.history("DE", NOW - DAY, NOW).readings} == {575.0}


def _shorter(answer: dict[str, Any]) -> None:
    _coal(answer).pop()


def _no_list(answer: dict[str, Any]) -> None:
    answer["production_types"] = {"Solar": [1]}


def _no_name(answer: dict[str, Any]) -> None:
    answer["production_types"][0].pop("name")


def _dates(answer: dict[str, Any]) -> None:
    answer["unix_seconds"] = ["2026-07-06T09:00" for _ in answer["unix_seconds"]]


@pytest.mark.parametrize("spoil", [_shorter, _no_list, _no_name, _dates], ids=lambda spoil: spoil.__name__)
def test_lists_that_are_not_as_documented_are_nonsense(
    mix: EnergyChartsMixSource, server: EnergyChartsServer, spoil: Spoil
) -> None:
    server.faults.append(_spoilt(server, spoil))
    with pytest.raises(SourceNonsense):
        mix.history("DE", NOW - DAY, NOW)


def test_it_says_that_it_has_no_forecast_and_what_has_one(mix: EnergyChartsMixSource) -> None:
    with pytest.raises(NotFound, match="no forecast") as caught:
        mix.forecast("DE", NOW, NOW + DAY)
    assert "energy-charts" in caught.value.hint


def test_the_word_says_the_scope() -> None:
    assert make_source("energy-charts:direct").info.scope is Scope.DIRECT
    assert make_source("energy-charts").info.scope is Scope.LIFECYCLE
