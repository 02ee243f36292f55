"""carbonq's GPU meter against a known truth, through NVIDIA's own binding: the limits that a receipt rests on."""

import os
from collections.abc import Iterator

import pytest

from carbonq.domain.energy import Rung
from tests.gpu_cases import CASES, Case, Seen, measure
from tests.nvml_stand_in import Gpu, StandIn, build, load

PHASES = 60


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    folder = build(tmp_path_factory.mktemp("nvml"))
    load(folder)
    with pytest.MonkeyPatch.context() as patch, StandIn(folder / "elsewhere", [Gpu()], now_s=1000.0) as stand_in:
        patch.setenv("NVML_STAND_IN", os.fspath(stand_in.path))
        yield stand_in


def seen(case: Case, stand_in: StandIn) -> list[Seen]:
    return [measure(case, stand_in, seed) for seed in range(PHASES)]


BLURRED = pytest.mark.xfail(
    reason="up to 100 ms at either edge are placed by power's shape, of which 25 ms in 100 are seen: up to 4 % of 5 s"
)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=[BLURRED] if "wave 100/700 W" in case.name else []) for case in CASES],
)
def test_a_window_is_off_the_counters_truth_by_no_more_than_its_aim_at_any_phase(case: Case, stand_in: StandIn) -> None:
    worst = max(seen(case, stand_in), key=lambda one: abs(one.error_rel))
    assert worst.error_rel == pytest.approx(0.0, abs=case.aim_rel)


def test_a_reset_in_mid_window_is_flagged_and_never_makes_energy_negative(stand_in: StandIn) -> None:
    (case,) = (case for case in CASES if case.is_reset)
    energies = [one.energy for one in seen(case, stand_in)]
    assert all(energy.energy_j is not None and energy.energy_j > 0 for energy in energies)
    assert all(any("reset" in flag or "anew" in flag for flag in energy.flags) for energy in energies)


def test_a_power_gain_apart_from_the_counters_shows_beside_the_counters_energy(stand_in: StandIn) -> None:
    (case,) = (case for case in CASES if "ramps" in case.name)
    for one in seen(case, stand_in):
        assert one.energy.rung is Rung.COUNTER
        assert one.energy.integral_j is not None
        assert one.energy.energy_j is not None
        assert one.energy.integral_j / one.energy.energy_j == pytest.approx(0.95, abs=0.01)
