"""Receipts from small measurements whose grams can be worked out in the head; 1 kWh is 3.6 MJ."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from carbonq.domain.carbon import CarbonIntensity, IntensitySeries, Origin
from carbonq.domain.energy import Component, EnergyReading, PowerProfile, Provenance, Quantity, Rung, TraceSegment
from carbonq.domain.job import Job, JobState, Measurement, Outcome
from carbonq.domain.receipt import Receipt, ReceiptStatus
from carbonq.scheduler.accounting import CAPACITY_UNKNOWN, BaselineStart, make_receipt
from carbonq.scheduler.spreading import combined
from carbonq.testing import MIDNIGHT, make_job

KWH = 3_600_000.0


def at(hours: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hours)


def grid(*values: float | None, start: float = 0, origin: Origin = Origin.MEASURED) -> IntensitySeries:
    """Hourly readings from `start` on; None is a gap."""
    return IntensitySeries(
        zone="FR",
        source="meter",
        attribution="the grid",
        readings=tuple(
            CarbonIntensity(start=at(start + i), end=at(start + i + 1), intensity_g_per_kwh=value, origin=origin)
            for i, value in enumerate(values)
            if value is not None
        ),
    )


def run(start: float, end: float, kwh: float | None = 1.0, attempt: int = 1, **fields: Any) -> Measurement:
    reading = EnergyReading(
        component=Component.CPU,
        energy_j=None if kwh is None else kwh * KWH,
        provenance=Provenance.UNKNOWN if kwh is None else Provenance.MODELLED,
        method="cpu-model",
        uncertainty_rel=0.3,
    )
    defaults: dict[str, Any] = {
        "job_id": "job-1",
        "fence": attempt,
        "attempt": attempt,
        "worker_id": "w",
        "pool": "lab",
        "zone": "FR",
        "outcome": Outcome.SUCCEEDED,
        "started_at": at(start),
        "ended_at": at(end),
        "real_started_at": at(start),
        "real_ended_at": at(end),
        "readings": (reading,),
    }
    return Measurement(**(defaults | fields))


def done(finished: float, **fields: Any) -> Job:
    defaults: dict[str, Any] = {"state": JobState.SUCCEEDED, "finished_at": at(finished), "attempts": 1}
    return make_job(**(defaults | fields))


def receipt(
    job: Job, *measurements: Measurement, actual: IntensitySeries | None = None, baseline: float = 0, **fields: Any
) -> Receipt:
    known = {} if actual is None else {"FR": actual}
    return make_receipt(job, measurements, known, BaselineStart(at(baseline)), issued_at=at(24), **fields)


def test_grams_are_energy_times_the_intensity_it_met() -> None:
    found = receipt(done(4), run(2, 4), actual=grid(500, 500, 100, 200))

    assert [(slot.start, slot.energy_j, slot.emissions_g) for slot in found.slots] == [
        (at(2), KWH / 2, 50.0),
        (at(3), KWH / 2, 100.0),
    ]
    assert (found.emissions_g, found.energy_j, found.status) == (150.0, KWH, ReceiptStatus.SETTLED)


def test_the_baseline_is_the_same_trace_at_its_own_start() -> None:
    found = receipt(done(4), run(2, 4), actual=grid(500, 300, 100, 200))

    assert found.baseline is not None
    assert (found.baseline.start, found.baseline.end, found.baseline.emissions_g) == (at(0), at(2), 400.0)
    assert (found.avoided_g, found.delay_s, found.baseline.waited_for_capacity_s) == (250.0, 7200.0, 0.0)


def test_what_emitted_more_than_its_baseline_shows_as_negative() -> None:
    found = receipt(done(4), run(2, 4), actual=grid(100, 100, 300, 300))

    assert found.avoided_g == -200.0


def test_a_trace_says_when_within_the_run_the_energy_was_used() -> None:
    trace = (
        TraceSegment(start=at(2), end=at(3), energy_j=0.9 * KWH),
        TraceSegment(start=at(3), end=at(4), energy_j=0.1 * KWH),
    )

    found = receipt(done(4), run(2, 4, trace=trace), actual=grid(100, 100, 100, 1000))

    assert found.emissions_g == pytest.approx(190.0, abs=1e-9)


def test_a_trace_is_scaled_to_the_readings_and_the_receipt_says_so() -> None:
    trace = (TraceSegment(start=at(2), end=at(3), energy_j=KWH / 4),)

    found = receipt(done(4), run(2, 4, trace=trace), actual=grid(100, 100, 100, 1000))

    assert found.emissions_g == pytest.approx(100.0, abs=1e-9)
    assert "attempt 1 has no full power trace: its energy is spread as far as the trace says" in found.notes


def test_part_hours_count_by_their_share() -> None:
    found = receipt(done(3), run(1.5, 2.5), actual=grid(100, 100, 300, start=0), baseline=0.25)

    assert (found.emissions_g, found.baseline and found.baseline.emissions_g) == (200.0, 100.0)


def test_without_the_actual_intensity_a_receipt_is_provisional_and_its_grams_unknown() -> None:
    found = receipt(done(4), run(2, 4), actual=grid(500, 300, 100, None))

    assert (found.status, found.emissions_g, found.avoided_g) == (ReceiptStatus.PROVISIONAL, None, None)
    assert found.baseline is not None
    assert found.baseline.emissions_g == 400.0
    assert [slot.emissions_g for slot in found.slots] == [50.0, None]
    assert "the actual intensity of part of the time has not been published yet" in found.notes


def test_a_zone_that_nothing_is_known_of_leaves_grams_unknown() -> None:
    found = receipt(done(4), run(2, 4))

    assert (found.status, found.emissions_g, found.energy_j, found.avoided_g) == (
        ReceiptStatus.PROVISIONAL,
        None,
        KWH,
        None,
    )


def test_unknown_energy_is_unknown_grams_and_never_zero() -> None:
    found = receipt(done(4), run(2, 4, kwh=None), actual=grid(500, 300, 100, 200))

    assert (found.energy_j, found.emissions_g, found.avoided_g, found.slots) == (None, None, None, ())
    assert found.baseline is not None
    assert found.baseline.emissions_g is None
    assert "the energy of attempt 1 is not known" in found.notes


def test_failed_and_lost_attempts_emit_but_are_not_in_the_baseline() -> None:
    lost = run(0, 1, kwh=0.5, attempt=1, outcome=Outcome.LOST)

    found = receipt(done(4, attempts=2), lost, run(2, 4, attempt=2), actual=grid(500, 300, 100, 200))

    assert (found.overhead_energy_j, found.energy_j) == (KWH / 2, 1.5 * KWH)
    assert (found.emissions_g, found.baseline and found.baseline.emissions_g) == (400.0, 400.0)
    assert (found.avoided_g, found.duration_s, found.started_at) == (0.0, 7200.0, at(2))


def test_attempts_that_left_no_measurement_are_named() -> None:
    found = receipt(done(4, attempts=2), run(2, 4, attempt=2), actual=grid(500, 300, 100, 200))

    assert found.overhead_energy_j is None
    assert "1 of 2 attempts left no measurement: their energy is not in these figures" in found.notes


def test_checkpointed_parts_are_work_and_run_back_to_back_in_the_baseline() -> None:
    first = run(2, 3, attempt=1, outcome=Outcome.CHECKPOINTED)

    found = receipt(done(5, attempts=2), first, run(4, 5, attempt=2), actual=grid(500, 300, 100, 900, 200))

    assert found.baseline is not None
    assert (found.baseline.end, found.baseline.emissions_g) == (at(2), 800.0)
    assert (found.emissions_g, found.overhead_energy_j, found.duration_s) == (300.0, 0, 7200.0)


def test_a_job_that_failed_has_emitted_and_claims_nothing() -> None:
    job = done(4, state=JobState.FAILED)

    found = receipt(job, run(2, 4, outcome=Outcome.FAILED), actual=grid(500, 300, 100, 200))

    assert (found.emissions_g, found.overhead_energy_j) == (150.0, KWH)
    assert (found.baseline, found.avoided_g, found.deadline_met) == (None, None, False)


def test_a_job_cancelled_before_it_ran_has_used_nothing_and_is_settled() -> None:
    job = done(4, state=JobState.CANCELLED, attempts=0)

    found = receipt(job, default_zone="DE")

    assert (found.energy_j, found.emissions_g, found.status, found.zone) == (0.0, 0.0, ReceiptStatus.SETTLED, "DE")
    assert (found.baseline, found.avoided_g, found.deadline_met, found.started_at) == (None, None, None, None)


@pytest.mark.parametrize(("finished", "met"), [(23.99, True), (24, True), (24.01, False)])
def test_the_deadline_is_met_by_its_very_moment(finished: float, met: bool) -> None:
    assert receipt(done(finished), run(2, finished), actual=grid(*[100.0] * 25)).deadline_met is met


def test_the_promise_stands_beside_what_came_of_it() -> None:
    job = done(4, planned_emissions_g=120.0, immediate_emissions_g=400.0)

    found = receipt(job, run(2, 4), actual=grid(500, 300, 100, 200))

    assert (found.forecast_avoided_g, found.avoided_g) == (280.0, 250.0)


def test_waiting_for_capacity_is_no_delay_of_ours() -> None:
    found = receipt(done(4), run(2, 4), actual=grid(500, 300, 100, 200), baseline=1)

    assert found.baseline is not None
    assert (found.delay_s, found.baseline.waited_for_capacity_s) == (3600.0, 3600.0)


def test_not_before_counts_as_the_users_wish_and_not_as_waiting() -> None:
    found = receipt(done(4, not_before=at(1)), run(2, 4), actual=grid(500, 300, 100, 200), baseline=1)

    assert found.baseline is not None
    assert found.baseline.waited_for_capacity_s == 0


def test_an_attempt_of_no_length_keeps_its_energy() -> None:
    found = receipt(done(2), run(2, 2), actual=grid(500, 300, 100, 200))

    assert found.emissions_g == pytest.approx(100.0, abs=1e-9)


def test_a_clock_that_jumped_back_under_a_run_loses_no_energy() -> None:
    found = receipt(done(2), run(2.5, 2), actual=grid(500, 300, 100, 200))

    assert found.energy_j == KWH
    assert found.emissions_g == pytest.approx(100.0, abs=1e-9)


def test_readings_of_all_attempts_are_added_by_component_and_method() -> None:
    lost = run(0, 1, kwh=0.5, attempt=1, outcome=Outcome.LOST)

    found = receipt(done(4, attempts=2), lost, run(2, 4, attempt=2), actual=grid(500, 300, 100, 200))

    assert [reading.energy_j for reading in found.readings] == [1.5 * KWH]
    assert found.readings[0].uncertainty_rel == pytest.approx(0.3)


def test_each_attempt_meets_the_intensity_of_its_own_zone() -> None:
    elsewhere = run(0, 1, attempt=1, outcome=Outcome.LOST, zone="DE")
    dirty = grid(700, 700, 700, 700).model_copy(update={"zone": "DE"})

    found = make_receipt(
        done(4, attempts=2),
        (elsewhere, run(2, 4, attempt=2)),
        {"FR": grid(500, 300, 100, 200), "DE": dirty},
        BaselineStart(at(0)),
        issued_at=at(24),
    )

    assert (found.zone, found.emissions_g, found.baseline and found.baseline.emissions_g) == ("FR", 850.0, 400.0)


def test_what_is_modelled_or_replayed_or_assumed_is_said() -> None:
    modelled = receipt(done(4), run(2, 4), actual=grid(500, 300, 100, 200, origin=Origin.MODELLED))
    replayed = receipt(done(4), run(2, 4), actual=grid(500, 300, 100, 200, origin=Origin.REPLAYED))
    assumed = make_receipt(done(4), (run(2, 4),), {}, BaselineStart(at(0), capacity_known=False), issued_at=at(24))

    assert "part of the intensity is a typical profile, not a reading" in modelled.notes
    assert "the intensity is replayed: a profile with a stated error stands for the actual one" in replayed.notes
    assert CAPACITY_UNKNOWN in assumed.notes


def test_the_source_and_its_attribution_are_on_the_receipt() -> None:
    found = receipt(done(4), run(2, 4), actual=grid(500, 300, 100, 200))

    assert (found.intensity_source, found.attribution, found.pool) == ("meter", "the grid", "lab")


# --- what stands beside the sums


def test_the_building_is_by_each_attempts_own_pue_and_in_no_sum() -> None:
    lost = run(0, 1, kwh=1.0, attempt=1, outcome=Outcome.LOST, pue=1.2)
    job = done(4, attempts=2)

    found = receipt(job, lost, run(2, 4, kwh=3.0, attempt=2, pue=1.6), actual=grid(100, 100, 200, 400))
    plain = receipt(job, lost, run(2, 4, kwh=3.0, attempt=2), actual=grid(100, 100, 200, 400))

    assert found.facility_energy_j == pytest.approx((0.2 + 3 * 0.6) * KWH)
    assert found.facility_g == pytest.approx(0.2 * 100 + 0.6 * 3 * 300)
    assert found.pue == pytest.approx(1.5)
    assert (found.energy_j, found.emissions_g, found.avoided_g) == (plain.energy_j, plain.emissions_g, plain.avoided_g)


def test_where_a_site_does_not_state_its_pue_the_building_is_unknown_and_that_is_said() -> None:
    found = receipt(
        done(4, attempts=2),
        run(0, 1, attempt=1, outcome=Outcome.CHECKPOINTED, pue=1.2, embodied_g=2.0),
        run(2, 4, attempt=2),
        actual=grid(1, 1, 1, 1),
    )

    assert (found.pue, found.facility_energy_j, found.facility_g, found.embodied_g) == (None, None, None, None)
    assert "not every site it ran at states its PUE: the building's energy is left out" in found.notes


def test_a_building_whose_grid_has_not_reported_has_energy_and_no_grams() -> None:
    found = receipt(done(4), run(2, 4, pue=1.5))

    assert (found.facility_energy_j, found.facility_g) == (KWH / 2, None)


def test_making_the_machines_adds_up_over_attempts() -> None:
    found = receipt(
        done(4, attempts=2),
        run(0, 1, attempt=1, outcome=Outcome.CHECKPOINTED, embodied_g=2.0),
        run(2, 4, attempt=2, embodied_g=4.0),
    )

    assert found.embodied_g == 6.0


def test_what_was_foreseen_is_kept_with_its_interval() -> None:
    power, duration = Quantity(p50=100, p10=50, p90=200), Quantity(p50=10, p10=8, p90=20, p05=7, p95=30)
    profile = PowerProfile(power_w=power, duration_s=duration, power_method="prior", duration_method="declared")

    found = receipt(done(4, profile=profile), run(2, 4))

    assert found.predicted_energy_j == Quantity(p50=1000, p10=400, p90=4000)
    assert (found.predicted_duration_s, found.prediction_method) == (duration, "prior and declared")
    given = profile.model_copy(update={"energy": Quantity(p50=5, p10=4, p90=6)})
    assert receipt(done(4, profile=given), run(2, 4)).predicted_energy_j == Quantity(p50=5, p10=4, p90=6)


# --- readings of several attempts


def reading(energy_j: float, **fields: Any) -> EnergyReading:
    defaults: dict[str, Any] = {
        "component": Component.GPU,
        "provenance": Provenance.MEASURED,
        "method": "nvml",
        "rung": Rung.COUNTER,
        "uncertainty_rel": 0.1,
    }
    return EnergyReading(energy_j=energy_j, **(defaults | fields))


def attempts(*readings: EnergyReading) -> list[Measurement]:
    return [run(i, i + 1, attempt=i + 1, readings=(one,)) for i, one in enumerate(readings)]


def test_segments_add_up_with_rung_second_way_and_flags() -> None:
    check = {"cross_check_method": "power"}

    [found] = combined(
        attempts(
            reading(100, cross_check_j=90, flags=("reset",), **check),
            reading(300, cross_check_j=310, flags=("reset",), uncertainty_rel=0.2, **check),
        )
    )

    assert (found.energy_j, found.cross_check_j, found.cross_check_method, found.rung) == (
        400,
        400,
        "power",
        Rung.COUNTER,
    )
    assert found.flags == ("attempt 1: reset", "attempt 2: reset")
    assert found.uncertainty_rel == pytest.approx(70 / 400)


def test_a_second_way_that_missed_an_attempt_is_left_out() -> None:
    [found] = combined(attempts(reading(100, cross_check_j=90, cross_check_method="power"), reading(300)))

    assert (found.cross_check_j, found.cross_check_method) == (None, None)


def test_other_rungs_stay_apart_and_an_error_nobody_knows_makes_the_sums_unknown() -> None:
    assert len(combined(attempts(reading(1), reading(1, rung=Rung.POWER_INTEGRAL)))) == 2
    assert combined(attempts(reading(1), reading(1, uncertainty_rel=None)))[0].uncertainty_rel is None


def test_the_flags_of_a_single_attempt_name_no_attempt() -> None:
    assert combined(attempts(reading(1, flags=("gap",))))[0].flags == ("gap",)
