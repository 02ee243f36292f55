"""A GPU's energy from its polls: what the counter says, what stands in for it, and what a reader is told."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from carbonq.domain.energy import Rung
from carbonq.workers.gpu_energy import GpuPoint, GpuTrack, Sighting, between, curve, raw_point
from tests.gpu_sensor import Gpu, Load, moments, polled, square, steady


def about(value: float, rel: float | None = None, abs: float | None = None) -> Any:  # noqa: A002  # as pytest names it
    return pytest.approx(value, rel=rel, abs=abs)


def every(step_s: float, start_s: float, end_s: float) -> Iterator[float]:
    return (start_s + i * step_s for i in range(round((end_s - start_s) / step_s) + 1))


def raw(gpu: Gpu, at_s: Iterable[float]) -> list[GpuPoint]:
    return [raw_point(moment_s, gpu.counter_j(moment_s), "shim") for moment_s in at_s]


def test_the_counter_gives_the_energy_and_the_power_stands_beside_it() -> None:
    found = between(polled(Gpu(steady(300), gain=1.04), moments(0, 21, (5.0, 20.0))), 5.0, 20.0)
    assert found.rung is Rung.COUNTER
    assert (found.energy_j, found.integral_j) == (about(4680, rel=0.001), about(4500))
    assert found.uncertainty_rel == about(0.05, abs=0.001)
    assert found.flags == ()


def test_a_gpu_without_a_counter_is_known_by_its_power() -> None:
    found = between(polled(Gpu(steady(300), has_counter=False), moments(0, 11, (5.0, 10.0))), 5.0, 10.0)
    assert (found.energy_j, found.rung) == (about(1500), Rung.POWER_INTEGRAL)
    assert found.uncertainty_rel == about(0.1)


def test_a_counter_that_stands_still_is_none() -> None:
    gpu = Gpu(steady(300), gain=0.0)
    found = between(polled(gpu, moments(0, 11, (5.0, 10.0))), 5.0, 10.0)
    assert (found.energy_j, found.rung) == (about(1500), Rung.POWER_INTEGRAL)
    assert curve(raw(gpu, every(10.0, 0.0, 60.0))) is None


def test_a_counter_without_power_is_spread_evenly() -> None:
    found = between(polled(Gpu(steady(300), has_power=False), moments(0, 31, (5.0, 25.0))), 5.0, 25.0)
    assert (found.energy_j, found.rung, found.integral_j) == (about(6000, rel=0.001), Rung.COUNTER, None)


@pytest.mark.parametrize("points", [[], [GpuPoint(1.0, 5.0, 0.0, 0.05, "shim")]])
def test_what_was_not_read_is_unknown(points: list[GpuPoint]) -> None:
    assert curve(points) is None
    found = between(points, 0.0, 10.0)
    assert (found.energy_j, found.rung, found.integral_j) == (None, None, None)
    assert found.flags == ("the GPU could not be read",)


def test_a_window_outside_of_what_was_read_is_unknown() -> None:
    assert between(polled(Gpu(steady(300)), every(0.1, 0.0, 5.0)), 6.0, 7.0).energy_j is None


def test_of_a_lost_gpu_is_told_what_was_known_until_then() -> None:
    gpu = Gpu(steady(300), lost_from_s=15.0)
    found = between(polled(gpu, moments(0, 21, (5.0, 20.0))), 5.0, 20.0)
    assert found.energy_j == about(3000, abs=100)
    assert found.flags == ("the GPU was not read for the last 5.0 s: what was known until then",)


def test_what_the_shim_read_bridges_the_time_without_a_worker() -> None:
    gpu = Gpu(Load(((0.0, 100.0), (40.0, 500.0), (80.0, 200.0))))
    points = [
        *polled(gpu, moments(0.0, 20.0, (5.0,)), "first"),
        *raw(gpu, every(10.0, 0.0, 130.0)),
        *polled(gpu, moments(100.0, 131.0, (130.0,)), "second"),
    ]
    found = between(points, 5.0, 130.0)
    assert found.energy_j == about(gpu.load.energy_j(5.0, 130.0), rel=0.001)
    assert found.flags == ("bridged 80 s while the worker was away",)
    assert between(points, 40.0, 80.0).energy_j == about(40 * 500.0, rel=0.01)


def test_the_shims_readings_alone_are_a_counters_energy_less_sure_at_the_edges() -> None:
    found = between(raw(Gpu(steady(300)), [0.0, 10.0, 20.0, 26.0]), 1.0, 26.0)
    assert (found.energy_j, found.rung) == (about(7500, rel=0.01), Rung.COUNTER)
    assert found.uncertainty_rel > 0.05


def test_without_a_counter_the_mean_power_bridges_and_the_uncertainty_grows() -> None:
    gpu = Gpu(steady(300), has_counter=False)
    points = [*polled(gpu, every(0.1, 0.0, 20.0), "first"), *polled(gpu, every(0.1, 40.0, 60.0), "second")]
    found = between(points, 0.0, 60.0)
    assert found.energy_j == about(18000, rel=0.01)
    assert found.uncertainty_rel > 0.15
    assert found.flags == ("bridged 20 s while the worker was away",)


def test_a_reloaded_driver_while_nobody_polled_is_not_taken_for_consumption() -> None:
    gpu, later = Gpu(steady(300)), Gpu(steady(300), begun_j=0.0)
    points = [*polled(gpu, every(0.1, 0.0, 20.0), "first"), *polled(later, every(0.1, 30.0, 50.0), "second")]
    found = between(points, 0.0, 50.0)
    assert found.energy_j == about(15000, rel=0.02)
    assert any("started anew" in flag for flag in found.flags)


def test_a_reading_of_nonsense_in_between_does_not_become_megajoules() -> None:
    polls = [Gpu(steady(300)).see(at_s) for at_s in every(0.1, 0.0, 30.0)]
    polls[150] = polls[150]._replace(counter_j=0.0)
    track = GpuTrack("run")
    points = [point for poll in polls for point in track.see(poll)] + track.latest()
    assert between(points, 1.0, 29.0).energy_j == about(8400, rel=0.02)


def test_a_disagreement_of_counter_and_power_is_told_after_half_a_minute() -> None:
    gpu = Gpu(steady(300), gain=1.2)
    long = between(polled(gpu, moments(0, 50, (5.0, 45.0))), 5.0, 45.0)
    assert long.flags == ("energy counter and power disagree by 20% over 40 s: 14400 J counted, 12000 J by power",)
    assert between(polled(gpu, moments(0, 30, (5.0, 25.0))), 5.0, 25.0).flags == ()


def test_a_wave_that_the_power_misses_keeps_the_counters_energy() -> None:
    load = square(100, 700, 0.05, 0.0, 40.0)  # polled at its own period: the power always reads the same
    points = polled(Gpu(load), moments(0, 40, (5.0, 35.0)))
    assert between(points, 5.0, 35.0).energy_j == about(30 * 400.0, rel=0.01)


@pytest.mark.parametrize("spacing_s", [0.0005, 0.02, 0.1, 1.0, 10.0, 100.0, 3600.0])
def test_polls_of_any_spacing_give_the_counters_energy(spacing_s: float) -> None:
    length_s = max(3.0, 20 * spacing_s)
    found = between(polled(Gpu(steady(300)), every(spacing_s, 0.0, length_s)), 0.0, length_s)
    assert found.energy_j == about(300 * length_s, rel=0.04)


def test_points_stay_few() -> None:
    counts = [len(polled(Gpu(steady(300)), every(step_s, 0.0, 100.0))) for step_s in (0.1, 0.02)]
    assert max(counts) <= 110
    assert len(polled(Gpu(steady(300)), moments(0.0, 100.0, (50.0,)))) <= 150


def test_a_poll_out_of_order_or_of_nothing_adds_nothing() -> None:
    track = GpuTrack("run")
    assert track.see(Sighting(1.0, None, None)) == []
    assert track.latest() == []
    track.see(Sighting(2.0, 10.0, 300.0))
    assert track.see(Sighting(1.5, 11.0, 300.0)) == []


def test_what_is_kept_already_is_not_given_again() -> None:
    track = GpuTrack("run")
    kept = track.see(Sighting(2.0, 10.0, 300.0))
    assert [point.at_s for point in kept] == sorted(point.at_s for point in kept)
    assert track.latest() == []
    track.see(Sighting(2.1, 40.0, 300.0))
    assert [(point.at_s, point.counter_j) for point in track.latest()] == [(about(2.05), 40.0), (2.1, None)]
