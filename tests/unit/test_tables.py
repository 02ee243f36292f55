"""Tables that a person hands in: bounded, and every mistake with file and line."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonq.domain.errors import InvalidInput
from carbonq.forecasters.carbon.tables import MAX_STEPS, Table, moments, numbers, on_grid, read_table, usual_step_s


def table(folder: Path, text: str) -> Table:
    path = folder / "t.csv"
    path.write_text(text)
    return read_table(path)


def where(error: pytest.ExceptionInfo[InvalidInput]) -> str:
    return error.value.where.rpartition("/")[2]


def test_plain_and_gzipped_files_read_the_same(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4\r\n"
    (tmp_path / "x.csv").write_bytes(text)
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(text[:9]) + gzip.compress(text[9:]))
    for name in ("x.csv", "x.csv.gz"):
        found = read_table(tmp_path / name)
        assert (found.columns, found.lines) == ({"a": ["1", "3"], "b": ["2", "4"]}, [2, 4])


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"0," * 2_000_000))
    with pytest.raises(InvalidInput, match="more than 1 MiB"):
        read_table(path, max_file_b=2**20)


def test_countless_empty_members_are_not_gone_through(tmp_path: Path) -> None:
    path = tmp_path / "members.csv.gz"
    path.write_bytes(gzip.compress(b"") * 50_000 + gzip.compress(b"a\n1\n"))
    with pytest.raises(InvalidInput, match="members"):
        read_table(path)


def test_a_plain_file_is_bounded_too(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    path.write_bytes(b"a\n" * 2**20)
    with pytest.raises(InvalidInput, match="more than 1 MiB"):
        read_table(path, max_file_b=2**20)


@pytest.mark.parametrize("cut", [-1, -9, 20])
def test_a_gzip_file_that_is_cut_off_is_told(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 500)[:cut])
    with pytest.raises(InvalidInput, match="gzip"):
        read_table(path)


def test_a_damaged_gzip_file_is_told(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(bytes(range(256)) * 40))
    data[40] ^= 255
    (tmp_path / "x.gz").write_bytes(data)
    with pytest.raises(InvalidInput):
        read_table(tmp_path / "x.gz")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "t.csv"),
        ("a,b\n", "t.csv"),
        ("a,a\n1,2\n", "t.csv:1"),
        ("a,b\n1,2\n1\n", "t.csv:3"),
        ('a,b\n"1,2\n', "t.csv:2"),
    ],
)
def test_what_is_no_table_is_placed(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        table(tmp_path, text)
    assert place == where(caught)


def test_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a\n\xff\xfe\n")
    with pytest.raises(InvalidInput, match="UTF-8"):
        read_table(tmp_path / "x")


def test_numbers_may_be_missing_but_not_wrong(tmp_path: Path) -> None:
    found = numbers(table(tmp_path, "a,b\n1.5,x\n,x\n nan ,x\n-2e3,x\n"), "a")
    np.testing.assert_array_equal([1.5, np.nan, np.nan, -2000.0], found)
    for wrong in ("x", "inf", "1;5", "-inf", "1e999"):
        with pytest.raises(InvalidInput) as caught:
            numbers(table(tmp_path, f"a,b\n1,x\n{wrong},x\n"), "a")
        assert where(caught) == "t.csv:3"


def test_times_are_read_with_their_zone(tmp_path: Path) -> None:
    found = moments(table(tmp_path, "t\n2021-07-01T02:00:00+02:00\n2021-07-01T00:00:00Z\n"), "t")
    assert [datetime(2021, 7, 1, tzinfo=UTC)] * 2 == found


@pytest.mark.parametrize("wrong", ["2021-07-01T00:00:00", "2021-07-01", "soon", "2021-02-30T00:00:00Z", '""'])
def test_a_time_that_is_none_is_placed_with_how_to_write_it(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        moments(table(tmp_path, f"t\n2021-07-01T00:00:00Z\n{wrong}\n"), "t")
    assert where(caught) == "t.csv:3"
    assert "2" in caught.value.hint


def test_utc_may_be_said_by_the_column(tmp_path: Path) -> None:
    found = moments(table(tmp_path, "UTC time\n2021-07-01 00:00:00\n"), "UTC time", zoneless_is_utc=True)
    assert [datetime(2021, 7, 1, tzinfo=UTC)] == found


HOUR = timedelta(hours=1)
START = datetime(2021, 3, 28, tzinfo=UTC)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=40))
def test_rows_in_any_order_with_gaps_and_doubles_lie_on_their_grid(hours: list[int]) -> None:
    one = Table(Path("x.csv"), {"v": []}, list(range(2, len(hours) + 2)))
    times = [START + hour * HOUR for hour in hours]
    values = np.arange(len(hours), dtype=float)[:, None]
    start, grid = on_grid(one, range(len(hours)), times, values, 3600)

    expected = {hour: place for place, hour in enumerate(hours)}  # the last one counts
    assert START + min(hours) * HOUR == start
    assert len(grid) == max(hours) - min(hours) + 1
    for index, value in enumerate(grid[:, 0].tolist()):
        hour = index + min(hours)
        assert (value == expected[hour]) if hour in expected else np.isnan(value)


def test_a_time_off_the_grid_and_an_endless_span_are_placed() -> None:
    one = Table(Path("x.csv"), {}, [2, 3])
    with pytest.raises(InvalidInput) as caught:
        on_grid(one, [0, 1], [START, START + HOUR / 2], np.zeros((2, 1)), 3600)
    assert caught.value.where == "x.csv:3"
    with pytest.raises(InvalidInput, match="steps"):
        on_grid(one, [0, 1], [START, START + (MAX_STEPS + 1) * HOUR], np.zeros((2, 1)), 3600)


def test_the_step_is_the_usual_distance() -> None:
    assert usual_step_s([START], "x") == 3600
    assert usual_step_s([START, START + HOUR / 4, START + HOUR / 2, START + 5 * HOUR], "x") == 900
    with pytest.raises(InvalidInput):
        usual_step_s([START, START + timedelta(days=7)], "x")
