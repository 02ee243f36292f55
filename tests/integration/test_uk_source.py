"""The UK source against a server on loopback that speaks the API's documented JSON, its quirks and its failures."""

import json
import logging
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from carbonq.domain.carbon import Origin
from carbonq.domain.errors import NotFound, SourceNonsense, SourceUnreachable
from carbonq.forecasters.carbon.http import MAX_ANSWER_B, JsonClient
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.forecasters.carbon.sources.uk import UkSource
from carbonq.forecasters.carbon.testing.server import Answer
from carbonq.forecasters.carbon.testing.uk import UkServer, data, error, regional, solar_day

NOW = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)
DAY = timedelta(days=1)
HALF_HOUR = timedelta(minutes=30)


@pytest.fixture
def server() -> Iterator[UkServer]:
    with UkServer(NOW) as server:
        yield server


@pytest.fixture
def naps() -> list[float]:
    """What the client would have slept."""
    return []


@pytest.fixture
def client(server: UkServer, naps: list[float]) -> JsonClient:
    return JsonClient(server.url, sleep=naps.append)


@pytest.fixture
def uk(client: JsonClient) -> UkSource:
    return UkSource(client)


def test_the_forecast_is_what_the_api_says_slot_by_slot(uk: UkSource, server: UkServer) -> None:
    forecast = uk.forecast("GB", NOW, NOW + DAY)
    assert server.paths == ["/intensity/2026-07-06T09:00Z/fw48h"]
    assert forecast.median_g_per_kwh == tuple(float(solar_day(start)) for start, _ in forecast.grid)
    assert forecast.origin is Origin.FORECAST
    assert "CC BY 4.0" in forecast.attribution


def test_beyond_48_hours_the_forecast_just_ends(uk: UkSource) -> None:
    assert uk.forecast("GB", NOW, NOW + 5 * DAY).grid.end == NOW.replace(minute=0) + 2 * DAY


def test_the_past_is_what_was_metered_and_not_what_was_forecast(uk: UkSource) -> None:
    series = uk.history("GB", NOW - DAY, NOW)
    expected = [solar_day(reading.start) + 7 for reading in series.readings]
    assert [reading.intensity_g_per_kwh for reading in series.readings] == expected
    assert {reading.origin for reading in series.readings} == {Origin.MEASURED}


def test_what_has_not_been_published_yet_is_a_gap_and_not_a_zero(uk: UkSource) -> None:
    series = uk.history("GB", NOW - timedelta(hours=1), NOW + timedelta(hours=2))
    assert series.readings[-1].end == datetime(2026, 7, 6, 9, 0, tzinfo=UTC)


def test_no_question_spans_more_than_14_days(uk: UkSource, server: UkServer) -> None:
    series = uk.history("GB", NOW - 30 * DAY, NOW)
    assert len(server.paths) == 3
    assert series.mean(NOW - 30 * DAY, NOW.replace(minute=0)) is not None


