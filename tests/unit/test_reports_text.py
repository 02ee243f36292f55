"""The report in a terminal."""

from datetime import timedelta

import pytest

from carbonq.domain.carbon import Origin, Scope, SignalKind
from carbonq.domain.job import JobState
from carbonq.domain.receipt import Receipt, ReceiptStatus
from carbonq.reports import format as fmt
from carbonq.reports import render
from carbonq.testing import MIDNIGHT, make_receipt

ISSUED = MIDNIGHT + timedelta(days=2)


def shown(*receipts: Receipt, by: str = "project", notes: tuple[str, ...] = ()) -> str:
    return render(receipts, "table", by=by, issued_at=ISSUED, notes=notes)


def test_a_report_of_two_projects() -> None:
    text = shown(make_receipt("a", project="vision"), make_receipt("b", project="speech", emissions_g=500))
    assert text == EXPECTED


EXPECTED = """\
Carbon report, issued 2026-01-07 00:00 UTC
2 jobs, 2026-01-05 00:00 to 2026-01-05 02:00

800 gCO2e emitted, as much as starting at once would have.

project                   jobs     energy   emitted   at once   avoided    share   in time    delay
speech                       1   1.00 kWh     500 g     400 g    -100 g    -25 %       1/1       1h
vision                       1   1.00 kWh     300 g     400 g     100 g     25 %       1/1       1h
---------------------------------------------------------------------------------------------------
total                        2   2.00 kWh     800 g     800 g       0 g      0 %       2/2       1h

Energy by job
job                       part  energy            known by
a                         GPU   1.00 kWh ± 5.0 %  measured, nvml-counter
b                         GPU   1.00 kWh ± 5.0 %  measured, nvml-counter

How these numbers came about
energy     2.00 kWh ± 5.0 %: all measured
           GPU: measured by nvml-counter, 2.00 kWh ± 5.0 %, 2 jobs
intensity  DE from csv, measured, 2 jobs
receipts   2 settled
baseline   the same job with the same draw, started at submission or once there was room
"""


def test_without_receipts_it_says_so() -> None:
    assert "No job has finished" in shown()


def test_the_unknown_is_starred_and_counted_not_shown_as_nought() -> None:
    text = shown(make_receipt(), make_receipt(energy_j=None, emissions_g=None, baseline_g=None))
    assert "1.00 kWh*" in text
    assert "1 job whose energy is unknown" in text
    assert "the 1 job where both are known" in " ".join(text.split())


def test_nothing_known_is_said_in_words() -> None:
    text = shown(make_receipt(energy_j=None, emissions_g=None, baseline_g=None))
    assert "What was avoided is unknown" in text
    assert "unknown*" in text


def test_more_than_at_once_is_said_and_shown_below_zero() -> None:
    text = shown(make_receipt(emissions_g=500, baseline_g=400))
    assert "100 gCO2e (25 %) more than" in text
    assert "-100 g" in text


def test_replayed_intensity_is_labelled() -> None:
    assert "Replayed:" in shown(make_receipt(intensity_origins=(Origin.REPLAYED,)))
    assert "Replayed:" not in shown(make_receipt())


def test_each_signal_is_named_and_grams_of_different_kinds_are_told_apart() -> None:
    average = make_receipt("a", signal=SignalKind.AVERAGE, scope=Scope.LIFECYCLE)
    marginal = make_receipt("b", intensity_source="watttime", signal=SignalKind.MARGINAL, scope=Scope.DIRECT)
    text = shown(average, marginal)
    assert "DE from csv, average lifecycle, measured, 1 job" in text
    assert "DE from watttime, marginal direct, measured, 1 job" in text
    told = "grams by average lifecycle and by marginal direct intensity are different quantities"
    assert told in " ".join(text.split())
    assert "different quantities" in shown(average, make_receipt("c", signal=SignalKind.AVERAGE, scope=Scope.DIRECT))
    assert "different quantities" not in shown(average, average)


def test_corrections_by_the_grid_are_counted_and_not_listed_one_by_one() -> None:
    changed = make_receipt("a", actuals_changed_at=ISSUED, notes=("actuals changed: emissions 290 g before",))
    text = shown(changed, make_receipt("b"))
    assert "2 settled (1 revised since, as their grids changed the actual intensity)" in " ".join(text.split())
    assert "290 g" not in text


def test_failures_provisional_receipts_promises_and_notes_are_told() -> None:
    failed = make_receipt(state=JobState.FAILED, deadline_met=False, status=ReceiptStatus.PROVISIONAL)
    kept = make_receipt(forecast_avoided_g=120.0, notes=("the CPU is estimated",))
    text = shown(failed, kept, notes=("A drill.",))
    for said in ("2 jobs (1 failed)", "1 provisional", "120 gCO2e avoided by plan", "A drill.", "estimated (1 job)"):
        assert said in text


def test_hostile_and_wide_names_stay_in_their_column() -> None:
    names = ["\x1b[31mred\x1b[0m", "学習ジョブの長い長い長い名前です", "a" * 200, "two\nlines", ""]
    text = shown(*(make_receipt(project=name) for name in names), notes=("\x1b]0;title\x07 " + "word " * 60,))
    assert "\x1b" not in text
    assert max(map(fmt.columns, text.splitlines())) <= 100


@pytest.mark.parametrize("by", ["project", "zone", "job", "month", "label:team"])
def test_every_grouping_keeps_within_the_width(by: str) -> None:
    assert max(map(fmt.columns, shown(make_receipt(), make_receipt(zone="FR"), by=by).splitlines())) <= 100


def test_a_style_colours_after_the_text_is_aligned() -> None:
    roles: set[str] = set()

    def style(text: str, role: str) -> str:
        roles.add(role)
        return f"\x1b[1m{text}\x1b[0m"

    receipts = [make_receipt(project="a"), make_receipt(project="b", emissions_g=900)]
    coloured = render(receipts, "table", issued_at=ISSUED, style=style)
    assert coloured.replace("\x1b[1m", "").replace("\x1b[0m", "") == render(receipts, "table", issued_at=ISSUED)
    assert {"heading", "good", "bad", "muted"} == roles
