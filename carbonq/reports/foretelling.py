"""What was predicted beside what came: how far off, and how often within its interval. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from pydantic import Field

from carbonq.domain.energy import Quantity
from carbonq.domain.job import JobState
from carbonq.domain.receipt import Receipt
from carbonq.domain.value import Value
from carbonq.reports import format as fmt
from carbonq.reports.energy import interval


class Score(Value):
    """One quantity of one kind of job. Over only a few jobs, coverage is rough: 9 of 10 says little of 90 %."""

    jobs: int
    bias_rel: float | None = Field(description="median of predicted / actual - 1: above 0 was predicted too high")
    covered_rel: float | None = Field(description="share of the jobs within their interval")
    level: float | None = Field(description="the share that should be: 0.9, or 0.8 where only that interval is known")


class Foretelling(Value):
    """Jobs of one name, predicted in one way."""

    name: str
    method: str
    energy: Score
    duration: Score


class _Pair(NamedTuple):
    foreseen: Quantity
    actual: float


def foretellings(receipts: Iterable[Receipt]) -> tuple[Foretelling, ...]:
    """Of jobs that succeeded and whose whole energy is known; by name, those predicted in one way together."""
    energies: dict[tuple[str, str], list[_Pair]] = defaultdict(list)
    durations: dict[tuple[str, str], list[_Pair]] = defaultdict(list)
    for receipt in receipts:
        if receipt.state is not JobState.SUCCEEDED:
            continue
        key = receipt.name, receipt.prediction_method
        if receipt.predicted_energy_j is not None and (useful_j := _useful_j(receipt)):
            energies[key].append(_Pair(receipt.predicted_energy_j, useful_j))
        if receipt.predicted_duration_s is not None and receipt.duration_s:
            durations[key].append(_Pair(receipt.predicted_duration_s, receipt.duration_s))
    return tuple(
        Foretelling(name=name, method=method, energy=_score(energies[name, method]), duration=_score(pairs))
        for (name, method), pairs in sorted(durations.items())
    )


def score_words(score: Score) -> tuple[str, str]:
    """`4.0 % high` and `9 of 10 (90 %)`: how the median job was off, and how many lay in which interval."""
    if score.bias_rel is None or score.covered_rel is None or score.level is None:
        return fmt.UNKNOWN, ""
    off = fmt.percent(abs(score.bias_rel))
    bias = "right" if off == "0 %" else f"{off} {'high' if score.bias_rel > 0 else 'low'}"
    return bias, f"{round(score.covered_rel * score.jobs):,} of {score.jobs:,} ({fmt.percent(score.level)})"


def _useful_j(receipt: Receipt) -> float | None:
    """Of the attempts that did the work: what a prediction is of. None where a part of it is unknown."""
    if receipt.energy_j is None or any(reading.energy_j is None for reading in receipt.readings):
        return None
    if receipt.overhead_energy_j is None:
        return receipt.energy_j if receipt.attempts <= 1 else None
    return max(0.0, receipt.energy_j - receipt.overhead_energy_j)


def _score(pairs: Sequence[_Pair]) -> Score:
    if not pairs:
        return Score(jobs=0, bias_rel=None, covered_rel=None, level=None)
    ends = [interval(pair.foreseen) for pair in pairs]
    levels = {level for _, _, level in ends}
    if len(levels) > 1:  # the one that all have
        ends = [(pair.foreseen.p10, pair.foreseen.p90, 0.8) for pair in pairs]
    within = sum(low <= pair.actual <= high for pair, (low, high, _) in zip(pairs, ends, strict=True))
    return Score(
        jobs=len(pairs),
        bias_rel=median(pair.foreseen.p50 / pair.actual - 1 for pair in pairs),
        covered_rel=within / len(pairs),
        level=min(levels),
    )
