"""What was known in advance, and when: features and published forecasts from files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from carbonq.domain.errors import InvalidInput
from carbonq.forecasters.carbon.feature_files import read_features, read_published
from carbonq.forecasters.carbon.local_time import local_time

START = datetime(2021, 7, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def write(folder: Path, head: str, rows: list[str], name: str = "given.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_rows_are_grouped_by_when_they_were_issued(tmp_path: Path) -> None:
    rows = ["2021-07-01T06:00:00Z,2021-07-01T07:00:00Z,7", "2021-07-01T00:00:00Z,2021-07-01T02:00:00Z,2",
            "2021-07-01T00:00:00Z,2021-07-01T01:00:00Z,1", "2021-07-01T06:00:00Z,2021-07-01T09:00:00Z,9"]  # fmt: skip
    found = read_features(write(tmp_path, "issued_at,timestamp,wind", rows), "FR")
    assert (found.features.names, found.features.step_s, found.note) == (("wind",), 3600, "")
    assert [issue.issued_at for issue in found.features.issues] == [START, START + 6 * HOUR]
    assert [issue.start for issue in found.features.issues] == [START + HOUR, START + 7 * HOUR]
    np.testing.assert_array_equal([[7], [np.nan], [9]], found.features.issues[1].values)


def test_blocks_that_overlap_are_known_from_their_start_on_and_that_is_said(tmp_path: Path) -> None:
    rows = [
        f"{START + day * DAY + hour * HOUR:%Y-%m-%d %H:%M:%S},{day},{hour}" for day in (0, 1, 1) for hour in range(96)
    ]
    found = read_features(write(tmp_path, "UTC time,wind,sun", rows), "DE")
    assert [issue.issued_at for issue in found.features.issues] == [START, START + DAY]
    assert [issue.values.shape for issue in found.features.issues] == [(96, 2)] * 2
    assert "4-5 h" in found.note


def test_a_row_out_of_order_does_not_turn_a_year_into_a_forecast(tmp_path: Path) -> None:
    """Two blocks of months would be known at their first hour: that is knowledge of the future."""
    hours = [*range(2000), 1500, *range(2000, 4000)]
    rows = [f"{START + hour * HOUR:%Y-%m-%dT%H:%M:%SZ},{hour}" for hour in hours]
    with pytest.raises(InvalidInput) as caught:
        read_features(write(tmp_path, "timestamp,wind", rows), "FR")
    assert caught.value.where.endswith("given.csv:2")
    assert "issued_at" in caught.value.hint


def test_a_doubled_row_begins_no_block(tmp_path: Path) -> None:
    rows = [
        f"{START + hour * HOUR:%Y-%m-%dT%H:%M:%SZ},{row}" for row, hour in enumerate([*range(30), 29, *range(30, 48)])
    ]
    found = read_features(write(tmp_path, "timestamp,wind", rows), "").features
    assert [len(issue.values) for issue in found.issues] == [24, 24]
    assert found.issues[1].values[5, 0] == 30


@pytest.mark.parametrize(("zone", "issued_utc_hour", "starts_utc_hour"), [("FR", 16, 22), ("GB", 17, 23)])
def test_day_ahead_rows_are_known_at_six_in_the_evening_before(
    tmp_path: Path, zone: str, issued_utc_hour: int, starts_utc_hour: int
) -> None:
    rows = [f"{START + hour * HOUR:%Y-%m-%dT%H:%M:%SZ},{hour}" for hour in range(72)]
    found = read_features(write(tmp_path, "timestamp,wind", rows), zone)
    second = found.features.issues[1]
    assert START + issued_utc_hour * HOUR == second.issued_at
    assert START + starts_utc_hour * HOUR == second.start
    assert len(second.values) == 24
    assert "18:00" in found.note


def test_a_day_of_23_hours_is_one_issue(tmp_path: Path) -> None:
    first = datetime(2021, 3, 27, 23, tzinfo=UTC)  # Sunday begins in Paris
    rows = [f"{first + hour * HOUR:%Y-%m-%dT%H:%M:%SZ},{hour}" for hour in range(47)]
    found = read_features(write(tmp_path, "timestamp,wind", rows), "FR").features
    assert [len(issue.values) for issue in found.issues] == [23, 24]
    assert [datetime(2021, 3, 27, 17, tzinfo=UTC), datetime(2021, 3, 28, 16, tzinfo=UTC)] == [
        issue.issued_at for issue in found.issues
    ]


def test_an_unknown_zone_is_taken_for_utc_and_that_is_said(tmp_path: Path) -> None:
    rows = [f"{START + hour * HOUR:%Y-%m-%dT%H:%M:%SZ},{hour}" for hour in range(24)]
    found = read_features(write(tmp_path, "timestamp,wind", rows), "ATLANTIS")
    assert found.features.issues[0].issued_at == START - 6 * HOUR
    assert "not known" in found.note


@pytest.mark.parametrize(
    ("zone", "name"),
    [("DE", "Europe/Berlin"), ("SE-SE3", "Europe/Stockholm"), ("US-CAL-CISO", "America/Los_Angeles"),
     ("AUS_QLD", "Australia/Brisbane"), ("PJM", "America/New_York"), ("", "UTC")],
)  # fmt: skip
def test_the_local_time_of_a_zone(zone: str, name: str) -> None:
    assert name == local_time(zone).name


def test_published_forecasts_by_origin(tmp_path: Path) -> None:
    rows = [
        f"{START + day * DAY:%Y-%m-%dT%H:%M:%SZ},{START + day * DAY + hour * HOUR:%Y-%m-%dT%H:%M:%SZ},{hour + 1},{day * 100 + hour}"
        for day in (0, 1)
        for hour in range(48)
    ]
    found = read_published(write(tmp_path, "origin,timestamp,horizon_h,forecast_gco2_per_kwh", rows))
    assert (found.features.names, found.note) == (("published",), "")
    assert [issue.issued_at for issue in found.features.issues] == [START, START + DAY]
    assert found.features.issues[1].values[:2, 0].tolist() == [100.0, 101.0]


def test_published_forecasts_as_blocks_with_actuals_beside(tmp_path: Path) -> None:
    rows = [
        f"{day * 96 + hour},{START + day * DAY + hour * HOUR:%Y-%m-%d %H:%M:%S},1,{day * 100 + hour}"
        for day in (0, 1)
        for hour in range(96)
    ]
    head = ",UTC time,actual_carbon_intensity_lifecycle,forecasted_carbon_intensity_lifecycle"
    found = read_published(write(tmp_path, head, rows)).features
    assert [issue.start for issue in found.issues] == [START, START + DAY]
    assert [issue.values[0].tolist() for issue in found.issues] == [[0.0], [100.0]]


@pytest.mark.parametrize(
    ("head", "row"), [("timestamp,word", "2021-07-01T00:00:00Z,x"), ("time,wind", "2021-07-01T00:00:00Z,1")]
)
def test_a_file_without_times_or_numbers_is_told(tmp_path: Path, head: str, row: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_features(write(tmp_path, head, [row]), "FR")
    assert caught.value.where.endswith("given.csv:1")


def test_a_published_file_without_forecasts_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="forecast_gco2_per_kwh"):
        read_published(write(tmp_path, "timestamp,x", ["2021-07-01T00:00:00Z,1"]))
