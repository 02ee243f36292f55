"""Readings -> one attempt's energy, in its simplest form. Pure.

A GPU is held by one job at a time: what its counter counts is the job's. The packages' energy is shared by CPU time: the
job's CPU seconds over all that the node worked meanwhile; what no job accounts for stays unattributed.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

# at_s, cpu_s, node_busy_s, package_j, dram_j: the columns of an attempt's journal
Point = Sequence[float | None]

SHARE_UNCERTAINTY_REL = 0.2
"""Of a job's share by CPU time, which takes every CPU second on the node for equally costly: our own estimate."""


class Curve(NamedTuple):
    """Energy counted up to each moment; between moments it is taken as even, outside of them as constant."""

    at_s: tuple[float, ...]
    energy_j: tuple[float, ...]

    def at(self, moment_s: float) -> float:
        after = bisect_right(self.at_s, moment_s)
        if after == 0:
            return self.energy_j[0]
        if after == len(self.at_s):
            return self.energy_j[-1]
        begin_s, end_s = self.at_s[after - 1], self.at_s[after]
        begin_j, end_j = self.energy_j[after - 1], self.energy_j[after]
        return begin_j + (end_j - begin_j) * (moment_s - begin_s) / (end_s - begin_s)

    def between(self, start_s: float, end_s: float) -> float:
        return max(0.0, self.at(end_s) - self.at(start_s))


def counted(readings: Iterable[tuple[float, float | None]]) -> Curve | None:
    """A counter's curve. None where fewer than two readings succeeded, or where it was set back (a reloaded driver)."""
    known = sorted((at_s, energy_j) for at_s, energy_j in readings if energy_j is not None)
    distinct = [reading for i, reading in enumerate(known) if i == 0 or reading[0] > known[i - 1][0]]
    if len(distinct) < 2 or any(b[1] < a[1] for a, b in pairwise(distinct)):
        return None
    return Curve(tuple(at_s for at_s, _ in distinct), tuple(energy_j for _, energy_j in distinct))


def shared_by_cpu_time(points: Sequence[Point], node: Curve) -> Curve | None:
    """The job's part of a node-wide counter: interval by interval its CPU seconds over the node's."""
    known = [(p[0], p[1], p[2]) for p in points if p[0] is not None and p[1] is not None and p[2] is not None]
    if len(known) < 2:
        return None
    total_j, energy_j = 0.0, [0.0]
    for (begin_s, cpu0_s, busy0_s), (end_s, cpu1_s, busy1_s) in pairwise(known):
        cpu_s = cpu1_s - cpu0_s
        busy_s = max(busy1_s - busy0_s, cpu_s)  # the node's time comes in coarse ticks
        total_j += node.between(begin_s, end_s) * (cpu_s / busy_s if busy_s > 0 else 0.0)
        energy_j.append(total_j)
    return Curve(tuple(point[0] for point in known), tuple(energy_j))


def modelled_by_cpu_time(points: Sequence[Point], cpus: int, idle_w: float, busy_w: float) -> Curve | None:
    """`idle_w` for each reserved CPU all the time, and `busy_w - idle_w` more for each CPU second that was worked."""
    known = [(p[0], p[1]) for p in points if p[0] is not None and p[1] is not None]
    if len(known) < 2:
        return None
    begin_s, begin_cpu_s = known[0]
    return Curve(
        tuple(at_s for at_s, _ in known),
        tuple(cpus * idle_w * (at_s - begin_s) + (busy_w - idle_w) * (cpu_s - begin_cpu_s) for at_s, cpu_s in known),
    )
