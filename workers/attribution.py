"""A node's energy, split over its jobs, carbonq itself and nobody, so that the parts add up to what was counted. Pure.

A GPU is held by one attempt at a time: what it uses meanwhile is the attempt's. A package's or the memory's energy has two
parts: what the node draws idle goes by the cores that an attempt reserved, and what comes on top by the CPU time that it used.
What no attempt accounts for stays unattributed.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import fsum
from typing import NamedTuple

SHARE_UNCERTAINTY_REL = 0.2
"""Of a job's share by CPU time, which takes every CPU second on the node for equally costly: our own estimate."""


class Curve(NamedTuple):
    """Energy (or CPU time) counted up to each moment; between moments it is taken as even, outside of them as constant."""

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

    def covers(self, start_s: float, end_s: float) -> bool:
        return self.at_s[0] <= start_s and end_s <= self.at_s[-1]

    def knots(self, start_s: float, end_s: float) -> tuple[float, ...]:
        """Its moments strictly between the two."""
        return self.at_s[bisect_right(self.at_s, start_s) : bisect_left(self.at_s, end_s)]


def counted(readings: Iterable[tuple[float, float | None]]) -> Curve | None:
    """A counter's curve, in whatever order its readings come. Failed readings are bridged; a counter that was set back goes
    on from where it was. None without any reading."""
    known = sorted((at_s, energy_j) for at_s, energy_j in readings if energy_j is not None)
    distinct = [reading for i, reading in enumerate(known) if i == 0 or reading[0] > known[i - 1][0]]
    if not distinct:
        return None
    steps = [max(0.0, after[1] - before[1]) for before, after in pairwise(distinct)]
    return Curve(tuple(at_s for at_s, _ in distinct), tuple(accumulate(steps, initial=distinct[0][1])))


def stitched(curves: Sequence[Curve]) -> Curve | None:
    """One curve from several that counted the same from different starts. Nothing is counted where none of them reaches."""
    moments = sorted({at_s for curve in curves for at_s in curve.at_s})
    if not moments:
        return None
    steps = [
        next((curve.between(begin_s, end_s) for curve in curves if curve.covers(begin_s, end_s)), 0.0)
        for begin_s, end_s in pairwise(moments)
    ]
    return Curve(tuple(moments), tuple(accumulate(steps, initial=0.0)))


def refined(total: Curve, parts: Sequence[Curve]) -> Curve:
    """`total` in the finer shape of partial readings of the same counter; what they leave of it is spread evenly over the rest."""
    at_s, energy_j = [total.at_s[0]], [total.energy_j[0]]
    for (begin_s, begin_j), (end_s, end_j) in pairwise(zip(*total, strict=True)):
        moments = [begin_s, *sorted({knot for part in parts for knot in part.knots(begin_s, end_s)}), end_s]
        steps = _shaped(end_j - begin_j, moments, parts)
        at_s += moments[1:]
        energy_j += [begin_j + joules for joules in accumulate(steps[:-1])]
        energy_j.append(end_j)
    return Curve(tuple(at_s), tuple(energy_j))


def _shaped(step_j: float, moments: Sequence[float], parts: Sequence[Curve]) -> list[float]:
    spans = list(pairwise(moments))
    known = [next((part.between(*span) for part in parts if part.covers(*span)), None) for span in spans]
    known_j = fsum(joules for joules in known if joules is not None)
    open_s = fsum(end_s - begin_s for (begin_s, end_s), joules in zip(spans, known, strict=True) if joules is None)
    scale = step_j / known_j if known_j > 0 and (known_j > step_j or not open_s) else 1.0
    rest_w = max(0.0, step_j - scale * known_j) / open_s if open_s else 0.0
    return [
        rest_w * (end_s - begin_s) if joules is None else scale * joules
        for (begin_s, end_s), joules in zip(spans, known, strict=True)
    ]


class Usage(NamedTuple):
    """What one attempt holds and uses of its node. `cpus` 0: it reserves nothing, as carbonq itself."""

    cpus: int
    start_s: float
    end_s: float | None  # None: it runs on
    cpu_s: Curve | None  # its CPU seconds; None where they are not known
    gpus: tuple[str, ...] = ()

    def within(self, start_s: float, end_s: float) -> tuple[float, float]:
        """The part of that time during which it ran; empty (start equals end) where it did not."""
        first_s, last_s = max(start_s, self.start_s), end_s if self.end_s is None else min(end_s, self.end_s)
        return first_s, max(first_s, last_s)

    def runs_at(self, moment_s: float) -> bool:
        return self.start_s <= moment_s and (self.end_s is None or moment_s < self.end_s)


@dataclass(frozen=True)
class Shares:
    """Joules by user of one counter's energy. `counted_j` is the sum of all and of `unattributed_j`."""

    counted_j: float
    by_user: Mapping[str, float]

    @property
    def unattributed_j(self) -> float:
        return max(0.0, self.counted_j - fsum(self.by_user.values()))


def share_gpu(energy: Curve, uuid: str, start_s: float, end_s: float, usages: Mapping[str, Usage]) -> Shares:
    """One GPU's energy over `[start_s, end_s)`."""
    by_user = {
        user: energy.between(*usage.within(start_s, end_s)) for user, usage in usages.items() if uuid in usage.gpus
    }
    return Shares(energy.between(start_s, end_s), by_user)


class Node(NamedTuple):
    """What the sharing of a package's or the memory's energy needs to know of its node."""

    cpus: int
    busy_s: Curve | None  # CPU seconds of everything that runs on it; None: only those of the users are known
    idle_w: float  # of this counter


def share_node(energy: Curve, start_s: float, end_s: float, node: Node, usages: Mapping[str, Usage]) -> Shares:
    """One node-wide counter's energy over `[start_s, end_s)`, cut wherever an attempt starts, ends or was looked at."""
    by_user = dict.fromkeys(usages, 0.0)
    counted_j = 0.0
    for begin_s, finish_s in pairwise(_moments(start_s, end_s, usages.values())):
        step_j = energy.between(begin_s, finish_s)
        counted_j += step_j
        for user, joules in _share_step(step_j, begin_s, finish_s, node, usages).items():
            by_user[user] += joules
    return Shares(counted_j, by_user)


def _moments(start_s: float, end_s: float, usages: Iterable[Usage]) -> list[float]:
    inner: set[float] = set()
    for usage in usages:
        edges = (usage.start_s, usage.end_s)
        inner.update(edge for edge in edges if edge is not None and start_s < edge < end_s)
        if usage.cpu_s is not None:
            inner.update(usage.cpu_s.knots(start_s, end_s))
    return [start_s, *sorted(inner), end_s]


def _share_step(
    step_j: float, begin_s: float, end_s: float, node: Node, usages: Mapping[str, Usage]
) -> dict[str, float]:
    there = {user: usage for user, usage in usages.items() if usage.runs_at(begin_s)}
    worked_s = {user: usage.cpu_s.between(begin_s, end_s) if usage.cpu_s else 0.0 for user, usage in there.items()}
    all_cpus = max(node.cpus, sum(usage.cpus for usage in there.values()))
    busy_s = max(node.busy_s.between(begin_s, end_s) if node.busy_s else 0.0, fsum(worked_s.values()))
    idle_j = min(step_j, node.idle_w * (end_s - begin_s))
    return {
        user: idle_j * usage.cpus / all_cpus + ((step_j - idle_j) * worked_s[user] / busy_s if busy_s > 0 else 0.0)
        for user, usage in there.items()
    }
