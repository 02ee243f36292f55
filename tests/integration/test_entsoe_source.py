"""The ENTSO-E source against a server on loopback that speaks the platform's documents, refusals and limits."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

pytest.importorskip("entsoe", reason="needs entsoe-py: pip install carbonq[entsoe]")

from entsoe.mappings import Area

from carbonq.domain.carbon import Origin, Scope
from carbonq.domain.errors import InvalidInput, NotFound, SourceNonsense, SourceRefused, SourceUnreachable
from carbonq.forecasters.carbon.credentials import Credentials
from carbonq.forecasters.carbon.foresight.feature_feed import FeatureFeed
from carbonq.forecasters.carbon.foresight.outages import Outages
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.sources import entsoe as module
from carbonq.forecasters.carbon.sources.entsoe import AREAS, FEATURES, DayAhead, EntsoeSource, entsoe_client
from carbonq.forecasters.carbon.testing.entsoe import (
    GRID,
    EntsoeServer,
    Plant,
    acknowledgement,
    document,
    sun,
    time_series,
)
from carbonq.forecasters.carbon.testing.server import Answer

NOW = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)
QUARTER, HOUR, DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
TOKEN = "a-good-token"


@pytest.fixture
def server() -> Iterator[EntsoeServer]:
    with EntsoeServer(NOW) as server:
        yield server


@pytest.fixture
def entsoe(server: EntsoeServer) -> EntsoeSource:
    return EntsoeSource(entsoe_client(server.url, TOKEN))


def _expected(quarter: datetime) -> float:
    """Nuclear, gas by the hour and the sun by its quarters; storage counts on neither side."""
    gas, solar = 24_000 - sun(quarter.replace(minute=0)), sun(quarter)
    return (12 * 5000 + 490 * gas + 45 * solar) / (5000 + gas + solar)


def test_each_quarter_has_the_intensity_of_what_is_generated(entsoe: EntsoeSource) -> None:
    series = entsoe.history("DE", NOW - DAY, NOW)
    assert [reading.start for reading in series.readings] == [
        (NOW - DAY).replace(minute=0) + part * QUARTER for part in range(96)
    ]
    assert [reading.intensity_g_per_kwh for reading in series.readings] == pytest.approx(
        [_expected(reading.start) for reading in series.readings], rel=1e-12
    )
    assert (series.scope, {reading.origin for reading in series.readings}) == (Scope.LIFECYCLE, {Origin.MEASURED})


def test_the_question_is_the_one_that_the_platform_documents(entsoe: EntsoeSource, server: EntsoeServer) -> None:
    entsoe.history("FR", NOW - HOUR, NOW)
    assert server.requests[0].params == {
        "documentType": "A75",
        "processType": "A16",
        "in_Domain": "10YFR-RTE------C",
        "periodStart": "202607050800",
        "periodEnd": "202607061000",
        "securityToken": TOKEN,
    }


def test_a_long_past_is_asked_for_in_fortnights(entsoe: EntsoeSource, server: EntsoeServer) -> None:
    series = entsoe.history("DE", NOW - 30 * DAY, NOW - HOUR)
    assert len(server.requests) == 3
    assert series.mean(NOW - 30 * DAY, NOW - HOUR) is not None


def test_every_zone_has_an_area_that_entsoe_py_knows() -> None:
    assert [zone for zone, name in AREAS.items() if not Area.has_code(name)] == []


def test_a_zone_without_data_is_empty_and_no_error(server: EntsoeServer) -> None:
    with EntsoeServer(NOW, areas=["10YFR-RTE------C"]) as server:
        assert EntsoeSource(entsoe_client(server.url, TOKEN)).history("XK", NOW - DAY, NOW).readings == ()


def test_no_data_told_by_a_status_is_no_error_either(entsoe: EntsoeSource, server: EntsoeServer) -> None:
    server.faults.append(acknowledgement("No matching data found for Data item", status=400))
    assert entsoe.history("DE", NOW - DAY, NOW).readings == ()


def test_quarters_that_not_all_plants_have_reported_are_no_readings_yet() -> None:
    late = Plant("B04", lambda moment: 9000 if moment < NOW - 3 * HOUR else None, HOUR, "A01")
    with EntsoeServer(NOW, grid=[GRID[0], late]) as server:
        series = EntsoeSource(entsoe_client(server.url, TOKEN)).history("DE", NOW - DAY, NOW)
    assert series.readings[-1].end == NOW.replace(minute=0) - 2 * HOUR


def test_plants_not_known_by_type_are_counted_as_other_and_logged(
    entsoe: EntsoeSource, server: EntsoeServer, caplog: pytest.LogCaptureFixture
) -> None:
    odd = time_series(Plant("B77", lambda _moment: 10), NOW.replace(minute=0) - HOUR, NOW)
    server.faults.append(document(odd))
    with caplog.at_level(logging.WARNING):
        series = entsoe.history("DE", NOW - HOUR, NOW)
    assert [reading.intensity_g_per_kwh for reading in series.readings] == [700]
    assert "B77" in caplog.text


@pytest.mark.parametrize("value", [-5, 1e12])
def test_a_quantity_that_no_plant_has_counts_as_none(entsoe: EntsoeSource, server: EntsoeServer, value: float) -> None:
    start = NOW.replace(minute=0) - HOUR
    plants = Plant("B05", lambda _moment: value), Plant("B04", lambda _moment: 10)
    server.faults.append(document("".join(time_series(plant, start, NOW) for plant in plants)))
    assert [reading.intensity_g_per_kwh for reading in entsoe.history("DE", start, NOW).readings] == [490]


def test_day_ahead_forecasts_are_known_from_18_oclock_of_the_day_before(
    entsoe: EntsoeSource, server: EntsoeServer
) -> None:
    features = entsoe.day_ahead("DE", NOW, NOW + HOUR)
    assert (features.names, features.step_s) == (
        ("load_da_forecast_mw", "solar_da_forecast_mw", "wind_da_forecast_mw"),
        3600,
    )
    (issue,) = features.issues
    assert issue.issued_at == datetime(2026, 7, 5, 16, tzinfo=UTC)  # 18:00 in Berlin
    assert issue.start == datetime(2026, 7, 5, 22, tzinfo=UTC)  # midnight in Berlin
    at_ten = [sun(datetime(2026, 7, 6, 10, minute, tzinfo=UTC)) + 100 for minute in (0, 15, 30, 45)]
    assert issue.values[12].tolist() == [40_000, sum(at_ten) / 4, 1000 + 100 + 300]
    assert {request.params["documentType"] for request in server.requests} == {"A65", "A69"}


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_a_local_day_on_which_the_clocks_change_is_one_issue_of_its_own_length(day: str, hours: int) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    with EntsoeServer(noon) as server:
        features = EntsoeSource(entsoe_client(server.url, TOKEN)).day_ahead("FR", noon, noon + HOUR)
    assert [issue.values.shape for issue in features.issues] == [(hours, 3)]
    assert not np.isnan(features.issues[0].values).any()


def test_what_a_zone_does_not_forecast_is_not_a_number_and_days_without_anything_are_left_out() -> None:
    night = Plant("B16", lambda _moment: 7)
    with EntsoeServer(NOW, forecasts={"A69": (night,)}) as server:
        features = EntsoeSource(entsoe_client(server.url, TOKEN)).day_ahead("DE", NOW, NOW + 5 * DAY)
    assert [issue.start for issue in features.issues] == [
        datetime(2026, 7, 5 + day, 22, tzinfo=UTC) for day in (0, 1, 2)
    ]
    assert np.isnan(features.issues[0].values[:, [0, 2]]).all()
    assert (features.issues[0].values[:, 1] == 7).all()


def test_an_hour_of_which_a_quarter_is_missing_is_unknown() -> None:
    holed = Plant("B16", lambda moment: None if (moment.hour, moment.minute) == (10, 15) else 7, QUARTER, "A01")
    with EntsoeServer(NOW, forecasts={"A69": (holed,)}) as server:
        features = EntsoeSource(entsoe_client(server.url, TOKEN)).day_ahead("DE", NOW, NOW + HOUR)
    assert np.flatnonzero(np.isnan(features.issues[0].values[:, 1])).tolist() == [12]


def test_no_time_has_no_forecasts(entsoe: EntsoeSource, server: EntsoeServer) -> None:
    assert entsoe.day_ahead("DE", NOW, NOW).issues == ()
    assert server.paths == []


def test_the_token_is_in_no_error_and_no_log(server: EntsoeServer, caplog: pytest.LogCaptureFixture) -> None:
    entsoe = EntsoeSource(entsoe_client(server.url, "a-wrong-token"))
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(SourceRefused, match="Missing or invalid security token") as caught,
    ):
        entsoe.history("DE", NOW - DAY, NOW)
    assert caught.value.status == 401
    assert "a-wrong-token" not in f"{caught.value!s}{caught.value!r}{caught.value.__context__!r}{caplog.text}"
    assert "A75" in caplog.text  # something was logged


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_platform_is_asked_again(entsoe: EntsoeSource, server: EntsoeServer, status: int) -> None:
    server.faults.append(Answer(status, b"busy", (("Retry-After", "0"),)))
    assert entsoe.history("DE", NOW - HOUR, NOW).readings != ()


def test_a_body_cut_off_half_way_is_asked_for_again(server: EntsoeServer) -> None:
    client = JsonClient(server.url, credentials=Credentials(params={"securityToken": TOKEN}), backoff_s=0.0)
    server.faults.append(Answer(body=b"<GL_MarketDocument>", promised_b=10_000))
    assert EntsoeSource(client).history("DE", NOW - HOUR, NOW).readings != ()


@pytest.mark.parametrize("body", [b"", b"<html>Sign in</html>", b"<GL_MarketDocument><TimeSeries>"])
def test_nonsense_is_refused_with_its_address(entsoe: EntsoeSource, server: EntsoeServer, body: bytes) -> None:
    server.faults.append(Answer(body=body))
    with pytest.raises(SourceNonsense) as caught:
        entsoe.history("DE", NOW - DAY, NOW)
    assert caught.value.where.startswith(server.url)


def test_a_refusal_is_told_in_the_platforms_words(entsoe: EntsoeSource, server: EntsoeServer) -> None:
    server.faults.append(acknowledgement("Delivered time interval is not valid for this Data item.", status=400))
    with pytest.raises(SourceUnreachable, match="Delivered time interval is not valid"):
        entsoe.history("DE", NOW - DAY, NOW)


@pytest.mark.parametrize("zone", ["GB", "US-CAL-CISO", "de", "10YFR-RTE------C"])
def test_a_zone_that_it_does_not_have_is_not_asked_for(entsoe: EntsoeSource, server: EntsoeServer, zone: str) -> None:
    with pytest.raises(NotFound):
        entsoe.history(zone, NOW - DAY, NOW)
    with pytest.raises(NotFound):
        entsoe.day_ahead(zone, NOW - DAY, NOW)
    assert server.paths == []


def test_without_entsoe_py_it_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    with pytest.raises(InvalidInput) as caught:
        EntsoeSource(entsoe_client("http://127.0.0.1:1", TOKEN))
    assert 'pip install "carbonq[entsoe]"' in caught.value.hint


def test_making_the_source_does_not_import_pandas() -> None:
    program = (
        "import sys; from carbonq.forecasters.carbon.sources.entsoe import EntsoeSource, entsoe_client;"
        "EntsoeSource(entsoe_client('http://127.0.0.1:1', 't')).zones();"
        "print([name for name in ('pandas', 'entsoe', 'numpy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_model_learns_from_what_was_expected_the_day_before_and_from_what_is_expected_now(
    entsoe: EntsoeSource,
) -> None:
    feed = FeatureFeed(DayAhead(entsoe), "DE", Outages(lambda: 0.0))
    feed.pull(NOW)
    (known,) = feed.before(NOW)
    assert known.names == FEATURES
    assert known.issues[-1].issued_at <= NOW
    days = [issue.issued_at.date() for issue in known.issues]
    assert days == sorted(set(days))
    assert NOW.date() - days[0] >= 50 * DAY


def test_a_zone_that_the_platform_does_not_know_has_no_day_ahead_values_and_is_not_asked_for_again(
    server: EntsoeServer, entsoe: EntsoeSource
) -> None:
    feed = FeatureFeed(DayAhead(entsoe), "US-CAL-CISO", Outages(lambda: 0.0))
    feed.pull(NOW)
    feed.pull(NOW + DAY)
    assert feed.before(NOW + DAY) == ()
    assert server.requests == []
