"""Scales, ticks and markup."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from carbonq.reports import svg
from carbonq.reports.markup import Markup, element, join, typeset
from carbonq.testing import MIDNIGHT


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    inner = element("b", "a < b & 'c'")
    assert inner == "<b>a &lt; b &amp; &#x27;c&#x27;</b>"
    assert element("p", inner, title='"><script>') == f'<p title="&quot;&gt;&lt;script&gt;">{inner}</p>'
    assert join(["<", Markup("<br/>")]) == "&lt;<br/>"
    assert Markup("<i/>") + "<" == "<i/>&lt;"


def test_attributes_that_are_not_given_are_left_out() -> None:
    assert element("rect", x=1.0, y=2.345, rx=None, hidden=True, class_="a", aria_label="b") == (
        '<rect x="1" y="2.35" hidden class="a" aria-label="b"/>'
    )


def test_our_sentences_get_a_true_minus_and_a_small_two() -> None:
    assert typeset("-12 gCO2e of 1.2 tCO2e") == "−12 g CO₂e of 1.2 t CO₂e"  # noqa: RUF001  # the minus is what is tested


@pytest.mark.parametrize(
    ("values", "ends"),
    [([0.0, 437.0], (0, 500)), ([-3.0, 9.0], (-5, 10)), ([], (0, 1)), ([0.0], (0, 1)), ([2e-6], (0, 2e-6))],
)
def test_a_value_scale_holds_zero_and_ends_at_round_numbers(values: list[float], ends: tuple[float, float]) -> None:
    scale = svg.value_scale(values, 100.0, 0.0)
    assert (scale.low, scale.high) == pytest.approx(ends)
    ticks = svg.value_ticks(scale)
    assert (ticks[0], ticks[-1]) == pytest.approx(ends)
    assert 0 in ticks
    assert 3 <= len(ticks) <= 8


def test_a_time_scale_never_leaves_the_picture() -> None:
    scale = svg.TimeScale(MIDNIGHT, MIDNIGHT + timedelta(hours=10), 100, 200)
    assert [scale(MIDNIGHT + timedelta(hours=h)) for h in (-5, 0, 5, 99)] == [100, 100, 150, 200]


@pytest.mark.parametrize("length", [timedelta(minutes=3), timedelta(hours=2), timedelta(days=2), timedelta(days=400)])
def test_ticks_are_few_and_lie_within(length: timedelta) -> None:
    start = MIDNIGHT + timedelta(minutes=7)
    ticks = svg.time_ticks(start, start + length, UTC, 10)
    assert 1 <= len(ticks) <= 11 or length < timedelta(minutes=5)
    assert all(start <= tick.time <= start + length for tick in ticks)


def test_each_day_is_named_once_at_its_first_tick() -> None:
    ticks = svg.time_ticks(MIDNIGHT + timedelta(hours=7), MIDNIGHT + timedelta(hours=31), UTC, 10)
    assert [(tick.label, tick.date) for tick in ticks if tick.date] == [("09:00", "Mon 5 Jan"), ("00:00", "Tue 6 Jan")]


def test_ticks_stay_on_whole_hours_when_the_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    ticks = svg.time_ticks(start, start + timedelta(hours=36), berlin, 10)
    assert {tick.label for tick in ticks} <= {"00:00", "06:00", "12:00", "18:00"}
    assert len({tick.time for tick in ticks}) == len(ticks)
