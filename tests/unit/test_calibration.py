"""Bands from past errors: they cover what they promise, also after the errors have grown, and know what is not known yet."""

import numpy as np
import pytest

from carbonq.forecasters.carbon.models.calibration import PAIRS, WINDOW_DAYS, band, scale_of, shifts
from carbonq.forecasters.carbon.models.series import MEDIAN, QUANTILES, FloatArray
from tests.made_up_series import wandering

PER_DAY, AHEAD = 24, 48


def errors_of(days: int, seed: int = 0, doubled_after: int | None = None) -> FloatArray:
    """Of one forecast a day, (days, AHEAD): the noise of an autoregression, which doubles on one day."""
    noise = wandering((days + 2) * PER_DAY, seed=seed, persistence=0.8, size=0.05)
    if doubled_after is not None:
        noise[doubled_after * PER_DAY :] *= 2
    return np.stack([noise[day * PER_DAY : day * PER_DAY + AHEAD] for day in range(days)])


def known_at(errors: FloatArray, day: int) -> FloatArray:
    """What is known of the first forecasts on the morning of that day."""
    known = errors[:day].copy()
    for back in range(1, AHEAD // PER_DAY):
        known[-back:, back * PER_DAY :] = np.nan
    return known


def covered(errors: FloatArray, days: range) -> FloatArray:
    """The share inside each pair of levels, by the bands of each morning."""
    inside = []
    for day in days:
        known = known_at(errors, day)
        offsets = band(known, shifts(known, PER_DAY), PER_DAY)
        came = errors[day]
        inside.append([((came >= offsets[low]) & (came <= offsets[high])).mean() for low, high in PAIRS])
    share: FloatArray = np.mean(inside, axis=0)
    return share


PROMISED = np.array([QUANTILES[high] - QUANTILES[low] for low, high in PAIRS])


def test_bands_cover_what_they_promise() -> None:
    found = np.mean([covered(errors_of(140, seed), range(100, 140, 4)) for seed in range(6)], axis=0)
    assert found == pytest.approx(PROMISED, abs=0.05)


def test_bands_cover_what_they_promise_soon_after_the_noise_has_doubled() -> None:
    found = np.mean([covered(errors_of(240, seed, doubled_after=120), range(180, 240, 5)) for seed in range(6)], axis=0)
    assert found == pytest.approx(PROMISED, abs=0.07)


def test_levels_move_out_while_too_little_is_covered_and_stay_bounded() -> None:
    calm, grown = errors_of(120), errors_of(120, doubled_after=100)
    assert all(after > before for before, after in zip(shifts(calm, PER_DAY), shifts(grown, PER_DAY), strict=True))
    wild = errors_of(120) * np.geomspace(1, 1e9, 120)[:, None]
    assert all(shift < level for shift, level in zip(shifts(wild, PER_DAY), QUANTILES, strict=False))
    offsets = band(wild, shifts(wild, PER_DAY), PER_DAY)
    assert np.isfinite(offsets).all()


@pytest.mark.parametrize("days", [0, 1, 7, 14, 20])
def test_few_days_of_errors_give_levels_all_the_same(days: int) -> None:
    assert len(shifts(errors_of(20)[:days], PER_DAY)) == len(PAIRS)


def test_a_band_is_ascending_and_holds_the_median() -> None:
    offsets = band(errors_of(30) + 0.5, (0.0, 0.0, 0.0), PER_DAY)
    assert offsets.shape == (len(QUANTILES), AHEAD)
    assert (np.diff(offsets, axis=0) >= 0).all()
    assert offsets[MEDIAN].tolist() == [0.0] * AHEAD
    assert offsets[:MEDIAN].max() == 0.0


def test_errors_of_zero_make_a_band_without_width() -> None:
    assert not band(np.zeros((10, AHEAD)), (0.01, 0.01, 0.01), PER_DAY).any()


def test_days_whose_errors_are_not_known_yet_take_the_band_of_the_day_before() -> None:
    errors = errors_of(10)
    errors[:, PER_DAY:] = np.nan
    offsets = band(errors, (0.01, 0.01, 0.01), PER_DAY)
    assert offsets[:, PER_DAY:].tolist() == offsets[:, :PER_DAY].tolist()


def test_hours_without_any_error_take_the_band_of_the_nearest_hour() -> None:
    errors = errors_of(30)[:, :PER_DAY]
    errors[:, 4:20] = np.nan
    offsets = band(errors, (0.01, 0.01, 0.01), PER_DAY)
    assert np.isfinite(offsets).all()
    assert offsets[:, 8].tolist() == offsets[:, 6].tolist()  # three hours from the last that is known
    assert offsets[:, 15].tolist() == offsets[:, 17].tolist()


def test_hours_that_cannot_be_judged_do_not_count_as_missed() -> None:
    errors = errors_of(60)
    errors[:59, 8:16] = np.nan
    whole = errors_of(60)
    whole[:, 8:16] = np.nan
    assert shifts(errors, PER_DAY) == pytest.approx(shifts(whole, PER_DAY), abs=0.01)


def test_only_the_latest_errors_count() -> None:
    old = np.concatenate([errors_of(30) * 50, errors_of(WINDOW_DAYS + 1, seed=2)])
    new = errors_of(WINDOW_DAYS + 1, seed=2)
    moved = (0.01, 0.01, 0.01)
    assert band(old, moved, PER_DAY).tolist() == band(new, moved, PER_DAY).tolist()


def test_errors_are_measured_by_the_forecast_or_a_part_of_the_level_near_zero() -> None:
    assert scale_of(np.array([300.0, -300, 1, 0]), 100.0).tolist() == [300, 300, 20, 20]
