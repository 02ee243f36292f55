"""`parquet:PATH`: intensity from a file, or from a folder with one `ZONE.parquet` for each zone.

Columns `timestamp` (a timestamp with a zone, or RFC 3339 text: the start of the interval) and
`carbon_intensity_gco2_per_kwh` (numbers; null is a gap); an optional `zone` column lets one file hold several zones; others
are not even read. What rows mean is told in `files`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from carbonq.domain.errors import SourceNonsense
from carbonq.domain.time import DEFAULT_SLOT_S
from carbonq.forecasters.carbon.parquet import pyarrow
from carbonq.forecasters.carbon.readings import checked_intensity, sound
from carbonq.forecasters.carbon.sources.files import (
    TIME_COLUMN,
    VALUE_COLUMN,
    ZONE_COLUMN,
    FileSource,
    Point,
    written_moment,
)

MAX_ROWS = 2_000_000
"""19 years of 5-minute rows. More is a mistake, or a bomb."""


class ParquetSource(FileSource):
    """Parquet files. Needs the package pyarrow, which is loaded when a file is first read."""

    def __init__(self, path: Path, *, slot_s: int = DEFAULT_SLOT_S, max_rows: int = MAX_ROWS) -> None:
        super().__init__("parquet", path, (".parquet",), slot_s=slot_s)
        self._max_rows = max_rows

    def points(self, file: Path) -> Sequence[Point]:
        table = self._table(file)
        starts, values = _moments(table.column(TIME_COLUMN), file), table.column(VALUE_COLUMN).to_pylist()
        zones = table.column(ZONE_COLUMN).to_pylist() if ZONE_COLUMN in table.column_names else [None] * len(values)
        own_zone = self.zone_of(file)

        def point(number: int) -> Point | None:
            where, value = f"{file}, row {number + 1}", values[number]
            if value is None:
                return None
            return Point(
                str(zones[number] or own_zone).upper(),
                written_moment(starts[number], where),
                checked_intensity(value, where),
            )

        return sound(range(len(values)), point, str(file))

    def _table(self, file: Path) -> Any:
        pa = pyarrow()
        with file.open("rb") as stream:  # so that what is wrong with the file is told apart from what is in it
            try:
                parquet = pa.parquet.ParquetFile(stream)
                if parquet.metadata.num_rows > self._max_rows:
                    raise SourceNonsense(
                        f"{file} holds more than {self._max_rows} rows", where=self.name, hint="split it by zone"
                    )
                columns = [
                    name for name in (TIME_COLUMN, VALUE_COLUMN, ZONE_COLUMN) if name in parquet.schema_arrow.names
                ]
                _check_columns(columns, file)
                return parquet.read(columns)
            except (pa.ArrowException, OSError) as error:
                raise SourceNonsense(f"{file} is no sound Parquet file: {str(error)[:200]}", where=self.name) from error


def _check_columns(columns: Sequence[str], file: Path) -> None:
    for column in (TIME_COLUMN, VALUE_COLUMN):
        if column not in columns:
            raise SourceNonsense(
                f"no column {column!r}", where=str(file), hint=f"it needs {TIME_COLUMN} and {VALUE_COLUMN}"
            )


def _moments(column: Any, file: Path) -> list[object]:
    """Seconds since 1970 from timestamps with a zone, else the column's own values."""
    pa = pyarrow()
    if not pa.types.is_timestamp(column.type):
        return list(column.to_pylist())
    if column.type.tz is None:
        raise SourceNonsense(
            f"the column {TIME_COLUMN!r} has no zone", where=str(file), hint="write it as a timestamp in UTC"
        )
    milliseconds = column.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
    return [value if value is None else value / 1000 for value in milliseconds.to_pylist()]
