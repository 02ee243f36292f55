"""Which stretches of the past to ask a source for."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonq.domain.carbon import SourceInfo
from carbonq.forecasters.carbon.archive.spans import Span, backfill, merged, missing, refresh

NOW = datetime(2026, 7, 6, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def info(history_s: int | None = None, lag_s: int = 0) -> SourceInfo:
    return SourceInfo(name="x", title="x", licence="x", attribution="x", history_s=history_s, lag_s=lag_s)


def ago(start: float, end: float = 0) -> Span:
    """From so many days ago to so many."""
    return Span(NOW - start * DAY, NOW - end * DAY)


def test_the_first_time_the_newest_month_is_asked_for_first() -> None:
    assert backfill([], NOW, info(), questions=2) == (ago(30), ago(60, 30))


def test_in_the_end_two_years_are_covered_without_asking_twice() -> None:
    covered: list[Span] = []
    while spans := backfill(covered, NOW, info(), questions=3):
        assert all(span.end - span.start <= 30 * DAY for span in spans)
        assert len(spans) <= 3
        assert not any(a.start < b.end and b.start < a.end for a in spans for b in covered)
        covered += spans
    assert list(merged(covered)) == [ago(730)]


def test_a_source_that_answers_a_day_is_asked_for_a_day() -> None:
    assert backfill([], NOW, info(history_s=86_400), questions=9) == (ago(1),)


def test_what_a_source_can_not_have_yet_is_not_asked_for() -> None:
    assert backfill([ago(730, 2)], NOW, info(lag_s=86_400), questions=9) == (ago(2, 1),)
    assert backfill([], NOW, info(history_s=3600, lag_s=7200), questions=9) == ()


def test_gaps_are_asked_for_newest_first_and_in_vain_only_once() -> None:
    covered = [ago(730, 300), ago(250, 100), ago(90)]
    assert backfill(covered, NOW, info(), questions=9) == (ago(100, 90), ago(280, 250), ago(300, 280))
    assert backfill(covered, NOW, info(), questions=9, in_vain=[ago(100, 90), ago(280, 250)]) == (ago(300, 280),)


def test_a_hole_of_seconds_is_none() -> None:
    covered = [ago(730, 300), Span(NOW - 300 * DAY + timedelta(seconds=5), NOW)]
    assert backfill(covered, NOW, info(), questions=9) == ()


def test_without_questions_nothing_is_asked() -> None:
    assert backfill([], NOW, info(), questions=0) == ()


@pytest.mark.parametrize(
    ("covered", "thorough", "asked"),
    [
        ([], False, ago(8)),
        ([ago(100)], False, ago(2)),
        ([ago(100)], True, ago(8)),
        ([ago(100, 3)], False, ago(3)),
        ([ago(100, 50)], False, ago(8)),
    ],
    ids=["first", "usual", "daily", "after three days", "after fifty days"],
)
def test_late_values_and_revisions_are_asked_for_again(covered: list[Span], thorough: bool, asked: Span) -> None:
    assert refresh(covered, NOW, info(), thorough=thorough) == asked


def test_a_refresh_stays_within_what_the_source_answers() -> None:
    assert refresh([], NOW, info(history_s=86_400), thorough=True) == ago(1)


spans = st.tuples(st.integers(0, 400), st.integers(0, 400)).map(lambda pair: ago(max(pair), min(pair)))


@given(covered=st.lists(spans, max_size=8), wanted=spans)
def test_what_is_missing_and_what_is_covered_are_the_whole_and_never_overlap(covered: list[Span], wanted: Span) -> None:
    holes = list(missing(wanted, covered))
    both = merged([*covered, *holes, wanted])
    assert list(merged([*covered, *holes])) == [span for span in both if span.start < span.end]
    assert not any(hole.start < span.end and span.start < hole.end for hole in holes for span in covered)
