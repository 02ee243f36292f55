"""Slots, mappings of a replay, and how times are kept and shown."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from carbonq.clock import ReplayClock, SystemClock, clock_for
from carbonq.domain.time import SlotGrid, TimeMapping, floor_to, from_ms, iso, to_ms

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_a_grid_covers_its_span_with_whole_aligned_slots() -> None:
    grid = SlotGrid.covering(NOON + timedelta(minutes=10), NOON + timedelta(minutes=61))

    assert (grid.start, grid.slots, grid.end) == (NOON, 3, NOON + timedelta(minutes=90))
    assert list(grid) == [(NOON + timedelta(minutes=30 * i), NOON + timedelta(minutes=30 * (i + 1))) for i in range(3)]


def test_a_span_that_ends_within_a_second_of_a_slot_is_covered_too() -> None:
    assert SlotGrid.covering(NOON, NOON + timedelta(minutes=30, milliseconds=1)).slots == 2


def test_an_empty_or_backward_span_has_no_slots() -> None:
    assert SlotGrid.covering(NOON, NOON).slots == 0
    assert SlotGrid.covering(NOON, NOON - timedelta(hours=2)).slots == 0


@pytest.mark.parametrize(
    ("offset_s", "index"), [(0, 0), (1799.999, 0), (1800, 1), (-0.001, -1), (-1800, -1), (-1801, -2)]
)
def test_slots_are_half_open(offset_s: float, index: int) -> None:
    assert SlotGrid(start=NOON, slots=4).index(NOON + timedelta(seconds=offset_s)) == index


def test_a_time_needs_a_zone_and_is_kept_in_utc() -> None:
    with pytest.raises(ValidationError):
        SlotGrid(start=datetime(2026, 1, 5), slots=1)  # noqa: DTZ001  # the mistake under test

    assert SlotGrid(start=datetime(2026, 1, 5, 13, tzinfo=timezone(timedelta(hours=1))), slots=1).start == NOON


def test_a_mapping_goes_there_and_back() -> None:
    mapping = TimeMapping(real_epoch=NOON, grid_epoch=datetime(2025, 6, 21, tzinfo=UTC), speed=600)

    grid = mapping.to_grid(NOON + timedelta(seconds=6))

    assert grid == datetime(2025, 6, 21, 1, tzinfo=UTC)
    assert mapping.to_real(grid) == NOON + timedelta(seconds=6)


def test_a_replay_waits_less_real_time_than_grid_time() -> None:
    clock = ReplayClock(TimeMapping(real_epoch=datetime.now(UTC), grid_epoch=NOON, speed=3600))

    assert clock.seconds_until(NOON + timedelta(hours=10)) == pytest.approx(10, abs=1)
    assert clock.to_grid(clock.mapping.real_epoch) == NOON
    assert clock.now() - NOON < timedelta(hours=1)


def test_without_a_mapping_grid_time_is_real_time() -> None:
    clock = clock_for(None)

    assert isinstance(clock, SystemClock)
    assert clock.to_grid(NOON) == NOON
    assert clock.seconds_until(clock.now() + timedelta(seconds=60)) == pytest.approx(60, abs=1)


def test_times_in_redis_are_milliseconds_rounded_down() -> None:
    assert to_ms(NOON + timedelta(microseconds=1999)) == 1_767_614_400_001
    assert to_ms(datetime(1969, 12, 31, 23, 59, 59, 999_500, tzinfo=UTC)) == -1
    assert from_ms(to_ms(NOON)) == NOON


def test_a_moment_is_floored_to_whole_steps_since_1970() -> None:
    assert floor_to(NOON + timedelta(minutes=44), 1800) == NOON + timedelta(minutes=30)


def test_times_are_shown_in_utc_with_seconds() -> None:
    assert iso(datetime(2026, 1, 5, 19, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))) == "2026-01-05T18:00:00Z"
