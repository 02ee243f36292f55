"""Tables, words and a job's output, as they reach the terminal."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from carbonq.cli import logtext, output, words
from carbonq.cli.output import Cell, Column, fields, safe, table
from carbonq.domain.job import JobState, WaitReason
from carbonq.testing import MIDNIGHT, make_job

COLUMNS = (Column("NAME", least=14), Column("G", right=True), Column("WHERE", spare=1), Column("WHY", least=8))
ROW = ("a-rather-long-name-of-a-job", "12.3 g", "default", "because the wind will blow tonight")


def test_columns_line_up_and_lines_end_without_spaces() -> None:
    assert table(COLUMNS[:2], [("a", "1"), ("bbb", "23")]).splitlines() == ["NAME   G", "a      1", "bbb   23"]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_loses_spare_columns_first_then_the_ends_of_long_ones(width: int) -> None:
    text = table(COLUMNS, [ROW], width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "12.3 g" in text
    assert ("default" in text) is (width > 40)


def test_a_pipe_gets_everything_uncut() -> None:
    assert "because the wind will blow tonight" in table(COLUMNS, [("x" * 300, *ROW[1:])])


def test_wide_characters_take_two_columns() -> None:
    first, second = table((Column("A"), Column("B")), [("日本", "x"), ("abcd", "y")]).splitlines()[1:]
    assert (first, second) == ("日本  x", "abcd  y")


def test_values_wrap_under_themselves_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "terminal_width", lambda: 40)
    lines = fields([("why", "one two three four five six seven eight"), ("empty", "")]).splitlines()
    assert lines == ["  why  one two three four five six seven", "       eight"]


@pytest.mark.parametrize("text", ["\x1b[31m", "\x9b2J", "\r", "a\u202eb", "\u2028", "\x00", "\ud800", "\x07"])
def test_what_could_drive_a_terminal_is_spelled_out(text: str) -> None:
    assert safe(text).isprintable()


def test_ordinary_letters_of_all_kinds_stay() -> None:
    assert safe("Zürich 日本 🌱") == "Zürich 日本 🌱"


def tamed(*chunks: bytes) -> bytes:
    return b"".join(logtext.tame(iter(chunks)))


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("NO_COLOR", raising=False)
    return iter(())


def test_a_jobs_colours_pass_and_end_with_its_output(colours: None) -> None:
    assert tamed(b"\x1b[1;31mred\n") == b"\x1b[1;31mred\n\x1b[0m"


def test_a_colour_cut_in_two_by_the_chunks_passes_too(colours: None) -> None:
    assert tamed(b"a\x1b", b"[3", b"2mb") == b"a\x1b[32mb\x1b[0m"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b"\x1b[2J", b"^[[2J"),
        (b"\x1b]0;title\x07", b"^[]0;title^G"),
        (b"\xc2\x9b2J", b"^[2J"),
        (b"a\x00b\x7f", b"a^@b^?"),
        (b"50%\r100%\n\tdone", b"50%\r100%\n\tdone"),
        ("Zürich 日本".encode(), "Zürich 日本".encode()),
        (b"half\x1b", b"half^["),
    ],
)
def test_other_control_sequences_are_spelled_out(sent: bytes, shown: bytes) -> None:
    assert tamed(sent) == shown
    assert b"".join(logtext.tame(bytes([byte]) for byte in sent)) == shown


def test_no_color_takes_the_colours_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert tamed(b"\x1b[31mred\x1b[0m") == b"red"


@pytest.mark.parametrize(
    ("before_g", "after_g", "said"),
    [
        (20.0, 10.0, "10.0 g less (50 %)"),
        (10.0, 20.0, "10.0 g more (100 %)"),
        (10.0, 10.0, "no difference"),
        (0.0, 5.0, "5.00 g more"),
        (None, 5.0, "unknown"),
    ],
)
def test_savings_are_never_clipped(before_g: float | None, after_g: float, said: str) -> None:
    assert words.saving(before_g, after_g) == said


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (timedelta(hours=18), "18:00"),
        (timedelta(days=1, hours=2), "Tue 02:00"),
        (timedelta(days=20), "25 Jan 00:00"),
        (timedelta(days=400), "09 Feb 2027 00:00"),
    ],
)
def test_a_time_says_as_much_of_its_date_as_is_needed(after: timedelta, said: str) -> None:
    assert words.clock_time(MIDNIGHT + after, MIDNIGHT) == said


def test_every_reason_has_words() -> None:
    assert set(words.REASONS) == set(WaitReason)
    assert set(words.STATE_COLOURS) == set(JobState)


def test_a_running_job_that_is_being_cancelled_is_stopping() -> None:
    assert words.state(make_job(state=JobState.RUNNING, cancel_requested=True)) == Cell("stopping", "yellow")
