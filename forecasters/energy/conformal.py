"""Intervals from errors that were seen: how many standard deviations hold 80 % and 90 % of the runs left out one at a time.

How much wider it gets for few runs was chosen by the coverage on all of the Zeus tables and GAISSA runs: there it is no test.
"""

import math
from typing import NamedTuple

import numpy as np

from carbonq.forecasters.carbon.models.series import FloatArray

FEW = 50
"""Errors of fewer runs than this are not trusted to tell how far errors go."""
_STRANGERS = 0.3
"""How much wider, divided by the runs of the kind, because the errors are not its own."""
_DOUBT = 10.0  # so many errors does Student's quantile stand for where few were seen
_NORMAL_80, _NORMAL_90 = 1.2815515655446004, 1.6448536269514722


class Reaches(NamedTuple):
    of_80: float
    of_90: float


def reaches(errors: FloatArray, own: int) -> Reaches:
    """`errors` (runs,): absolute, in the standard deviations that the model gave them; not empty.

    `own`: how many runs of the very kind there are. Where they are few, others' errors stand in for theirs, and the reach
    is widened; where these are few too, it is drawn towards that of as few normal errors.
    """
    of_80, of_90 = _reach(errors, own, 0.8, _NORMAL_80), _reach(errors, own, 0.9, _NORMAL_90)
    return Reaches(of_80, max(of_80, of_90))


def _reach(errors: FloatArray, own: int, share: float, normal: float) -> float:
    count, seen = len(errors), _quantile(errors, share)
    if count < FEW:
        return float(np.average([seen, student(normal, max(count, 2))], weights=[count, _DOUBT]))
    return seen if own >= FEW else seen * (1 + _STRANGERS / max(own, 1))


def _quantile(errors: FloatArray, share: float) -> float:
    """The conformal one, for one more run: of n errors in order, that of rank (n + 1) * share, rounded up."""
    rank = min(len(errors), math.ceil((len(errors) + 1) * share))
    return float(np.partition(errors, rank - 1)[rank - 1])


def student(normal: float, freedom: int) -> float:
    """Student's quantile from the normal one (Abramowitz and Stegun 26.7.5, its first two terms)."""
    second = normal * (5 * normal**4 + 16 * normal**2 + 3) / 96
    return normal + (normal**3 + normal) / (4 * freedom) + second / freedom**2
