"""Numbers, times and names as a person sees them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from carbonq.reports import format as fmt


@pytest.mark.parametrize(
    ("joules", "expected"),
    [
        (None, "unknown"),
        (0.0, "0 Wh"),
        (60.0, "16.7 mWh"),
        (3600.0, "1.00 Wh"),
        (3600 * 999.4, "999 Wh"),
        (3600 * 999.6, "1.00 kWh"),
        (4.32e6, "1.20 kWh"),
        (-90.0, "-25.0 mWh"),
        (1e-6, "~0 mWh"),
    ],
)
def test_energy_has_three_digits_and_the_unit_that_shows_them(joules: float | None, expected: str) -> None:
    assert fmt.energy(joules) == expected


@pytest.mark.parametrize(
    ("grams", "expected"),
    [(None, "unknown"), (0.0, "0 g"), (340.0, "340 g"), (-12.0, "-12.0 g"), (1234.0, "1.23 kg"), (5e-3, "5.00 mg")],
)
def test_a_negative_mass_stays_negative(grams: float | None, expected: str) -> None:
    assert fmt.mass(grams) == expected


def test_mass_of_co2e_names_what_it_is() -> None:
    assert (fmt.co2e(340.0), fmt.co2e(None)) == ("340 gCO2e", "unknown")


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (None, "unknown"),
        (0.31, "31 %"),
        (0.0949, "9.5 %"),
        (0.0995, "10 %"),
        (-0.5, "-50 %"),
        (-0.0001, "0.0 %"),
        (0.0, "0 %"),
        (12.5, ">999 %"),
        (-12.5, "<-999 %"),
    ],
)
def test_a_share_has_one_decimal_below_ten_percent(share: float | None, expected: str) -> None:
    assert fmt.percent(share) == expected


def test_a_moment_is_given_on_the_asked_clock() -> None:
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    berlin = ZoneInfo("Europe/Berlin")
    assert (fmt.moment(noon, UTC), fmt.moment(noon, berlin)) == ("2026-07-01 12:00", "2026-07-01 14:00")
    assert (fmt.zone_name(noon, UTC), fmt.zone_name(noon, berlin)) == ("UTC", "CEST")


def test_what_moves_a_cursor_or_turns_the_writing_direction_is_not_printed() -> None:
    assert fmt.printable("a\x1b[31mb\u202ec\n") == "a\ufffd[31mb\ufffdc\ufffd"


def test_wide_letters_take_two_columns_and_accents_none() -> None:
    assert [fmt.columns(text) for text in ("job", "学習", "e\u0301")] == [3, 4, 1]


def test_shortening_counts_columns_and_shows_the_loss() -> None:
    assert fmt.shorten("resnet50-imagenet", 10) == "resnet50-…"
    assert fmt.columns(fmt.shorten("学習学習学習", 6)) <= 6
    assert fmt.shorten("short", 5) == "short"


def test_counts_agree_with_their_noun() -> None:
    assert (fmt.count(1, "job"), fmt.count(1200, "job")) == ("1 job", "1,200 jobs")
