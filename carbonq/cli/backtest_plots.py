"""From the trials of a backtest to its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from carbonq.forecasters.carbon.backtest import Trial
from carbonq.forecasters.carbon.metrics import Scores
from carbonq.forecasters.carbon.models.series import MEDIAN, QUANTILES
from carbonq.reports.backtest_page import BacktestPage, Example, ScoredModel
from carbonq.reports.format import count


def page(
    zone: str,
    trials: Sequence[Trial],
    scored: Mapping[str, Scores],
    shown: Trial,
    *,
    headings: Sequence[str],
    cells: Mapping[str, Sequence[str]],
    notes: Sequence[str],
) -> BacktestPage:
    """`headings` and `cells`: the table as the terminal has it, by model."""
    origins = shown.origins
    period = f"{count(len(origins), 'forecast')}, {origins[0]:%Y-%m-%d} to {origins[-1]:%Y-%m-%d} UTC"
    return BacktestPage(
        zone=zone,
        period=period,
        step_s=shown.step_s,
        headings=headings,
        models=[_tested(trial, scored[trial.name], cells[trial.name]) for trial in trials if trial.name in scored],
        shown=shown.name,
        quantiles=QUANTILES,
        examples=list(_examples(shown)),
        notes=notes,
    )


def _tested(trial: Trial, scores: Scores, cells: Sequence[str]) -> ScoredModel:
    gave = np.isfinite(trial.quantiles).all(axis=(1, 2))
    actual, quantiles = trial.actual[gave], trial.quantiles[gave]
    return ScoredModel(
        name=trial.name,
        cells=cells,
        error_g_per_kwh=np.abs(quantiles[:, MEDIAN] - actual).mean(axis=0).tolist(),
        observed=(actual[:, None] <= quantiles).mean(axis=(0, 2)).tolist(),
        captured_pct={job: found.capture_pct for job, found in scores.jobs.items()},
    )


def _examples(trial: Trial) -> Iterator[Example]:
    """The forecast with the least error, the one in the middle, and the one with the largest."""
    errors = np.abs(trial.quantiles[:, MEDIAN] - trial.actual).mean(axis=1)
    order = [int(row) for row in np.argsort(errors, kind="stable") if np.isfinite(errors[row])]
    rows = {
        "The best forecast": order[0],
        "A middling forecast": order[len(order) // 2],
        "The worst forecast": order[-1],
    }
    for words, row in rows.items():
        low, middle, high = (trial.quantiles[row, QUANTILES.index(p)].tolist() for p in (0.1, 0.5, 0.9))
        yield Example(words, trial.origins[row], trial.actual[row].tolist(), low, middle, high)
