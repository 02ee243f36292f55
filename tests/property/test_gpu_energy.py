"""How near a window's energy comes to the truth, at any phase of the counter and of the polls, and that it is conserved."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonq.workers.gpu_energy import GpuPoint, between, curve
from tests.gpu_sensor import Gpu, Load, moments, polled, square, steady

PHASE = st.floats(0, 0.1, exclude_max=True)
OFFSET = st.floats(0, 0.1)


@pytest.mark.parametrize(("window_s", "error_rel"), [(0.05, 0.02), (0.25, 0.005), (1.0, 0.002)])
@given(phase_s=PHASE, offset_s=OFFSET, fine_s=st.floats(0.0005, 0.001))
def test_a_window_shorter_than_the_counters_ticks_is_true_at_any_phase(
    phase_s: float, offset_s: float, fine_s: float, window_s: float, error_rel: float
) -> None:
    start_s = 3 + offset_s
    end_s = start_s + window_s
    points = polled(Gpu(steady(300), phase_s), moments(2, end_s + 0.5, (start_s, end_s), fine_s=fine_s))
    assert between(points, start_s, end_s).energy_j == pytest.approx(300 * window_s, rel=error_rel)


@given(phase_s=PHASE, offset_s=OFFSET, reset_at=st.floats(0.02, 0.98))
def test_a_counter_set_back_in_mid_window_costs_no_energy(phase_s: float, offset_s: float, reset_at: float) -> None:
    start_s = 3 + offset_s
    gpu = Gpu(steady(300), phase_s, resets=(start_s + reset_at,))
    found = between(polled(gpu, moments(2, start_s + 1.5, (start_s, start_s + 1))), start_s, start_s + 1)
    assert found.energy_j == pytest.approx(300, rel=0.01)
    assert any("started anew" in flag for flag in found.flags)


@settings(max_examples=40)
@given(phase_s=PHASE, load_phase_s=st.floats(0, 1), duration_s=st.floats(4, 12))
def test_a_square_wave_follows_the_counter_where_power_is_five_per_cent_off(
    phase_s: float, load_phase_s: float, duration_s: float
) -> None:
    start_s, end_s = 3.0, 3.0 + duration_s
    load = square(100, 700, 0.5, load_phase_s, end_s + 1)
    points = polled(Gpu(load, phase_s, gain=1.05), moments(2, end_s + 0.5, (start_s, end_s)))
    assert between(points, start_s, end_s).energy_j == pytest.approx(1.05 * load.energy_j(start_s, end_s), rel=0.01)


@given(phase_s=PHASE, idle_w=st.floats(20, 90), duration_s=st.floats(0.05, 3))
def test_a_job_between_idle_times_gets_its_own_energy_alone(phase_s: float, idle_w: float, duration_s: float) -> None:
    load = Load(((0.0, idle_w), (3.0, 400.0), (3.0 + duration_s, idle_w)))
    points = polled(Gpu(load, phase_s), moments(2, 4 + duration_s, (3.0, 3.0 + duration_s)))
    assert between(points, 3.0, 3.0 + duration_s).energy_j == pytest.approx(400 * duration_s, rel=0.025)


POINTS = st.lists(
    st.builds(
        GpuPoint,
        st.floats(0, 100).map(lambda at_s: round(at_s, 3)),
        st.none() | st.floats(0, 1e5),
        st.floats(0, 1e5),
        st.sampled_from([0.0005, 0.05]),
        st.sampled_from(["a", "b", ""]),
    ),
    max_size=30,
)


@given(POINTS, st.lists(st.floats(-10, 110), min_size=3, max_size=10).map(sorted))
def test_whatever_was_read_energy_never_falls_and_its_parts_add_up(points: list[GpuPoint], edges: list[float]) -> None:
    energy = curve(points)
    if energy is None:
        return
    assert all(a <= b for a, b in pairwise(energy.energy_j))
    assert all(a < b for a, b in pairwise(energy.at_s))
    parts = [energy.between(a, b) for a, b in pairwise(edges)]
    assert sum(parts) == pytest.approx(energy.between(edges[0], edges[-1]), rel=1e-9, abs=1e-9 * energy.energy_j[-1])
    found = between(points, edges[0], edges[-1])
    assert found.energy_j is None or (found.energy_j >= 0 and found.uncertainty_rel >= 0)
