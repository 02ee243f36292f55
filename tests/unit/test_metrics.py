"""Scores of forecasts, by hand."""

import numpy as np
import pytest

from carbonq.forecasters.carbon import metrics
from carbonq.forecasters.carbon.models.series import QUANTILES

HOURS_S = 3600


def test_a_percentage_error_divides_by_at_least_one_gram() -> None:
    found = metrics.absolute_percentage_errors(np.array([0.0, 0.5, -50.0, 200.0]), np.array([2.0, 0.0, -40.0, 220.0]))
    assert found.tolist() == pytest.approx([200.0, 50.0, 20.0, 10.0])


def test_each_day_ahead_has_its_own_error() -> None:
    actual = np.full((2, 48), 100.0)
    point = np.concatenate([np.full((2, 24), 110.0), np.full((2, 24), 150.0)], axis=1)
    assert metrics.mape_by_day(actual, point, 24) == pytest.approx((10.0, 50.0))


def test_regret_is_a_mean_of_ratios_and_capture_a_ratio_of_sums() -> None:
    found = metrics.job_scores(
        metrics.Choices(best=np.array([100.0, 10.0]), chosen=np.array([150.0, 10.0]), immediate=np.array([200.0, 20.0]))
    )
    assert found == pytest.approx((25.0, 100 * 60 / 110))


def test_a_day_without_anything_to_save_has_no_capture() -> None:
    flat = np.full((3, 24), 80.0)
    assert metrics.job_scores(metrics.choices(flat, flat, 4, 24)) == (0.0, None)


def test_on_a_flat_forecast_the_job_starts_at_once() -> None:
    actual = np.arange(24.0)[None, ::-1].copy()
    found = metrics.choices(actual, np.full((1, 24), 0.1 + 0.2), 4, 24)
    assert found.chosen.tolist() == found.immediate.tolist() == [21.5]


def test_windows_with_the_same_numbers_in_another_order_tie() -> None:
    """0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in the last bit."""
    values = np.array([[0.3, 0.2, 0.1, 9.0, 0.1, 0.2, 0.3, 9.0]])
    actual = np.arange(8.0)[None]
    assert metrics.choices(actual, values, 3, 8).chosen.tolist() == [1.0]
    assert metrics.choices(actual, values[:, ::-1].copy(), 3, 8).chosen.tolist() == [2.0]


def test_zero_emissions_at_best_count_only_where_they_are_met() -> None:
    found = metrics.job_scores(
        metrics.Choices(best=np.zeros(2), chosen=np.array([0.0, 5.0]), immediate=np.array([5.0, 5.0]))
    )
    assert found == (0.0, 50.0)


def test_negative_intensity_keeps_regret_positive() -> None:
    found = metrics.job_scores(
        metrics.Choices(best=np.array([-20.0]), chosen=np.array([-10.0]), immediate=np.array([0.0]))
    )
    assert found == (50.0, 50.0)


def test_all_scores_of_a_half_hourly_forecast() -> None:
    actual = np.tile(np.sin(np.arange(96) / 48 * 2 * np.pi) * 50 + 100, (3, 1))
    quantiles = np.stack([actual + 10 * (p - 0.5) for p in QUANTILES], axis=1)
    found = metrics.score("exact", actual, quantiles, step_s=1800, jobs_s={"4h": 14_400.0}, fit_s=1.0, predict_s=0.1)

    assert (found.model, found.origins, len(found.mape_pct_by_day)) == ("exact", 3, 2)
    assert (found.mape_pct, found.mae_g_per_kwh) == (0.0, 0.0)
    assert found.spearman_24h == pytest.approx(1.0)
    assert (found.coverage_p10_p90, found.coverage_p05_p95) == (1.0, 1.0)
    assert tuple(found.jobs["4h"]) == pytest.approx((0.0, 100.0))
    by_quantile = [0.05 * 4.5, 0.1 * 4.0, 0.0, 0.1 * 4.0, 0.05 * 4.5]
    assert found.pinball_g_per_kwh == pytest.approx(sum(by_quantile) / 5)
