"""A GPU's energy between two moments, and how sure it is. Pure; `gpu_polls` makes the points, `gpu_curve` the curve."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from carbonq.domain.energy import Rung
from carbonq.workers.attribution import Curve
from carbonq.workers.gpu_curve import LONGEST_REACH_S, History, Stretch, history
from carbonq.workers.gpu_polls import TICK_S, GpuPoint, GpuTrack, Sighting, raw_point
from carbonq.workers.meters.nvml import UNCERTAINTY_REL

__all__ = ["GpuEnergy", "GpuPoint", "GpuTrack", "Sighting", "between", "curve", "raw_point"]

STAND_IN_ERROR_REL = 0.1
"""Of a power integral: the sensor's 5 %, and what it misses between its samples (A100 and H100 show 25 of each 100 ms,
arXiv:2312.02741); the latter's size is our own estimate."""
BRIDGE_ERROR_REL = 0.5
"""Of energy placed in time evenly, because nothing polled: our own estimate."""
DISAGREEMENT_REL, DISAGREEMENT_S = 0.1, 30.0
NOTABLE_S = 2.0


class GpuEnergy(NamedTuple):
    """`integral_j` is the power's integral over what was polled, beside `energy_j`, which follows the counter if it can."""

    energy_j: float | None
    rung: Rung | None
    integral_j: float | None
    uncertainty_rel: float
    flags: tuple[str, ...]


def curve(points: Iterable[GpuPoint]) -> Curve | None:
    """The energy counted up to each moment, from 0; None where neither a counter nor the power is known.

    It telescopes exactly. Later points may still move what lies after the last pin: whoever closes time step by step
    books the difference between the curve and what was booked already.
    """
    known = history(points)
    return known.energy if known else None


def between(points: Iterable[GpuPoint], start_s: float, end_s: float) -> GpuEnergy:
    """The energy used in `[start_s, end_s)`."""
    known = history(points)
    if known is None or end_s <= known.first_s or start_s >= known.last_s:
        return GpuEnergy(None, None, None, 0.0, ("the GPU could not be read",))
    energy_j, polled_j = known.energy.between(start_s, end_s), known.integral.between(start_s, end_s)
    return GpuEnergy(
        energy_j,
        Rung.COUNTER if _is_counted(known, start_s, end_s) else Rung.POWER_INTEGRAL,
        polled_j if polled_j > 0 else None,
        _uncertainty_rel(known, start_s, end_s, energy_j),
        tuple(_flags(known, start_s, end_s)),
    )


def _parts(known: History, start_s: float, end_s: float) -> Iterator[tuple[Stretch, float, float]]:
    """The stretches within a window, cut to it."""
    for stretch in known.stretches:
        begin_s, until_s = max(start_s, stretch.begin_s), min(end_s, stretch.end_s)
        if until_s > begin_s:
            yield stretch, begin_s, until_s


def _is_counted(known: History, start_s: float, end_s: float) -> bool:
    """The counter pins at least half of the window, or all but what is left at the edges by a tick's length."""
    pinned_s = sum(
        until_s - begin_s for stretch, begin_s, until_s in _parts(known, start_s, end_s) if stretch.is_counted
    )
    return bool(known.pins) and (end_s - start_s) - pinned_s <= max((end_s - start_s) / 2, 2 * TICK_S)


def _uncertainty_rel(known: History, start_s: float, end_s: float, energy_j: float) -> float:
    """The sensor's gain, where the edges lie between ticks, and what the integral or the mean power stood in for."""
    if energy_j <= 0:
        return UNCERTAINTY_REL
    if not known.pins:
        return math.hypot(STAND_IN_ERROR_REL, BRIDGE_ERROR_REL * _bridged_j(known, start_s, end_s) / energy_j)
    edges_j = [_edge_error_j(known, edge_s) for edge_s in (start_s, end_s)]
    anew_j = sum(
        STAND_IN_ERROR_REL * known.energy.between(begin_s, until_s)
        for stretch, begin_s, until_s in _parts(known, start_s, end_s)
        if stretch.is_anew
    )
    bridged_j = BRIDGE_ERROR_REL * _bridged_j(known, start_s, end_s)
    return math.hypot(UNCERTAINTY_REL, *(error_j / energy_j for error_j in (*edges_j, anew_j, bridged_j)))


def _bridged_j(known: History, start_s: float, end_s: float) -> float:
    """What the mean power stood in for: no counter was read on both sides."""
    return sum(
        stretch.bridge_w * known.bridged.between(begin_s, until_s)
        for stretch, begin_s, until_s in _parts(known, start_s, end_s)
        if not stretch.is_counted
    )


def _edge_error_j(known: History, edge_s: float) -> float:
    """The nearest pin's error in time times the power here, and what may be wrong of the shape on the way from there."""
    pin = min(known.pins, key=lambda pin: abs(pin.at_s - edge_s))
    begin_s, end_s = sorted((pin.at_s, edge_s))
    power_w = known.energy.between(edge_s - TICK_S / 2, edge_s + TICK_S / 2) / TICK_S
    bridged_rel = known.bridged.between(begin_s, end_s) / (end_s - begin_s) if end_s > begin_s else 0.0
    shape_rel = STAND_IN_ERROR_REL + (BRIDGE_ERROR_REL - STAND_IN_ERROR_REL) * bridged_rel
    return pin.error_s * power_w + shape_rel * known.energy.between(begin_s, end_s)


def _flags(known: History, start_s: float, end_s: float) -> Iterator[str]:
    if known.first_s - start_s > LONGEST_REACH_S:
        yield f"the GPU was not read for the first {known.first_s - start_s:.1f} s"
    if end_s - known.last_s > LONGEST_REACH_S:
        yield f"the GPU was not read for the last {end_s - known.last_s:.1f} s: what was known until then"
    bridged_s = known.bridged.between(max(start_s, known.first_s), min(end_s, known.last_s))
    if bridged_s > NOTABLE_S:
        yield f"bridged {bridged_s:.0f} s while the worker was away"
    for stretch, begin_s, until_s in _parts(known, start_s, end_s):
        if stretch.is_anew:
            yield f"the GPU's energy counter started anew: its power stood in for {until_s - begin_s:.1f} s"
    yield from _disagreement(known, start_s, end_s)


def _disagreement(known: History, start_s: float, end_s: float) -> Iterator[str]:
    """Compared where both are known: what was bridged is left out."""
    both = [part for part in _parts(known, start_s, end_s) if part[0].is_counted]
    polled_s = sum(until_s - begin_s - known.bridged.between(begin_s, until_s) for _, begin_s, until_s in both)
    integral_j = sum(known.integral.between(begin_s, until_s) for _, begin_s, until_s in both)
    counted_j = sum(stretch.gain * known.integral.between(begin_s, until_s) for stretch, begin_s, until_s in both)
    if polled_s >= DISAGREEMENT_S and integral_j > 0 and abs(counted_j / integral_j - 1) > DISAGREEMENT_REL:
        yield (
            f"energy counter and power disagree by {abs(counted_j / integral_j - 1):.0%} over {polled_s:.0f} s: "
            f"{counted_j:.0f} J counted, {integral_j:.0f} J by power"
        )