def test_no_question_crosses_a_new_year_where_the_api_stops_short(uk: UkSource, server: UkServer) -> None:
    server.now = datetime(2026, 1, 5, tzinfo=UTC)
    start, end = datetime(2025, 12, 30, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
    series = uk.history("GB", start, end)
    assert series.mean(start, end) is not None
    assert len(series.readings) == 4 * 48


def test_of_half_hours_given_twice_the_last_one_counts(uk: UkSource, server: UkServer) -> None:
    entries = server.entries(NOW, NOW + DAY)
    twin = json.loads(json.dumps(entries[1])) | {"intensity": {"forecast": 999, "actual": None}}
    server.faults.append(data([*entries, twin]))
    assert uk.forecast("GB", NOW, NOW + DAY).median_g_per_kwh[1] == 999.0


def test_entries_in_any_order_are_sorted(uk: UkSource, server: UkServer) -> None:
    plain = uk.forecast("GB", NOW, NOW + DAY)
    server.faults.append(data(server.entries(NOW, NOW + DAY)[::-1]))
    assert uk.forecast("GB", NOW, NOW + DAY).median_g_per_kwh == plain.median_g_per_kwh


def test_a_gap_ends_the_forecast_rather_than_being_filled_in(uk: UkSource, server: UkServer) -> None:
    entries = server.entries(NOW, NOW + DAY)
    server.faults.append(data(entries[:6] + entries[7:]))
    assert uk.forecast("GB", NOW, NOW + DAY).grid.slots == 6


def test_a_null_forecast_is_a_gap(uk: UkSource, server: UkServer) -> None:
    entries = server.entries(NOW, NOW + DAY)
    entries[4] |= {"intensity": {"forecast": None, "actual": None}}
    server.faults.append(data(entries))
    assert uk.forecast("GB", NOW, NOW + DAY).grid.slots == 4


@pytest.mark.parametrize(
    ("local_midnight", "hours"),
    [("2026-03-29T00:00:00+00:00", 23), ("2026-10-24T23:00:00+00:00", 25)],
    ids=["spring forward", "fall back"],
)
def test_a_day_on_which_the_clocks_change_has_every_half_hour_once(local_midnight: str, hours: int) -> None:
    """London's days of 23 and 25 hours: grid time is UTC and knows no such thing."""
    start = datetime.fromisoformat(local_midnight)
    end = start + timedelta(hours=hours)
    with UkServer(start) as server:
        forecast = UkSource(JsonClient(server.url)).forecast("GB", start, end)
    assert forecast.grid.slots == 2 * hours
    assert forecast.median_g_per_kwh == tuple(float(solar_day(slot)) for slot, _ in forecast.grid)


ENTRY = {"from": "2026-07-06T09:00Z", "to": "2026-07-06T09:30Z", "intensity": {"forecast": 200, "actual": None}}


def _with_value(value: str) -> Answer:
    return Answer(body=json.dumps({"data": [ENTRY]}).replace("200", value).encode())


@pytest.mark.parametrize(
    "fault",
    [
        Answer(body=b"<!DOCTYPE html><html><body>Sign in to the guest network</body></html>"),
        Answer(body=b""),
        Answer(body=b'{"data": [{"from": "2026-07-06T09:00Z", "to"'),
        Answer(body=b"\xff\xfe\x00"),
        Answer(body=b"[" * 100_000),
        Answer(body=b"null"),
        Answer(body=b"[]"),
        Answer(body=b'{"data": null}'),
        Answer(body=b'{"data": {"0": 1}}'),
        data([]),
        data([None]),
        data([{"from": "2026-07-06T09:00Z"}]),
        data([ENTRY | {"from": 1783328400}]),
        data([ENTRY | {"from": "yesterday"}]),
        data([ENTRY | {"from": "2026-07-06T09:00"}]),
        data([ENTRY | {"to": "2026-07-06T09:00Z"}]),
        data([ENTRY | {"to": "2027-07-06T09:00Z"}]),
        data([ENTRY, ENTRY | {"from": "2026-07-06T09:10Z"}]),
        data([ENTRY | {"intensity": 200}]),
        _with_value('"200"'),
        _with_value("true"),
        _with_value("NaN"),
        _with_value("1e999"),
        _with_value("-4000"),
        _with_value("1000000"),
        _with_value("[200]"),
        data([{**ENTRY, "from": "2026-07-07T09:00Z", "to": "2026-07-07T09:30Z"}]),
    ],
    ids=lambda fault: f"{fault.body[:60]!r}",
)
def test_nonsense_is_refused_at_once_with_its_address(
    uk: UkSource, server: UkServer, naps: list[float], fault: Answer
) -> None:
    server.faults.append(fault)
    with pytest.raises(SourceNonsense) as caught:
        uk.forecast("GB", NOW, NOW + DAY)
    assert caught.value.where.startswith(server.url)
    assert naps == []


def test_more_than_a_sensible_answer_is_not_read_to_its_end(uk: UkSource, server: UkServer) -> None:
    entries = server.entries(NOW, NOW + DAY)
    server.faults.append(Answer(body=data(entries).body + b" " * MAX_ANSWER_B))
    with pytest.raises(SourceNonsense, match="more than 4194304 bytes"):
        uk.forecast("GB", NOW, NOW + DAY)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_not_asked_again_and_repeats_what_the_provider_said(
    uk: UkSource, server: UkServer, status: int
) -> None:
    server.faults.append(error(status, "a date is wrong"))
    with pytest.raises(SourceUnreachable, match=f"{status}: a date is wrong"):
        uk.forecast("GB", NOW, NOW + DAY)
    assert len(server.paths) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again_after_growing_pauses(
    uk: UkSource, server: UkServer, naps: list[float], status: int
) -> None:
    server.faults += [error(status, "busy"), error(status, "busy")]
    assert uk.forecast("GB", NOW, NOW + DAY).grid.slots == 49
    assert naps == [1.0, 2.0]


def test_patience_ends_after_three_attempts(uk: UkSource, server: UkServer, naps: list[float]) -> None:
    server.faults += [error(500, "Requested resource not found.")] * 3
    with pytest.raises(SourceUnreachable, match=r"500: Requested resource not found\."):
        uk.forecast("GB", NOW, NOW + DAY)
    assert naps == [1.0, 2.0]


def test_retry_after_in_seconds_is_honoured(uk: UkSource, server: UkServer, naps: list[float]) -> None:
    server.faults.append(error(429, "slow down", ("Retry-After", "7")))
    uk.forecast("GB", NOW, NOW + DAY)
    assert naps == [7.0]


def test_retry_after_as_a_date_is_seen_against_the_answers_own_date(
    uk: UkSource, server: UkServer, naps: list[float]
) -> None:
    stamp = time.time() + 11
    server.faults.append(error(503, "back soon", ("Retry-After", _http_date(stamp))))
    uk.forecast("GB", NOW, NOW + DAY)
    assert naps[0] == pytest.approx(11, abs=2)


def test_a_longer_pause_than_is_sensible_is_not_waited_for(uk: UkSource, server: UkServer, naps: list[float]) -> None:
    server.faults.append(error(429, "come back tomorrow", ("Retry-After", "86400")))
    with pytest.raises(SourceUnreachable, match="come back tomorrow"):
        uk.forecast("GB", NOW, NOW + DAY)
    assert naps == []


def test_several_sensible_pauses_do_not_add_up_to_an_endless_one(server: UkServer) -> None:
    """Patience is for the whole question: pauses of 0.4 s and 0.8 s are together more than 1 s."""
    hasty = UkSource(JsonClient(server.url, patience_s=1.0, backoff_s=0.4, sleep=time.sleep))
    server.faults += [error(503, "busy")] * 3
    with pytest.raises(SourceUnreachable, match="busy"):
        hasty.forecast("GB", NOW, NOW + DAY)
    assert len(server.paths) == 2


def test_a_body_cut_off_half_way_is_asked_for_again(uk: UkSource, server: UkServer, naps: list[float]) -> None:
    server.faults.append(Answer(body=b'{"data": [', promised_b=10_000))
    assert uk.forecast("GB", NOW, NOW + DAY).grid.slots == 49
    assert naps == [1.0]


def test_an_answer_that_trickles_in_is_given_up(server: UkServer, naps: list[float]) -> None:
    impatient = UkSource(JsonClient(server.url, attempts=1, answer_timeout_s=0.2, sleep=naps.append))
    server.faults.append(Answer(body=b'{"data": [', promised_b=1_000_000, trickle=True))
    with pytest.raises(SourceUnreachable, match=r"not complete after 0\.2 s"):
        impatient.forecast("GB", NOW, NOW + DAY)


def test_a_server_that_says_nothing_is_given_up(naps: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        silent = UkSource(JsonClient(url, attempts=2, read_timeout_s=0.1, sleep=naps.append))
        with pytest.raises(SourceUnreachable, match="no answer"):
            silent.forecast("GB", NOW, NOW + DAY)
    assert naps == [1.0]


def test_a_closed_port_is_told_apart_from_nonsense(naps: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(SourceUnreachable, match="refused") as caught:
        UkSource(JsonClient(url, sleep=naps.append)).forecast("GB", NOW, NOW + DAY)
    assert caught.value.where.startswith(url)
    assert caught.value.hint


@pytest.mark.parametrize("url", ["no url at all", "ftp://example.invalid", "http://"])
def test_a_wrong_url_is_a_source_that_cannot_be_reached(url: str) -> None:
    with pytest.raises(SourceUnreachable):
        UkSource(JsonClient(url, attempts=1)).forecast("GB", NOW, NOW + DAY)


def test_a_redirect_in_circles_is_given_up(uk: UkSource, server: UkServer) -> None:
    server.faults += [Answer(status=302, headers=(("Location", "/intensity"),))] * 10
    with pytest.raises(SourceUnreachable, match="redirect"):
        uk.forecast("GB", NOW, NOW + DAY)


def test_a_zone_of_another_country_is_not_asked_for(uk: UkSource, server: UkServer) -> None:
    with pytest.raises(NotFound):
        uk.forecast("FR", NOW, NOW + DAY)
    assert server.paths == []


def test_a_region_has_a_forecast_of_its_own(uk: UkSource, server: UkServer) -> None:
    forecast = uk.forecast("GB-LONDON", NOW, NOW + DAY)
    assert server.paths == ["/regional/intensity/2026-07-06T09:00Z/fw48h/regionid/13"]
    assert forecast.median_g_per_kwh == tuple(float(solar_day(start) + 13) for start, _ in forecast.grid)


def test_the_past_of_a_region_is_what_was_last_forecast_of_it_and_says_so(uk: UkSource) -> None:
    series = uk.history("GB-SCT", NOW - DAY, NOW)
    assert {reading.origin for reading in series.readings} == {Origin.ESTIMATED}
    assert series.readings[0].intensity_g_per_kwh == solar_day(series.readings[0].start) + 16


def test_a_regions_months_are_asked_for_in_fortnights(uk: UkSource, server: UkServer) -> None:
    assert uk.history("GB-WLS", NOW - 30 * DAY, NOW).mean(NOW - 30 * DAY, NOW.replace(minute=0)) is not None
    assert len(server.paths) == 3


def test_a_region_wrapped_in_a_list_is_read_the_same(uk: UkSource, server: UkServer) -> None:
    """Some paths of the API answer so."""
    plain = uk.forecast("GB-YORKSHIRE", NOW, NOW + DAY)
    server.faults.append(data([regional(5, server.entries(NOW, NOW + 2 * DAY))]))
    assert uk.forecast("GB-YORKSHIRE", NOW, NOW + DAY).median_g_per_kwh == plain.median_g_per_kwh


def test_a_region_that_is_none_names_those_there_are(uk: UkSource) -> None:
    with pytest.raises(NotFound) as caught:
        uk.forecast("GB-CORNWALL", NOW, NOW + DAY)
    assert "GB-LONDON" in caught.value.hint


@pytest.mark.parametrize("value", [-4000, 1_000_000, "200", True, float("nan"), [200]])
def test_one_absurd_half_hour_does_not_cost_the_rest_of_the_past(
    uk: UkSource, server: UkServer, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    usual = len(uk.history("GB", NOW - DAY, NOW).readings)
    entries = server.entries(NOW - DAY, NOW)
    entries[4] |= {"intensity": {"forecast": 200, "actual": value}}
    server.faults.append(data(entries))
    with caplog.at_level(logging.WARNING, "carbonq.carbon"):
        assert len(uk.history("GB", NOW - DAY, NOW).readings) == usual - 1
    assert "1 of 48 rows left out" in caplog.text


def test_an_absurd_half_hour_ahead_ends_the_forecast_there_and_is_not_made_up(uk: UkSource, server: UkServer) -> None:
    entries = server.entries(NOW, NOW + DAY)
    entries[4] |= {"intensity": {"forecast": 1_000_000, "actual": None}}
    server.faults.append(data(entries))
    assert uk.forecast("GB", NOW, NOW + DAY).grid.slots == 4


def test_an_outage_is_bridged_by_the_last_good_forecast_and_ends_with_the_outage(
    uk: UkSource, server: UkServer
) -> None:
    """The whole way: an answer, an outage five hours later, then an answer again."""
    kept = Outlook([uk]).forecast("GB", NOW, NOW + DAY)
    outlook = Outlook([uk], last_good=lambda _zone: kept)
    later = NOW + timedelta(hours=5)

    server.faults += [error(503, "maintenance")] * 3
    bridged = outlook.foresee("GB", later, later + DAY)
    assert bridged.forecast.issued_at == NOW
    assert bridged.forecast.median_g_per_kwh[:39] == kept.median_g_per_kwh[10:]
    assert bridged.forecast.extended_from == kept.grid.end
    assert [str(problem) for problem in bridged.problems] == ["uk: the provider answers 503: maintenance"]

    recovered = outlook.foresee("GB", later, later + DAY)
    assert recovered.forecast.issued_at == later
    assert recovered.problems == ()


def _http_date(seconds: float) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))
