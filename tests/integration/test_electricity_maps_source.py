"""The Electricity Maps source against a server on loopback that speaks the API's documented JSON, plans and failures."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from carbonq.domain.carbon import Origin, Scope
from carbonq.domain.errors import NotFound, SourceNonsense, SourceRefused
from carbonq.forecasters.carbon.foresight import Foresight
from carbonq.forecasters.carbon.models.baselines import WeekMean
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.forecasters.carbon.sources.electricity_maps import ElectricityMapsSource, electricity_maps_client
from carbonq.forecasters.carbon.testing.electricity_maps import (
    FREE,
    ElectricityMapsServer,
    data,
    error,
    windy_grid,
)
from carbonq.forecasters.carbon.testing.server import Answer, says

NOW = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ON_THE_HOUR = NOW.replace(minute=0)


@pytest.fixture
def server() -> Iterator[ElectricityMapsServer]:
    with ElectricityMapsServer(NOW) as server:
        yield server


def _source(
    server: ElectricityMapsServer, version: str = "v4", scope: Scope = Scope.LIFECYCLE
) -> ElectricityMapsSource:
    return ElectricityMapsSource(electricity_maps_client(f"{server.url}/{version}", "a-good-key"), scope=scope)


@pytest.fixture
def maps(server: ElectricityMapsServer) -> ElectricityMapsSource:
    return _source(server)


def _asked(server: ElectricityMapsServer) -> list[str]:
    return [request.path.rpartition("/")[2] for request in server.requests]


def test_the_forecast_is_what_the_api_says_held_over_the_slots_of_each_hour(maps: ElectricityMapsSource) -> None:
    forecast = maps.forecast("DE", NOW, NOW + DAY)
    expected = [windy_grid(start.replace(minute=0)) for start, _ in forecast.grid]
    assert list(forecast.median_g_per_kwh) == expected
    assert (forecast.origin, forecast.scope) == (Origin.FORECAST, Scope.LIFECYCLE)


@pytest.mark.parametrize(("hours", "horizon"), [(3, "6"), (6, "24"), (30, "48"), (60, "72"), (200, "72")])
def test_no_longer_a_forecast_is_asked_for_than_is_needed(
    maps: ElectricityMapsSource, server: ElectricityMapsServer, hours: int, horizon: str
) -> None:
    maps.forecast("DE", NOW, NOW + hours * HOUR)
    assert server.requests[-1].params["horizonHours"] == horizon


def test_a_plan_that_reaches_less_far_is_asked_for_no_more_than_that() -> None:
    with ElectricityMapsServer(NOW, reach_h=24) as server:
        maps = _source(server)
        ends = {maps.forecast("DE", NOW, NOW + 4 * DAY).grid.end for _ in range(3)}
        horizons = [request.params["horizonHours"] for request in server.requests[1:]]
    assert ends == {ON_THE_HOUR + 25 * HOUR}
    assert horizons == ["72", "48", "24", "24", "24"]


def test_beyond_its_horizon_the_forecast_just_ends(maps: ElectricityMapsSource) -> None:
    assert maps.forecast("DE", NOW, NOW + 5 * DAY).grid.end == ON_THE_HOUR + 73 * HOUR


def test_the_past_is_asked_for_in_spans_of_ten_days(maps: ElectricityMapsSource, server: ElectricityMapsServer) -> None:
    series = maps.history("DE", NOW - 25 * DAY, ON_THE_HOUR)
    assert _asked(server) == ["zones", "past-range", "past-range", "past-range"]
    assert series.mean(NOW - 25 * DAY, ON_THE_HOUR) is not None


def test_every_question_forbids_the_callers_own_zone(
    maps: ElectricityMapsSource, server: ElectricityMapsServer
) -> None:
    maps.forecast("DE", NOW, NOW + DAY)
    maps.history("DE", NOW - DAY, NOW)
    assert [request.params.get("disableCallerLookup") for request in server.requests[1:]] == ["true", "true"]


def test_an_answer_for_another_zone_is_refused(maps: ElectricityMapsSource, server: ElectricityMapsServer) -> None:
    maps.zones()
    server.faults.append(data("IE", [server.row("IE", NOW - HOUR)]))
    with pytest.raises(SourceNonsense, match="asked for DE, answered for 'IE'"):
        maps.history("DE", NOW - DAY, NOW)


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_a_free_key_has_the_last_24_hours_and_no_forecast(version: str) -> None:
    with ElectricityMapsServer(NOW, access=FREE) as server:
        maps = _source(server, version)
        series = maps.history("FR", NOW - 5 * DAY, NOW)
        assert len(series.readings) == 24
        assert series.readings[-1].end == ON_THE_HOUR
        with pytest.raises(NotFound, match="no forecast"):
            maps.forecast("FR", NOW, NOW + DAY)
        assert _asked(server) == ["zones", "history"]


def test_a_key_that_may_ask_for_the_latest_alone_has_one_reading() -> None:
    with ElectricityMapsServer(NOW, access=["carbon-intensity/latest"]) as server:
        series = _source(server).history("FR", NOW - DAY, NOW)
    assert [reading.start for reading in series.readings] == [ON_THE_HOUR]


@pytest.mark.parametrize("access", [["carbon-intensity/forecast"], ["power-breakdown/latest"]])
def test_a_key_without_any_past_says_so(access: list[str]) -> None:
    with ElectricityMapsServer(NOW, access=access) as server, pytest.raises(NotFound, match="no past"):
        _source(server).history("FR", NOW - DAY, NOW)


def test_zones_of_which_the_key_has_no_intensity_are_not_listed() -> None:
    with ElectricityMapsServer(NOW, access=["power-breakdown/latest"]) as server:
        assert _source(server).zones() == ()


@pytest.mark.parametrize("status", [401, 403])
def test_a_past_range_that_is_refused_after_all_gives_way_to_the_last_24_hours(
    maps: ElectricityMapsSource, server: ElectricityMapsServer, status: int
) -> None:
    maps.zones()
    server.faults.append(error(status, "not in your plan"))
    assert len(maps.history("DE", NOW - 5 * DAY, NOW).readings) == 24


def test_where_the_api_does_not_list_what_a_key_may_it_is_tried() -> None:
    with ElectricityMapsServer(NOW, access=FREE, lists=False) as server:
        maps = _source(server)
        assert len(maps.history("DE", NOW - 5 * DAY, NOW).readings) == 24
        for _ in range(2):
            with pytest.raises(NotFound, match="no forecast for DE"):
                maps.forecast("DE", NOW, NOW + DAY)
        assert _asked(server).count("forecast") == 3  # for 48 hours, 24 and 6, and the second time not at all


def test_what_a_key_may_is_asked_once_for_many_questions(
    maps: ElectricityMapsSource, server: ElectricityMapsServer
) -> None:
    for _ in range(3):
        maps.history("DE", NOW - HOUR, NOW)
    assert _asked(server).count("zones") == 1


def test_estimated_hours_are_told_apart() -> None:
    with ElectricityMapsServer(NOW, is_estimated=lambda hour: hour >= NOW - 3 * HOUR) as server:
        series = _source(server).history("DE", NOW - 5 * HOUR, ON_THE_HOUR)
    assert [reading.origin for reading in series.readings] == [Origin.MEASURED] * 3 + [Origin.ESTIMATED] * 2


def test_null_is_a_gap_and_not_a_zero() -> None:
    with ElectricityMapsServer(NOW, intensity=lambda hour: None if hour.hour == 6 else 100) as server:
        series = _source(server).history("DE", ON_THE_HOUR - 5 * HOUR, ON_THE_HOUR)
    assert [reading.start.hour for reading in series.readings] == [4, 5, 7, 8]


def test_a_null_ends_the_forecast_rather_than_being_filled_in() -> None:
    with ElectricityMapsServer(NOW, intensity=lambda hour: None if hour.hour == 12 else 100) as server:
        assert _source(server).forecast("DE", NOW, NOW + DAY).grid.slots == 6


def test_direct_intensity_is_a_source_of_its_own(server: ElectricityMapsServer) -> None:
    lifecycle, direct = _source(server), _source(server, scope=Scope.DIRECT)
    span = (ON_THE_HOUR - 3 * HOUR, ON_THE_HOUR)
    above, below = lifecycle.history("DE", *span), direct.history("DE", *span)
    assert (above.scope, below.scope) == (Scope.LIFECYCLE, Scope.DIRECT)
    assert (above.source, below.source) == ("electricity-maps", "electricity-maps:direct")
    assert below.mean(*span) == pytest.approx((above.mean(*span) or 0) - 50)


@pytest.mark.parametrize(
    "start", ["2026-03-28T23:00:00+00:00", "2026-10-24T22:00:00+00:00"], ids=["spring forward", "fall back"]
)
def test_a_day_on_which_the_clocks_change_has_every_hour_once(start: str) -> None:
    first = datetime.fromisoformat(start)
    with ElectricityMapsServer(first + 3 * DAY) as server:
        series = _source(server).history("DE", first, first + 2 * DAY)
    assert [reading.start for reading in series.readings] == [first + hour * HOUR for hour in range(48)]


def test_of_hours_given_twice_the_last_one_counts(maps: ElectricityMapsSource, server: ElectricityMapsServer) -> None:
    maps.zones()
    row = server.row("DE", ON_THE_HOUR - HOUR)
    server.faults.append(data("DE", [row, row | {"carbonIntensity": 77}]))
    series = maps.history("DE", ON_THE_HOUR - HOUR, ON_THE_HOUR)
    assert [reading.intensity_g_per_kwh for reading in series.readings] == [77]


ROW = {"zone": "DE", "carbonIntensity": 100, "datetime": "2026-07-06T08:00:00.000Z"}


@pytest.mark.parametrize(
    "fault",
    [
        Answer(body=b"<!DOCTYPE html><html><body>Sign in</body></html>"),
        Answer(body=b""),
        Answer(body=b'{"zone": "DE", "data": [{"zone"'),
        Answer(body=b"null"),
        Answer(body=b"[]"),
        says({"zone": "DE"}),
        data("DE", {"0": 1}),
        data("DE", [None]),
        data("DE", [{"datetime": ROW["datetime"]}]),
        data("DE", [ROW | {"datetime": "2026-07-06T08:00:00"}]),
        data("DE", [ROW | {"datetime": "yesterday"}]),
        data("DE", [ROW | {"datetime": 1783328400}]),
        data("DE", [ROW | {"carbonIntensity": "100"}]),
        data("DE", [ROW | {"carbonIntensity": -4000}]),
        data("DE", [ROW | {"carbonIntensity": 1e6}]),
        data("DE", [ROW | {"emissionFactorType": "direct"}]),
        data("DE", [ROW | {"temporalGranularity": "daily"}]),
        data("DE", [ROW, ROW | {"datetime": "2026-07-06T08:30:00Z"}]),
    ],
    ids=lambda fault: f"{fault.body[:90]!r}",
)
def test_nonsense_is_refused_with_its_address(
    maps: ElectricityMapsSource, server: ElectricityMapsServer, fault: Answer
) -> None:
    maps.zones()
    server.faults.append(fault)
    with pytest.raises(SourceNonsense) as caught:
        maps.history("DE", NOW - DAY, NOW)
    assert caught.value.where.startswith(server.url)


@pytest.mark.parametrize("answer", [says([]), says({"DE": None}), says({"DE": {"access": "all"}})])
def test_a_list_of_zones_that_is_none_is_refused(
    maps: ElectricityMapsSource, server: ElectricityMapsServer, answer: Answer
) -> None:
    server.faults.append(answer)
    with pytest.raises(SourceNonsense):
        maps.zones()


def test_a_wrong_key_is_told_and_not_shown(server: ElectricityMapsServer) -> None:
    maps = ElectricityMapsSource(electricity_maps_client(f"{server.url}/v4", "a-wrong-key"))
    with pytest.raises(SourceRefused, match="401: Invalid auth-token") as caught:
        maps.history("DE", NOW - DAY, NOW)
    assert "a-wrong-key" not in f"{caught.value!s}{caught.value!r}"
    assert "a-wrong-key" not in "".join(server.paths)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_api_is_asked_again(maps: ElectricityMapsSource, server: ElectricityMapsServer, status: int) -> None:
    server.faults.append(error(status, "busy")._replace(headers=(("Retry-After", "0"),)))
    assert maps.zones() == ("DE", "FR")


@pytest.mark.parametrize("lists", [True, False], ids=["listed", "found out"])
def test_a_key_without_forecasts_still_feeds_the_archive_and_its_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lists: bool
) -> None:
    """The whole way, hour by hour for two days: a plan without a forecast is no failure of the rest."""
    with ElectricityMapsServer(NOW, access=FREE, lists=lists) as server:
        foresight = Foresight(Outlook([_source(server)]), tmp_path, lambda _step_s: WeekMean())
        for _ in range(48):
            foresight.refresh("DE", server.now, server.now + DAY)
            server.now += HOUR
        series = foresight.history("DE", NOW - DAY, server.now)
        forecasts_asked = _asked(server).count("forecast")
    assert series.source == "electricity-maps"
    assert series.readings[0].start == ON_THE_HOUR - DAY
    assert series.mean(ON_THE_HOUR - DAY, ON_THE_HOUR + 47 * HOUR) is not None
    assert forecasts_asked <= (0 if lists else 8 * 4)  # anew every six hours, each horizon once
    assert caplog.text == ""


def test_what_lies_before_the_last_24_hours_is_not_asked_for_again_and_again() -> None:
    with ElectricityMapsServer(NOW, access=FREE) as server:
        maps = _source(server)
        for days in range(1, 20):
            maps.history("DE", NOW - (days + 1) * DAY, NOW - days * DAY)
        assert _asked(server).count("history") == 1
