"""Spans and sizes: what is written is read, and the published patterns agree with the readers."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from carbonq.domain.units import (
    DURATION_PATTERN,
    MAX_DURATION_S,
    MAX_SIZE_B,
    SIZE_PATTERN,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)

NEARLY_SPANS = st.lists(st.sampled_from("0123456789.wdhms -+e"), max_size=12).map("".join)
NEARLY_SIZES = st.lists(st.sampled_from("0123456789.kKMGTPiB -e"), max_size=10).map("".join)


@given(st.integers(1, int(MAX_DURATION_S)))
def test_a_shown_span_is_near_the_span(seconds: int) -> None:
    """Only what is smaller than the two largest units is lost."""
    assert abs(parse_duration(format_duration(seconds)) - seconds) <= max(seconds * 0.05, 0.5)


@given(st.integers(1, MAX_SIZE_B - 2**50))
def test_a_shown_size_is_near_the_size(size_b: int) -> None:
    assert parse_size(format_size(size_b)) == pytest.approx(size_b, rel=1e-3)


@given(NEARLY_SPANS | st.text(max_size=6))
def test_the_pattern_of_spans_agrees_with_the_reader(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        assume("out of range" not in str(error) or set(text) <= set("0.wdhms"))  # no pattern says `at most 366d`
        assert not re.search(DURATION_PATTERN.replace("$", r"\Z"), text)
    else:
        assert 0 < seconds <= MAX_DURATION_S
        assert re.search(DURATION_PATTERN, text)


@given(NEARLY_SIZES | st.text(max_size=6))
def test_the_pattern_of_sizes_agrees_with_the_reader(text: str) -> None:
    try:
        size_b = parse_size(text)
    except ValueError as error:
        assume("out of range" not in str(error) or not set(text) & set("123456789"))  # no pattern rounds 0.4B
        assert not re.search(SIZE_PATTERN.replace("$", r"\Z"), text)
    else:
        assert 0 < size_b < MAX_SIZE_B
        assert re.search(SIZE_PATTERN, text)


@given(st.integers(0, 51), st.integers(0, 6), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_the_parts_of_a_span_add_up(weeks: int, days: int, hours: int, minutes: int, seconds: int) -> None:
    total = ((weeks * 7 + days) * 24 + hours) * 3600 + minutes * 60 + seconds
    assume(total)

    assert parse_duration(f"{weeks}w{days}d{hours}h{minutes}m{seconds}s") == total
