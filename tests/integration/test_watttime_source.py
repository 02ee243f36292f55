"""The WattTime source against a server on loopback that speaks the API's documented JSON, its login and its limits."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from carbonq.domain.carbon import Origin, Scope, SignalKind
from carbonq.domain.errors import NotFound, SourceNonsense, SourceRefused
from carbonq.forecasters.carbon.sources.watttime import WattTimeSource, watttime_client
from carbonq.forecasters.carbon.testing.server import Answer, says
from carbonq.forecasters.carbon.testing.watttime import WattTimeServer, data, duck_curve, error

NOW = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)
HOUR, DAY, STEP = timedelta(hours=1), timedelta(days=1), timedelta(minutes=5)
ZONE = "CAISO_NORTH"


@pytest.fixture
def server() -> Iterator[WattTimeServer]:
    with WattTimeServer(NOW) as server:
        yield server


@pytest.fixture
def watttime(server: WattTimeServer) -> WattTimeSource:
    return WattTimeSource(watttime_client(server.url, "a-user", "a-password"))


def _g_per_kwh(moment: datetime) -> float:
    return (duck_curve(moment) or 0.0) * 0.45359237


def test_the_past_is_in_grams_per_kwh_marginal_and_direct(watttime: WattTimeSource) -> None:
    series = watttime.history(ZONE, NOW - HOUR, NOW)
    assert [reading.start for reading in series.readings] == [NOW - HOUR + step * STEP for step in range(12)]
    assert [reading.intensity_g_per_kwh for reading in series.readings] == pytest.approx(
        [_g_per_kwh(reading.start) for reading in series.readings], rel=1e-12
    )
    assert (series.signal, series.scope) == (SignalKind.MARGINAL, Scope.DIRECT)
    assert {reading.origin for reading in series.readings} == {Origin.MEASURED}


def test_below_zero_it_stays_below_zero(watttime: WattTimeSource) -> None:
    noon = NOW.replace(hour=12, minute=0) - DAY
    assert (watttime.history(ZONE, noon, noon + HOUR).mean(noon, noon + HOUR) or 0) < 0


def test_the_forecast_is_the_mean_of_each_slots_five_minutes(watttime: WattTimeSource, server: WattTimeServer) -> None:
    forecast = watttime.forecast(ZONE, NOW, NOW + DAY)
    second = [_g_per_kwh(forecast.grid.at(1) + step * STEP) for step in range(6)]
    assert forecast.median_g_per_kwh[1] == pytest.approx(sum(second) / 6, rel=1e-12)
    assert (forecast.signal, forecast.grid.slots) == (SignalKind.MARGINAL, 49)
    assert server.requests[-1].params["horizon_hours"] == "72"


def test_the_minutes_of_the_present_slot_that_have_passed_read_as_its_first_value(watttime: WattTimeSource) -> None:
    first = watttime.forecast(ZONE, NOW, NOW + HOUR).median_g_per_kwh[0]
    values = [_g_per_kwh(NOW)] * 2 + [_g_per_kwh(NOW + step * STEP) for step in range(4)]
    assert first == pytest.approx(sum(values) / 6, rel=1e-12)


def test_beyond_72_hours_the_forecast_just_ends(watttime: WattTimeSource) -> None:
    assert watttime.forecast(ZONE, NOW, NOW + 7 * DAY).grid.end == NOW + 3 * DAY - timedelta(minutes=10)


def test_no_question_spans_more_than_32_days(watttime: WattTimeSource, server: WattTimeServer) -> None:
    series = watttime.history(ZONE, NOW - 70 * DAY, NOW)
    assert [request.path for request in server.requests].count("/v3/historical") == 3
    assert series.mean(NOW - 70 * DAY, NOW) is not None


def test_zones_are_the_regions_that_the_user_may_ask_for(watttime: WattTimeSource, server: WattTimeServer) -> None:
    assert watttime.zones() == ("CAISO_NORTH", "PJM_DC")
    with pytest.raises(NotFound):
        watttime.history("ERCOT_COAST", NOW - HOUR, NOW)
    assert "/v3/historical" not in "".join(server.paths)


def test_one_login_serves_many_questions(watttime: WattTimeSource, server: WattTimeServer) -> None:
    for _ in range(3):
        watttime.history(ZONE, NOW - HOUR, NOW)
    assert server.logins == 1


def test_a_token_that_has_run_out_is_renewed(watttime: WattTimeSource, server: WattTimeServer) -> None:
    watttime.history(ZONE, NOW - HOUR, NOW)
    server.expire()
    assert len(watttime.history(ZONE, NOW - HOUR, NOW).readings) == 12
    assert server.logins == 2


def test_a_refused_login_is_told_not_shown_and_not_repeated_at_once(server: WattTimeServer) -> None:
    watttime = WattTimeSource(watttime_client(server.url, "a-user", "a-wrong-password"))
    for _ in range(3):
        with pytest.raises(SourceRefused, match="Incorrect username or password") as caught:
            watttime.zones()
        assert "a-wrong-password" not in f"{caught.value!s}{caught.value!r}"
    assert server.logins == 1


@pytest.mark.parametrize("login", [says({}), says({"token": None}), says({"token": ""}), says([])])
def test_a_login_without_a_token_is_nonsense(watttime: WattTimeSource, server: WattTimeServer, login: Answer) -> None:
    server.faults.append(login)
    with pytest.raises(SourceNonsense, match="no token"):
        watttime.zones()


def test_null_is_a_gap_and_not_a_zero() -> None:
    with WattTimeServer(NOW, moer=lambda moment: None if moment.minute == 30 else 100.0) as server:
        watttime = WattTimeSource(watttime_client(server.url, "a-user", "a-password"))
        assert len(watttime.history(ZONE, NOW - HOUR, NOW).readings) == 11
        assert watttime.forecast(ZONE, NOW, NOW + DAY).grid.slots == 1


def test_values_in_other_units_are_refused(watttime: WattTimeSource, server: WattTimeServer) -> None:
    watttime.zones()
    server.faults.append(data(ZONE, server.points(NOW - HOUR, NOW), units="kg_co2_per_mwh"))
    with pytest.raises(SourceNonsense, match="kg_co2_per_mwh"):
        watttime.history(ZONE, NOW - HOUR, NOW)


@pytest.mark.parametrize(
    "start", ["2026-03-08T08:00:00+00:00", "2026-11-01T07:00:00+00:00"], ids=["spring forward", "fall back"]
)
def test_a_day_on_which_the_clocks_change_has_every_five_minutes_once(start: str) -> None:
    first = datetime.fromisoformat(start)
    with WattTimeServer(first + 3 * DAY) as server:
        series = WattTimeSource(watttime_client(server.url, "a-user", "a-password")).history(ZONE, first, first + DAY)
    assert [reading.start for reading in series.readings] == [first + step * STEP for step in range(288)]


POINT = {"point_time": "2026-07-06T08:30:00+00:00", "value": 412.5}


@pytest.mark.parametrize(
    "fault",
    [
        Answer(body=b"<!DOCTYPE html><html><body>Sign in</body></html>"),
        Answer(body=b""),
        Answer(body=b'{"data": [{"point_time"'),
        Answer(body=b"null"),
        says({"data": [POINT]}),
        data(ZONE, {"0": 1}),
        data(ZONE, [None]),
        data("PJM_DC", [POINT]),
        data(ZONE, [POINT], signal_type="health_damage"),
        data(ZONE, [POINT], units=None),
        data(ZONE, [POINT], data_point_period_seconds=0),
        data(ZONE, [POINT], data_point_period_seconds="300"),
        data(ZONE, [{"point_time": POINT["point_time"]}]),
        data(ZONE, [POINT | {"point_time": "2026-07-06T08:30:00"}]),
        data(ZONE, [POINT | {"point_time": None}]),
        data(ZONE, [POINT | {"value": "412.5"}]),
        data(ZONE, [POINT | {"value": True}]),
        data(ZONE, [POINT | {"value": 1e9}]),
        data(ZONE, [POINT | {"value": -1e9}]),
        data(ZONE, [POINT, POINT | {"point_time": "2026-07-06T08:32:00+00:00"}]),
    ],
    ids=lambda fault: f"{fault.body[:110]!r}",
)
def test_nonsense_is_refused_with_its_address(watttime: WattTimeSource, server: WattTimeServer, fault: Answer) -> None:
    watttime.zones()
    server.faults.append(fault)
    with pytest.raises(SourceNonsense) as caught:
        watttime.history(ZONE, NOW - HOUR, NOW)
    assert caught.value.where.startswith(server.url)


@pytest.mark.parametrize("answer", [says([]), says({"signal_types": None}), says({"signal_types": [{}]})])
def test_a_list_of_regions_that_is_none_is_refused(
    watttime: WattTimeSource, server: WattTimeServer, answer: Answer
) -> None:
    watttime.zones()  # logs in
    fresh = WattTimeSource(watttime_client(server.url, "a-user", "a-password"))
    server.faults += [says({"token": "any"}), answer]
    with pytest.raises(SourceNonsense):
        fresh.zones()


def test_a_region_that_the_plan_does_not_have_is_a_refusal(watttime: WattTimeSource, server: WattTimeServer) -> None:
    watttime.zones()
    server.faults.append(error(403, "upgrade your plan"))
    with pytest.raises(SourceRefused):
        watttime.forecast(ZONE, NOW, NOW + DAY)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_api_is_asked_again(watttime: WattTimeSource, server: WattTimeServer, status: int) -> None:
    watttime.zones()
    server.faults.append(error(status, "busy")._replace(headers=(("Retry-After", "0"),)))
    assert len(watttime.history(ZONE, NOW - HOUR, NOW).readings) == 12
