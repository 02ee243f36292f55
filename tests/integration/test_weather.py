"""Weather from Open-Meteo, over real HTTP: in the right hour, of the right run, and whatever goes wrong told."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from carbonq.domain.errors import NotFound, SourceNonsense, SourceUnreachable
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.places import PLACES, Place, places_of
from carbonq.forecasters.carbon.sources.typical import profile_zones
from carbonq.forecasters.carbon.testing.open_meteo import OpenMeteoServer, refuses
from carbonq.forecasters.carbon.testing.server import Answer, says
from carbonq.forecasters.carbon.weather import (
    FEATURES,
    PREVIOUS_RUNS_URL,
    PUBLISHED_AFTER_H,
    OpenMeteo,
    open_meteo,
)

NOW = datetime(2026, 7, 6, 9, 20, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WIND, SUN, WARMTH = range(3)


def hours_since(moment: datetime) -> float:
    return (moment - datetime(2026, 1, 1, tzinfo=UTC)) / HOUR


def by_label(variable: str, latitude: float, label: datetime, run: datetime) -> float:
    """Wind tells the latitude, sunshine and temperature the hour of the label."""
    return latitude if variable == "wind_speed_100m" else label.hour


def by_run(variable: str, latitude: float, label: datetime, run: datetime) -> float:
    """Sunshine tells the run's start in hours of the first weeks of 2026."""
    return hours_since(run) if variable == "shortwave_radiation" else 1


@pytest.fixture
def server() -> Iterator[OpenMeteoServer]:
    with OpenMeteoServer(NOW, by_label) as running:
        yield running


def weather(server: OpenMeteoServer, *latitudes: float) -> OpenMeteo:
    client = JsonClient(server.url, sleep=lambda _: None)
    return OpenMeteo(client, client, {"XX": [Place(latitude, 2.25) for latitude in latitudes or (48.0,)]})


def test_what_is_expected_now_is_one_issue_of_seven_days_by_the_hour(server: OpenMeteoServer) -> None:
    features = weather(server).current("XX", NOW)
    (issue,) = features.issues
    assert (features.names, features.step_s) == (FEATURES, 3600)
    assert (issue.issued_at, issue.start) == (NOW, NOW.replace(minute=0))
    assert issue.values.shape == (7 * 24, 3)
    assert np.isfinite(issue.values).all()
    assert issue.values[:3, WARMTH].tolist() == [9, 10, 11]


def test_sunshine_is_put_into_the_hour_that_it_shone(server: OpenMeteoServer) -> None:
    """The API labels a mean with the end of its hour."""
    (issue,) = weather(server).current("XX", NOW).issues
    assert issue.values[:3, SUN].tolist() == [10, 11, 12]


def test_several_places_are_asked_for_at_once_and_averaged(server: OpenMeteoServer) -> None:
    (issue,) = weather(server, 40.0, 50.0, 60.0).current("XX", NOW).issues
    assert set(issue.values[:, WIND].tolist()) == {50}
    assert len(server.requests) == 1
    assert server.requests[0].params["latitude"] == "40,50,60"


def test_units_and_times_are_asked_for_as_they_are_read(server: OpenMeteoServer) -> None:
    weather(server).current("XX", NOW)
    asked = server.requests[0].params
    assert (asked["wind_speed_unit"], asked["timeformat"], asked["timezone"]) == ("ms", "unixtime", "GMT")


def test_of_the_past_only_what_was_published_by_each_issue_is_used() -> None:
    now = datetime(2026, 2, 20, tzinfo=UTC)
    with OpenMeteoServer(now, by_run) as server:
        features = weather(server).past("XX", now - 9.5 * DAY, now - 3 * DAY)
    assert [issue.issued_at for issue in features.issues] == [now - days * DAY for days in (9, 8, 7, 6, 5, 4)]
    for issue in features.issues:
        assert issue.values.shape == (158, 3)
        age_h = hours_since(issue.issued_at) - issue.values[:, SUN]
        assert age_h.min() >= PUBLISHED_AFTER_H
        assert age_h.max() <= PUBLISHED_AFTER_H + 24 + 6  # and of those the latest that is kept


