"""The parquet source: the same rows as csv, from tables that other programs wrote."""

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from carbonq.domain.carbon import Origin
from carbonq.domain.errors import NotFound, SourceNonsense, SourceUnreachable
from carbonq.forecasters.carbon.sources.files import TIME_COLUMN, VALUE_COLUMN
from carbonq.forecasters.carbon.sources.parquet_files import ParquetSource

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

NOON = datetime(2026, 7, 6, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def source(tmp_path: Path, times: Any, values: Any, name: str = "FR.parquet", **more: Any) -> ParquetSource:
    pq.write_table(pa.table({TIME_COLUMN: times, VALUE_COLUMN: values, **more}), tmp_path / name)
    return ParquetSource(tmp_path / name)


def hours(count: int) -> list[datetime]:
    return [NOON + index * HOUR for index in range(count)]


def values(source: ParquetSource, zone: str = "FR") -> list[float]:
    series = source.history(zone, NOON, NOON + 48 * HOUR)
    return [reading.intensity_g_per_kwh for reading in series.readings]


def test_rows_are_history_and_forecast(tmp_path: Path) -> None:
    rows = source(tmp_path, hours(3), [100.0, 200.0, 300.0])
    assert rows.forecast("FR", NOON + HOUR, NOON + 3 * HOUR).median_g_per_kwh == (200, 200, 300, 300)
    history = rows.history("FR", NOON, NOON + HOUR).readings
    assert [(reading.intensity_g_per_kwh, reading.end, reading.origin) for reading in history] == [
        (100, NOON + HOUR, Origin.MEASURED)
    ]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "+05:30"])
def test_a_timestamp_of_any_unit_and_zone_is_the_same_moment(tmp_path: Path, unit: str, zone: str) -> None:
    times = pa.array(hours(3)).cast(pa.timestamp(unit, zone))
    assert source(tmp_path, times, [1, 2, 3]).history("FR", NOON, NOON + HOUR).readings[0].start == NOON


def test_times_may_be_text_and_numbers_of_any_kind(tmp_path: Path) -> None:
    text = [moment.isoformat() for moment in hours(2)]
    assert values(source(tmp_path, text, pa.array([1, 2], pa.int16()))) == [1, 2]
    assert values(source(tmp_path, text, pa.array([1.5, 2.5], pa.float32()))) == [1.5, 2.5]


def test_a_timestamp_without_a_zone_is_refused_with_how_to_write_it(tmp_path: Path) -> None:
    times = pa.array(hours(2)).cast(pa.timestamp("us"))
    with pytest.raises(SourceNonsense, match="no zone") as caught:
        source(tmp_path, times, [1, 2]).zones()
    assert "UTC" in caught.value.hint


def test_null_is_a_gap(tmp_path: Path) -> None:
    gappy = source(tmp_path, hours(4), [1.0, None, 3.0, 4.0])
    assert values(gappy) == [1, 3, 4]
    assert gappy.history("FR", NOON, NOON + 4 * HOUR).at(NOON + 1.5 * HOUR) is None


def test_a_zone_column_lets_one_file_hold_several(tmp_path: Path) -> None:
    several = source(tmp_path, hours(2), [1, 2], zone=pa.array(["fr", "PL"]).dictionary_encode())
    assert several.zones() == ["FR", "PL"]
    assert values(several, "PL") == [2]


def test_a_folder_has_a_zone_a_file(tmp_path: Path) -> None:
    source(tmp_path, hours(2), [1, 2])
    source(tmp_path, hours(2), [3, 4], name="de.parquet")
    folder = ParquetSource(tmp_path)
    assert folder.zones() == ("DE", "FR")
    assert values(folder, "DE") == [3, 4]
    with pytest.raises(NotFound, match="no zone 'PL'"):
        folder.history("PL", NOON, NOON + HOUR)


def test_a_few_bad_rows_are_left_out_and_many_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    numbers = [float(index) for index in range(20)]
    numbers[4] = math.inf
    times: list[datetime | None] = [*hours(20)]
    times[6] = None
    assert values(source(tmp_path, times, numbers)) == [index for index in range(20) if index not in (4, 6)]
    assert "2 of 20 rows left out; the first: inf g/kWh" in caplog.text
    numbers[5] = 9999.0
    with pytest.raises(SourceNonsense) as caught:
        source(tmp_path, times, numbers).zones()
    assert caught.value.where == f"{tmp_path / 'FR.parquet'}, row 5"


def test_a_time_that_no_calendar_holds_is_a_bad_row(tmp_path: Path) -> None:
    far = pa.array([2**60]).cast(pa.timestamp("ms", "UTC"))
    with pytest.raises(SourceNonsense, match="is no time"):
        source(tmp_path, far, [1]).zones()


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"time": hours(1), VALUE_COLUMN: [1]}), tmp_path / "FR.parquet")
    with pytest.raises(SourceNonsense, match=r"no column 'timestamp'"):
        ParquetSource(tmp_path).history("FR", NOON, NOON + HOUR)


def test_too_many_rows_are_not_read(tmp_path: Path) -> None:
    source(tmp_path, hours(5), [1, 2, 3, 4, 5])
    with pytest.raises(SourceNonsense, match="more than 4 rows"):
        ParquetSource(tmp_path, max_rows=4).history("FR", NOON, NOON + HOUR)


@pytest.mark.parametrize("keep", [0, 4, 100, -8])
def test_a_damaged_file_is_nonsense(tmp_path: Path, keep: int) -> None:
    file = source(tmp_path, hours(5), [1, 2, 3, 4, 5]).path
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(SourceNonsense, match="no sound Parquet file"):
        ParquetSource(file).zones()


def test_a_missing_file_is_a_source_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="cannot read"):
        ParquetSource(tmp_path / "absent.parquet").zones()


def test_without_pyarrow_the_error_says_what_to_install(tmp_path: Path) -> None:
    """In a Python whose import of pyarrow fails as it does where the package is not installed."""
    source(tmp_path, hours(1), [1])
    program = f"""
import sys
from pathlib import Path
sys.modules["pyarrow"] = None
from carbonq.domain.errors import CarbonqError
from carbonq.forecasters.carbon.registry import make_source
source = make_source("parquet:{tmp_path}/FR.parquet")
try:
    source.zones()
except CarbonqError as error:
    print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "pip install carbonq[forecast]\n"
