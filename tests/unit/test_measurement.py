"""An attempt's account: conserved, honest about what is not known, and deaf to clock jumps."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonq.clock import ReplayClock, SystemClock
from carbonq.domain.energy import Component, Provenance, Rung
from carbonq.domain.job import Capacity, Lease, Outcome, Requirement
from carbonq.domain.time import TimeMapping
from carbonq.workers.calibration import Calibration
from carbonq.workers.gpu_energy import GpuPoint
from carbonq.workers.ledger import Part
from carbonq.workers.measurement import build, judge
from carbonq.workers.readings import CPU, Account, Method
from carbonq.workers.record import AttemptRecord, backoff_s
from carbonq.workers.runner import Ending
from carbonq.workers.site import Site

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


RAPL = Method("rapl", Provenance.MEASURED, Rung.COUNTER, 0.05)
MODEL = Method("cpu-model", Provenance.MODELLED, Rung.PRIOR, 0.5)
NVML = Method("nvml-counter", Provenance.MEASURED, Rung.COUNTER, 0.05)
GPU_A, GPU_B = Part(Component.GPU, "GPU-a"), Part(Component.GPU, "GPU-b")
SITE = Site(Capacity(cpus=4))


def account(
    shares: dict[Part, float],
    methods: dict[Part, Method] | None = None,
    trace: list[tuple[float, float]] | None = None,
    **gpu_points: list[GpuPoint],
) -> Account:
    """What a sampler hands over; `GPU_a=...` are the points of the GPU of that name."""
    points = {name.replace("_", "-"): seen for name, seen in gpu_points.items()}
    return Account(shares, methods or {CPU: RAPL, GPU_A: NVML, GPU_B: NVML}, points, trace or [])


def steady(watts: float, counter_w: float | None = None) -> list[GpuPoint]:
    """A GPU from 90 to 120 s: its power added up, and what its counter counted meanwhile."""
    rate_w = watts if counter_w is None else counter_w
    return [GpuPoint(float(at_s), rate_w * (at_s - 90), watts * (at_s - 90), 0.0005, "t") for at_s in range(90, 121)]


def test_a_share_of_a_measured_package_is_measured_and_its_uncertainty_is_the_shares() -> None:
    (reading,) = build(record(), ending(), account({CPU: 10.0}), SystemClock(), SITE).readings
    assert (reading.method, reading.provenance, reading.rung) == ("rapl-cpu-share", Provenance.MEASURED, Rung.COUNTER)
    assert reading.energy_j == 10.0
    assert reading.uncertainty_rel == pytest.approx((0.05**2 + 0.2**2) ** 0.5)


def test_a_modelled_package_says_so() -> None:
    (reading,) = build(record(), ending(), account({CPU: 10.0}, {CPU: MODEL}), SystemClock(), SITE).readings
    assert (reading.method, reading.provenance, reading.uncertainty_rel) == ("cpu-model", Provenance.MODELLED, 0.5)


def test_nothing_booked_is_unknown_and_never_nought() -> None:
    (reading,) = build(record(), ending(), account({}), SystemClock(), SITE).readings
    assert (reading.energy_j, reading.provenance) == (None, Provenance.UNKNOWN)


def test_a_gpu_reads_its_share_with_the_power_integral_beside_it() -> None:
    one = record(gpu_uuids=("GPU-a",))
    gpu = build(one, ending(), account({GPU_A: 3000.0}, GPU_a=steady(300.0)), SystemClock(), SITE).readings[0]
    assert (gpu.component, gpu.energy_j, gpu.rung) == (Component.GPU, 3000.0, Rung.COUNTER)
    assert gpu.cross_check_j == pytest.approx(3000.0)
    assert gpu.cross_check_method == "nvml-power-integral"


def test_two_gpus_add_up_and_one_unknown_makes_the_sum_unknown() -> None:
    both = record(gpu_uuids=("GPU-a", "GPU-b"))
    known = account({GPU_A: 50.0, GPU_B: 25.0}, GPU_a=steady(5.0), GPU_b=steady(2.5))
    assert build(both, ending(), known, SystemClock(), SITE).readings[0].energy_j == 75.0
    half = account({GPU_A: 50.0}, GPU_a=steady(5.0), GPU_b=[])
    reading = build(both, ending(), half, SystemClock(), SITE).readings[0]
    assert (reading.energy_j, reading.provenance) == (None, Provenance.UNKNOWN)


def test_what_happened_to_the_readings_is_told_with_each_of_them() -> None:
    bridged = account({CPU: 1.0})._replace(flags=("43 s were bridged",))
    (reading,) = build(record(), ending(), bridged, SystemClock(), SITE).readings
    assert reading.flags == ("43 s were bridged",)


def test_a_calibrated_node_adds_what_no_meter_sees() -> None:
    calibrated = Calibration(p0_w=40, gain=1.1, residual_rel=0.02, pairs=9, software_w_min=10, software_w_max=400)
    site = Site(Capacity(cpus=4), calibrated)
    cpu, other = build(record(), ending(), account({CPU: 1000.0}), SystemClock(), site).readings
    assert other.component is Component.OTHER
    assert other.energy_j == pytest.approx(40 * 10 / 4 + 0.1 * 1000)
    assert cpu.energy_j == 1000.0


def test_the_sites_pue_and_its_share_of_the_making_are_told() -> None:
    site = Site(Capacity(cpus=4, gpus=2), pue=1.3, embodied_g=1000.0, lifetime_s=100.0)
    assert site.share(Requirement(cpus=2, gpus=1)) == 0.5
    measured = build(record(requirement=Requirement(cpus=2, gpus=1)), ending(), None, SystemClock(), site)
    assert (measured.pue, measured.embodied_g) == (1.3, 1000.0 * 10 / 100 / 2)


@given(
    st.lists(st.tuples(st.floats(0.01, 50), st.floats(0, 900)), min_size=1, max_size=50),
    st.floats(0, 20),
    st.floats(0, 1e5),
)
def test_the_trace_sums_to_the_known_readings(steps: list[tuple[float, float]], trim_s: float, more_j: float) -> None:
    """Also where part of the energy is in no step, and where the attempt began after the first."""
    at_s, joules, trace = 100.0, 0.0, []
    for step_s, step_j in steps:
        at_s, joules = at_s + step_s, joules + step_j
        trace.append((at_s, joules))
    duration_s = max(0.001, at_s - 100 - trim_s)
    booked = account({CPU: joules + more_j}, trace=trace)
    measured = build(record(), ending(duration_s), booked, SystemClock(), SITE)
    assert measured.energy_j is not None
    assert sum(segment.energy_j for segment in measured.trace) == pytest.approx(measured.energy_j, rel=1e-9, abs=1e-9)
    assert (measured.trace[0].start, measured.trace[-1].end) == (measured.started_at, measured.ended_at)
    assert all(a.end == b.start for a, b in zip(measured.trace, measured.trace[1:], strict=False))


def test_a_replay_stretches_the_time_and_never_the_energy() -> None:
    mapping = TimeMapping(real_epoch=START, grid_epoch=START + timedelta(days=90), speed=3600)
    measured = build(record(), ending(), account({CPU: 50.0}, trace=[(110.0, 50.0)]), ReplayClock(mapping), SITE)
    assert measured.energy_j == 50.0
    assert measured.ended_at - measured.started_at == timedelta(hours=10)
    assert measured.real_ended_at - measured.real_started_at == timedelta(seconds=10)


def test_what_never_ran_used_nothing_that_is_known() -> None:
    measured = build(record(), Ending(reason="never-started"), None, SystemClock(), SITE)
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
