"""Whatever the load, modelled energy lies between idle and full, never falls, and a fit to it is sound."""

from hypothesis import given
from hypothesis import strategies as st

from carbonq.domain.energy import Rung
from carbonq.workers.meters.cpu_model import CpuConstants, energy_curve, fit

CONSTANTS = st.builds(
    lambda idle_w, span_w, exponent: CpuConstants(idle_w, idle_w + span_w, exponent, 0.1, Rung.PRIOR, "made up"),
    st.floats(0, 500),
    st.floats(0, 500),
    st.floats(0.1, 3),
)
STEPS = st.lists(st.tuples(st.floats(0, 1e4), st.floats(-10, 1e6)), min_size=1, max_size=20)


@given(CONSTANTS, STEPS, st.integers(1, 512))
def test_energy_lies_between_idle_and_full_power(
    constants: CpuConstants, steps: list[tuple[float, float]], threads: int
) -> None:
    at_s, busy_s = [0.0], [0.0]
    for duration_s, worked_s in steps:
        at_s.append(at_s[-1] + duration_s)
        busy_s.append(busy_s[-1] + worked_s)
    moments, energies_j = energy_curve(at_s, busy_s, threads, constants)
    assert len(moments) == len(energies_j)
    assert list(energies_j) == sorted(energies_j)
    assert moments[-1] == at_s[-1]
    assert constants.idle_w * moments[-1] * (1 - 1e-9) <= energies_j[-1] <= constants.max_w * moments[-1] * (1 + 1e-9)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(1, 1000)), min_size=5, max_size=12))
def test_no_measured_pairs_make_a_fit_that_falls_or_goes_below_nothing(pairs: list[tuple[float, float]]) -> None:
    spread = [*pairs, (0.0, 50.0), (1.0, 80.0)]
    fitted = fit(spread)
    assert 0 <= fitted.idle_w <= fitted.max_w
    assert fitted.uncertainty_rel >= 0
