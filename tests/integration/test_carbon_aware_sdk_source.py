"""The Carbon Aware SDK source against a server on loopback that speaks the interface of either version."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from carbonq.domain.carbon import Origin, Scope, SignalKind
from carbonq.domain.errors import InvalidInput, NotFound, SourceNonsense, SourceRefused
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.registry import make_source
from carbonq.forecasters.carbon.sources.carbon_aware_sdk import CarbonAwareSdkSource
from carbonq.forecasters.carbon.testing.carbon_aware_sdk import CarbonAwareSdkServer, evening_peak, problem
from carbonq.forecasters.carbon.testing.server import Answer, says

NOW = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)
DAY, FIVE_MINUTES = timedelta(days=1), timedelta(minutes=5)


@pytest.fixture
def server() -> Iterator[CarbonAwareSdkServer]:
    with CarbonAwareSdkServer(NOW) as server:
        yield server


@pytest.fixture
def sdk(server: CarbonAwareSdkServer) -> CarbonAwareSdkSource:
    return CarbonAwareSdkSource(JsonClient(server.url, sleep=lambda _: None))


def test_its_zones_are_the_servers_locations_asked_for_once(
    sdk: CarbonAwareSdkSource, server: CarbonAwareSdkServer
) -> None:
    assert [sdk.zones(), sdk.zones()] == [("EASTUS", "FRANCECENTRAL")] * 2
    assert server.paths == ["/locations"]


def test_a_slot_is_the_mean_of_its_points(sdk: CarbonAwareSdkSource, server: CarbonAwareSdkServer) -> None:
    forecast = sdk.forecast("FRANCECENTRAL", NOW, NOW + DAY)
    assert server.paths[-1] == "/emissions/forecasts/current?location=francecentral"
    assert forecast.median_g_per_kwh[1:] == pytest.approx(
        [sum(evening_peak(slot + FIVE_MINUTES * point) for point in range(6)) / 6 for slot, _ in forecast.grid][1:]
    )


def test_the_minutes_of_the_present_slot_that_have_passed_count_as_the_first_point(sdk: CarbonAwareSdkSource) -> None:
    """The newest forecast begins at 09:15, the slot at 09:00."""
    first = [evening_peak(NOW.replace(minute=minute)) for minute in (15, 15, 15, 15, 20, 25)]
    assert sdk.forecast("EASTUS", NOW, NOW + DAY).median_g_per_kwh[0] == pytest.approx(sum(first) / 6)


@pytest.mark.parametrize("best", ["optimalDataPoint", "optimalDataPoints"])
def test_either_version_of_the_interface_is_read(best: str) -> None:
    with CarbonAwareSdkServer(NOW, best=best) as server:
        forecast = CarbonAwareSdkSource(JsonClient(server.url)).forecast("EASTUS", NOW, NOW + DAY)
    assert forecast.grid.slots == 49


def test_the_past_is_what_the_server_observed(sdk: CarbonAwareSdkSource, server: CarbonAwareSdkServer) -> None:
    series = sdk.history("EASTUS", NOW - DAY, NOW)
    assert server.paths[-1] == (
        "/emissions/bylocation?location=eastus&time=2026-07-05T09%3A00%3A00Z&toTime=2026-07-06T09%3A10%3A00Z"
    )
    assert {reading.end - reading.start for reading in series.readings} == {FIVE_MINUTES}
    assert series.readings[0].intensity_g_per_kwh == evening_peak(series.readings[0].start)
    assert {reading.origin for reading in series.readings} == {Origin.MEASURED}


def test_a_time_without_data_is_no_past_and_no_error(sdk: CarbonAwareSdkSource, server: CarbonAwareSdkServer) -> None:
    assert sdk.history("EASTUS", NOW + DAY, NOW + 2 * DAY).readings == ()
    assert server.requests[-1].path == "/emissions/bylocation"


def test_half_a_year_is_asked_for_by_the_month(sdk: CarbonAwareSdkSource, server: CarbonAwareSdkServer) -> None:
    sdk.history("EASTUS", NOW - 180 * DAY, NOW)
    assert len(server.requests) == 1 + 7


@pytest.mark.parametrize("answer", [problem(404, "Not Found"), Answer(204, b"")], ids=["404", "204"])
def test_a_server_that_lists_no_locations_is_asked_for_any(
    sdk: CarbonAwareSdkSource, server: CarbonAwareSdkServer, answer: Answer
) -> None:
    server.faults.append(answer)
    assert sdk.zones() == ()
    assert sdk.forecast("EASTUS", NOW, NOW + DAY).grid.slots == 49
    with pytest.raises(NotFound, match="'nowhere'"):
        sdk.forecast("NOWHERE", NOW, NOW + DAY)


def test_a_location_that_the_data_source_does_not_cover_is_passed_over(
    sdk: CarbonAwareSdkSource, server: CarbonAwareSdkServer
) -> None:
    sdk.zones()
    server.faults.append(problem(400, "region is not accessible"))
    with pytest.raises(NotFound, match="region is not accessible"):
        sdk.history("EASTUS", NOW - DAY, NOW)


def test_a_server_whose_data_source_has_no_forecasts_is_passed_over(
    sdk: CarbonAwareSdkSource, server: CarbonAwareSdkServer
) -> None:
    sdk.zones()
    server.faults.append(problem(501, "NotImplemented"))
    with pytest.raises(NotFound, match="no forecast"):
        sdk.forecast("EASTUS", NOW, NOW + DAY)


def test_a_refused_list_of_locations_is_a_failure_and_asked_for_again(
    sdk: CarbonAwareSdkSource, server: CarbonAwareSdkServer
) -> None:
    server.faults.append(problem(401, "Unauthorized"))
    with pytest.raises(SourceRefused):
        sdk.zones()
    assert sdk.zones() == ("EASTUS", "FRANCECENTRAL")


def spoilt(server: CarbonAwareSdkServer, **point: object) -> dict[str, Any]:
    forecast = server.forecast("eastus")
    forecast["forecastData"][20] |= point
    return forecast


@pytest.mark.parametrize(
    "point", [{"value": 1e9}, {"value": None}, {"value": "NaN"}, {"timestamp": "2026-07-06T11:00"}]
)
def test_one_absurd_point_ends_the_forecast_there_and_is_told(
    sdk: CarbonAwareSdkSource, server: CarbonAwareSdkServer, point: dict[str, object]
) -> None:
    """What is left out is not made up: the outlook goes on from there."""
    sdk.zones()
    server.faults.append(says([spoilt(server, **point)]))
    assert sdk.forecast("EASTUS", NOW, NOW + DAY).grid.slots == 3


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [None],
        [{}],
        [{"forecastData": None}],
        [{"forecastData": [None]}],
        [{"forecastData": []}],
        [{"forecastData": [{"timestamp": "2026-07-06T09:00Z", "duration": 0, "value": 5}]}],
        [{"forecastData": [{"timestamp": "2026-07-06T09:00Z", "duration": "PT5M", "value": 5}]}],
        {"forecastData": []},
    ],
    ids=str,
)
def test_a_forecast_that_is_not_as_documented_is_nonsense(
    sdk: CarbonAwareSdkSource, server: CarbonAwareSdkServer, answer: object
) -> None:
    sdk.zones()
    server.faults.append(says(answer))
    with pytest.raises(SourceNonsense):
        sdk.forecast("EASTUS", NOW, NOW + DAY)


def test_a_word_without_a_kind_is_marginal_as_the_interface_documents_it() -> None:
    source = make_source("carbon-aware-sdk:http://127.0.0.1:9")
    assert (source.name, source.info.signal) == ("carbon-aware-sdk:http://127.0.0.1:9", SignalKind.MARGINAL)


@pytest.mark.parametrize("kind", list(SignalKind))
def test_the_word_says_which_kind_the_servers_data_source_is(kind: SignalKind) -> None:
    info = make_source(f"carbon-aware-sdk:{kind}:http://127.0.0.1:9").info
    assert (info.signal, info.scope is Scope.DIRECT) == (kind, kind is SignalKind.MARGINAL)


@pytest.mark.parametrize("rest", ["", "server", "average:", "ftp://server", "http://", "http://user:password@server"])
def test_a_word_without_a_plain_address_is_refused_without_repeating_it(rest: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_source(f"carbon-aware-sdk:{rest}")
    assert "password@" not in str(caught.value)
