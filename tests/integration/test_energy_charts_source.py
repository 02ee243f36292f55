"""The Energy-Charts source against a server on loopback that speaks the API's documented lists."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from carbonq.domain.carbon import Origin, Scope, SignalKind
from carbonq.domain.errors import NotFound, SourceNonsense
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.forecasters.carbon.sources.energy_charts import EnergyChartsSource
from carbonq.forecasters.carbon.testing.energy_charts import EnergyChartsServer, midday_sun
from carbonq.forecasters.carbon.testing.server import Answer, says

NOW = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)
TONIGHT = datetime(2026, 7, 6, 22, 0, tzinfo=UTC)
DAY, QUARTER = timedelta(days=1), timedelta(minutes=15)
Spoil = Callable[[dict[str, Any]], None]


@pytest.fixture
def server() -> Iterator[EnergyChartsServer]:
    with EnergyChartsServer(NOW, until=TONIGHT) as server:
        yield server


@pytest.fixture
def charts(server: EnergyChartsServer) -> EnergyChartsSource:
    return EnergyChartsSource(JsonClient(server.url, sleep=lambda _: None))


def test_the_past_is_what_was_measured_by_the_quarter_of_an_hour(
    charts: EnergyChartsSource, server: EnergyChartsServer
) -> None:
    series = charts.history("DE", NOW - DAY, NOW)
    assert server.paths == ["/co2eq?country=de&start=2026-07-05T09%3A00Z&end=2026-07-06T09%3A10Z"]
    assert [reading.intensity_g_per_kwh for reading in series.readings] == [
        midday_sun(reading.start) for reading in series.readings
    ]
    assert {reading.end - reading.start for reading in series.readings} == {QUARTER}
    assert {reading.origin for reading in series.readings} == {Origin.MEASURED}
    assert (series.signal, series.scope) == (SignalKind.AVERAGE, Scope.LIFECYCLE)


def test_what_is_only_expected_is_no_past(charts: EnergyChartsSource) -> None:
    assert charts.history("DE", NOW - DAY, NOW).readings[-1].end == datetime(2026, 7, 6, 7, 30, tzinfo=UTC)


def test_the_forecast_is_the_mean_of_its_quarters_and_ends_with_the_day(charts: EnergyChartsSource) -> None:
    forecast = charts.forecast("DE", NOW, NOW + 2 * DAY)
    assert forecast.grid.end == TONIGHT
    assert forecast.median_g_per_kwh == pytest.approx(
        [(midday_sun(slot) + midday_sun(slot + QUARTER)) / 2 for slot, _ in forecast.grid]
    )


def test_what_was_measured_of_the_present_slot_already_counts(
    charts: EnergyChartsSource, server: EnergyChartsServer
) -> None:
    lists = server.lists(NOW.replace(hour=0, minute=0), TONIGHT)
    at = lists["unix_seconds"].index(int(NOW.replace(minute=0).timestamp()))
    lists["co2eq"][at], lists["co2eq_forecast"][at] = 100.0, None
    server.faults.append(says(lists))
    expected = (100.0 + midday_sun(NOW.replace(minute=15))) / 2
    assert charts.forecast("DE", NOW, NOW + DAY).median_g_per_kwh[0] == pytest.approx(expected)


def test_beyond_its_reach_the_outlook_goes_on_with_the_typical_profile(charts: EnergyChartsSource) -> None:
    forecast = Outlook([charts]).forecast("DE", NOW, NOW + 2 * DAY)
    assert (forecast.source, forecast.extended_from) == ("energy-charts", TONIGHT)


def test_countries_by_the_hour_are_held_over_their_slots() -> None:
    with EnergyChartsServer(NOW, until=TONIGHT, step_s=3600) as server:
        forecast = EnergyChartsSource(JsonClient(server.url)).forecast("CH", NOW, TONIGHT)
    assert forecast.median_g_per_kwh == tuple(midday_sun(slot.replace(minute=0)) for slot, _ in forecast.grid)


def test_a_year_is_one_question_and_three_are_three(charts: EnergyChartsSource, server: EnergyChartsServer) -> None:
    charts.history("DE", NOW - 365 * DAY, NOW)
    charts.history("DE", NOW - 3 * 365 * DAY, NOW)
    assert len(server.requests) == 1 + 3


@pytest.mark.parametrize(
    ("midnight", "hours"),
    [("2026-03-29T00:00+01:00", 23), ("2026-10-25T00:00+02:00", 25)],
    ids=["spring forward", "fall back"],
)
def test_a_day_on_which_the_clocks_change_has_every_quarter_once(midnight: str, hours: int) -> None:
    start = datetime.fromisoformat(midnight).astimezone(UTC)
    end = start + timedelta(hours=hours)
    with EnergyChartsServer(end + DAY, until=end + DAY) as server:
        series = EnergyChartsSource(JsonClient(server.url)).history("DE", start, end)
    assert [reading.start for reading in series.readings] == [start + QUARTER * index for index in range(4 * hours)]


def spoilt(server: EnergyChartsServer, spoil: Spoil) -> Answer:
    lists = server.lists(NOW - DAY - QUARTER, NOW)
    spoil(lists)
    return says(lists)


def test_a_null_is_a_gap(charts: EnergyChartsSource, server: EnergyChartsServer) -> None:
    def spoil(lists: dict[str, Any]) -> None:
        lists["co2eq"][10] = None

    server.faults.append(spoilt(server, spoil))
    readings = charts.history("DE", NOW - DAY, NOW).readings
    assert [later.start - earlier.end for earlier, later in pairwise(readings)].count(QUARTER) == 1


def test_nothing_but_nulls_is_no_past_yet_and_no_error(charts: EnergyChartsSource, server: EnergyChartsServer) -> None:
    server.faults.append(says(server.lists(NOW, NOW + DAY)))
    assert charts.history("DE", NOW - DAY, NOW).readings == ()


@pytest.mark.parametrize("value", [99_999.0, -5000.0, "300", True, [1], {}])
def test_one_absurd_value_does_not_cost_the_rest(
    charts: EnergyChartsSource, server: EnergyChartsServer, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    def spoil(lists: dict[str, Any]) -> None:
        lists["co2eq"][10] = value

    usual = len(charts.history("DE", NOW - DAY, NOW).readings)
    server.faults.append(spoilt(server, spoil))
    with caplog.at_level(logging.WARNING, "carbonq.carbon"):
        assert len(charts.history("DE", NOW - DAY, NOW).readings) == usual - 1
    assert "1 of 97 rows left out" in caplog.text


def test_a_value_below_zero_that_a_grid_may_have_is_kept(
    charts: EnergyChartsSource, server: EnergyChartsServer
) -> None:
    def spoil(lists: dict[str, Any]) -> None:
        lists["co2eq"][10] = -3.5

    server.faults.append(spoilt(server, spoil))
    assert -3.5 in {reading.intensity_g_per_kwh for reading in charts.history("DE", NOW - DAY, NOW).readings}


def test_of_quarters_given_twice_the_last_one_counts(charts: EnergyChartsSource, server: EnergyChartsServer) -> None:
    def spoil(lists: dict[str, Any]) -> None:
        for name, value in (("unix_seconds", lists["unix_seconds"][10]), ("co2eq", 123.0), ("co2eq_forecast", None)):
            lists[name].append(value)

    server.faults.append(spoilt(server, spoil))
    values = [reading.intensity_g_per_kwh for reading in charts.history("DE", NOW - DAY, NOW).readings]
    assert values.count(123.0) == 1
    assert len(values) == len(charts.history("DE", NOW - DAY, NOW).readings)


def _shorter(lists: dict[str, Any]) -> None:
    lists["co2eq"].pop()


def _renamed(lists: dict[str, Any]) -> None:
    lists["values"] = lists.pop("co2eq_forecast")


def _no_list(lists: dict[str, Any]) -> None:
    lists["unix_seconds"] = "now"


def _absurd(lists: dict[str, Any]) -> None:
    lists["co2eq"] = [1e9 for _ in lists["co2eq"]]


def _dates(lists: dict[str, Any]) -> None:
    lists["unix_seconds"] = ["2026-07-06T09:00" for _ in lists["co2eq"]]


@pytest.mark.parametrize("spoil", [_shorter, _renamed, _no_list, _absurd, _dates], ids=lambda spoil: spoil.__name__)
def test_lists_that_are_not_as_documented_are_nonsense(
    charts: EnergyChartsSource, server: EnergyChartsServer, spoil: Spoil
) -> None:
    server.faults.append(spoilt(server, spoil))
    with pytest.raises(SourceNonsense):
        charts.history("DE", NOW - DAY, NOW)


def test_a_country_that_the_provider_no_longer_has_is_passed_over(
    charts: EnergyChartsSource, server: EnergyChartsServer
) -> None:
    server.faults.append(Answer(400, b"'lu' is not the code for an available country."))
    with pytest.raises(NotFound, match="'lu'"):
        charts.forecast("LU", NOW, NOW + DAY)


def test_a_zone_outside_europe_is_not_asked_for(charts: EnergyChartsSource, server: EnergyChartsServer) -> None:
    with pytest.raises(NotFound):
        charts.forecast("US-CAL-CISO", NOW, NOW + DAY)
    assert server.requests == []
