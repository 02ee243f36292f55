"""How a model's past forecasts are judged beside yesterday's curve."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from carbonq.forecasters.carbon.foresight.drift import Skill, skill, steps_back
from carbonq.forecasters.carbon.models.series import Issue, Readings

NOW = datetime(2026, 7, 20, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = 16


def readings(step_s: int = 3600) -> Readings:
    """Each day 10 g/kWh above the one before: yesterday's curve is always 10 off."""
    per_day = 86_400 // step_s
    return Readings(NOW - DAYS * DAY, step_s, np.repeat(100.0 + 10 * np.arange(DAYS, dtype=np.float64), per_day))


def issues(off: float, days: int = 14, step_s: int = 3600, minutes: int = 0) -> list[Issue]:
    """One forecast a day that is off by so much."""
    per_day = 86_400 // step_s
    return [
        Issue(
            NOW - back * DAY,
            NOW - back * DAY + timedelta(minutes=minutes),
            np.full((2 * per_day, 1), 100.0 + 10 * (DAYS - back) + off),
        )
        for back in range(days, 0, -1)
    ]


@pytest.mark.parametrize(("off", "value"), [(0, 1.0), (5, 0.5), (10, 0.0), (-20, -1.0)])
def test_skill_is_the_share_of_yesterdays_error_that_is_spared(off: float, value: float) -> None:
    assert skill(issues(off), 3600, readings(), NOW) == Skill(value, 14)


def test_of_two_days_nothing_is_said() -> None:
    assert skill(issues(0, days=2), 3600, readings(), NOW) is None


def test_a_day_with_gaps_does_not_count() -> None:
    known = readings()
    known.values[-24:-12] = np.nan
    assert skill(issues(5), 3600, known, NOW) == Skill(0.5, 13)


def test_on_a_grid_that_never_changes_no_skill_is_needed() -> None:
    flat = Readings(NOW - DAYS * DAY, 3600, np.full(DAYS * 24, 50.0))
    still = [issue._replace(values=np.full((24, 1), 50.0)) for issue in issues(0)]
    assert skill(still, 3600, flat, NOW) == Skill(0.0, 14)


def test_forecasts_in_half_hours_are_held_against_hourly_readings() -> None:
    found = skill(issues(5, step_s=1800, minutes=30), 1800, readings(), NOW + DAY)
    assert found is not None
    assert found.days >= 12


@pytest.mark.parametrize(
    ("value", "days", "before", "after"),
    [
        (-0.1, 14, False, True),
        (-0.1, 5, False, False),
        (-0.01, 14, False, False),
        (0.01, 14, True, True),
        (0.05, 14, True, False),
        (0.05, 5, True, True),
    ],
)
def test_a_model_steps_back_and_returns_only_on_clear_grounds(
    value: float, days: int, before: bool, after: bool
) -> None:
    assert steps_back(Skill(value, days), stepped_back=before) is after


@pytest.mark.parametrize("before", [True, False])
def test_without_a_skill_nothing_changes(before: bool) -> None:
    assert steps_back(None, stepped_back=before) is before
