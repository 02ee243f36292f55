"""Gaps filled, each filled value with a label of how: so that models have history and receipts know what is not measured. Pure.

up to 3 h          a straight line between the readings beside it               estimated
up to a day        the same hours of the days around, tied to those readings    estimated
longer             the usual profile at the level of the weeks around           modelled
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbonq.domain.carbon import CarbonIntensity, IntensitySeries, Origin
from carbonq.forecasters.carbon.archive.rows import Rows, on_steps
from carbonq.forecasters.carbon.archive.spans import Span, merged, missing
from carbonq.forecasters.carbon.models.series import FloatArray, Readings

SHORT_S, DAY_S = 3 * 3600, 86_400
LEVEL_DAYS = 14
"""A modelled stretch takes its level from the known readings this close to its ends: long enough for all weathers, short
enough for one season."""

KNOWN, ESTIMATED, MODELLED = 0, 1, 2
_ORIGIN = {ESTIMATED: Origin.ESTIMATED, MODELLED: Origin.MODELLED}


class Filled(NamedTuple):
    """Values with fewer gaps, and how each was obtained: KNOWN, ESTIMATED or MODELLED, shape (steps,)."""

    readings: Readings
    how: NDArray[np.int8]


def filled(readings: Readings, usual: FloatArray | None = None) -> Filled:
    """Gaps filled as said above. `usual`: the typical profile over the same steps. For each long gap it, or the readings' own
    mean by hour of the day: whichever fits the readings around better. Where nothing at all is known and there is no profile,
    gaps stay."""
    values = readings.values.copy()
    how = np.zeros(len(values), np.int8)
    profiles = [_own_profile(readings)] if usual is None else [usual, _own_profile(readings)]
    per_day = DAY_S // readings.step_s
    for start, end in gaps(readings.values):
        length_s = (end - start) * readings.step_s
        estimate = None
        if length_s <= SHORT_S:
            estimate = _line(readings.values, start, end)
        if estimate is None and length_s <= DAY_S:
            estimate = _days_around(readings.values, start, end, per_day)
        if estimate is not None:
            values[start:end], how[start:end] = estimate, ESTIMATED
        elif (model := _model(readings.values, profiles, start, end, per_day)) is not None:
            values[start:end] = _eased(readings.values, model, start, end, per_day)
            how[start:end] = MODELLED
    return Filled(readings._replace(values=values), how)


def filled_series(
    series: IntensitySeries, step_s: int, start: datetime, end: datetime, usual: IntensitySeries | None = None
) -> IntensitySeries:
    """The readings that overlap `[start, end)`, and in their gaps estimated and modelled ones on whole steps, cut to the gap.

    What lies around the span is used as far as the series has it. `usual`: the typical profile over all of that time.
    """
    around = [Span(reading.start, reading.end) for reading in series.readings]
    first, last = min([start, *(span.start for span in around)]), max([end, *(span.end for span in around)])
    profile = None if usual is None else on_steps(Rows.of(usual.readings, end), step_s, first, last).values
    result = filled(on_steps(Rows.of(series.readings, end), step_s, first, last), profile)
    made = (
        CarbonIntensity(start=begin, end=until, intensity_g_per_kwh=value, origin=origin)
        for hole in missing(Span(start, end), merged(around))
        for begin, until, value, origin in _steps_within(hole, result)
    )
    readings = sorted((*series.within(start, end), *made), key=lambda reading: reading.start)
    return series.model_copy(update={"readings": tuple(readings)})


def gaps(values: FloatArray) -> Iterator[tuple[int, int]]:
    """`[start, end)` of each run of NaN."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.isnan(values), [False]]).astype(np.int8)))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _line(values: FloatArray, start: int, end: int) -> FloatArray | None:
    """None at an end of the readings: a line needs two points."""
    if start == 0 or end == len(values):
        return None
    return np.asarray(np.linspace(values[start - 1], values[end], end - start + 2)[1:-1])


