"""How alike two runs are: the covariance of the logarithm of what a unit of work took in them.

A sum of effects, each normal around zero: of all jobs, of the GPU model, of the family and of the family on that GPU model;
and each of these again for the batch size, the power limit and both together, as smooth curves; straight lines for the work
beyond its proportion and for the number of GPUs; and small effects of any further number or label. With the noise of
a run this is a hierarchical Bayesian regression, whose closed form `local.py` holds.

The standard deviations were fitted by marginal likelihood on two GPUs of the Zeus tables (A40 and P100; NSDI'23), rounded, and
validated on the third (RTX 6000), which took no part. Those of work, numbers, labels and the count of GPUs are set, not fitted.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from statistics import median
from typing import Self

import numpy as np

from carbonq.forecasters.carbon.models.series import FloatArray
from carbonq.forecasters.energy.priors import known_rated_w
from carbonq.forecasters.energy.runs import RunRecord

# Variances of the effects of (all jobs, GPU model, family, family on GPU model).
_LEVEL = (3.0**2, 0.3**2, 2.0**2, 0.2**2)
_BATCH_CURVE = (0.4**2, 0.0, 0.8**2, 0.13**2)
_BATCH_SLOPE = (0.13**2, 0.0, 0.2**2, 0.02**2)  # per doubling
_LIMIT_CURVE = (0.15**2, 0.15**2, 0.08**2, 0.05**2)
_LIMIT_SLOPE = (0.15**2, 0.0, 0.0, 0.0)  # per e-fold
_BOTH_CURVE = (0.0, 0.1**2, 0.12**2, 0.2**2)
_WORK_SLOPE = (0.1**2, 0.0, 0.1**2, 0.03**2)
_GPUS_SLOPE = (0.2**2, 0.0, 0.15**2, 0.05**2)
_NUMBERS = (0.05**2, 0.0, 0.1**2, 0.03**2)
_LABELS = (0.05**2, 0.0, 0.3**2, 0.1**2)

_BATCH_LENGTH, _LIMIT_LENGTH, _NUMBER_LENGTH = 7.0, 0.8, 2.0
_MIDDLE_BATCH = 7.0  # 128
_FARTHEST = 6.0  # a further number counts for no more standard deviations from the middle than this


@dataclass(frozen=True)
class Points:
    """Runs as numbers; the last axis of each array is the run."""

    family: FloatArray
    gpu_model: FloatArray
    batch: FloatArray  # doublings beyond the middle
    limit: FloatArray  # logarithm of the share of the rated power
    work: FloatArray  # logarithm, from the family's middle
    gpus: FloatArray  # logarithm
    numbers: FloatArray  # (number, run), in standard deviations
    labels: FloatArray  # (label, run)

    def down(self) -> Self:
        return self._each(lambda values: values[..., :, None])

    def across(self) -> Self:
        return self._each(lambda values: values[..., None, :])

    def _each(self, change: Callable[[FloatArray], FloatArray]) -> Self:
        return type(self)(*(change(getattr(self, one.name)) for one in fields(self)))


class Space:
    """Where runs lie to each other, as seen from the runs that tell of one kind."""

    def __init__(self, runs: Sequence[RunRecord], family: str) -> None:
        own = [run for run in runs if run.family == family]
        self._work = _middle([math.log(run.work) for run in own or runs if run.work])
        self._batch = _middle([_doublings(run.batch_size) for run in own if run.batch_size])
        self._rated_w = _rated_w(runs)
        self._names = sorted({name for run in runs for name in run.numbers})
        self._keys = sorted({key for run in runs for key in run.labels})
        self._codes: dict[str, float] = {}
        raw = self._raw_numbers(runs)
        known = ~np.isnan(raw)
        counts = np.maximum(known.sum(axis=1, keepdims=True), 1)
        self._centre = np.where(known, raw, 0.0).sum(axis=1, keepdims=True) / counts
        spread = np.sqrt((np.where(known, raw - self._centre, 0.0) ** 2).sum(axis=1, keepdims=True) / counts)
        self._scale = np.where(spread > 1e-9, spread, 1.0)

    def points(self, runs: Sequence[RunRecord]) -> Points:
        numbers = (self._raw_numbers(runs) - self._centre) / self._scale
        return Points(
            family=self._coded([f"family {run.family}" for run in runs]),
            gpu_model=self._coded([f"gpu {run.gpu_model}" for run in runs]),
            batch=np.array(
                [_doublings(run.batch_size) if run.batch_size else self._batch for run in runs], dtype=float
            ),
            limit=np.array([self._limit(run) for run in runs], dtype=float),
            work=np.array([math.log(run.work) - self._work if run.work else 0.0 for run in runs], dtype=float),
            gpus=np.array([math.log(max(run.gpus, 1)) for run in runs], dtype=float),
            numbers=np.clip(np.nan_to_num(numbers), -_FARTHEST, _FARTHEST),
            labels=np.array([self._coded([run.labels.get(key, "") for run in runs]) for key in self._keys]).reshape(
                len(self._keys), len(runs)
            ),
        )

    def _coded(self, words: Sequence[str]) -> FloatArray:
        return np.array([self._codes.setdefault(word, len(self._codes)) for word in words], dtype=float)

    def _limit(self, run: RunRecord) -> float:
        if not run.power_limit_w:
            return 0.0
        rated_w = known_rated_w(run.gpu_model) or max(self._rated_w.get(run.gpu_model, 0.0), run.power_limit_w)
        return math.log(run.power_limit_w / rated_w)

    def _raw_numbers(self, runs: Sequence[RunRecord]) -> FloatArray:
        rows = [[_squeezed(run.numbers.get(name)) for run in runs] for name in self._names]
        return np.array(rows, dtype=float).reshape(len(self._names), len(runs))


def covariance(a: Points, b: Points) -> FloatArray:
    """(runs of a, runs of b), for `a.down()` and `b.across()`; (runs,) of each run with itself for the same points twice."""
    family, gpu = a.family == b.family, a.gpu_model == b.gpu_model
    masks = (1.0, gpu * 1.0, family * 1.0, (family & gpu) * 1.0)

    def effect(variances: Sequence[float]) -> FloatArray:
        return np.asarray(sum(mask * variance for mask, variance in zip(masks, variances, strict=True) if variance))

    batch, limit = _smooth(a.batch, b.batch, _BATCH_LENGTH), _smooth(a.limit, b.limit, _LIMIT_LENGTH)
    total = (
        effect(_LEVEL)
        + effect(_BATCH_CURVE) * batch
        + effect(_BATCH_SLOPE) * (a.batch * b.batch)
        + effect(_LIMIT_CURVE) * limit
        + effect(_LIMIT_SLOPE) * (a.limit * b.limit)
        + effect(_BOTH_CURVE) * (batch * limit)
        + effect(_WORK_SLOPE) * (a.work * b.work)
        + effect(_GPUS_SLOPE) * (a.gpus * b.gpus)
    )
    if len(a.numbers):
        near = a.numbers * b.numbers + _smooth(a.numbers, b.numbers, _NUMBER_LENGTH)
        total = total + effect(_NUMBERS) * near.mean(axis=0)
    if len(a.labels):
        total = total + effect(_LABELS) * (a.labels == b.labels).mean(axis=0)
    return total


def _smooth(a: FloatArray, b: FloatArray, length: float) -> FloatArray:
    """Matérn's covariance of order 3/2: curves with one derivative."""
    distance = math.sqrt(3.0) / length * np.abs(a - b)
    near: FloatArray = (1.0 + distance) * np.exp(-distance)
    return near


def _doublings(batch_size: float) -> float:
    return math.log2(batch_size) - _MIDDLE_BATCH


def _middle(values: Sequence[float]) -> float:
    return median(values) if values else 0.0


def _squeezed(value: float | None) -> float:
    """Sizes of any order of magnitude on one scale; NaN for unknown."""
    if value is None or not math.isfinite(value):
        return math.nan
    return math.copysign(math.log1p(abs(value)), value)


def _rated_w(runs: Sequence[RunRecord]) -> dict[str, float]:
    """Of GPU models that are in no table: the highest limit seen."""
    seen: dict[str, float] = {}
    for run in runs:
        seen[run.gpu_model] = max(seen.get(run.gpu_model, 0.0), run.power_limit_w or 0.0)
    return seen
