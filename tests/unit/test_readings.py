"""From a provider's rows to a series and a forecast, and the rule for rows that cannot be right."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from carbonq.domain.carbon import Origin, SourceInfo
from carbonq.domain.errors import SourceNonsense
from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.readings import (
    Row,
    checked_intensity,
    forecast_from,
    held,
    moment_in,
    moment_of,
    sound,
    spans,
    tidy,
    usual_step,
)

NOON = datetime(2026, 7, 6, 12, 0, tzinfo=UTC)
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
WHERE = "http://provider"
INFO = SourceInfo(name="some", title="Some source", licence="any", attribution="some")


def row(hour: float, hours: float = 1.0, value: float = 100.0) -> Row:
    start = NOON + hour * HOUR
    return Row(start, start + hours * HOUR, value)


def _positive(value: float) -> float | None:
    if value < 0:
        raise SourceNonsense(f"{value} is negative", where=WHERE)
    return value or None


def test_a_tenth_of_bad_rows_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "carbonq.carbon"):
        assert sound([1.0, -1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], _positive, WHERE) == [
            *map(float, range(1, 10))
        ]
    assert caplog.messages == [f"{WHERE}: 1 of 10 rows left out; the first: -1.0 is negative"]


def test_more_than_a_tenth_of_bad_rows_is_nonsense_altogether() -> None:
    with pytest.raises(SourceNonsense, match=r"^-1\.0 is negative"):
        sound([1.0, -1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], _positive, WHERE)


def test_gaps_are_no_excuse_for_bad_rows() -> None:
    """A null says nothing: among a hundred of them, one bad row of two is half of what is said."""
    with pytest.raises(SourceNonsense):
        sound([0.0] * 100 + [1.0, -1.0], _positive, WHERE)


def test_an_answer_without_entries_has_no_rows_and_is_no_nonsense() -> None:
    assert sound([], _positive, WHERE) == []


def test_rows_are_sorted_and_of_twins_the_last_counts() -> None:
    assert tidy([row(1), row(0), row(1, value=7.0)], WHERE) == [row(0), row(1, value=7.0)]


def test_one_row_among_many_that_begins_too_early_is_left_out() -> None:
    rows = [row(hour) for hour in range(10)]
    assert tidy([*rows, row(3.5)], WHERE) == rows


def test_rows_that_overlap_as_a_habit_are_nonsense() -> None:
    with pytest.raises(SourceNonsense, match="begins before the one before it ends"):
        tidy([row(hour / 2) for hour in range(10)], WHERE)


def test_the_usual_step_is_the_most_frequent_distance_whatever_the_gaps() -> None:
    moments = [NOON + QUARTER * index for index in (0, 1, 2, 6, 7, 20)]
    assert usual_step(reversed(moments)) == QUARTER
    assert usual_step([]) == usual_step([NOON]) == HOUR


def test_a_point_holds_until_the_next_but_not_across_a_gap() -> None:
    points = {NOON + 3 * HOUR: 3.0, NOON: 1.0, NOON + HOUR / 2: 2.0}
    assert held(points, HOUR) == [row(0, 0.5, 1.0), row(0.5, 1.0, 2.0), row(3, 1.0, 3.0)]


def test_a_time_is_read_in_any_zone_and_told_in_utc() -> None:
    assert moment_in("2026-07-06T14:00:00+02:00", WHERE) == moment_in("2026-07-06T12:00Z", WHERE) == NOON
    assert moment_of(NOON.timestamp(), WHERE) == NOON


@pytest.mark.parametrize(
    "text", ["2026-07-06T12:00", "noon", "", None, 12, True, "0001-01-01T00:00+23:00", "9999-12-31T23:00-12:00"]
)
def test_what_is_no_time_with_a_zone_is_nonsense(text: object) -> None:
    with pytest.raises(SourceNonsense):
        moment_in(text, WHERE)


@pytest.mark.parametrize("seconds", [None, "1783328400", True, float("nan"), float("inf"), 1e30, -(10**400)])
def test_what_is_no_time_since_1970_is_nonsense(seconds: object) -> None:
    with pytest.raises(SourceNonsense):
        moment_of(seconds, WHERE)


@pytest.mark.parametrize("value", [None, "5", True, [5], float("nan"), float("-inf"), -1000.1, 5000.1, 10**400])
def test_what_is_no_intensity_of_a_grid_is_nonsense(value: object) -> None:
    with pytest.raises(SourceNonsense):
        checked_intensity(value, WHERE)


def test_a_dip_below_zero_is_an_intensity() -> None:
    """Some marginal signals have them."""
    assert checked_intensity(-12, WHERE) == -12.0


def test_spans_meet_and_none_is_longer_than_asked() -> None:
    assert list(spans(NOON, NOON + 5 * HOUR, 2 * HOUR)) == [
        (NOON, NOON + 2 * HOUR),
        (NOON + 2 * HOUR, NOON + 4 * HOUR),
        (NOON + 4 * HOUR, NOON + 5 * HOUR),
    ]
    assert list(spans(NOON, NOON, HOUR)) == []


def foreseen(rows: list[Row], slots: int = 4) -> tuple[float, ...]:
    grid = SlotGrid(start=NOON, slots=slots)
    forecast = forecast_from(rows, "FR", grid, model="its own", info=INFO, now=NOON, where=WHERE)
    assert forecast.origin is Origin.FORECAST
    assert forecast.grid.slots == len(forecast.median_g_per_kwh)
    return forecast.median_g_per_kwh


def test_a_forecast_reaches_to_the_first_slot_that_is_left_open() -> None:
    assert foreseen([row(0, 1.0, 5.0), row(1.5, 1.0, 6.0)]) == (5.0, 5.0)


def test_a_forecast_that_begins_within_the_first_slot_counts_from_its_begin() -> None:
    assert foreseen([row(0.25, 0.5, 5.0), row(0.75, 2.0, 7.0)]) == (5.0, 6.0, 7.0, 7.0)


def test_what_was_forecast_of_the_past_is_passed_over() -> None:
    assert foreseen([row(-1, 1.0, 9.0), row(0.25, 2.0, 5.0)]) == (5.0, 5.0, 5.0, 5.0)


@pytest.mark.parametrize("rows", [[], [row(-1)], [row(0.5)], [row(1)]], ids=["nothing", "past", "next slot", "later"])
def test_a_forecast_that_says_nothing_of_the_first_slot_is_nonsense(rows: list[Row]) -> None:
    with pytest.raises(SourceNonsense, match="no value for 2026-07-06 12:00 UTC"):
        foreseen(rows)


def test_no_slots_need_no_values() -> None:
    assert foreseen([], slots=0) == ()
