"""A zone's past from its file."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from carbonq.domain.errors import InvalidInput
from carbonq.forecasters.carbon.history_files import read_history, zone_of

HEAD = "timestamp,carbon_intensity_gco2_per_kwh,wind_mw,split\n"


def write(folder: Path, *rows: str, head: str = HEAD, name: str = "FR.csv") -> Path:
    path = folder / name
    text = (head + "\n".join(rows) + "\n").encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return path


def test_rows_out_of_order_doubled_and_missing_become_a_regular_series(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "2021-01-01T03:00:00Z,40,4,test",
        "2021-01-01T00:00:00Z,10,1,train",
        "2021-01-01T01:00:00Z,99,9,train",
        "2021-01-01T01:00:00Z,20,2,train",
        "2021-01-01T04:00:00Z,,5,test",
    )
    found = read_history(path)
    assert ("FR", datetime(2021, 1, 1, tzinfo=UTC), 3600) == (found.zone, found.readings.start, found.readings.step_s)
    np.testing.assert_array_equal([10, 20, np.nan, 40, np.nan], found.readings.values)
    assert found.past_names == ("wind_mw",)
    np.testing.assert_array_equal([1, 2, np.nan, 4, 5], found.past[:, 0])


def test_half_hours_are_kept_and_the_clocks_change_moves_nothing(tmp_path: Path) -> None:
    """The night of 28 March 2021 in France, as local times with their offsets."""
    rows = ["2021-03-28T01:30:00+01:00,1,0,x", "2021-03-28T03:00:00+02:00,2,0,x", "2021-03-28T03:30:00+02:00,3,0,x"]
    found = read_history(write(tmp_path, *rows, name="FR.csv.gz"))
    assert (datetime(2021, 3, 28, 0, 30, tzinfo=UTC), 1800) == (found.readings.start, found.readings.step_s)
    assert found.readings.values.tolist() == [1, 2, 3]


@pytest.mark.parametrize("value", ["9e9", "-5000", "much"])
def test_an_absurd_value_is_placed(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, "2021-01-01T00:00:00Z,10,1,x", f"2021-01-01T01:00:00Z,{value},1,x")
    with pytest.raises(InvalidInput) as caught:
        read_history(path)
    assert f"{path}:3" == caught.value.where


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="carbon_intensity_gco2_per_kwh"):
        read_history(write(tmp_path, "2021-01-01T00:00:00Z,1", head="timestamp,value\n"))


@pytest.mark.parametrize(
    ("name", "zone"),
    [("CISO.csv.gz", "CISO"), ("FR_2019_2021.csv", "FR"), ("AUS_QLD.csv.gz", "AUS_QLD"), ("us-cal-ciso.csv", "US-CAL-CISO")],
)  # fmt: skip
def test_the_zone_is_the_files_name(name: str, zone: str) -> None:
    assert zone == zone_of(Path(name))
