"""Spans, sizes, unit factors, and sums in which a part may be unknown."""

import pytest

from carbonq.domain.units import energy_g, format_duration, format_size, known_sum, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("2h30m", 9000),
        ("1d12h", 129_600),
        ("1w", 604_800),
        ("0.5h", 1800),
        ("1w1d1h1m1.5s", 694_861.5),
        ("366d", 366 * 86_400),
    ],
)
def test_a_span_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("90", '"90" has no unit; write it like 90h, 90m or 90s'),
        ("", '"" is no duration; write it like 2h30m, 45m, 90s or 1d12h'),
        ("2h 30m", '"2h 30m" is no duration; write it like 2h30m, 45m, 90s or 1d12h'),
        ("30m2h", '"30m2h" is no duration; write it like 2h30m, 45m, 90s or 1d12h'),
        ("-1h", '"-1h" is no duration; write it like 2h30m, 45m, 90s or 1d12h'),
        ("0s", '"0s" is out of range; give more than zero and at most 366d'),
        ("367d", '"367d" is out of range; give more than zero and at most 366d'),
        ("٣h", '"٣h" is no duration; write it like 2h30m, 45m, 90s or 1d12h'),
    ],
)
def test_what_is_no_span_is_refused_with_the_way_to_write_one(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole message is compared
        parse_duration(text)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(9000, "2h30m"), (0.4, "0s"), (59.6, "1m"), (86_399.9, "1d"), (90_061, "1d1h"), (-90, "-1m30s"), (0, "0s")],
)
def test_a_span_is_shown_by_its_two_largest_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size_b"),
    [
        ("16GiB", 16 * 2**30),
        ("512MB", 512 * 10**6),
        ("80G", 80 * 10**9),
        ("1 kB", 1000),
        ("1Ki", 1024),
        ("7B", 7),
        ("1.5TiB", 3 * 2**39),
    ],
)
def test_a_size_is_read_in_bytes(text: str, size_b: int) -> None:
    assert parse_size(text) == size_b


@pytest.mark.parametrize(
    "text",
    ["16", "1 ", "", "GiB", "1iB", "16gb", "16GiBs", "0B", "0.1B", "-1GB", "2000000PB", "1  GB", "9" * 400 + "B"],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"; (write it like|give at least)"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size_b", "text"),
    [(16 * 2**30, "16GiB"), (0, "0B"), (1023, "1023B"), (1536, "1.5KiB"), (2**50, "1PiB"), (2**60, "1024PiB")],
)
def test_a_size_is_shown_in_binary_units(size_b: int, text: str) -> None:
    assert format_size(size_b) == text


def test_grams_are_joules_times_intensity_per_kilowatt_hour() -> None:
    assert energy_g(3_600_000.0, 50.0) == 50.0
    assert energy_g(1_800_000.0, -10.0) == -5.0


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    assert known_sum([1.5, 2.5]) == 4.0
    assert known_sum([]) == 0.0
    assert known_sum([1.5, None]) is None
