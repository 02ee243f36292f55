"""`ZONE.csv` or `ZONE.csv.gz`: a zone's past intensity, as `carbonq backtest` and `carbonq forecast --history` read it.

Columns `timestamp` (RFC 3339, start of the step) and `carbon_intensity_gco2_per_kwh` (empty where unknown). Rows may come in any
order; of rows at the same time the last one counts; a missing row is a gap. Other columns of numbers come along as the past's.
"""

import re
from pathlib import Path

import numpy as np

from carbonq.domain.errors import InvalidInput
from carbonq.forecasters.carbon.backtest import History
from carbonq.forecasters.carbon.models.series import Readings
from carbonq.forecasters.carbon.readings import HIGHEST_G_PER_KWH, LOWEST_G_PER_KWH
from carbonq.forecasters.carbon.tables import (
    MAX_FILE_B,
    Table,
    is_text,
    moments,
    numbers,
    on_grid,
    read_table,
    usual_step_s,
)

TIME_COLUMN, VALUE_COLUMN = "timestamp", "carbon_intensity_gco2_per_kwh"
_HINT = f"the first line names {TIME_COLUMN} and {VALUE_COLUMN}"


def read_history(path: Path, *, zone: str | None = None, max_file_b: int = MAX_FILE_B) -> History:
    """The file's readings on its own regular step. Raises InvalidInput; OSError where it cannot be opened."""
    table = read_table(path, max_file_b=max_file_b)
    for column in (TIME_COLUMN, VALUE_COLUMN):
        table.need(column, _HINT)
    times = moments(table, TIME_COLUMN)
    names = [name for name in table.columns if name not in (TIME_COLUMN, VALUE_COLUMN) and not is_text(table, name)]
    columns = [numbers(table, name) for name in (VALUE_COLUMN, *names)]
    _check(table, columns[0])
    step_s = usual_step_s(sorted(times), str(path))
    start, grid = on_grid(table, range(len(times)), times, np.column_stack(columns), step_s)
    return History(zone or zone_of(path), Readings(start, step_s, grid[:, 0]), tuple(names), grid[:, 1:])


def zone_of(path: Path) -> str:
    """`CISO` of `CISO.csv.gz`, `FR` of `FR_2019_2021.csv`."""
    return re.sub(r"(_\d{4})+$", "", path.name.partition(".csv")[0]).upper()


def _check(table: Table, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    absurd = np.flatnonzero((values < LOWEST_G_PER_KWH) | (values > HIGHEST_G_PER_KWH))
    if len(absurd):
        raise InvalidInput(
            f"{values[absurd[0]]:g} g/kWh is no carbon intensity that a grid can have",
            where=table.where(int(absurd[0])),
            hint="mend the row, or leave the cell empty",
        )
