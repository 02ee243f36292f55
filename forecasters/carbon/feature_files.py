"""Files of values known in advance, such as weather or day-ahead forecasts, and of forecasts that others have published.

When a value was known decides what a backtest may use, so each file says it, or is taken to say it by its form:

- with a column `issued_at` (or `origin`), each row by that;
- rows whose time jumps back are blocks, each one forecast: known from the block's first time on;
- otherwise rows are day-ahead values of local days: known at 18:00 local time of the day before.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from carbonq.domain.errors import InvalidInput
from carbonq.forecasters.carbon.local_time import local_time
from carbonq.forecasters.carbon.models.baselines import PUBLISHED
from carbonq.forecasters.carbon.models.series import Features, FloatArray, Issue
from carbonq.forecasters.carbon.tables import Table, is_text, moments, numbers, on_grid, read_table, usual_step_s

TIME_COLUMNS = ("timestamp", "UTC time")
ISSUED_COLUMNS = ("issued_at", "origin")
_NO_FEATURES = ("", "horizon_h", *TIME_COLUMNS, *ISSUED_COLUMNS)
_DAY_AHEAD_AT = time(18)
LONGEST_BLOCK = timedelta(days=16)
"""As far as weather models go. What spans more is no forecast."""


class FeatureFile(NamedTuple):
    """What a file holds, and what a reader should know of how it was taken."""

    features: Features
    note: str = ""


class _Known(NamedTuple):
    """Rows of a file that were issued together."""

    issued_at: datetime
    rows: list[int]


def read_features(path: Path, zone: str) -> FeatureFile:
    """Every column of numbers, issue by issue. Raises InvalidInput; OSError where the file cannot be opened."""
    table = read_table(path)
    names = [name for name in table.columns if name not in _NO_FEATURES and not is_text(table, name)]
    if not names:
        raise InvalidInput(
            "no column of numbers beside the times", where=f"{path}:1", hint="each further column is one feature"
        )
    return _features(table, names, tuple(names), zone)


def read_published(path: Path, zone: str = "") -> FeatureFile:
    """A published forecast of the intensity, as the one feature `published`. Raises InvalidInput as `read_features`."""
    table = read_table(path)
    column = next(
        (name for name in table.columns if name == "forecast_gco2_per_kwh" or name.startswith("forecasted_")), None
    )
    if column is None:
        raise InvalidInput(
            "no column 'forecast_gco2_per_kwh'",
            where=f"{path}:1",
            hint="columns origin, timestamp, horizon_h, forecast_gco2_per_kwh; or blocks with UTC time, forecasted_…",
        )
    return _features(table, [column], (PUBLISHED,), zone)


def _features(table: Table, columns: Sequence[str], names: tuple[str, ...], zone: str) -> FeatureFile:
    column = next((name for name in TIME_COLUMNS if name in table.columns), None)
    if column is None:
        raise InvalidInput(
            "no column of times", where=f"{table.path}:1", hint="one column is named `timestamp` or `UTC time`"
        )
    times = moments(table, column, zoneless_is_utc=column == "UTC time")
    values = np.column_stack([numbers(table, name) for name in columns])
    known, note = _issues(table, times, zone)
    longest = max(known, key=lambda one: len(one.rows))
    step_s = usual_step_s(sorted(times[row] for row in longest.rows), str(table.path))
    by_time = {one.issued_at: one for one in known}  # of two at the same moment the later one counts
    issues = tuple(_issue(table, by_time[moment], times, values, step_s) for moment in sorted(by_time))
    return FeatureFile(Features(names, step_s, issues), note and f"{table.path.name}: {note}")


def _issue(table: Table, known: _Known, times: Sequence[datetime], values: FloatArray, step_s: int) -> Issue:
    start, grid = on_grid(table, known.rows, times, values, step_s)
    return Issue(known.issued_at, start, grid)


def _issues(table: Table, times: Sequence[datetime], zone: str) -> tuple[list[_Known], str]:
    issued = next((name for name in ISSUED_COLUMNS if name in table.columns), None)
    if issued is not None:
        return _grouped(moments(table, issued)), ""
    blocks = _blocks(times)
    if len(blocks) > 1:
        _check_blocks(table, blocks, times)
        note = "without the moment of issue, each block counts as known at its start (a weather forecast comes 4-5 h later)"
        return [_Known(times[rows[0]], rows) for rows in blocks], note
    place = local_time(zone)
    note = f"without the moment of issue, each local day counts as known at 18:00 ({place.name}) of the day before"
    days: dict[date, list[int]] = {}
    for row, moment in enumerate(times):
        days.setdefault(moment.astimezone(place.zone).date(), []).append(row)
    known = [
        _Known(datetime.combine(day - timedelta(days=1), _DAY_AHEAD_AT, place.zone).astimezone(UTC), rows)
        for day, rows in days.items()
    ]
    return known, note + ("; the zone's own local time is not known here" if place.is_assumed else "")


def _grouped(issued: Iterable[datetime]) -> list[_Known]:
    ordered = sorted(enumerate(issued), key=lambda pair: pair[1])
    return [_Known(moment, [row for row, _ in pairs]) for moment, pairs in groupby(ordered, key=lambda pair: pair[1])]


def _blocks(times: Sequence[datetime]) -> list[list[int]]:
    """Runs of rows in which time goes forward."""
    blocks: list[list[int]] = [[0]]
    for row in range(1, len(times)):
        if times[row] < times[row - 1]:
            blocks.append([])
        blocks[-1].append(row)
    return blocks


def _check_blocks(table: Table, blocks: Sequence[list[int]], times: Sequence[datetime]) -> None:
    """A block counts as known at its start: years of rows with one out of order must not pass for a forecast."""
    for rows in blocks:
        if times[rows[-1]] - times[rows[0]] > LONGEST_BLOCK:
            raise InvalidInput(
                f"time jumps back, but the block from here spans more than {LONGEST_BLOCK.days} days",
                where=table.where(rows[0]),
                hint="sort the rows by time; or, if these are forecasts, add a column `issued_at`",
            )
