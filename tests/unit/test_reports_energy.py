"""A job's energy part by part, predictions beside what came, and where the machines' energy went."""

import json
from datetime import timedelta
from typing import Any

import pytest

from carbonq.domain.energy import Component, EnergyReading, Provenance, Quantity, Rung, Total, total_of
from carbonq.domain.job import Capacity, ComponentAccount, JobState, NodeAccount, WorkerInfo
from carbonq.domain.receipt import Receipt
from carbonq.reports import format as fmt
from carbonq.reports import render
from carbonq.reports.energy import beside, foretold, parts
from carbonq.reports.foretelling import Foretelling, Score, foretellings, score_words
from carbonq.reports.summary import tally
from carbonq.testing import MIDNIGHT, make_receipt

KWH = 3.6e6
GPU = EnergyReading(
    component=Component.GPU,
    energy_j=KWH,
    provenance=Provenance.MEASURED,
    method="nvml",
    rung=Rung.COUNTER,
    uncertainty_rel=0.03,
    cross_check_j=1.12 * KWH,
    cross_check_method="power-integral",
    flags=("counter and power integral differ by 12 %",),
)
CPU = EnergyReading(
    component=Component.CPU,
    energy_j=KWH,
    provenance=Provenance.MODELLED,
    method="cpu-model",
    rung=Rung.PRIOR,
    uncertainty_rel=0.04,
)
NO_DRAM = EnergyReading(component=Component.DRAM, provenance=Provenance.UNKNOWN, method="none")
BESIDE: dict[str, Any] = {"pue": 1.3, "facility_energy_j": 0.6 * KWH, "facility_g": 90.0, "embodied_g": 12.5}


def receipt(job_id: str = "a-1", **fields: Any) -> Receipt:
    defaults: dict[str, Any] = {"readings": (GPU, CPU, NO_DRAM), "energy_j": 2 * KWH}
    return make_receipt(job_id, **(defaults | fields))


def predicted(actual: float, *, p50: float = 1.0, name: str = "a", **fields: Any) -> Receipt:
    """A job that took `actual` kWh and as many hours, foreseen with `p50` of each and 90 % within 10 % of that."""
    spread = {"p50": p50, "p10": 0.95 * p50, "p90": 1.05 * p50, "p05": 0.9 * p50, "p95": 1.1 * p50}
    defaults: dict[str, Any] = {
        "name": name,
        "energy_j": actual * KWH,
        "duration_s": actual * 3600,
        "predicted_energy_j": Quantity(**{key: value * KWH for key, value in spread.items()}),
        "predicted_duration_s": Quantity(**{key: value * 3600 for key, value in spread.items()}),
        "prediction_method": "past-runs",
    }
    return make_receipt(f"{name}-{actual}", **(defaults | fields))


def worker(**account: float) -> WorkerInfo:
    component = ComponentAccount(component=Component.CPU, method="rapl", provenance=Provenance.MEASURED, **account)
    return WorkerInfo(
        worker_id="lab-1",
        host="lab",
        zone="DE",
        capacity=Capacity(),
        free=Capacity(),
        started_at=MIDNIGHT,
        seen_at=MIDNIGHT,
        account=NodeAccount(since=MIDNIGHT - timedelta(hours=2), until=MIDNIGHT, components=(component,)),
    )


def test_errors_of_parts_combine_in_quadrature_and_those_of_one_method_add_up() -> None:
    assert total_of([GPU, CPU]).uncertainty_rel == pytest.approx(0.05 / 2)
    assert total_of([GPU, GPU]).uncertainty_rel == pytest.approx(0.03)
    assert total_of([GPU, NO_DRAM]) == Total(KWH, 0.03, 1)
    assert total_of([NO_DRAM]) == Total(None, None, 1)


def test_each_part_says_its_interval_how_it_is_known_and_what_a_second_way_read() -> None:
    assert [line[:5] for line in parts([GPU, CPU, NO_DRAM])] == [
        ("GPU", "1.00 kWh ± 3.0 %", "measured", "nvml (counter)", "1.12 kWh by power-integral, +12 %"),
        ("CPU", "1.00 kWh ± 4.0 %", "modelled", "cpu-model (prior)", ""),
        ("memory", "unknown", "unknown", "none", ""),
        ("total", "2.00 kWh ± 2.5 %", "without 1 unknown part", "", ""),
    ]


def test_one_part_needs_no_total() -> None:
    assert [line.name for line in parts([GPU])] == ["GPU"]


def test_the_building_and_the_making_stand_on_lines_of_their_own() -> None:
    assert beside(receipt(**BESIDE)) == [("building", "600 Wh, 90.0 gCO2e (PUE 1.30)"), ("making", "12.5 gCO2e")]
    assert beside(receipt()) == []


