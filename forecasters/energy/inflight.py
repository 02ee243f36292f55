"""A running job's pace, from what it tells of its progress: after the first steady steps, measured beats foreseen. Pure.

The pace is the mean time a unit took, later units counting for more and a single stall for little. What was foreseen is
blended in by its own spread, and by no more than it deserves: a prior that the measured pace contradicts is taken to be
as uncertain as it was wrong, so that a few steady steps replace it. Times are grid time.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from operator import mul
from statistics import median
from typing import NamedTuple

from carbonq.domain.energy import PowerProfile, Quantity
from carbonq.domain.progress import Pace, Progress, Told

LEAST_STEPS = 3
"""Steady steps before a pace is believed. Two may share one stall, three have a median."""
STALL = 4.0
"""A step that took more than so many medians a unit counts as that many: a stall is not the job's pace."""
STEP_SPREAD = 0.2
"""Logarithmic standard deviation of a step's time, until there are enough steps to tell."""
SPREAD_WEIGHT = 2.0
"""How many steps that expectation counts for."""
DRIFT = 0.05
"""Logarithmic standard deviation by which the work still to do differs in kind from that done, where it is 1.7 times as much;
its square grows with the logarithm of that ratio. Whole training runs of one setting differ by 0.09 in time per epoch
(GAISSA, SEAA 2023); within one run it is less."""
LONGEST_S = 10 * 365.25 * 86_400
"""No plan reaches so far; whatever a job tells, its end stays a date."""
QUANTILES = {
    "p05": -1.6448536269514722,
    "p10": -1.2815515655446004,
    "p90": 1.2815515655446004,
    "p95": 1.6448536269514722,
}


class _Step(NamedTuple):
    """So many units in so much time."""

    units: float
    unit_s: float


class _Rate(NamedTuple):
    """Seconds a unit: the middle of its distribution, and a logarithmic standard deviation."""

    unit_s: float
    spread: float


def pace(profile: PowerProfile, progress: Progress, now: datetime) -> Pace | None:
    """The pace by which the rest of the work is expected to be done; None while too little has been told to say one.

    Nothing is said of a job whose total is not known, and of one that began to count anew until it is further than before.
    """
    points, total = _steady(progress.points), progress.total
    steps = [_step(before, after) for before, after in pairwise(points)]
    if total is None or total < progress.done or len(steps) < LEAST_STEPS:
        return None
    left = total - progress.done
    measured = _measured(steps, left)
    believed = _blended(measured, _foreseen(profile, total))
    return Pace(
        at=now,
        done=progress.done,
        total=total,
        unit=progress.unit,
        rate_per_s=1 / measured.unit_s,
        steps=len(steps),
        remaining_s=_remaining(believed, left, steps, max(0.0, (now - points[-1].at).total_seconds())),
    )


def _steady(points: Sequence[Told]) -> Sequence[Told]:
    """The reports that a pace can rest on: those that went on, from the first unit done. Before it, the job warmed up."""
    anew = max((index for index, (a, b) in enumerate(pairwise(points), 1) if b.done < a.done), default=0)
    if any(point.done >= points[-1].done for point in points[:anew]):
        return ()
    kept: list[Told] = []
    for point in points[anew:]:
        if point.done > (kept[-1].done if kept else 0.0) and (not kept or point.at > kept[-1].at):
            kept.append(point)
    return kept


def _step(before: Told, after: Told) -> _Step:
    units = after.done - before.done
    return _Step(units, (after.at - before.at).total_seconds() / units)


def _measured(steps: Sequence[_Step], left: float) -> _Rate:
    """The mean time of a unit, those of the last third of the work done counting most, and how sure it is for what is left."""
    middle = median(step.unit_s for step in steps)
    unit_s = [min(step.unit_s, STALL * middle) for step in steps]
    weights = _weights(steps)
    mean_s = math.fsum(map(mul, weights, unit_s)) / math.fsum(weights)
    scatter = math.fsum(math.log(max(each, middle / STALL) / mean_s) ** 2 for each in unit_s)
    variance = (SPREAD_WEIGHT * STEP_SPREAD**2 + scatter) / (SPREAD_WEIGHT + len(steps) - 1)
    effective = math.fsum(weights) ** 2 / math.fsum(weight**2 for weight in weights)
    done = math.fsum(step.units for step in steps)
    steps_left = max(1.0, left * len(steps) / done)
    drift = DRIFT**2 * math.log1p(left / done)
    return _Rate(mean_s, math.sqrt(variance * (1 / effective + 1 / steps_left) + drift))


def _weights(steps: Sequence[_Step]) -> list[float]:
    """By units, halved for each third of the work that was done since."""
    done = math.fsum(step.units for step in steps)
    since, weights = 0.0, list[float]()
    for step in reversed(steps):
        weights.append(step.units * 0.5 ** (since / (done / 3)))
        since += step.units
    return weights[::-1]


def _foreseen(profile: PowerProfile, total: float) -> _Rate | None:
    duration_s = profile.duration_s
    if duration_s.p50 / total <= 0:
        return None
    low, high = max(duration_s.p10, duration_s.p50 / 100), max(duration_s.p90, duration_s.p50)
    return _Rate(duration_s.p50 / total, max(0.01, math.log(high / low) / (2 * QUANTILES["p90"])))


def _blended(measured: _Rate, foreseen: _Rate | None) -> _Rate:
    """By inverse variance, in logarithms; the foreseen one's is at least the square of what separates the two."""
    if foreseen is None:
        return measured
    apart = math.log(foreseen.unit_s / measured.unit_s)
    trusted, doubted = measured.spread**-2, max(foreseen.spread, abs(apart)) ** -2
    share = doubted / (trusted + doubted)
    return _Rate(measured.unit_s * math.exp(share * apart), (trusted + doubted) ** -0.5)


def _remaining(rate: _Rate, left: float, steps: Sequence[_Step], since_s: float) -> Quantity:
    """What is left from now on. The step under way is about to end at best; one long overdue may last as long again."""
    step = min(left, median(step.units for step in steps))
    overdue_s = min(LONGEST_S, max(0.0, since_s - STALL * step * rate.unit_s))

    def after(factor: float) -> float:
        whole_s = factor * rate.unit_s * left
        return min(LONGEST_S, max(0.0, whole_s - min(since_s, factor * rate.unit_s * step)))

    spread = {name: after(math.exp(deviations * rate.spread)) for name, deviations in QUANTILES.items()}
    late = {name: seconds + (overdue_s if name in ("p90", "p95") else 0.0) for name, seconds in spread.items()}
    return Quantity(p50=after(1.0), **late)
