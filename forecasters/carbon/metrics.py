"""How good forecasts were: of the curve, of its band, and of the hours that one would have picked by it. Pure, in NumPy.

Shapes: `actual` (origins, steps), `quantiles` (origins, len(QUANTILES), steps), both in g/kWh. Every origin weighs the same.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from carbonq.forecasters.carbon.models.series import MEDIAN, QUANTILES, FloatArray

SCORED_QUANTILES = (0.05, 0.1, 0.5, 0.9, 0.95)
LEAST_DIVISOR_G_PER_KWH = 1.0
DAY_S = 86_400
_TIE_DECIMALS = 9
"""Windows whose means differ by less than this are equal: sums in another order differ that much."""


class JobScores(NamedTuple):
    """For a job of one length at constant power that may start within the day; None for nothing divided by nothing."""

    regret_pct: float | None
    capture_pct: float | None


class Scores(NamedTuple):
    model: str
    origins: int
    mape_pct_by_day: tuple[float, ...]
    mape_pct: float
    mae_g_per_kwh: float
    pinball_g_per_kwh: float
    coverage_p10_p90: float
    coverage_p05_p95: float
    spearman_24h: float | None
    jobs: Mapping[str, JobScores]
    fit_s: float | None
    predict_s: float | None


class Choices(NamedTuple):
    """Mean intensity of a job's window at each origin: the best one, the one that the forecast prefers, and at once."""

    best: FloatArray
    chosen: FloatArray
    immediate: FloatArray


def absolute_percentage_errors(actual: FloatArray, point: FloatArray) -> FloatArray:
    """In percent of the actual's size, at least of 1 g/kWh."""
    return 100 * np.abs(point - actual) / np.maximum(np.abs(actual), LEAST_DIVISOR_G_PER_KWH)


def mape_by_day(actual: FloatArray, point: FloatArray, day: int) -> tuple[float, ...]:
    """One mean for each day of `day` steps ahead; the last one may be short."""
    errors = absolute_percentage_errors(actual, point)
    return tuple(float(errors[:, first : first + day].mean()) for first in range(0, errors.shape[1], day))


def pinball(actual: FloatArray, quantiles: FloatArray) -> float:
    """The mean quantile loss over `SCORED_QUANTILES`."""
    losses = [
        np.maximum(p * error, (p - 1) * error).mean()
        for p in SCORED_QUANTILES
        for error in (actual - quantiles[:, QUANTILES.index(p)],)
    ]
    return float(np.mean(losses))


def coverage(actual: FloatArray, quantiles: FloatArray, low: float, high: float) -> float:
    """The share of actuals within `[low, high]`, ends included."""
    lower, upper = quantiles[:, QUANTILES.index(low)], quantiles[:, QUANTILES.index(high)]
    return float(((lower <= actual) & (actual <= upper)).mean())


def spearman(actual: FloatArray, point: FloatArray) -> float | None:
    """The mean over origins of the rank correlation; ties share their rank. An origin with a constant curve has none."""
    ranked_actual, ranked_point = _centred_ranks(actual), _centred_ranks(point)
    size = np.sqrt((ranked_actual**2).sum(axis=1) * (ranked_point**2).sum(axis=1))
    varies = size > 0
    if not varies.any():
        return None
    return float(((ranked_actual * ranked_point).sum(axis=1)[varies] / size[varies]).mean())


def choices(actual: FloatArray, point: FloatArray, length: int, day: int) -> Choices:
    """What a job of `length` steps meets that lies wholly within the first `day` steps. On ties the earliest window."""
    truth, seen = _window_means(actual[:, :day], length), _window_means(point[:, :day], length)
    origins = np.arange(len(truth))
    return Choices(
        truth[origins, truth.argmin(axis=1)], truth[origins, seen.argmin(axis=1)], truth[:, 0]
    )  # argmin: the first


def job_scores(found: Choices) -> JobScores:
    """Regret is the mean over origins of (chosen - best) / |best|: 0 where both are 0, left out where only best is."""
    over = found.chosen - found.best
    counts = (found.best != 0) | (over == 0)
    regrets = np.divide(over, np.abs(found.best), out=np.zeros_like(over), where=found.best != 0)[counts]
    saved, possible = (found.immediate - found.chosen).sum(), (found.immediate - found.best).sum()
    return JobScores(
        float(100 * regrets.mean()) if len(regrets) else None,
        float(100 * saved / possible) if possible > 0 else None,
    )


def score(
    model: str,
    actual: FloatArray,
    quantiles: FloatArray,
    *,
    step_s: int,
    jobs_s: Mapping[str, float],
    fit_s: float | None = None,
    predict_s: float | None = None,
) -> Scores:
    """All of it. `jobs_s`: lengths in seconds by name, whole multiples of the step and at most a day."""
    point = quantiles[:, MEDIAN]
    day = DAY_S // step_s
    return Scores(
        model=model,
        origins=len(actual),
        mape_pct_by_day=mape_by_day(actual, point, day),
        mape_pct=float(absolute_percentage_errors(actual, point).mean()),
        mae_g_per_kwh=float(np.abs(point - actual).mean()),
        pinball_g_per_kwh=pinball(actual, quantiles),
        coverage_p10_p90=coverage(actual, quantiles, 0.1, 0.9),
        coverage_p05_p95=coverage(actual, quantiles, 0.05, 0.95),
        spearman_24h=spearman(actual[:, :day], point[:, :day]),
        jobs={
            name: job_scores(choices(actual, point, round(length_s / step_s), day)) for name, length_s in jobs_s.items()
        },
        fit_s=fit_s,
        predict_s=predict_s,
    )


def _window_means(values: FloatArray, length: int) -> FloatArray:
    windows = np.lib.stride_tricks.sliding_window_view(values, length, axis=1)
    return np.asarray(np.round(windows.mean(axis=2), _TIE_DECIMALS), dtype=np.float64)


def _centred_ranks(values: FloatArray) -> FloatArray:
    """Mean ranks in each row, less their mean; by sorting each row once."""
    rows, columns = values.shape
    order = values.argsort(axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    begins = np.concatenate([np.ones((rows, 1), bool), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    position = np.arange(columns)
    first = np.maximum.accumulate(np.where(begins, position, 0), axis=1)
    ends = np.concatenate([begins[:, 1:], np.ones((rows, 1), bool)], axis=1)
    last = np.minimum.accumulate(np.where(ends, position, columns)[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty_like(values)
    np.put_along_axis(ranks, order, (first + last) / 2, axis=1)
    centred: FloatArray = ranks - (columns - 1) / 2
    return centred
