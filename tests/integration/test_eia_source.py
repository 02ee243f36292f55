"""The EIA source against a server on loopback that speaks the API's documented JSON, its limits and its failures."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from carbonq.domain.carbon import Origin, Scope
from carbonq.domain.errors import NotFound, SourceNonsense, SourceRefused, SourceUnreachable
from carbonq.forecasters.carbon.sources.eia import RESPONDENTS, EiaSource, eia_client
from carbonq.forecasters.carbon.testing.eia import EiaServer, data, error, row, sunny_grid
from carbonq.forecasters.carbon.testing.server import Answer

NOW = datetime(2026, 7, 6, 9, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONE = "US-CAL-CISO"


@pytest.fixture
def server() -> Iterator[EiaServer]:
    with EiaServer(NOW) as server:
        yield server


@pytest.fixture
def eia(server: EiaServer) -> EiaSource:
    return EiaSource(eia_client(f"{server.url}/v2", "a-good-key"))


def _expected(hour: datetime) -> float:
    mix = {fuel: value or 0.0 for fuel, value in sunny_grid(hour).items()}
    grams = 12 * mix["NUC"] + 490 * mix["NG"] + 45 * mix["SUN"]
    return grams / (mix["NUC"] + mix["NG"] + mix["SUN"])


def test_each_hour_has_the_intensity_of_its_mix_by_lifecycle_factors(eia: EiaSource) -> None:
    series = eia.history(ZONE, NOW - DAY, NOW)
    assert [reading.start for reading in series.readings] == [NOW - DAY + hour * HOUR for hour in range(24)]
    assert [reading.intensity_g_per_kwh for reading in series.readings] == pytest.approx(
        [_expected(reading.start) for reading in series.readings], rel=1e-12
    )
    assert (series.scope, {reading.origin for reading in series.readings}) == (Scope.LIFECYCLE, {Origin.MEASURED})


def test_a_period_is_the_end_of_its_hour(eia: EiaSource, server: EiaServer) -> None:
    eia.history(ZONE, NOW - 2 * HOUR, NOW - HOUR)
    asked = server.requests[0].params
    assert (asked["start"], asked["end"]) == ("2026-07-05T08", "2026-07-06T08")  # and a day before


def test_an_authority_answers_to_its_own_code_as_well(eia: EiaSource, server: EiaServer) -> None:
    assert eia.history("CISO", NOW - HOUR, NOW).zone == "CISO"
    assert server.requests[0].params["facets[respondent][]"] == "CISO"


@pytest.mark.parametrize("zone", ["FR", "US-TEX-CISO", "ciso", "", "US-CAL"])
def test_a_zone_that_is_no_authority_is_not_asked_for(eia: EiaSource, server: EiaServer, zone: str) -> None:
    with pytest.raises(NotFound):
        eia.history(zone, NOW - HOUR, NOW)
    assert server.paths == []


def test_no_authority_has_two_zones() -> None:
    assert len(set(RESPONDENTS.values())) == len(RESPONDENTS)


def test_long_answers_come_in_pages_of_5000_rows(eia: EiaSource, server: EiaServer) -> None:
    series = eia.history(ZONE, NOW - 60 * DAY, NOW)
    assert [request.params["offset"] for request in server.requests] == ["0", "5000"]
    assert series.mean(NOW - 60 * DAY, NOW) is not None


def test_hours_that_not_all_fuels_have_reported_are_no_readings_yet(server: EiaServer) -> None:
    def late_gas(hour: datetime) -> dict[str, float | None]:
        mix = sunny_grid(hour)
        return mix if hour < NOW - 3 * HOUR else mix | {"NG": None}

    with EiaServer(NOW, late_gas) as late:
        source = EiaSource(eia_client(f"{late.url}/v2", "a-good-key"))
        assert source.history(ZONE, NOW - DAY, NOW).readings[-1].end == NOW - 3 * HOUR
        assert source.history(ZONE, NOW - 2 * HOUR, NOW).readings == ()


def test_what_is_not_published_yet_is_a_gap(eia: EiaSource, server: EiaServer) -> None:
    server.published_until = NOW - 20 * HOUR
    assert eia.history(ZONE, NOW - DAY, NOW).readings[-1].end == NOW - 20 * HOUR


def test_a_fuel_that_is_not_known_is_counted_as_other_and_logged(
    eia: EiaSource, server: EiaServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults.append(data([row(NOW, "CISO", "XYZ", 10), row(NOW, "CISO", "NG", 10)]))
    with caplog.at_level(logging.WARNING):
        series = eia.history(ZONE, NOW - HOUR, NOW)
    assert [reading.intensity_g_per_kwh for reading in series.readings] == [(700 + 490) / 2]
    assert "XYZ" in caplog.text


@pytest.mark.parametrize("value", ["-20", "1e12", None, "nan"])
def test_a_value_that_no_plant_has_counts_as_none(eia: EiaSource, server: EiaServer, value: str | None) -> None:
    server.faults.append(data([row(NOW, "CISO", "COL", value), row(NOW, "CISO", "NG", "10")]))
    series = eia.history(ZONE, NOW - HOUR, NOW)
    assert [reading.intensity_g_per_kwh for reading in series.readings] == [490]


def test_of_rows_given_twice_the_last_one_counts(eia: EiaSource, server: EiaServer) -> None:
    coal, gas = row(NOW, "CISO", "COL", 10), row(NOW, "CISO", "NG", 10)
    server.faults.append(data([coal, gas, coal | {"value": 30}]))
    series = eia.history(ZONE, NOW - HOUR, NOW)
    assert [reading.intensity_g_per_kwh for reading in series.readings] == [(3 * 820 + 490) / 4]


@pytest.mark.parametrize(("month", "day"), [(3, 8), (11, 1)], ids=["spring forward", "fall back"])
def test_a_day_on_which_the_clocks_change_has_every_hour_once(month: int, day: int) -> None:
    start = datetime(2026, month, day, tzinfo=UTC)
    with EiaServer(start + 2 * DAY) as server:
        series = EiaSource(eia_client(f"{server.url}/v2", "a-good-key")).history(ZONE, start, start + 2 * DAY)
    assert [reading.start for reading in series.readings] == [start + hour * HOUR for hour in range(48)]


GOOD = row(NOW, "CISO", "NG", 10)


@pytest.mark.parametrize(
    "fault",
    [
        Answer(body=b"<!DOCTYPE html><html><body>Sign in</body></html>"),
        Answer(body=b""),
        Answer(body=b'{"response": {"data": [{"period": "2026-07-0'),
        Answer(body=b"null"),
        Answer(body=b"[]"),
        Answer(body=b'{"response": null}'),
        Answer(body=b'{"response": {"data": {"0": 1}}}'),
        data([None]),
        data([{key: value for key, value in GOOD.items() if key != "fueltype"}]),
        data([GOOD | {"respondent": "ERCO"}]),
        data([GOOD | {"value-units": "gigawatthours"}]),
        data([GOOD | {"period": "2026-07-06T09:00"}]),
        data([GOOD | {"period": "2026-07-06T02-07"}]),
        data([GOOD | {"period": None}]),
        data([GOOD | {"value": "a lot"}]),
        data([GOOD | {"value": True}]),
        data([GOOD | {"value": [1]}]),
        data([GOOD | {"value": 10**400}]),
        data([GOOD] * 8 + [None]),
    ],
    ids=lambda fault: f"{fault.body[:80]!r}",
)
def test_nonsense_is_refused_with_its_address(eia: EiaSource, server: EiaServer, fault: Answer) -> None:
    server.faults.append(fault)
    with pytest.raises(SourceNonsense) as caught:
        eia.history(ZONE, NOW - HOUR, NOW)
    assert caught.value.where.startswith(server.url)


def test_one_row_that_cannot_be_right_does_not_cost_the_rest(eia: EiaSource, server: EiaServer) -> None:
    hours = [row(NOW - hours * HOUR, "CISO", "NG", 10) for hours in range(10)]
    server.faults.append(data([*hours, GOOD | {"period": "yesterday"}]))
    assert len(eia.history(ZONE, NOW - 10 * HOUR, NOW).readings) == 10


def test_a_wrong_key_is_told_and_not_shown(server: EiaServer) -> None:
    source = EiaSource(eia_client(f"{server.url}/v2", "a-wrong-key"))
    with pytest.raises(SourceRefused, match="An invalid api_key was supplied") as caught:
        source.history(ZONE, NOW - HOUR, NOW)
    assert "a-wrong-key" not in f"{caught.value!s}{caught.value!r}"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_api_is_asked_again(server: EiaServer, status: int) -> None:
    server.faults.append(error(status, "OVER_RATE_LIMIT", "busy")._replace(headers=(("Retry-After", "0"),)))
    source = EiaSource(eia_client(f"{server.url}/v2", "a-good-key"))
    assert len(source.history(ZONE, NOW - HOUR, NOW).readings) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_repeated_in_the_apis_words(eia: EiaSource, server: EiaServer, status: int) -> None:
    server.faults.append(error(status, "NO", "not for you"))
    with pytest.raises(SourceUnreachable, match="not for you"):
        eia.history(ZONE, NOW - HOUR, NOW)


def test_it_says_that_it_has_no_forecast(eia: EiaSource) -> None:
    assert not eia.info.forecasts
    with pytest.raises(NotFound, match="no forecast"):
        eia.forecast(ZONE, NOW, NOW + DAY)