def _days_around(values: FloatArray, start: int, end: int, per_day: int) -> FloatArray | None:
    """The mean of the same hours a day before and a day after, shifted to meet the readings beside the gap."""
    first, last = max(start - 1, 0), min(end + 1, len(values))
    days = [_shifted(values, first, last, offset) for offset in (-per_day, per_day)]
    known = np.isfinite(days)
    count = known.sum(axis=0)
    if not count.all():
        return None
    shape = np.where(known, days, 0.0).sum(axis=0) / count
    shape = shape + _offset(shape, values[first:last])
    lowest = min(0.0, float(np.nanmin(values)))
    return np.asarray(np.maximum(shape, lowest)[start - first : len(shape) - (last - end)])


def _shifted(values: FloatArray, start: int, end: int, offset: int) -> FloatArray:
    """`values[start + offset : end + offset]`, NaN beyond their ends."""
    index = np.arange(start + offset, end + offset)
    inside = (index >= 0) & (index < len(values))
    return np.where(inside, values[np.clip(index, 0, len(values) - 1)], np.nan)


def _offset(shape: FloatArray, beside: FloatArray) -> FloatArray:
    """What to add so that the first and last value meet the readings there; from one to the other in a line."""
    ends = [beside[index] - shape[index] for index in (0, -1) if np.isfinite(beside[index])]
    return np.linspace(ends[0], ends[-1], len(shape)) if ends else np.zeros(len(shape))


def _own_profile(readings: Readings) -> FloatArray:
    """The mean by hour of the day; the overall mean for hours never seen; NaN where nothing is known."""
    values = readings.values
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(values), np.nan)
    hours = (int(readings.start.timestamp()) + np.arange(len(values)) * readings.step_s) % DAY_S // 3600
    count = np.bincount(hours[known], minlength=24)
    total = np.bincount(hours[known], values[known], minlength=24)
    mean = np.full(24, values[known].mean())
    np.divide(total, count, out=mean, where=count > 0)
    return np.asarray(mean[hours])


def _model(values: FloatArray, profiles: Sequence[FloatArray], start: int, end: int, per_day: int) -> FloatArray | None:
    """The profile that fits the known readings around the gap best, at their level. None where no profile spans the gap."""
    reach = LEVEL_DAYS * per_day
    near = np.r_[max(0, start - reach) : start, end : min(len(values), end + reach)]
    near = near[np.isfinite(values[near])]
    if not len(near):
        near = np.flatnonzero(np.isfinite(values))
    models = [
        profile * _ratio(values[near], profile[near]) for profile in profiles if np.isfinite(profile[start:end]).all()
    ]
    return min(models, key=lambda model: float(np.nansum(np.abs(values[near] - model[near]))), default=None)


def _ratio(actual: FloatArray, usual: FloatArray) -> float:
    """How the readings lie to the profile; 1 where a ratio has no meaning."""
    both = np.isfinite(usual)
    ours, profiles = float(actual[both].sum()), float(usual[both].sum())
    return ours / profiles if ours >= 0 and profiles > 0 else 1.0


def _eased(values: FloatArray, model: FloatArray, start: int, end: int, per_day: int) -> FloatArray:
    """The model within the gap, and near its ends what the readings beside it lie above or below: weather lasts about a day."""
    result, steps = model[start:end].copy(), np.arange(1, end - start + 1)
    for beside, away in ((start - 1, steps), (end, steps[::-1])):
        if 0 <= beside < len(values) and np.isfinite(model[beside]):
            result += (values[beside] - model[beside]) * np.exp(-away / per_day)
    return np.asarray(np.maximum(result, min(0.0, float(np.nanmin(values, initial=0.0)))))


def _steps_within(hole: Span, result: Filled) -> Iterator[tuple[datetime, datetime, float, Origin]]:
    readings = result.readings
    for index in range(readings.step_of(hole.start), len(readings.values)):
        begin, until = max(hole.start, readings.at(index)), min(hole.end, readings.at(index + 1))
        if begin >= until:
            return
        if np.isfinite(readings.values[index]):
            # a hole within a step that is known on the whole takes that step's mean
            yield begin, until, float(readings.values[index]), _ORIGIN.get(int(result.how[index]), Origin.ESTIMATED)
