"""A CPU's power follows its load, by constants whose error is known."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from carbonq.domain.energy import Component, Rung
from carbonq.workers.meters import cpu_model, cpu_table
from carbonq.workers.meters.cpu_model import CpuConstants, energy_curve, fit, load_constants, prior, save_constants
from carbonq.workers.shim import counters, proc

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "energy" / "cpu_power"
CURVED = CpuConstants(20.0, 120.0, 0.5, 0.1, Rung.PRIOR, "made up")


def pairs(constants: CpuConstants, count: int = 11) -> list[tuple[float, float]]:
    return [(step / (count - 1), constants.power_w(step / (count - 1))) for step in range(count)]


def test_power_goes_from_idle_to_full_and_not_beyond() -> None:
    assert [CURVED.power_w(load) for load in (-1, 0, 0.25, 1, 7)] == [20, 20, 70, 120, 120]


def test_energy_adds_up_over_uneven_steps_by_each_ones_load() -> None:
    moments, energies_j = energy_curve((0, 10, 12), (0, 40, 40), 16, CURVED)
    assert (moments, energies_j) == ((0, 10, 12), (0, 700, 740))


def test_a_moment_given_twice_counts_once_and_loses_no_work() -> None:
    moments, energies_j = energy_curve((0, 0, 10), (0, 1, 40), 16, CURVED)
    assert (moments, energies_j) == ((0, 10), (0, 700))


def test_no_moments_are_no_energy() -> None:
    assert energy_curve((), (), 4, CURVED) == ((), ())


def test_work_beyond_what_the_threads_can_do_is_full_load() -> None:
    assert energy_curve((0, 1), (0, 100), 4, CURVED) == ((0, 1), (0, 120))


def test_a_fit_finds_the_constants_that_made_the_pairs() -> None:
    found = fit(pairs(CURVED))
    assert (found.idle_w, found.max_w, found.exponent) == pytest.approx((20, 120, 0.5))
    assert found.uncertainty_rel == pytest.approx(0, abs=1e-9)
    assert found.rung is Rung.FITTED_MODEL


def test_a_fit_holds_the_idle_power_that_it_is_given() -> None:
    assert fit(pairs(CURVED)[1:], idle_w=25).idle_w == 25


def test_a_fits_uncertainty_is_its_error_on_what_it_has_not_seen() -> None:
    noisy = [(load, watts * (1.1 if i % 2 else 0.9)) for i, (load, watts) in enumerate(pairs(CURVED, 21))]
    assert 0.1 < fit(noisy).uncertainty_rel < 0.2


def test_power_that_falls_with_load_is_fitted_as_constant() -> None:
    falling = fit([(step / 10, 100.0 - step) for step in range(11)])
    assert falling.max_w == falling.idle_w
    assert falling.idle_w == pytest.approx(95, rel=0.02)


@pytest.mark.parametrize(
    "given",
    [
        [(0.1, 10.0), (0.9, 20.0)],
        [(0.5, 10.0 + i) for i in range(9)],
        [(i / 9, 10.0 * i) for i in range(9)],
        [(i / 9 - 0.2, 10.0) for i in range(9)],
    ],
    ids=["too few", "all at one load", "zero watts", "a negative load"],
)
def test_pairs_that_carry_no_fit_are_refused(given: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="a fit needs"):
        fit(given)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Intel(R) Xeon(R) CPU E5-2620 v3 @ 2.40GHz", "Xeon E5-2620 v3"),
        ("Intel(R) Xeon(R) Gold 6248R CPU @ 3.00GHz", "Xeon Gold 6248R"),
        ("Intel(R) Xeon(R) Platinum 8480+", "Xeon Platinum 8480+"),
        ("AMD EPYC 7543P 32-Core Processor", "EPYC 7543P"),
        ("AMD EPYC 7543 32-Core Processor", "EPYC 7543"),
        ("Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz", "Core i7-8700"),
    ],
)
def test_a_processor_is_known_by_what_linux_calls_it(name: str, expected: str) -> None:
    assert getattr(cpu_table.look_up(name), "name", None) == expected


@pytest.mark.parametrize(
    "name", ["", "Intel(R) Xeon(R) Processor @ 2.20GHz", "Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz"]
)
def test_a_processor_that_is_not_in_the_table_is_not_taken_for_another(name: str) -> None:
    assert cpu_table.look_up(name) is None


def test_every_row_of_the_table_is_sound_and_finds_itself() -> None:
    for cpu in cpu_table.TABLE:
        assert cpu_table.look_up(cpu.name) == cpu
        assert cpu.threads in {cpu.cores, 2 * cpu.cores}
        assert 1 < cpu.rated_w_per_thread < 15
        assert cpu.source


def test_the_prior_counts_two_sockets_and_parts_of_one_by_their_threads() -> None:
    one, two, half = (prior("AMD EPYC 7763 64-Core Processor", threads) for threads in (128, 256, 64))
    assert (two.max_w, half.max_w) == (2 * one.max_w, one.max_w / 2)
    assert one.idle_w == pytest.approx(280 * 0.12)


def test_an_unknown_processor_is_less_certain_and_no_less_known_for_it() -> None:
    unknown = prior("", 8)
    assert unknown.max_w > unknown.idle_w > 0
    assert unknown.uncertainty_rel > prior("AMD EPYC 7763 64-Core Processor", 8).uncertainty_rel
    assert unknown.rung is Rung.PRIOR


def test_fitted_constants_come_back_as_they_were_kept(tmp_path: Path) -> None:
    save_constants(tmp_path, CURVED)
    assert load_constants(tmp_path) == CURVED
    assert [path.name for path in tmp_path.iterdir()] == [cpu_model.FILE]


@pytest.mark.parametrize("change", [{"idle_w": -1}, {"max_w": 1}, {"exponent": 0}, {"rung": "guess"}, {"colour": 3}])
def test_constants_that_make_no_sense_are_not_used(tmp_path: Path, change: dict[str, object]) -> None:
    save_constants(tmp_path, CURVED)
    file = tmp_path / cpu_model.FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert load_constants(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "{}"])
def test_a_file_that_is_no_set_of_constants_is_not_used(tmp_path: Path, text: str) -> None:
    (tmp_path / cpu_model.FILE).write_text(text)
    assert load_constants(tmp_path) is None


def test_the_processors_name_and_threads_are_read_as_linux_shows_them(tmp_path: Path) -> None:
    cpuinfo, stat = tmp_path / "cpuinfo", tmp_path / "stat"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: AMD EPYC 7763 64-Core Processor\n")
    stat.write_text("cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n")
    assert cpu_model.model_name(cpuinfo) == "AMD EPYC 7763 64-Core Processor"
    assert cpu_model.node_threads(stat) == 2
    assert cpu_model.model_name(tmp_path / "none") == ""


def test_the_meter_says_unknown_where_the_load_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = cpu_model.CpuModelMeter(CURVED, 4)
    moments, loads = iter([0.0, 5.0, 10.0]), iter([0.0, None, 10.0])
    monkeypatch.setattr(proc, "now_s", lambda: next(moments))
    monkeypatch.setattr(counters, "node_busy_s", lambda: next(loads))
    readings = [counter for _ in range(3) for counter in meter.read()]
    assert {counter.component for counter in readings} == {Component.CPU}
    assert [counter.energy_j for counter in readings] == [0, None, 700]


def test_another_process_counts_on_where_power_is_linear_in_load(monkeypatch: pytest.MonkeyPatch) -> None:
    linear = CpuConstants(20.0, 120.0, 1.0, 0.1, Rung.PRIOR, "made up")
    moments, loads = iter([100.0, 110.0, 110.0]), iter([50.0, 60.0, 60.0])
    monkeypatch.setattr(proc, "now_s", lambda: next(moments))
    monkeypatch.setattr(counters, "node_busy_s", lambda: next(loads))
    meter = cpu_model.CpuModelMeter(linear, 4)
    (first,), (second,) = meter.read(), meter.read()
    (resumed,) = cpu_model.CpuModelMeter(linear, 4).read()
    assert (first.energy_j, second.energy_j) == pytest.approx((20 * 100 + 25 * 50, 20 * 110 + 25 * 60))
    assert resumed.energy_j == pytest.approx(second.energy_j)


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cpu_model_benchmark", ROOT / "benchmarks" / "cpu_model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="codecarbon's runs of load and power are not on this machine")


@needs_data
def test_the_constants_are_what_the_benchmark_finds(benchmark: ModuleType) -> None:
    assert benchmark.constants(benchmark.read(DATA))._asdict() == {
        "max_of_rated": cpu_model.MAX_OF_RATED,
        "prior_uncertainty_rel": cpu_model.PRIOR_UNCERTAINTY_REL,
        "rated_w_per_thread": cpu_model.RATED_W_PER_THREAD,
        "unknown_uncertainty_rel": cpu_model.UNKNOWN_UNCERTAINTY_REL,
    }


@needs_data
def test_a_fit_to_the_node_is_nearer_than_any_prior(benchmark: ModuleType) -> None:
    scored = benchmark.score(benchmark.read(DATA))
    error = {method: benchmark.overall(by_cpu) for method, by_cpu in scored.items()}
    assert error["fitted"] < min(error["prior"], error["codecarbon"]) < error["unknown CPU"]
