"""Receipts added up: what is known is summed, what is not is counted, and nothing is clipped."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from carbonq.domain.energy import Component, EnergyReading, Provenance, total_of
from carbonq.domain.errors import InvalidInput
from carbonq.domain.job import JobState
from carbonq.domain.receipt import ReceiptStatus
from carbonq.reports.summary import summarise, tally
from carbonq.testing import MIDNIGHT, make_receipt


def reading(
    energy_j: float | None, method: str, uncertainty_rel: float | None, part: Component = Component.CPU
) -> EnergyReading:
    known = Provenance.MODELLED if energy_j is not None else Provenance.UNKNOWN
    return EnergyReading(
        component=part, energy_j=energy_j, provenance=known, method=method, uncertainty_rel=uncertainty_rel
    )


def test_a_saving_is_the_baseline_less_the_emissions() -> None:
    total = tally([make_receipt(emissions_g=300, baseline_g=400), make_receipt(emissions_g=100, baseline_g=100)])
    assert (total.baseline_g, total.compared_emissions_g, total.avoided_g, total.avoided_rel) == (500, 400, 100, 0.2)


def test_a_job_that_emitted_more_than_at_once_counts_below_zero() -> None:
    total = tally([make_receipt(emissions_g=500, baseline_g=400), make_receipt(emissions_g=90, baseline_g=100)])
    assert total.avoided_g == -90


def test_the_saving_is_not_taken_from_what_a_receipt_claims() -> None:
    assert tally([make_receipt(emissions_g=300, baseline_g=400, avoided_g=9999.0)]).avoided_g == 100


def test_what_is_unknown_is_counted_and_left_out_of_both_sides_of_a_comparison() -> None:
    known = make_receipt()
    no_energy = make_receipt(energy_j=None, emissions_g=None, baseline_g=None)
    no_baseline = make_receipt(baseline=None, avoided_g=None)
    total = tally([known, no_energy, no_baseline])
    assert (total.energy_j, total.energy_unknown_jobs) == (7.2e6, 1)
    assert (total.emissions_g, total.emissions_unknown_jobs) == (600, 1)
    assert (total.compared_jobs, total.compared_emissions_g, total.baseline_g) == (1, 300, 400)


def test_a_sum_of_nothing_known_is_unknown() -> None:
    total = tally([make_receipt(energy_j=None, emissions_g=None, baseline_g=None)])
    assert (total.energy_j, total.emissions_g, total.avoided_g, total.avoided_rel) == (None, None, None, None)


def test_no_receipts_are_no_jobs_and_nothing_known() -> None:
    summary = summarise([])
    assert (summary.total.jobs, summary.total.energy_j, summary.groups, summary.start) == (0, None, (), None)


def test_a_lost_attempt_without_a_reading_makes_the_energy_partly_unknown() -> None:
    lost = make_receipt(attempts=2, overhead_energy_j=None)
    assert tally([lost, make_receipt()]).energy_partly_unknown_jobs == 1


def test_an_unknown_component_makes_the_energy_partly_unknown() -> None:
    parts = (reading(100.0, "cpu-model", 0.3), reading(None, "nvml-counter", None, Component.GPU))
    assert tally([make_receipt(energy_j=100.0, readings=parts)]).energy_partly_unknown_jobs == 1


def test_a_negative_baseline_gives_no_share() -> None:
    total = tally([make_receipt(emissions_g=-50, baseline_g=-20)])
    assert (total.avoided_g, total.avoided_rel) == (30, None)


def test_a_baseline_too_small_to_divide_by_gives_no_share() -> None:
    assert tally([make_receipt(emissions_g=1e6, baseline_g=5e-324)]).avoided_rel is None


def test_promises_are_compared_with_the_very_same_jobs() -> None:
    promised = make_receipt(emissions_g=300, baseline_g=400, forecast_avoided_g=120.0)
    silent = make_receipt(emissions_g=10, baseline_g=1000)
    total = tally([promised, silent])
    assert (total.forecast_jobs, total.forecast_avoided_g, total.forecast_realised_g) == (1, 120, 100)


def test_states_deadlines_delays_and_revisions_are_counted() -> None:
    total = tally(
        [
            make_receipt(delay_s=0),
            make_receipt(delay_s=7200, deadline_met=False, status=ReceiptStatus.PROVISIONAL),
            make_receipt(state=JobState.CANCELLED, deadline_met=None),
        ]
    )
    assert total.states == {JobState.SUCCEEDED: 2, JobState.CANCELLED: 1}
    assert (total.deadlines_met, total.deadlines_missed, total.deadlines_unknown) == (1, 1, 1)
    assert (total.mean_delay_s, total.provisional_jobs) == (3600, 1)


def test_errors_of_one_method_add_up() -> None:
    assert total_of([reading(100, "cpu-model", 0.3)] * 4).uncertainty_rel == pytest.approx(0.3)


def test_errors_of_different_methods_combine_as_the_root_of_the_sum_of_squares() -> None:
    both = [reading(100, "cpu-model", 0.3), reading(100, "rapl", 0.4)]
    assert total_of(both).uncertainty_rel == pytest.approx(50 / 200)


def test_a_reading_without_uncertainty_leaves_the_sum_without_one() -> None:
    assert total_of([reading(100, "cpu-model", 0.3), reading(1, "other", None)]).uncertainty_rel is None
    assert total_of([reading(None, "other", None)]).uncertainty_rel is None


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("project", ["b", "a"]),
        ("zone", ["DE", "FR"]),
        ("job", ["y", "x"]),
        ("label:team", ["t", None]),
        ("month", ["2026-01", "2026-02"]),
    ],
)
def test_groups_come_by_size_and_months_by_time(by: str, expected: list[str | None]) -> None:
    small = make_receipt(project="a", name="x", energy_j=1.0, zone="FR", submitted_at=MIDNIGHT + timedelta(days=30))
    large = make_receipt(project="b", name="y", energy_j=2.0, labels={"team": "t"})
    assert [group.name for group in summarise([small, large], by).groups] == expected


def test_a_month_is_cut_by_the_asked_clock() -> None:
    late = make_receipt(submitted_at=datetime(2026, 1, 31, 21, 30, tzinfo=UTC))
    assert summarise([late], "month").groups[0].name == "2026-01"
    assert summarise([late], "month", ZoneInfo("Europe/Berlin")).groups[0].name == "2026-02"


@pytest.mark.parametrize("by", ["", "colour", "label", "label:"])
def test_another_grouping_is_refused_with_the_choice(by: str) -> None:
    with pytest.raises(InvalidInput, match=r"label:KEY"):
        summarise([make_receipt()], by)


def test_methods_are_listed_measured_first_with_their_jobs() -> None:
    gpu = make_receipt("a").readings[0]
    two = [
        make_receipt("a", readings=(reading(10, "cpu-model", 0.3), gpu)),
        make_receipt("b", readings=(reading(20, "cpu-model", 0.3),)),
    ]
    uses = summarise(two).methods
    assert [(use.method, use.jobs, use.energy_j) for use in uses] == [("nvml-counter", 1, 3.6e6), ("cpu-model", 2, 30)]
