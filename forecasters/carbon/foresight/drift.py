"""How well a model's past forecasts did beside yesterday's curve. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.foresight.slots import on_slots
from carbonq.forecasters.carbon.models.series import Issue, Readings

SPAN = timedelta(days=14)
LEAD_S = 86_400
"""A day ahead is what most jobs are planned by, and it is known a day later."""
LEAST_DAYS = 3
"""Of fewer forecasts nothing is said."""
ENOUGH_DAYS = 7
"""A model is not set aside, nor taken back, on less."""
WORSE, BETTER = -0.02, 0.02
"""Skills between these change nothing, or it would go back and forth."""


class Skill(NamedTuple):
    """1 - the forecasts' absolute error / that of yesterday's curve, and over how many days."""

    value: float
    days: int


def skill(issues: Sequence[Issue], issue_step_s: int, readings: Readings, now: datetime) -> Skill | None:
    """Of one forecast a day of the last 14 days, whose first day is over. None where too little is known."""
    on_steps = [_on_steps(issue, issue_step_s, readings.step_s) for issue in _one_a_day(issues, now)]
    errors = [found for issue in on_steps if (found := _errors(issue, readings)) is not None]
    if len(errors) < LEAST_DAYS:
        return None
    own, naive = np.sum(errors, axis=0)
    return Skill(1.0 - own / naive if naive > 0 else 0.0, len(errors))


def steps_back(now: Skill | None, *, stepped_back: bool) -> bool:
    """Whether yesterday's curve should stand in for the model."""
    if now is None or now.days < ENOUGH_DAYS:
        return stepped_back
    return now.value < (BETTER if stepped_back else WORSE)


def _one_a_day(issues: Sequence[Issue], now: datetime) -> list[Issue]:
    recent = [issue for issue in issues if now - SPAN <= issue.start <= now - timedelta(seconds=LEAD_S)]
    return list({issue.start.date(): issue for issue in reversed(recent)}.values())


def _on_steps(issue: Issue, issue_step_s: int, step_s: int) -> Issue:
    """Its first day in whole steps of the readings."""
    end = issue.start + timedelta(seconds=issue_step_s * len(issue.values))
    steps = SlotGrid.covering(issue.start, end, step_s)
    first = steps.at(int(steps.start < issue.start))
    count = min(LEAD_S // step_s, int((end - first).total_seconds()) // step_s)
    values = on_slots(issue.values.T, issue.start, issue_step_s, SlotGrid(start=first, slot_s=step_s, slots=count))
    return Issue(issue.issued_at, first, values.T)


def _errors(issue: Issue, readings: Readings) -> tuple[float, float] | None:
    """Mean absolute errors of the issue's first day and of the day before it; None where either day has gaps."""
    steps = LEAD_S // readings.step_s
    at = readings.step_of(issue.start)
    if at < steps or at + steps > len(readings.values) or len(issue.values) < steps:
        return None
    came, before = readings.values[at : at + steps], readings.values[at - steps : at]
    own, naive = np.abs(issue.values[:steps, 0] - came), np.abs(before - came)
    known = np.isfinite(own) & np.isfinite(naive)
    if np.count_nonzero(known) < steps * 3 // 4:
        return None
    return float(own[known].mean()), float(naive[known].mean())
