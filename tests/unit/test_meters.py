"""Every meter keeps to the port: joules that count up, None for what cannot be read, never an exception."""

from pathlib import Path

import pytest

from carbonq.domain.energy import Component, Provenance
from carbonq.domain.ports import Meter
from carbonq.workers.meters.cpu_model import CpuModelMeter
from carbonq.workers.meters.fake import FakeMeter
from carbonq.workers.meters.rapl import RaplMeter
from carbonq.workers.meters.replay import ReplayMeter


def package(root: Path) -> Path:
    domain = root / "intel-rapl:0"
    domain.mkdir()
    (domain / "name").write_text("package-0\n")
    (domain / "max_energy_range_uj").write_text("262143328850\n")
    (domain / "energy_uj").write_text("1000000\n")
    return domain / "energy_uj"


@pytest.fixture(params=["cpu-model", "rapl", "replay", "fake"])
def meter(request: pytest.FixtureRequest, tmp_path: Path) -> Meter:
    package(tmp_path)
    meters: dict[str, Meter] = {
        "cpu-model": CpuModelMeter(),
        "rapl": RaplMeter(tmp_path),
        "replay": ReplayMeter([(0, 0), (10, 1000)]),
        "fake": FakeMeter(device_0=1.0),
    }
    return meters[request.param]


def test_readings_count_up_and_say_when(meter: Meter) -> None:
    first, second = meter.read(), meter.read()
    assert [counter.component for counter in first] == [counter.component for counter in second]
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


def test_rapl_is_available_only_where_it_can_be_read(tmp_path: Path) -> None:
    assert not RaplMeter(tmp_path / "missing").is_available
    counter = package(tmp_path)
    assert RaplMeter(tmp_path).is_available
    counter.unlink()
    assert not RaplMeter(tmp_path).is_available


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
