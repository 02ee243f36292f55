"""An attempt's account: conserved, honest about what is not known, and deaf to clock jumps."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonq.clock import ReplayClock, SystemClock
from carbonq.domain.energy import Component, Provenance
from carbonq.domain.job import Lease, Outcome, Requirement
from carbonq.domain.time import TimeMapping
from carbonq.workers import attribution
from carbonq.workers.measurement import Sample, build, judge
from carbonq.workers.meters.cpu_model import BUSY_W_PER_CPU, IDLE_W_PER_CPU, UNCERTAINTY_REL
from carbonq.workers.record import AttemptRecord, backoff_s
from carbonq.workers.runner import Ending

START = datetime(2026, 1, 5, tzinfo=UTC)


def record(**fields: Any) -> AttemptRecord:
    lease = Lease(job_id="job-1", worker_id="w", fence=7, attempt=2, expires_at=START)
    defaults: dict[str, Any] = {
        "lease": lease,
        "job_name": "job",
        "pool": "p",
        "zone": "DE",
        "requirement": Requirement(),
        "leased_real_at": START,
    }
    return AttemptRecord(**(defaults | fields))


def ending(duration_s: float = 10.0, **fields: Any) -> Ending:
    times: dict[str, Any] = {
        "started_real_s": START.timestamp(),
        "started_s": 100.0,
        "ended_s": 100.0 + duration_s,
        "exit_code": 0,
    }
    return Ending(**(times | fields))


def gpu(at_s: float, energy_j: float | None, device: str = "GPU-a") -> Sample:
    return Sample(at_s, "gpu", device, energy_j, "nvml-counter", "measured", 0.05)


def points(*rows: tuple[float, float, float, float | None]) -> list[tuple[float | None, ...]]:
    return [(*row, None) for row in rows]


def test_the_model_counts_reserved_idle_cpus_and_worked_seconds() -> None:
    measured = build(
        record(requirement=Requirement(cpus=2)),
        ending(),
        points((100, 0, 0, None), (110, 4, 9, None)),
        [],
        SystemClock(),
    )
    (reading,) = measured.readings
    assert (reading.method, reading.provenance, reading.uncertainty_rel) == (
        "cpu-model",
        Provenance.MODELLED,
        UNCERTAINTY_REL,
    )
    assert reading.energy_j == pytest.approx(2 * IDLE_W_PER_CPU * 10 + 4 * (BUSY_W_PER_CPU - IDLE_W_PER_CPU))


def test_a_readable_package_counter_beats_the_model_and_is_shared_by_cpu_time() -> None:
    measured = build(
        record(), ending(), points((100, 0, 0, 0.0), (105, 1, 4, 40.0), (110, 1, 6, 50.0)), [], SystemClock()
    )
    (reading,) = measured.readings
    assert (reading.method, reading.provenance, reading.energy_j) == ("rapl-cpu-share", Provenance.MEASURED, 10.0)


def test_a_gpus_counter_is_all_the_jobs_and_cut_to_its_run() -> None:
    samples = [gpu(98, 1000.0), gpu(102, 1400.0), gpu(108, 2000.0), gpu(112, 2400.0)]
    measured = build(
        record(gpu_uuids=("GPU-a",)), ending(), points((100, 0, 0, None), (110, 0, 0, None)), samples, SystemClock()
    )
    reading = measured.readings[0]
    assert (reading.component, reading.energy_j) == (Component.GPU, 1000.0)


def test_two_gpus_add_up_and_one_unknown_makes_the_sum_unknown() -> None:
    known = [gpu(100, 0.0), gpu(110, 50.0), gpu(100, 5.0, "GPU-b"), gpu(110, 30.0, "GPU-b")]
    both = record(gpu_uuids=("GPU-a", "GPU-b"))
    journal = points((100, 0, 0, None), (110, 0, 0, None))
    assert build(both, ending(), journal, known, SystemClock()).readings[0].energy_j == 75.0
    reading = build(both, ending(), journal, [*known[:3], gpu(110, None, "GPU-b")], SystemClock()).readings[0]
    assert (reading.energy_j, reading.provenance) == (None, Provenance.UNKNOWN)


def test_a_counter_that_was_set_back_is_unknown() -> None:
    assert attribution.counted([(0, 5.0), (1, 2.0)]) is None


def test_while_the_worker_was_away_the_counter_bridges_and_the_uncertainty_says_so() -> None:
    samples = [gpu(100, 0.0), gpu(101, 10.0), gpu(1101, 10_010.0)]
    measured = build(
        record(gpu_uuids=("GPU-a",)), ending(501), points((100, 0, 0, None), (601, 0, 0, None)), samples, SystemClock()
    )
    reading = measured.readings[0]
    assert reading.energy_j == pytest.approx(5010)
    assert reading.uncertainty_rel == pytest.approx((0.05**2 + (0.5 * 5000 / 5010) ** 2) ** 0.5)


@given(
    st.lists(
        st.tuples(st.floats(0.01, 50), st.floats(0, 5), st.floats(0, 9), st.floats(0, 900)), min_size=1, max_size=50
    ),
    st.floats(0, 20),
)
def test_the_trace_sums_to_the_known_readings(steps: list[tuple[float, float, float, float]], trim_s: float) -> None:
    rows = [(100.0, 0.0, 0.0, 0.0)]
    for step in steps:
        rows.append(tuple(a + b for a, b in zip(rows[-1], step, strict=True)))  # type: ignore[arg-type]  # four and four
    samples = [gpu(row[0], row[3] * 3) for row in rows[::2]]
    duration_s = max(0.001, rows[-1][0] - 100 - trim_s)
    measured = build(record(gpu_uuids=("GPU-a",)), ending(duration_s), points(*rows), samples, SystemClock())
    assert measured.energy_j is not None
    assert sum(segment.energy_j for segment in measured.trace) == pytest.approx(measured.energy_j, rel=1e-9, abs=1e-9)
    assert (measured.trace[0].start, measured.trace[-1].end) == (measured.started_at, measured.ended_at)
    assert all(a.end == b.start for a, b in zip(measured.trace, measured.trace[1:], strict=False))


def test_jobs_together_never_get_more_than_the_counter_counted() -> None:
    """Two jobs on one node, and others working too."""
    node = [(100.0, 0.0, 0.0, 0.0), (110.0, 3.0, 10.0, 70.0)]
    other = [(100.0, 0.0, 0.0, 0.0), (110.0, 5.0, 10.0, 70.0)]
    energies = [build(record(), ending(), points(*rows), [], SystemClock()).energy_j for rows in (node, other)]
    assert energies == [pytest.approx(21.0), pytest.approx(35.0)]


def test_a_replay_stretches_the_time_and_never_the_energy() -> None:
    mapping = TimeMapping(real_epoch=START, grid_epoch=START + timedelta(days=90), speed=3600)
    journal = points((100, 0, 0, 0.0), (110, 5, 5, 50.0))
    measured = build(record(), ending(), journal, [], ReplayClock(mapping))
    assert measured.energy_j == 50.0
    assert measured.ended_at - measured.started_at == timedelta(hours=10)
    assert measured.real_ended_at - measured.real_started_at == timedelta(seconds=10)


def test_what_never_ran_used_nothing_that_is_known() -> None:
    measured = build(record(), Ending(reason="never-started"), [], [], SystemClock())
    assert (measured.outcome, measured.readings, measured.trace, measured.energy_j) == (Outcome.LOST, (), (), None)


@pytest.mark.parametrize(
    ("how", "outcome", "error"),
    [
        ({}, Outcome.SUCCEEDED, ""),
        ({"exit_code": 4}, Outcome.FAILED, "exit code 4"),
        ({"exit_code": None, "signal": 11}, Outcome.FAILED, "killed by SIGSEGV"),
        ({"exit_code": None, "signal": 9}, Outcome.FAILED, "killed by SIGKILL, which carbonq did not send"),
        ({"exit_code": None, "signal": 9, "reason": "timeout"}, Outcome.TIMED_OUT, "stopped after its timeout of 60 s"),
        ({"exit_code": 0, "reason": "cancel"}, Outcome.CANCELLED, "cancelled"),
        ({"reason": "stale"}, Outcome.LOST, "a newer attempt holds the job"),
        ({"reason": "terminated"}, Outcome.LOST, "its shim was asked to end by somebody else"),
        ({"reason": "shim-died", "error": "its shim was killed"}, Outcome.LOST, "its shim was killed"),
        ({"could_not_start": "command", "subject": "x", "error": "no"}, Outcome.COULD_NOT_START, "command x: no"),
        ({"could_not_start": "refused", "error": "no folder"}, Outcome.COULD_NOT_START, "no folder"),
    ],
)
def test_each_ending_has_its_outcome_and_its_sentence(how: dict[str, Any], outcome: Outcome, error: str) -> None:
    judged, sentence = judge(record(timeout_s=60.0), ending(**how))
    assert (judged, sentence.startswith(error)) == (outcome, True)


def test_backoff_doubles_up_to_an_hour() -> None:
    assert [backoff_s(n, 10) for n in (0, 1, 2, 9, 1000)] == [10, 20, 40, 3600, 3600]
