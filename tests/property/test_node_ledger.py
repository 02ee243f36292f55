"""A node's energy is conserved: whatever runs, starts, ends, pauses or resets, the parts add up to the counters."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonq.domain.energy import Component
from carbonq.workers.attribution import Curve, counted
from carbonq.workers.ledger import CARBONQ, NodeLedger, Part, User

GPU, CPU = Part(Component.GPU, "GPU-a"), Part(Component.CPU)
REL, ABS = 1e-9, 1e-9


class Run(NamedTuple):
    """A job: its cores, its start and length, and how many CPU seconds a second it uses while it is not paused."""

    cpus: int
    start_s: float
    length_s: float
    rate: float
    paused: tuple[float, float]

    def cpu_s(self, moment_s: float) -> float:
        ran_s = min(max(moment_s - self.start_s, 0.0), self.length_s)
        first, last = sorted(self.paused)
        paused_s = min(max(ran_s - first * self.length_s, 0.0), (last - first) * self.length_s)
        return self.rate * (ran_s - paused_s)


fractions = st.floats(0, 1)
run = st.builds(
    Run, st.integers(0, 8), st.floats(0, 80), st.floats(0.001, 60), st.floats(0, 8), st.tuples(fractions, fractions)
)
counter = st.lists(st.tuples(st.floats(0.001, 20), st.one_of(st.floats(0, 5000), st.none())), min_size=1, max_size=40)


def counting(steps: list[tuple[float, float | None]], resets: frozenset[int]) -> Curve:
    """A counter read now and then: None is a failed reading, a reset starts it anew."""
    at_s, energy_j = 0.0, 0.0
    readings: list[tuple[float, float | None]] = [(0.0, 0.0)]
    for i, (step_s, step_j) in enumerate(steps):
        at_s, energy_j = at_s + step_s, 0.0 if i in resets else energy_j + (step_j or 0.0)
        readings.append((at_s, None if step_j is None else energy_j))
    curve = counted(readings)
    assert curve is not None
    return curve


@given(
    st.lists(run, max_size=6),
    counter,
    counter,
    st.frozensets(st.integers(0, 40), max_size=4),
    st.lists(st.floats(0.01, 30), min_size=1, max_size=15),
    st.floats(0, 200),
)
def test_attempts_carbonq_and_nobody_add_up_to_every_counter(
    runs: list[Run],
    gpu_steps: list[tuple[float, float | None]],
    cpu_steps: list[tuple[float, float | None]],
    resets: frozenset[int],
    closings: list[float],
    idle_w: float,
) -> None:
    energy = {GPU: counting(gpu_steps, resets), CPU: counting(cpu_steps, resets)}
    ledger = NodeLedger(cpus=8, closed_s=0.0)
    ledger.users[CARBONQ] = User(0, cpu_readings=[(0.0, 0.0), (500.0, 5.0)])
    for i, job in enumerate(runs):
        readings = [(at_s, job.cpu_s(at_s)) for at_s in map(float, range(0, 200, 3))]
        gpus = ("GPU-a",) if i == 0 else ()  # held by one at a time
        ledger.users[f"job-{i}"] = User(job.cpus, gpus, job.start_s, job.start_s + job.length_s, readings)
    until_s = 0.0
    for step_s in closings:
        until_s += step_s
        ledger.close(until_s, energy, None, {CPU: idle_w})
        ledger = NodeLedger.from_state(ledger.to_state(), cpus=8)  # a worker's successor
        for part, curve in energy.items():
            shares_j = [user.shares.get(part, 0.0) for user in ledger.users.values()]
            total = ledger.totals[part]
            assert all(share_j >= 0 for share_j in shares_j)
            assert total.unattributed_j >= 0
            assert sum(shares_j) + total.unattributed_j == pytest.approx(total.counted_j, rel=REL, abs=ABS)
            assert total.counted_j == pytest.approx(curve.between(0.0, until_s), rel=REL, abs=ABS)
            assert total.jobs_j + total.carbonq_j == pytest.approx(sum(shares_j), rel=REL, abs=ABS)


@given(st.lists(run, min_size=1, max_size=5), st.lists(st.floats(0.01, 30), min_size=1, max_size=10))
def test_how_often_time_is_closed_changes_nobodys_share(runs: list[Run], closings: list[float]) -> None:
    energy = {CPU: Curve((0.0, 1000.0), (0.0, 90_000.0))}

    def booked(moments: list[float]) -> dict[str, float]:
        ledger = NodeLedger(cpus=4, closed_s=0.0)
        for i, job in enumerate(runs):
            edges = (job.start_s, job.start_s + job.length_s)
            readings = [(at_s, job.cpu_s(at_s)) for at_s in sorted({0.0, *edges, 300.0})]
            ledger.users[f"job-{i}"] = User(job.cpus, (), *edges, readings)
        busy = Curve((0.0, 1000.0), (0.0, 50_000.0))  # more than all of them together
        for moment_s in moments:
            ledger.close(moment_s, energy, busy, {CPU: 20.0})
        return {name: user.shares.get(CPU, 0.0) for name, user in ledger.users.items()}

    moments = [sum(closings[: i + 1]) for i in range(len(closings))]
    assert booked(moments) == pytest.approx(booked(moments[-1:]), rel=1e-6, abs=1e-6)


def test_a_gpu_that_nobody_holds_is_nobodys() -> None:
    ledger = NodeLedger(cpus=4, closed_s=0.0, users={"job": User(1, (), 0.0, None)})
    ledger.close(10.0, {GPU: Curve((0.0, 10.0), (0.0, 500.0))}, None, {})
    assert (ledger.users["job"].shares, ledger.totals[GPU].unattributed_j) == ({}, 500.0)


def test_the_idle_part_goes_by_reserved_cores_and_the_rest_by_cpu_time() -> None:
    users = {
        "quiet": User(2, (), 0.0, None, [(0.0, 0.0), (10.0, 0.0)]),
        "busy": User(1, (), 0.0, None, [(0.0, 0.0), (10.0, 5.0)]),
    }
    ledger = NodeLedger(cpus=4, closed_s=0.0, users=users)
    busy = Curve((0.0, 10.0), (0.0, 20.0))
    ledger.close(10.0, {CPU: Curve((0.0, 10.0), (0.0, 1000.0))}, busy, {CPU: 40.0})
    assert users["quiet"].shares == {CPU: 400.0 * 2 / 4}
    assert users["busy"].shares == {CPU: 400.0 / 4 + 600.0 * 5 / 20}
    assert ledger.totals[CPU].unattributed_j == 1000.0 - 200.0 - 250.0
