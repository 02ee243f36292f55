"""The typical profiles: the bundled table, its names for grids, and how its hours become slots."""

import csv
import gzip
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import carbonq.forecasters.carbon
from carbonq.domain.carbon import Origin
from carbonq.domain.errors import NotFound
from carbonq.forecasters.carbon.sources.typical import TypicalSource, profile_zone, profile_zones, typical_profile
from carbonq.forecasters.carbon.sources.world import WORLD_G_PER_KWH, WORLD_HIGH_G_PER_KWH, WORLD_LOW_G_PER_KWH

TABLE = Path(str(carbonq.forecasters.carbon.__file__)).parent / "data" / "typical_profiles.csv.gz"
SATURDAY_23_UTC = datetime(2026, 7, 4, 23, tzinfo=UTC)


def rows() -> list[dict[str, str]]:
    with gzip.open(TABLE, "rt") as table:
        return list(csv.DictReader(table))


def test_every_number_of_the_table_is_found_again_by_zone_month_weekend_and_hour() -> None:
    for row in rows():
        usual = typical_profile(row["zone"])[int(row["month"]), int(row["weekend"]), int(row["hour"])]
        assert usual.mean == float(row["mean"])
        assert usual.p10 == min(float(row["p10"]), usual.mean)
        assert usual.p90 == max(float(row["p90"]), usual.mean)


def test_each_of_the_forty_zones_has_every_hour() -> None:
    assert len(profile_zones()) == 40
    assert {len(typical_profile(zone)) for zone in profile_zones()} == {12 * 2 * 24}


def test_a_slot_takes_the_hour_month_and_weekend_that_it_lies_in() -> None:
    """From a Saturday of July in UTC into the Sunday."""
    forecast = TypicalSource().forecast("FR", SATURDAY_23_UTC, SATURDAY_23_UTC + timedelta(hours=2))
    profile = typical_profile("FR")
    expected = [profile[7, 1, 23].mean] * 2 + [profile[7, 1, 0].mean] * 2
    assert list(forecast.median_g_per_kwh) == expected


def test_weekends_and_months_are_those_of_utc() -> None:
    end_of_july = datetime(2026, 7, 31, 23, 30, tzinfo=UTC)  # a Friday
    forecast = TypicalSource().forecast("FR", end_of_july, end_of_july + timedelta(hours=1))
    profile = typical_profile("FR")
    assert list(forecast.median_g_per_kwh) == [profile[7, 0, 23].mean, profile[8, 1, 0].mean]


def test_slots_longer_than_an_hour_are_averaged() -> None:
    noon = datetime(2026, 7, 6, 12, tzinfo=UTC)
    forecast = TypicalSource(slot_s=7200).forecast("FR", noon, noon + timedelta(hours=2))
    profile = typical_profile("FR")
    assert forecast.median_g_per_kwh == ((profile[7, 0, 12].mean + profile[7, 0, 13].mean) / 2,)


def test_it_never_claims_to_be_more_than_a_model() -> None:
    source = TypicalSource()
    later = SATURDAY_23_UTC + timedelta(hours=5)
    assert source.forecast("FR", SATURDAY_23_UTC, later).origin is Origin.MODELLED
    assert {reading.origin for reading in source.history("FR", SATURDAY_23_UTC, later).readings} == {Origin.MODELLED}


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
def test_on_days_when_clocks_change_every_utc_hour_is_there_once(day: datetime) -> None:
    forecast = TypicalSource().forecast("DE", day, day + timedelta(days=1))
    profile = typical_profile("DE")
    assert list(forecast.median_g_per_kwh) == [profile[day.month, 1, slot // 2].mean for slot in range(48)]


@pytest.mark.parametrize(
    ("zone", "known_as"),
    [
        ("FR", "FR"),
        ("CISO", "CISO"),
        ("US-CAL-CISO", "CISO"),
        ("US-NY-NYIS", "NYIS"),
        ("NYISO", "NYIS"),
        ("AU-QLD", "AUS_QLD"),
        ("SE-SE3", "SE"),
        ("DK-DK1", "DK"),
    ],
)
def test_other_names_of_a_grid_find_its_profile(zone: str, known_as: str) -> None:
    assert profile_zone(zone) == known_as
    assert TypicalSource().forecast(zone, SATURDAY_23_UTC, SATURDAY_23_UTC).zone == zone


@pytest.mark.parametrize("zone", ["GB", "CA-SC", "US-SC", "US", "BR-SC", "", "fr", "zone", "US-XX-", "FR,1"])
def test_no_grid_is_taken_for_another(zone: str) -> None:
    with pytest.raises(NotFound):
        profile_zone(zone)


def test_the_world_averages_band_is_as_wide_as_the_bundled_zones_differ() -> None:
    means = sorted(
        sum(usual.mean for usual in typical_profile(zone).values()) / (12 * 2 * 24) for zone in profile_zones()
    )
    below = sum(mean < WORLD_LOW_G_PER_KWH for mean in means)
    above = sum(mean > WORLD_HIGH_G_PER_KWH for mean in means)
    assert WORLD_LOW_G_PER_KWH < WORLD_G_PER_KWH < WORLD_HIGH_G_PER_KWH
    assert (below, above) == (4, 4)


def test_a_forecast_from_the_profiles_imports_no_http_client() -> None:
    """What `carbonq submit` pays for without a network source."""
    script = (
        "import sys, datetime as d; from carbonq.forecasters.carbon.registry import make_source;"
        "from carbonq.forecasters.carbon.outlook import Outlook; n = d.datetime(2026, 7, 6, tzinfo=d.UTC);"
        "Outlook([make_source('typical')]).forecast('FR', n, n + d.timedelta(days=1));"
        "print(sorted({'requests', 'urllib3', 'numpy', 'gzip', 'http.client'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