def test_they_are_in_no_sum() -> None:
    plain, with_them = tally([receipt()]), tally([receipt(**BESIDE)])

    assert (with_them.energy_j, with_them.emissions_g, with_them.avoided_g) == (
        plain.energy_j,
        plain.emissions_g,
        plain.avoided_g,
    )
    assert (with_them.facility_energy_j, with_them.facility_g, with_them.embodied_g) == (0.6 * KWH, 90.0, 12.5)
    assert (plain.facility_energy_j, plain.embodied_g) == (None, None)


@pytest.mark.parametrize("form", ["table", "html", "json"])
def test_every_report_has_parts_flags_and_the_lines_beside(form: str) -> None:
    text = render([receipt(**BESIDE)], form, issued_at=MIDNIGHT, workers=[worker(
        counted_j=KWH, jobs_j=0.5 * KWH, carbonq_j=0.01 * KWH, unattributed_j=0.49 * KWH)])  # fmt: skip
    said = ["differ by 12 %", "cpu-model", "lab-1"]
    said += ("facility_g", "unattributed_j") if form == "json" else ("PUE 1.30", "± 2.5 %", "10.0 Wh (1.0 %)")
    assert [words for words in said if words not in text] == []


def test_json_holds_predictions_and_machines() -> None:
    shown = json.loads(render([predicted(1.05)], "json", issued_at=MIDNIGHT, workers=[worker(
        counted_j=10, jobs_j=6, carbonq_j=1, unattributed_j=3)]))  # fmt: skip

    assert shown["predictions"][0]["energy"] == {
        "jobs": 1,
        "bias_rel": pytest.approx(1 / 1.05 - 1),
        "covered_rel": 1.0,
        "level": 0.9,
    }
    assert shown["machines"][0]["components"][0]["carbonq_j"] == 1


def test_bias_and_coverage_are_of_the_jobs_of_one_name() -> None:
    [found] = foretellings([predicted(0.8), predicted(0.8), predicted(1.05)])

    assert (found.energy.jobs, found.energy.level) == (3, 0.9)
    assert (found.energy.bias_rel, found.energy.covered_rel) == pytest.approx((0.25, 1 / 3))
    assert score_words(found.energy) == ("25 % high", "1 of 3 (90 %)")


def test_what_failed_or_is_known_in_part_says_nothing_about_a_prediction() -> None:
    failed = predicted(1.0, state=JobState.FAILED)
    partial = predicted(1.0, name="b", readings=(GPU, NO_DRAM))

    assert foretellings([failed, partial]) == (
        Foretelling(
            name="b",
            method="past-runs",
            energy=Score(jobs=0, bias_rel=None, covered_rel=None, level=None),
            duration=Score(jobs=1, bias_rel=0.0, covered_rel=1.0, level=0.9),
        ),
    )


def test_a_prediction_is_of_the_work_not_of_lost_attempts() -> None:
    [found] = foretellings([predicted(1.5, overhead_energy_j=0.5 * KWH, attempts=2)])

    assert found.energy.bias_rel == pytest.approx(0.0)


def test_where_some_have_the_narrower_interval_alone_all_are_judged_by_it() -> None:
    narrow = predicted(1.06, predicted_energy_j=Quantity(p50=KWH, p10=0.95 * KWH, p90=1.05 * KWH))

    [found] = foretellings([narrow, predicted(1.06)])

    assert (found.energy.covered_rel, found.energy.level) == (0.0, 0.8)


def test_what_was_foretold_is_told_with_its_interval() -> None:
    assert foretold(predicted(1.0)) == ("1.00 kWh (900 Wh to 1.10 kWh) in 1h (54m to 1h6m), 90 % intervals, past-runs")
    assert foretold(receipt()) == ""


def test_the_terminal_shows_a_few_jobs_within_its_width() -> None:
    text = render([receipt(f"long-name-{i}" * 4, **BESIDE) for i in range(40)], "table", issued_at=MIDNIGHT)

    assert "the last 5 of 40" in text
    assert max(map(fmt.columns, text.splitlines())) <= 100


def test_hostile_flags_and_names_stay_text() -> None:
    bad = GPU.model_copy(update={"flags": ("<script>alert(1)</script>\x1b[31m",), "method": "<b>x\x1b"})
    page = render([receipt("<i>", readings=(bad,))], "html", issued_at=MIDNIGHT)
    text = render([receipt(readings=(bad,))], "table", issued_at=MIDNIGHT)

    assert "<script" not in page
    assert "<i>" not in page
    assert "\x1b" not in text + page
