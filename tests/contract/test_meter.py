"""Every meter keeps to the port: joules that count up, None for what cannot be read, never an exception."""

from collections.abc import Callable
from pathlib import Path

import pytest

from carbonq.domain.energy import Component, Provenance
from carbonq.domain.ports import Meter
from carbonq.workers.meters.cpu_model import CpuModelMeter, prior
from carbonq.workers.meters.dram_model import DramModelMeter
from carbonq.workers.meters.fake import FakeMeter
from carbonq.workers.meters.pyrapl import PyRaplMeter
from carbonq.workers.meters.rapl import RaplMeter
from carbonq.workers.meters.replay import ReplayMeter
from tests.powercap_tree import PowercapTree


class CountingSensor:
    """Stands where pyRAPL's sensor does: two packages that draw 1 J a reading, no memory."""

    def __init__(self) -> None:
        self.energy_uj = 0.0

    def energy(self) -> list[float]:
        self.energy_uj += 1e6
        return [self.energy_uj, -1, self.energy_uj, -1]


def rapl(folder: Path) -> RaplMeter:
    tree = PowercapTree(folder)
    tree.add("intel-rapl:0", "package-0", 1_000_000)
    tree.add("intel-rapl:0:0", "dram", 1_000_000)
    return RaplMeter(folder)


METERS: dict[str, Callable[[Path], Meter]] = {
    "cpu-model": lambda _: CpuModelMeter(prior("AMD EPYC 7763 64-Core Processor", 256), 256),
    "dram-size": lambda _: DramModelMeter(256 * 10**9),
    "rapl": rapl,
    "pyrapl": lambda _: PyRaplMeter(CountingSensor()),
    "replay": lambda _: ReplayMeter([(0, 0), (10, 1000)]),
    "fake": lambda _: FakeMeter(device_0=1.0),
}


@pytest.fixture(params=METERS)
def meter(request: pytest.FixtureRequest, tmp_path: Path) -> Meter:
    return METERS[request.param](tmp_path / "powercap")


def test_readings_count_up_and_say_when(meter: Meter) -> None:
    first, second = meter.read(), meter.read()
    assert [(counter.component, counter.device) for counter in first] == [
        (counter.component, counter.device) for counter in second
    ]
    assert first
    for earlier, later in zip(first, second, strict=True):
        assert earlier.energy_j is not None
        assert later.energy_j is not None
        assert later.energy_j >= earlier.energy_j >= 0
        assert later.monotonic_s >= earlier.monotonic_s


def test_a_meter_names_itself_and_its_error(meter: Meter) -> None:
    assert meter.name
    assert meter.identity
    for counter in meter.read():
        assert counter.method
        assert counter.provenance in {Provenance.MEASURED, Provenance.MODELLED}
        assert counter.uncertainty_rel is not None
        assert counter.uncertainty_rel >= 0


def test_a_recording_ends_where_it_ends() -> None:
    (counter,) = ReplayMeter([(-10, 0), (-5, 50)], Component.CPU).read()
    assert (counter.component, counter.energy_j) == (Component.CPU, 50)


def test_a_recording_that_counts_down_is_refused() -> None:
    with pytest.raises(ValueError, match="may not count down"):
        ReplayMeter([(0, 5), (1, 4)])


def test_a_fake_sensor_can_fail() -> None:
    meter = FakeMeter()
    meter.show("GPU-a", None)
    assert [counter.energy_j for counter in meter.read()] == [None]
