"""The first guess of the grid's zone."""

from pathlib import Path

import pytest

from carbonq.localzone import guess_zone, time_zone


@pytest.mark.parametrize(
    ("name", "zone"),
    [("Europe/London", "GB"), ("America/Los_Angeles", "US-CAL-CISO"), (":Europe/Madrid", "ES"), ("Asia/Tokyo", "DE")],
)
def test_the_time_zone_suggests_a_grid(name: str, zone: str) -> None:
    assert guess_zone({"TZ": name}).zone == zone


def test_a_guess_says_what_it_rests_on(tmp_path: Path) -> None:
    assert guess_zone({"TZ": "Europe/Paris"}).why == "assumed from the time zone Europe/Paris"
    assert guess_zone({}, tmp_path).why == "assumed: the time zone UTC tells no grid"


def test_the_time_zone_is_found_where_debian_and_others_keep_it(tmp_path: Path) -> None:
    assert time_zone({}, tmp_path) == ""
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Europe/Zurich")
    assert time_zone({}, tmp_path) == "Europe/Zurich"
    (tmp_path / "timezone").write_text("Europe/Vienna\n")
    assert time_zone({}, tmp_path) == "Europe/Vienna"
    assert time_zone({"TZ": "Europe/Rome"}, tmp_path) == "Europe/Rome"
