"""What one job's energy is made of, in words: part by part, how each is known, what a second way read, what to know. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from carbonq.domain.energy import EnergyReading, Quantity, total_of
from carbonq.domain.receipt import Receipt
from carbonq.reports import format as fmt
from carbonq.reports.words import part_name

HEADINGS = ("part", "energy", "known as", "by", "second way, and what to know")


class Part(NamedTuple):
    """One line about a job's energy, under `HEADINGS`, and the sentences that go with it."""

    name: str
    energy: str
    known_as: str
    by: str
    second_way: str = ""
    flags: Sequence[str] = ()


def parts(readings: Sequence[EnergyReading]) -> list[Part]:
    """One line a reading, and where there are several the total: ± is one standard deviation."""
    lines = [_part(reading) for reading in readings]
    if len(readings) > 1:
        total = total_of(readings)
        lacks = f"without {fmt.count(total.unknown, 'unknown part')}" if total.unknown else ""
        lines.append(Part("total", _with_error(total.energy_j, total.uncertainty_rel), lacks, ""))
    return lines


def with_error(readings: Iterable[EnergyReading]) -> str:
    """`1.20 kWh ± 8.0 %` of the readings' sum."""
    total = total_of(readings)
    return _with_error(total.energy_j, total.uncertainty_rel)


def beside(receipt: Receipt) -> list[tuple[str, str]]:
    """What stands beside the job's energy and emissions, and in none of them; each with its name."""
    lines: list[tuple[str, str]] = []
    if receipt.facility_energy_j is not None:
        lines.append(
            (
                "building",
                f"{fmt.energy(receipt.facility_energy_j)}, {fmt.co2e(receipt.facility_g)} (PUE {receipt.pue:.2f})",
            )
        )
    if receipt.embodied_g is not None:
        lines.append(("making", fmt.co2e(receipt.embodied_g)))
    return lines


def foretold(receipt: Receipt) -> str:
    """`0.90 kWh (0.70 to 1.20 kWh) in 2h (1h30m to 2h30m), by past-runs`; empty where nothing was."""
    energy, duration = receipt.predicted_energy_j, receipt.predicted_duration_s
    if energy is None or duration is None:
        return ""
    (low_j, high_j, level), (low_s, high_s, _) = interval(energy), interval(duration)
    return (
        f"{fmt.energy(energy.p50)} ({fmt.energy(low_j)} to {fmt.energy(high_j)}) in {fmt.span(duration.p50)}"
        f" ({fmt.span(low_s)} to {fmt.span(high_s)}), {fmt.percent(level)} intervals, {receipt.prediction_method}"
    )


def interval(quantity: Quantity) -> tuple[float, float, float]:
    """Lower end, upper end and how often the truth should lie between: the 90 % interval where it is known, else the 80 % one."""
    if quantity.p05 is not None and quantity.p95 is not None:
        return quantity.p05, quantity.p95, 0.9
    return quantity.p10, quantity.p90, 0.8


def _part(reading: EnergyReading) -> Part:
    rung = f" ({reading.rung.value})" if reading.rung and reading.rung.value not in reading.method else ""
    return Part(
        part_name(reading.component),
        _with_error(reading.energy_j, reading.uncertainty_rel),
        reading.provenance.value,
        fmt.printable(reading.method) + rung,
        _second_way(reading),
        reading.flags,
    )


def _with_error(energy_j: float | None, uncertainty_rel: float | None) -> str:
    return fmt.energy(energy_j) + ("" if uncertainty_rel is None else f" ± {fmt.percent(uncertainty_rel)}")


def _second_way(reading: EnergyReading) -> str:
    """`1.02 kWh by nvml-power, +2.0 %`."""
    if reading.cross_check_j is None:
        return ""
    by = f" by {fmt.printable(reading.cross_check_method)}" if reading.cross_check_method else ""
    if not reading.energy_j:
        return fmt.energy(reading.cross_check_j) + by
    off = reading.cross_check_j / reading.energy_j - 1
    return f"{fmt.energy(reading.cross_check_j)}{by}, {'+' if off > 0 else ''}{fmt.percent(off)}"
