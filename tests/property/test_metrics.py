"""The scores in arrays against the same definitions written out in loops."""

from itertools import product
from statistics import mean

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from carbonq.forecasters.carbon import metrics
from carbonq.forecasters.carbon.models.series import MEDIAN, QUANTILES, FloatArray

DAY = 8
"""Steps of a day in these tests: three hours each."""

GRAMS = st.integers(-3, 9).map(float)  # few values, so that ties are common


@st.composite
def trials(draw: st.DrawFn) -> tuple[FloatArray, FloatArray]:
    """Actuals (origins, two days) and quantiles in order."""
    origins = draw(st.integers(1, 4))
    actual = draw(arrays(np.float64, (origins, 2 * DAY), elements=GRAMS))
    quantiles = draw(arrays(np.float64, (origins, len(QUANTILES), 2 * DAY), elements=GRAMS))
    return actual, np.sort(quantiles, axis=1)


@given(trials(), st.integers(1, DAY))
def test_choices_are_the_earliest_of_the_cleanest_windows(trial: tuple[FloatArray, FloatArray], length: int) -> None:
    actual, quantiles = trial
    found = metrics.choices(actual, quantiles[:, MEDIAN], length, DAY)

    starts = range(DAY - length + 1)
    for row, (true, seen) in enumerate(zip(actual.tolist(), quantiles[:, MEDIAN].tolist(), strict=True)):
        chosen = min(starts, key=lambda start: sum(seen[start : start + length]))
        best = min(sum(true[start : start + length]) for start in starts)
        np.testing.assert_allclose(
            [best / length, sum(true[chosen : chosen + length]) / length, sum(true[:length]) / length],
            [found.best[row], found.chosen[row], found.immediate[row]],
            atol=1e-9,
        )


@given(trials())
def test_pinball_coverage_and_mape_are_means_over_every_hour(trial: tuple[FloatArray, FloatArray]) -> None:
    actual, quantiles = trial
    cells = list(product(range(len(actual)), range(actual.shape[1])))

    def loss(p: float, row: int, step: int) -> float:
        error = actual[row, step] - quantiles[row, QUANTILES.index(p), step]
        return float(p * error if error >= 0 else (p - 1) * error)

    expected_loss = mean(loss(p, row, step) for p in (0.05, 0.1, 0.5, 0.9, 0.95) for row, step in cells)
    expected_share = mean(
        int(
            quantiles[row, QUANTILES.index(0.1), step]
            <= actual[row, step]
            <= quantiles[row, QUANTILES.index(0.9), step]
        )
        for row, step in cells
    )
    expected_mape = mean(
        100 * abs(quantiles[row, MEDIAN, step] - actual[row, step]) / max(abs(actual[row, step]), 1.0)
        for row, step in cells
        if step < DAY
    )
    np.testing.assert_allclose(expected_loss, metrics.pinball(actual, quantiles))
    np.testing.assert_allclose(expected_share, metrics.coverage(actual, quantiles, 0.1, 0.9))
    np.testing.assert_allclose(expected_mape, metrics.mape_by_day(actual, quantiles[:, MEDIAN], DAY)[0])


@given(trials())
def test_the_rank_correlation_shares_ranks_among_ties_and_leaves_out_flat_days(
    trial: tuple[FloatArray, FloatArray],
) -> None:
    actual, point = trial[0], trial[1][:, MEDIAN]

    def ranks(values: list[float]) -> list[float]:
        return [mean(place for place, other in enumerate(sorted(values)) if other == value) for value in values]

    def correlation(one: list[float], other: list[float]) -> float:
        return float(np.corrcoef(ranks(one), ranks(other))[0, 1])

    pairs = [
        (one, other)
        for one, other in zip(actual.tolist(), point.tolist(), strict=True)
        if len(set(one)) > 1 and len(set(other)) > 1
    ]
    expected = mean(correlation(*pair) for pair in pairs) if pairs else None
    found = metrics.spearman(actual, point)
    assert (expected is None) == (found is None)
    if expected is not None and found is not None:
        np.testing.assert_allclose(expected, found, atol=1e-9)


@given(trials(), st.integers(1, DAY))
def test_regret_is_never_below_zero_nor_capture_above_a_hundred(
    trial: tuple[FloatArray, FloatArray], length: int
) -> None:
    actual, quantiles = trial
    found = metrics.job_scores(metrics.choices(actual, quantiles[:, MEDIAN], length, DAY))
    assert found.regret_pct is None or found.regret_pct >= 0
    assert found.capture_pct is None or found.capture_pct <= 100 + 1e-9


@given(trials(), st.integers(1, DAY))
def test_a_perfect_forecast_captures_all_that_is_possible(trial: tuple[FloatArray, FloatArray], length: int) -> None:
    actual = trial[0]
    found = metrics.job_scores(metrics.choices(actual, actual, length, DAY))
    assert found.regret_pct == 0
    assert found.capture_pct is None or np.isclose(found.capture_pct, 100)
