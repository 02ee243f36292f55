"""What holds of every report, whatever the receipts."""

import json
from datetime import timedelta
from html.parser import HTMLParser
from math import isclose
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from carbonq.domain.job import JobState
from carbonq.domain.receipt import Receipt
from carbonq.reports import format as fmt
from carbonq.reports import render, summarise
from carbonq.testing import MIDNIGHT, make_receipt

GROUPINGS = ["project", "zone", "job", "month", "label:team"]
SUFFIXES = ("_j", "_g", "_s", "_rel", "_g_per_kwh")
WORDS = st.text(max_size=12)
GRAMS = st.none() | st.floats(-1e6, 1e6)


@st.composite
def receipts(draw: st.DrawFn) -> Receipt:
    delay_s = draw(st.floats(0, 1e5))
    return make_receipt(
        draw(st.uuids().map(str)),
        name=draw(WORDS),
        project=draw(WORDS),
        zone=draw(WORDS),
        pool=draw(WORDS),
        labels=draw(st.dictionaries(st.just("team"), WORDS)),
        notes=tuple(draw(st.lists(WORDS, max_size=2))),
        state=draw(st.sampled_from([JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])),
        energy_j=draw(st.none() | st.floats(0, 1e12)),
        emissions_g=draw(GRAMS),
        baseline_g=draw(GRAMS),
        forecast_avoided_g=draw(GRAMS),
        submitted_at=MIDNIGHT + timedelta(seconds=draw(st.floats(0, 1e7))),
        delay_s=delay_s,
        duration_s=draw(st.floats(0, 1e5)),
        deadline_met=draw(st.none() | st.booleans()),
    )


MANY = st.lists(receipts(), max_size=8)


@given(MANY, st.sampled_from(GROUPINGS))
def test_the_groups_add_up_to_the_total(some: list[Receipt], by: str) -> None:
    summary = summarise(some, by)
    total, tallies = summary.total, [group.tally for group in summary.groups]
    assert sum(tally.jobs for tally in tallies) == total.jobs == len(some)
    for name in ("energy_j", "emissions_g", "baseline_g", "avoided_g", "forecast_avoided_g"):
        known = [value for tally in tallies if (value := getattr(tally, name)) is not None]
        whole = getattr(total, name)
        assert (whole is None) == (not known)
        assert whole is None or isclose(sum(known), whole, rel_tol=1e-9, abs_tol=1e-6)


@given(MANY)
def test_known_and_unknown_make_all(some: list[Receipt]) -> None:
    total = summarise(some).total
    assert total.energy_unknown_jobs == sum(one.energy_j is None for one in some)
    assert total.deadlines_met + total.deadlines_missed + total.deadlines_unknown == len(some)
    if total.baseline_g is not None and total.compared_emissions_g is not None:
        assert total.avoided_g is not None
        assert isclose(total.avoided_g, total.baseline_g - total.compared_emissions_g, rel_tol=1e-9, abs_tol=1e-3)


@given(MANY)
def test_every_fraction_in_json_says_its_unit(some: list[Receipt]) -> None:
    document = json.loads(render(some, "json", issued_at=MIDNIGHT))
    assert {name for name in _names_of_fractions(document) if not name.endswith(SUFFIXES)} == set()


@given(MANY, st.sampled_from(GROUPINGS))
def test_the_table_keeps_its_width_and_controls_no_terminal(some: list[Receipt], by: str) -> None:
    lines = render(some, "table", by=by, issued_at=MIDNIGHT).splitlines()
    assert max(map(fmt.columns, lines)) <= 100
    assert all(line.isprintable() for line in lines)


@given(MANY)
def test_the_csv_has_one_line_a_receipt(some: list[Receipt]) -> None:
    assert render(some, "csv", issued_at=MIDNIGHT).count("\n") == len(some) + 1


@settings(max_examples=50, deadline=None)
@given(MANY, WORDS)
def test_the_page_is_whole_and_holds_no_script(some: list[Receipt], title: str) -> None:
    text = render(some, "html", issued_at=MIDNIGHT, title=title)
    tags = _tags(text)
    assert "script" not in tags
    assert tags.count("html") == tags.count("main") == 1
    assert "nan" not in [value.lower() for value in _numbers(text)]


def _names_of_fractions(value: Any, name: str = "") -> list[str]:
    if isinstance(value, dict):
        return [found for key, each in value.items() for found in _names_of_fractions(each, key)]
    if isinstance(value, list):
        return [found for each in value for found in _names_of_fractions(each, name)]
    return [name] if isinstance(value, float) else []


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value for name, value in attrs if value and name in ("x", "y", "width", "height", "x1", "y1")]


def _tags(text: str) -> list[str]:
    seen = _Seen()
    seen.feed(text)
    return seen.tags


def _numbers(text: str) -> list[str]:
    seen = _Seen()
    seen.feed(text)
    return seen.values
