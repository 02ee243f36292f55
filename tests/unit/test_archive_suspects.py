"""Readings that are a provider's fault, told from what grids really do."""

import csv
import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from carbonq.forecasters.carbon.archive.suspects import jumped, stale, suspects
from carbonq.forecasters.carbon.models.series import FloatArray, Readings

START = datetime(2026, 1, 1, tzinfo=UTC)
SHARED = Path(__file__).parents[3] / "shared" / "data" / "carbon" / "carboncast_2020_2021"
DAYS = 60


def grid(level: float = 250, *, windy: float = 0.15, days: int = DAYS) -> FloatArray:
    """Hourly intensity with a day's shape and weather that lasts some days, rounded as providers do."""
    rng = np.random.default_rng(3)
    hours = np.arange(24 * days)
    weather = np.zeros(len(hours))
    for hour in hours[1:]:
        weather[hour] = 0.97 * weather[hour - 1] + rng.normal(0, windy / 4)
    return np.round(level * np.exp(weather) * (1 + 0.3 * np.cos(hours / 24 * 2 * np.pi)), 1)


def hourly(values: FloatArray) -> Readings:
    return Readings(START, 3600, values)


def flagged(values: FloatArray) -> list[int]:
    return np.flatnonzero(suspects(hourly(values))).tolist()


def test_an_ordinary_grid_has_none() -> None:
    assert flagged(grid()) == []
    assert flagged(grid(20, windy=0.3)) == []


@pytest.mark.parametrize("factor", [10, 0.1])
@pytest.mark.parametrize("at", [0, 500, 24 * DAYS - 1])
def test_an_hour_off_by_ten_is_found_unless_it_is_the_first(factor: float, at: int) -> None:
    values = grid()
    values[at] *= factor
    assert flagged(values) == [at] * (at > 0)


def test_three_hours_off_are_found_and_four_are_not() -> None:
    values = grid()
    values[500:503] *= 10
    assert flagged(values) == [500, 501, 502]
    values = grid()
    values[500:504] *= 10
    assert flagged(values) == []


def test_a_stale_day_is_found_and_half_a_day_is_not() -> None:
    values = grid()
    values[500:526] = values[500]
    assert flagged(values) == list(range(500, 526))
    values = grid()
    values[500:512] = values[500]
    assert flagged(values) == []


def test_a_windy_night_is_the_grid() -> None:
    """Within three hours down to a fifth, for seven hours, and up again."""
    values = grid()
    values[500:507] *= 0.2
    values[[499, 507]] *= 0.5
    assert flagged(values) == []


@pytest.mark.parametrize("level", [0.0, 24.0])
def test_a_constant_grid_is_the_grid(level: float) -> None:
    assert flagged(np.full(24 * DAYS, level)) == []


def test_a_grid_that_often_stands_still_is_the_grid() -> None:
    """Hydro in whole grams: days of 26 with an hour of 27 now and then."""
    rng = np.random.default_rng(1)
    assert flagged(26 + (rng.random(24 * DAYS) < 0.02).astype(float)) == []


def test_nights_of_zero_are_the_grid() -> None:
    values = grid()
    values[np.arange(len(values)) % 24 < 8] = 0
    assert flagged(values) == []


def test_what_happens_often_is_a_habit() -> None:
    values = grid()
    values[5::15] *= 10
    assert flagged(values) == []


def test_gaps_are_no_suspects_and_hide_none() -> None:
    values = grid()
    values[400:480] = np.nan
    values[500] *= 10
    values[501:503] = np.nan
    assert flagged(values) == [500]
    assert flagged(np.full(24 * DAYS, np.nan)) == []


@pytest.mark.parametrize("length", range(5))
def test_next_to_nothing_is_no_ground_for_suspicion(length: int) -> None:
    assert flagged(np.arange(1.0, length + 1)) == []


def test_marginal_signals_are_not_judged_by_their_jumps() -> None:
    values = grid()
    values[500] *= 10
    values[600:630] = values[600]
    assert np.flatnonzero(suspects(hourly(values), jumps=False)).tolist() == list(range(600, 630))


def test_steps_of_five_minutes_are_judged_by_time() -> None:
    values = np.repeat(grid(days=20), 12) + np.tile([0.0, 0.1, 0.2], 20 * 24 * 4)
    values[3000:3012] *= 10
    assert np.flatnonzero(jumped(Readings(START, 300, values))).tolist() == list(range(3000, 3012))


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the reference data beside the project")
@pytest.mark.parametrize(("zone", "flat"), [("ISNE", 25), ("PJM", 25), ("DE", 0), ("BPAT", 0), ("NL", 0)])
def test_in_two_real_years_only_the_known_flat_days_are_found(zone: str, flat: int) -> None:
    with gzip.open(SHARED / f"{zone}.csv.gz", "rt") as stream:
        rows = list(csv.DictReader(stream))
    values = np.array([float(row["carbon_intensity_gco2_per_kwh"]) for row in rows])
    readings = Readings(datetime(2020, 1, 1, tzinfo=UTC), 3600, values)
    assert len(values) == timedelta(days=731) // timedelta(hours=1)
    assert (int(stale(readings).sum()), int(jumped(readings).sum())) == (flat, 0)
