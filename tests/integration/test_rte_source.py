"""The RTE source against a server on loopback that speaks ODRÉ's documented JSON for two data sets."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from carbonq.domain.carbon import Origin, Scope
from carbonq.domain.errors import NotFound, SourceNonsense, SourceRefused
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.forecasters.carbon.sources.rte import RteSource
from carbonq.forecasters.carbon.testing.rte import RteServer, nuclear_night
from carbonq.forecasters.carbon.testing.server import says

NOW = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)
DAY, QUARTER, HALF_HOUR = timedelta(days=1), timedelta(minutes=15), timedelta(minutes=30)


@pytest.fixture
def server() -> Iterator[RteServer]:
    with RteServer(NOW) as server:
        yield server


@pytest.fixture
def rte(server: RteServer) -> RteSource:
    return RteSource(JsonClient(server.url, sleep=lambda _: None))


def datasets(server: RteServer) -> list[str]:
    return [request.path.split("/")[6].removeprefix("eco2mix-national-") for request in server.requests]


def test_the_last_days_are_real_time_by_the_quarter_of_an_hour(rte: RteSource, server: RteServer) -> None:
    series = rte.history("FR", NOW - DAY, NOW)
    assert datasets(server) == ["tr"]
    assert [reading.intensity_g_per_kwh for reading in series.readings] == [
        nuclear_night(reading.start) for reading in series.readings
    ]
    assert {reading.end - reading.start for reading in series.readings} == {QUARTER}
    assert {reading.origin for reading in series.readings} == {Origin.MEASURED}
    assert series.scope is Scope.DIRECT


def test_the_years_before_are_consolidated_by_the_half_hour(rte: RteSource, server: RteServer) -> None:
    series = rte.history("FR", NOW - 900 * DAY, NOW - 898 * DAY)
    assert datasets(server) == ["tr", "cons-def"]
    assert {reading.end - reading.start for reading in series.readings} == {HALF_HOUR}
    assert len(series.readings) == 2 * 48 + 1


def test_where_the_two_sets_meet_there_is_neither_gap_nor_overlap(rte: RteSource, server: RteServer) -> None:
    start, end = NOW - 60 * DAY, NOW - DAY
    series = rte.history("FR", start, end)
    assert datasets(server) == ["tr", "cons-def"]
    assert series.mean(start, end) is not None
    assert {reading.end - reading.start for reading in series.readings} == {QUARTER, HALF_HOUR}


def test_months_that_neither_set_has_yet_are_a_gap() -> None:
    with RteServer(NOW, consolidated=NOW - 50 * DAY) as server:
        series = RteSource(JsonClient(server.url)).history("FR", NOW - 60 * DAY, NOW)
    gaps = [later.start - earlier.end for earlier, later in pairwise(series.readings)]
    assert max(gaps) == 15 * DAY - QUARTER


def test_before_2012_there_is_nothing(rte: RteSource) -> None:
    start = datetime(2011, 12, 30, tzinfo=UTC)
    assert rte.history("FR", start, start + DAY).readings == ()


def test_no_question_spans_more_than_a_year(rte: RteSource, server: RteServer) -> None:
    rte.history("FR", NOW - 800 * DAY, NOW)
    assert datasets(server) == ["tr"] * 3 + ["cons-def"] * 3


def test_it_says_that_it_has_no_forecast_and_what_has_one(rte: RteSource, server: RteServer) -> None:
    with pytest.raises(NotFound, match="no forecast") as caught:
        rte.forecast("FR", NOW, NOW + DAY)
    assert "energy-charts" in caught.value.hint
    assert server.requests == []


def test_the_outlook_passes_it_over_for_a_forecast_and_takes_its_past(rte: RteSource) -> None:
    outlook = Outlook([rte])
    assert outlook.foresee("FR", NOW, NOW + DAY).forecast.source == "typical"
    assert outlook.history("FR", NOW - DAY, NOW).source == "rte"


@pytest.mark.parametrize(
    ("midnight", "hours"),
    [("2026-03-29T00:00+01:00", 23), ("2026-10-25T00:00+02:00", 25)],
    ids=["spring forward", "fall back"],
)
def test_a_day_on_which_the_clocks_change_has_every_quarter_once(midnight: str, hours: int) -> None:
    start = datetime.fromisoformat(midnight).astimezone(UTC)
    end = start + timedelta(hours=hours)
    with RteServer(end + DAY) as server:
        twice = [*server.records("eco2mix-national-tr", start, end)]
        server.faults.append(says(sorted([*twice, *twice[8:12]], key=lambda record: str(record["date_heure"]))))
        series = RteSource(JsonClient(server.url)).history("FR", start, end)
    assert [reading.start for reading in series.readings] == [start + QUARTER * index for index in range(4 * hours)]


def records(*values: object, moment: str = "2026-07-06T{:02}:00:00+00:00") -> list[dict[str, object]]:
    return [{"date_heure": moment.format(hour), "taux_co2": value} for hour, value in enumerate(values)]


def test_numbers_as_texts_are_numbers(rte: RteSource, server: RteServer) -> None:
    server.faults.append(says(records("13", 14, "15.5")))
    values = [reading.intensity_g_per_kwh for reading in rte.history("FR", NOW.replace(hour=0, minute=0), NOW).readings]
    assert values == [13.0, 14.0, 15.5]


@pytest.mark.parametrize("missing", [None, 0, "0", 0.0])
def test_a_value_that_is_missing_is_a_gap_also_where_it_reads_zero(
    rte: RteSource, server: RteServer, missing: object
) -> None:
    server.faults.append(says(records(13, missing, 15)))
    readings = rte.history("FR", NOW.replace(hour=0, minute=0), NOW).readings
    assert [reading.start.hour for reading in readings] == [0, 2]


def test_one_absurd_value_does_not_cost_the_rest(rte: RteSource, server: RteServer) -> None:
    server.faults.append(says(records(*range(10, 19), "n/a")))
    assert len(rte.history("FR", NOW.replace(hour=0, minute=0), NOW + DAY).readings) == 9


@pytest.mark.parametrize(
    "answer",
    [
        {"total_count": 0, "results": []},
        records("ND", "ND"),
        records(1e9),
        records(-4000),
        records(True),
        records([13]),
        records(13, moment="2026-07-06T{:02}:00:00"),
        records(13, moment="today"),
        [13],
        [None],
    ],
    ids=str,
)
def test_records_that_are_not_as_documented_are_nonsense(rte: RteSource, server: RteServer, answer: object) -> None:
    server.faults.append(says(answer))
    with pytest.raises(SourceNonsense):
        rte.history("FR", NOW - DAY, NOW)


def test_a_question_that_the_api_does_not_understand_is_told_in_its_words(rte: RteSource, server: RteServer) -> None:
    server.faults.append(says({"error_code": "ODSQLError", "message": "ODSQL query is malformed"}, status=400))
    with pytest.raises(SourceRefused, match="400: ODSQL query is malformed"):
        rte.history("FR", NOW - DAY, NOW)


def test_a_spent_quota_is_told(rte: RteSource, server: RteServer) -> None:
    server.faults.append(says({"error": "You have exceeded the requests limit"}, ("Retry-After", "86400"), status=429))
    with pytest.raises(SourceRefused, match="exceeded"):
        rte.history("FR", NOW - DAY, NOW)


def test_another_country_is_not_asked_for(rte: RteSource, server: RteServer) -> None:
    with pytest.raises(NotFound):
        rte.history("DE", NOW - DAY, NOW)
    assert server.requests == []