def test_two_years_are_asked_for_in_portions(server: OpenMeteoServer) -> None:
    features = weather(server).past("XX", NOW - 130 * DAY, NOW)
    assert len(features.issues) == 130
    assert [issue.start for issue in features.issues] == sorted({issue.start for issue in features.issues})
    spans = [(request.params["start_date"], request.params["end_date"]) for request in server.requests]
    assert spans == [("2026-02-27", "2026-05-05"), ("2026-04-28", "2026-07-04"), ("2026-06-27", "2026-07-13")]


def test_no_time_has_no_issues(server: OpenMeteoServer) -> None:
    assert weather(server).past("XX", NOW, NOW).issues == ()


def test_hours_without_a_value_are_gaps(server: OpenMeteoServer) -> None:
    """As before 2024, where no runs were kept; and as any value that no weather can have."""
    broken = {9: None, 10: 1e9, 11: "strong", 12: True, 13: 12.5}
    with OpenMeteoServer(NOW, lambda _, __, label, ___: broken.get(label.hour, 1)) as server:  # type: ignore[arg-type,return-value]  # nonsense on purpose
        (issue,) = weather(server).current("XX", NOW).issues
    np.testing.assert_array_equal(issue.values[:6, WIND], [math.nan, math.nan, math.nan, math.nan, 12.5, 1])


@pytest.mark.parametrize(
    "answer",
    [
        says([]),
        says({}),
        says({"hourly": []}),
        says({"hourly": {"time": ["2026-07-06T00:00"]}}),
        says({"hourly": {"time": [1e300]}}),
        says({"hourly": {"time": [True]}}),
        says({"hourly": {"time": [1783317600], "wind_speed_100m": [1, 2]}}),
        says({"hourly": {"time": [1783317600], "wind_speed_100m": 3}}),
        says([{}, {}]),
        Answer(200, b"<html>sign in</html>"),
    ],
)
def test_anything_but_the_documented_is_nonsense(server: OpenMeteoServer, answer: Answer) -> None:
    server.faults.append(answer)
    with pytest.raises(SourceNonsense):
        weather(server).current("XX", NOW)


def test_a_refusal_is_told_with_its_reason(server: OpenMeteoServer) -> None:
    with pytest.raises(SourceUnreachable, match="Latitude must be in range"):
        weather(server, 91.0).current("XX", NOW)


def test_the_limit_of_calls_is_told_after_some_patience(server: OpenMeteoServer) -> None:
    limit = "Minutely API request limit exceeded. Please try again in one minute."
    server.faults.extend([refuses(limit, 429)] * 3)
    with pytest.raises(SourceUnreachable, match="Minutely API request limit") as caught:
        weather(server).current("XX", NOW)
    assert "asking less often" in caught.value.hint
    server.faults.append(refuses(limit, 429))
    assert len(weather(server).current("XX", NOW).issues) == 1


def test_every_zone_with_a_typical_profile_has_places() -> None:
    for zone in profile_zones():
        assert 1 <= len(places_of(zone)) <= 4
    assert places_of("US-CAL-CISO") == PLACES["CISO"]
    assert places_of("SE-SE3") == PLACES["SE"]
    assert all(
        abs(place.latitude) < 70 and abs(place.longitude) < 180 for places in PLACES.values() for place in places
    )


def test_a_users_places_come_first_and_an_unknown_zone_is_told() -> None:
    assert places_of("FR", {"FR": [Place(48.8, 2.3)]}) == [Place(48.8, 2.3)]
    with pytest.raises(NotFound, match="no place is known"):
        places_of("NOWHERE")


def test_the_public_service_has_a_host_of_its_own_for_the_past_and_ones_own_server_has_not() -> None:
    public, own = open_meteo(), open_meteo("http://127.0.0.1:1/")
    assert [client.base_url for client in (public._forecasts, public._previous_runs)] == [
        "https://api.open-meteo.com",
        PREVIOUS_RUNS_URL,
    ]
    assert own._previous_runs.base_url == own._forecasts.base_url == "http://127.0.0.1:1"


def test_its_terms_are_said() -> None:
    assert "non-commercial" in OpenMeteo.info.licence
    assert "Open-Meteo.com" in OpenMeteo.info.attribution
