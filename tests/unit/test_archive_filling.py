"""Gaps filled: by what, how well, and under which label."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from carbonq.domain.carbon import CarbonIntensity, IntensitySeries, Origin
from carbonq.forecasters.carbon.archive.filling import ESTIMATED, KNOWN, MODELLED, filled, filled_series
from carbonq.forecasters.carbon.models.series import FloatArray, Readings

START = datetime(2026, 6, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def grid(days: int = 30) -> FloatArray:
    """A day's shape on a slow wave."""
    hours = np.arange(24 * days)
    return np.asarray(200 + 60 * np.cos(hours / 24 * 2 * np.pi) + 40 * np.sin(hours / 24 / 5))


def without(start: int, end: int, values: FloatArray | None = None) -> Readings:
    gappy = (grid() if values is None else values).copy()
    gappy[start:end] = np.nan
    return Readings(START, 3600, gappy)


def series(readings: Readings, origin: Origin = Origin.MEASURED) -> IntensitySeries:
    rows = (
        CarbonIntensity(
            start=readings.at(index), end=readings.at(index + 1), intensity_g_per_kwh=float(value), origin=origin
        )
        for index, value in enumerate(readings.values)
        if np.isfinite(value)
    )
    return IntensitySeries(zone="GB", source="uk", attribution="NESO", readings=tuple(rows))


def test_what_is_known_stays_as_it_is() -> None:
    result = filled(without(0, 0))
    np.testing.assert_array_equal(result.readings.values, grid())
    assert set(result.how.tolist()) == {KNOWN}


def test_up_to_three_hours_are_a_straight_line() -> None:
    result = filled(without(100, 103, np.arange(720.0)))
    assert result.readings.values[100:103].tolist() == [100, 101, 102]
    assert result.how[99:104].tolist() == [KNOWN, ESTIMATED, ESTIMATED, ESTIMATED, KNOWN]


def test_up_to_a_day_follows_the_days_around_and_meets_its_ends() -> None:
    result = filled(without(100, 120))
    assert np.abs(result.readings.values - grid()).max() < 2
    assert set(result.how[100:120].tolist()) == {ESTIMATED}


def test_a_short_gap_at_the_end_continues_the_day_before_at_todays_level() -> None:
    values = grid()
    values[-24:] += 50
    result = filled(without(717, 720, values))
    np.testing.assert_allclose(result.readings.values[717:], values[717:], atol=8)
    assert set(result.how[717:].tolist()) == {ESTIMATED}


def test_longer_gaps_are_the_usual_profile_at_the_level_around() -> None:
    usual = grid() / 2
    result = filled(without(100, 200), usual)
    assert np.abs(result.readings.values[100:200] - 2 * usual[100:200]).max() < 1e-9
    assert set(result.how[100:200].tolist()) == {MODELLED}


def test_a_day_off_next_to_another_gap_is_not_guessed_from_nothing() -> None:
    """Neither the day before nor the day after is known."""
    values = grid()
    values[76:144] = np.nan
    values[98:100] = [200, 210]
    values[124] = 215
    result = filled(Readings(START, 3600, values), grid())
    assert set(result.how[100:124].tolist()) == {MODELLED}
    assert np.isfinite(result.readings.values).all()


def test_without_a_profile_the_readings_own_day_stands_in() -> None:
    result = filled(without(100, 200))
    assert np.abs(result.readings.values[100:200] - grid()[100:200]).max() < 60
    assert set(result.how[100:200].tolist()) == {MODELLED}


def test_where_nothing_is_known_there_is_the_profile_or_nothing() -> None:
    nothing = without(0, 720)
    assert np.isnan(filled(nothing).readings.values).all()
    result = filled(nothing, grid())
    np.testing.assert_array_equal(result.readings.values, grid())
    assert set(result.how.tolist()) == {MODELLED}


@pytest.mark.parametrize("level", [0.0, 24.0])
@pytest.mark.parametrize(("start", "end"), [(100, 103), (100, 120), (100, 200), (700, 720), (600, 720)])
def test_constant_and_zero_grids_stay_at_their_level(level: float, start: int, end: int) -> None:
    result = filled(without(start, end, np.full(720, level)), grid())
    np.testing.assert_allclose(result.readings.values[start:end], level, atol=1e-9)


def test_an_estimate_never_falls_below_what_the_grid_can_do() -> None:
    values = np.maximum(0.0, 100 * np.sin(np.arange(720) / 24 * 2 * np.pi))
    values[130] = 0.0
    assert filled(without(110, 130, values)).readings.values.min() >= 0


def test_no_readings_at_all_are_no_trouble() -> None:
    assert len(filled(Readings(START, 3600, np.empty(0))).readings.values) == 0


@pytest.mark.parametrize(("start", "end", "origin"), [(100, 103, Origin.ESTIMATED), (100, 180, Origin.MODELLED)])
def test_a_series_says_of_each_reading_whether_it_was_filled(start: int, end: int, origin: Origin) -> None:
    gappy = series(without(start, end))
    usual = series(without(0, 0), Origin.MODELLED)
    whole = filled_series(gappy, 3600, START + 90 * HOUR, START + 200 * HOUR, usual)
    assert whole.attribution == "NESO"
    assert [reading.origin for reading in whole.readings] == [
        origin if start <= index < end else Origin.MEASURED for index in range(90, 200)
    ]
    assert whole.mean(START + 90 * HOUR, START + 200 * HOUR) == pytest.approx(grid()[90:200].mean(), rel=0.01)
    assert IntensitySeries.model_validate(whole.model_dump()) == whole


def test_a_gap_off_the_clock_is_filled_to_its_edges() -> None:
    quarter = HOUR / 4
    known = [(0, 5), (10, 13), (13, 20)]
    readings = tuple(
        CarbonIntensity(
            start=START + a * quarter, end=START + b * quarter, intensity_g_per_kwh=b, origin=Origin.MEASURED
        )
        for a, b in known
    )
    gappy = IntensitySeries(zone="GB", source="uk", readings=readings)
    whole = filled_series(gappy, 1800, START, START + 20 * quarter)
    assert [(reading.start - START) // quarter for reading in whole.readings] == [0, 5, 6, 8, 10, 13]
    assert whole.mean(START, START + 20 * quarter) is not None


def test_a_series_with_nothing_to_go_by_stays_empty() -> None:
    empty = IntensitySeries(zone="XX", source="uk")
    assert filled_series(empty, 1800, START, START + DAY).readings == ()
