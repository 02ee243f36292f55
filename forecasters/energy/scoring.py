"""How well a run's energy or duration is foretold: carbonq's own model beside its rivals, on runs that were kept aside."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import NamedTuple, Protocol

from carbonq.forecasters.energy.model import EnergyModel, Target
from carbonq.forecasters.energy.rivals import Answer, WithNoise, rivals
from carbonq.forecasters.energy.runs import RunRecord

GROWTH = 1.05
"""One by one, rivals learn anew when the past has grown by so much: none of them can be updated, and each fit takes all of it."""


class Score(NamedTuple):
    """Of all test runs whose target is known; None without any. APE: absolute error over the actual value.

    `coverage_90`: the share of them between p05 and p95. `interval_half_width_pct`: the median of (p95 - p05) / 2 over the
    prediction. `fit_s`: seconds of learning in all.
    """

    model: str
    median_ape_pct: float | None
    mean_ape_pct: float | None
    p90_ape_pct: float | None
    coverage_90: float | None
    interval_half_width_pct: float | None
    fit_s: float


@dataclass
class Trial:
    """One model's answers to every run asked."""

    name: str
    answers: list[Answer] = field(default_factory=list)
    fit_s: float = 0.0

    def score(self, actual: Sequence[float | None]) -> Score:
        pairs = [
            (answer, value)
            for answer, value in zip(self.answers, actual, strict=True)
            if value is not None and value > 0
        ]
        if not pairs:
            return Score(self.name, None, None, None, None, None, self.fit_s)
        errors = sorted(100 * abs(answer.predicted - value) / value for answer, value in pairs)
        return Score(
            self.name,
            median_ape_pct=median(errors),
            mean_ape_pct=fmean(errors),
            p90_ape_pct=quantile(errors, 0.9),
            coverage_90=fmean(answer.p05 <= value <= answer.p95 for answer, value in pairs),
            interval_half_width_pct=median(
                100 * (answer.p95 - answer.p05) / (2 * answer.predicted) for answer, _ in pairs
            ),
            fit_s=self.fit_s,
        )


class Contender(Protocol):
    @property
    def name(self) -> str: ...
    def fit(self, records: Sequence[RunRecord], target: Target) -> None: ...
    def predict(self, records: Sequence[RunRecord]) -> list[Answer]: ...


class Carbonq:
    """The model that the service uses."""

    name = "carbonq"

    def fit(self, records: Sequence[RunRecord], target: Target) -> None:
        self._target: Target = target
        self._model = EnergyModel()
        self._model.fit(records)

    def update(self, record: RunRecord) -> None:
        self._model.update(record)

    def predict(self, records: Sequence[RunRecord]) -> list[Answer]:
        found = self._model.predict_many([asked(one) for one in records], target=self._target)
        return [Answer(one.p50, one.p05, one.p95) for one in found]


def split(
    train: Sequence[RunRecord], test: Sequence[RunRecord], target: Target, *, timer: Callable[[], float]
) -> list[Trial]:
    """Every model learns from `train`, then foretells `test` without seeing what those runs took."""
    contenders: list[Contender] = [Carbonq(), *rivals()]
    return [_split(one, train, test, target, timer) for one in contenders]


def prequential(runs: Sequence[RunRecord], target: Target, *, timer: Callable[[], float]) -> list[Trial]:
    """Each run foretold from those before it, then learnt from."""
    return [_one_by_one(runs, target, timer), *(_in_blocks(rival, runs, target, timer) for rival in rivals())]


def asked(record: RunRecord) -> RunRecord:
    """The run as it is before it runs."""
    return record._replace(energy_j=None, duration_s=None)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of sorted values, linear between neighbours."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _split(
    contender: Contender,
    train: Sequence[RunRecord],
    test: Sequence[RunRecord],
    target: Target,
    timer: Callable[[], float],
) -> Trial:
    learnt = train if isinstance(contender, Carbonq) else _with(train, target)
    began_s = timer()
    contender.fit(learnt, target)
    fit_s = timer() - began_s
    return Trial(contender.name, contender.predict([asked(one) for one in test]), fit_s)


def _one_by_one(runs: Sequence[RunRecord], target: Target, timer: Callable[[], float]) -> Trial:
    model = Carbonq()
    model.fit([], target)
    trial = Trial(model.name)
    for run in runs:
        trial.answers += model.predict([run])
        began_s = timer()
        model.update(run)
        trial.fit_s += timer() - began_s
    return trial


def _in_blocks(rival: WithNoise, runs: Sequence[RunRecord], target: Target, timer: Callable[[], float]) -> Trial:
    trial = Trial(rival.name)
    start = 0
    while start < len(runs):
        end = min(len(runs), max(start + 1, int(start * GROWTH)))
        found = _split(rival, runs[:start], runs[start:end], target, timer)
        trial.answers += found.answers
        trial.fit_s += found.fit_s
        start = end
    return trial


def _with(records: Sequence[RunRecord], target: Target) -> list[RunRecord]:
    return [one for one in records if getattr(one, target) is not None]
