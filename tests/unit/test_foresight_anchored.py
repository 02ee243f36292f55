"""A typical profile at the level of the last day."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.foresight.anchored import anchored
from carbonq.forecasters.carbon.models.series import MEDIAN, Readings
from carbonq.forecasters.carbon.sources.typical import typical_profile, usual_at

NOW = datetime(2026, 7, 7, tzinfo=UTC)
GRID = SlotGrid(start=NOW, slots=48)
USUAL = [usual_at(typical_profile("FR"), NOW + timedelta(hours=hour)).mean for hour in range(-24, 24)]


def last_day(factor: float, known: int = 24) -> Readings:
    values = np.array(USUAL[:24]) * factor
    values[: 24 - known] = np.nan
    return Readings(NOW - timedelta(days=1), 3600, values)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_curve_keeps_its_shape_and_takes_the_days_level(factor: float) -> None:
    found = anchored("FR", last_day(factor), GRID)
    assert found is not None
    assert found[MEDIAN][::2] == pytest.approx(np.array(USUAL[24:]) * factor)
    assert (np.diff(found, axis=0) >= 0).all()


def test_six_hours_are_enough_to_tell_the_level_and_five_are_not() -> None:
    assert anchored("FR", last_day(2.0, known=6), GRID) is not None
    assert anchored("FR", last_day(2.0, known=5), GRID) is None


def test_without_a_level_above_zero_there_is_none_to_take() -> None:
    assert anchored("FR", last_day(0.0), GRID) is None
