"""What carbonq's prediction of a run is compared with: rated power, means, neighbours, and boosted trees where installed.

Each learns the logarithm of what a run took. Their interval is of fixed noise: the standard deviation of the errors on runs
left out in turn (five folds), the same for every run.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from importlib.util import find_spec
from statistics import fmean, median, pstdev
from typing import NamedTuple, Protocol

import numpy as np

from carbonq.forecasters.carbon.models.series import FloatArray
from carbonq.forecasters.energy.priors import gpu_rated_w
from carbonq.forecasters.energy.runs import RunRecord

BAND = 1.6448536269514722  # 5 % of a normal distribution lie beyond so many standard deviations
UNKNOWN_DURATION_S = 3600.0
FOLDS = 5
MOST_LEFT_OUT = 500
"""As many runs as the noise is told from."""
NEIGHBOURS = 5
CHUNK = 256
SAME = 1e-6
"""A square of distance below which two runs are the same, as far as numbers go."""
WORD = 1.5
"""How far apart two families or two GPUs are, in standard deviations of a number."""


class Answer(NamedTuple):
    predicted: float
    p05: float
    p95: float


class Rival(Protocol):
    @property
    def name(self) -> str: ...
    def fit(self, records: Sequence[RunRecord], target: str) -> None: ...
    def predict(self, records: Sequence[RunRecord]) -> list[float]:
        """The target of each run."""
        ...


class RatedPower:
    """`tdp`: the power limit, or the GPU's rated power, times the time that a unit of work has taken by the middle of all runs."""

    name = "tdp"

    def fit(self, records: Sequence[RunRecord], target: str) -> None:
        self._target = target
        paces = [one.duration_s / (one.work or 1.0) for one in records if one.duration_s is not None]
        self._pace = median(paces) if paces else None

    def predict(self, records: Sequence[RunRecord]) -> list[float]:
        return [self._duration_s(one) * (rated_w(one) if self._target == "energy_j" else 1.0) for one in records]

    def _duration_s(self, record: RunRecord) -> float:
        return UNKNOWN_DURATION_S if self._pace is None else self._pace * (record.work or 1.0)


class FamilyMean:
    """`family-mean`: the family's geometric mean of a unit of work, on that GPU model where it was seen, times the work."""

    name = "family-mean"

    def fit(self, records: Sequence[RunRecord], target: str) -> None:
        self._prior = RatedPower()
        self._prior.fit(records, target)
        kinds: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        for one in records:
            rate = math.log(_known(one, target) / (one.work or 1.0))
            for kind in _kinds(one):
                kinds[kind].append(rate)
        self._means = {kind: fmean(rates) for kind, rates in kinds.items()}

    def predict(self, records: Sequence[RunRecord]) -> list[float]:
        return [self._one(one) for one in records]

    def _one(self, record: RunRecord) -> float:
        mean = next((self._means[kind] for kind in _kinds(record) if kind in self._means), None)
        return self._prior.predict([record])[0] if mean is None else math.exp(mean) * (record.work or 1.0)


class Neighbours:
    """`knn5`: the mean of the five nearest runs, the nearer the weightier, by the logarithms of all numbers and by all words."""

    name = "knn5"

    def fit(self, records: Sequence[RunRecord], target: str) -> None:
        self._prior = RatedPower()
        self._prior.fit(records, target)
        self._features = Features(records)
        self._known = self._features.of(records)
        self._logs = np.log([_known(one, target) for one in records])

    def predict(self, records: Sequence[RunRecord]) -> list[float]:
        if not len(self._logs):
            return self._prior.predict(records)
        asked = self._features.of(records)
        return [value for at in range(0, len(asked), CHUNK) for value in self._nearest(asked[at : at + CHUNK])]

    def _nearest(self, asked: FloatArray) -> list[float]:
        squares = (asked**2).sum(axis=1)[:, None] - 2 * asked @ self._known.T + (self._known**2).sum(axis=1)
        count = min(NEIGHBOURS, len(self._known))
        nearest = np.argpartition(squares, count - 1, axis=1)[:, :count]
        near = 1 / np.sqrt(np.maximum(np.take_along_axis(squares, nearest, axis=1), SAME))
        logs = (near * self._logs[nearest]).sum(axis=1) / near.sum(axis=1)
        return [float(value) for value in np.exp(logs)]


class BoostedTrees:
    """`lightgbm`: gradient-boosted trees with their own defaults, leaves made small enough for little data."""

    name = "lightgbm"

    def fit(self, records: Sequence[RunRecord], target: str) -> None:
        import lightgbm  # pyright: ignore[reportMissingImports]  # only where it is installed

        self._prior = RatedPower()
        self._prior.fit(records, target)
        self._model = None
        if len(records) < 2:
            return
        self._features = Features(records)
        leaf = max(1, min(20, len(records) // 10))
        self._model = lightgbm.LGBMRegressor(
            min_child_samples=leaf, n_jobs=1, deterministic=True, random_state=0, verbose=-1
        )
        self._model.fit(self._features.of(records), np.log([_known(one, target) for one in records]))

    def predict(self, records: Sequence[RunRecord]) -> list[float]:
        if self._model is None:
            return self._prior.predict(records)
        # its trees, not its scikit-learn dress: that one wants names for the columns
        return [float(value) for value in np.exp(self._model.booster_.predict(self._features.of(records)))]


class WithNoise:
    """A rival and its fixed noise."""

    def __init__(self, rival: Rival) -> None:
        self.name, self._rival, self._noise = rival.name, rival, 0.0

    def fit(self, records: Sequence[RunRecord], target: str) -> None:
        """`records` all have the target."""
        self._noise = self._left_out(records, target)
        self._rival.fit(records, target)

    def predict(self, records: Sequence[RunRecord]) -> list[Answer]:
        reach = math.exp(BAND * self._noise)
        return [Answer(value, value / reach, value * reach) for value in self._rival.predict(records)]

    def _left_out(self, records: Sequence[RunRecord], target: str) -> float:
        errors: list[float] = []
        for fold in range(FOLDS if len(records) >= FOLDS else 0):
            kept = [one for at, one in enumerate(records) if at % FOLDS != fold]
            left = records[fold :: FOLDS * max(1, len(records) // MOST_LEFT_OUT)]
            self._rival.fit(kept, target)
            for one, value in zip(left, self._rival.predict(left), strict=True):
                errors.append(math.log(value / _known(one, target)))
        return pstdev(errors, 0.0) if errors else 1.0


class Features:
    """Runs as rows of numbers: logarithms of what is positive, in standard deviations; a place of its own for each word."""

    def __init__(self, records: Sequence[RunRecord]) -> None:
        seen = [_numbers(one) for one in records]
        self._names = sorted({name for one in seen for name in one})
        self._words = {word: at for at, word in enumerate(sorted({word for one in records for word in _words(one)}))}
        values = np.array([[one.get(name, np.nan) for name in self._names] for one in seen]).reshape(
            len(seen), len(self._names)
        )
        known = ~np.isnan(values)
        counts = np.maximum(known.sum(axis=0), 1)
        self._middle = np.where(known, values, 0.0).sum(axis=0) / counts
        spread = np.sqrt((np.where(known, values - self._middle, 0.0) ** 2).sum(axis=0) / counts)
        self._scale = np.where(spread > 0, spread, 1.0)

    def of(self, records: Sequence[RunRecord]) -> FloatArray:
        """(runs, numbers and words); what is not known stands in the middle."""
        rows = np.zeros((len(records), len(self._names) + len(self._words)))
        for row, one in zip(rows, records, strict=True):
            numbers = _numbers(one)
            for at, name in enumerate(self._names):
                if name in numbers:
                    row[at] = (numbers[name] - self._middle[at]) / self._scale[at]
            for word in _words(one):
                if word in self._words:
                    row[len(self._names) + self._words[word]] = WORD
        return rows


def rivals() -> list[WithNoise]:
    """All that can be had here."""
    found: list[Rival] = [RatedPower(), FamilyMean(), Neighbours()]
    if find_spec("lightgbm") is not None:
        found.append(BoostedTrees())
    return [WithNoise(rival) for rival in found]


def rated_w(record: RunRecord) -> float:
    """The limit of all its GPUs; a run without any is taken for one of a desktop processor's 65 W."""
    each_w = record.power_limit_w or gpu_rated_w(record.gpu_model)
    return record.gpus * each_w if record.gpus else 65.0


def _known(record: RunRecord, target: str) -> float:
    value: float = getattr(record, target)
    return value


def _kinds(record: RunRecord) -> tuple[tuple[str, ...], ...]:
    """From the closest kin to the farthest."""
    return (record.family, record.gpu_model), (record.family,), ()


def _numbers(record: RunRecord) -> dict[str, float]:
    own = {"gpus": float(record.gpus), "work": record.work, "limit": record.power_limit_w, "batch": record.batch_size}
    given = {name: value for name, value in own.items() if value is not None} | {
        f"feature {name}": value for name, value in record.numbers.items()
    }
    return {name: math.log(value) if value > 0 else value for name, value in given.items()}


def _words(record: RunRecord) -> list[str]:
    labels = (f"{name}={text}" for name, text in record.labels.items())
    return [f"family={record.family}", f"gpu={record.gpu_model}", *labels]
