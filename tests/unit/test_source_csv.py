"""The csv source: what files say, what they leave out, and what is wrong with them."""

import gzip
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from carbonq.domain.carbon import Origin
from carbonq.domain.errors import NotFound, SourceNonsense, SourceUnreachable
from carbonq.forecasters.carbon.sources.csv_files import CsvSource

NOON = datetime(2026, 7, 6, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HEAD = "timestamp,carbon_intensity_gco2_per_kwh"


def source(tmp_path: Path, *rows: str, head: str = HEAD, name: str = "FR.csv") -> CsvSource:
    (tmp_path / name).write_text("\n".join([head, *rows]) + "\n")
    return CsvSource(tmp_path / name)


def hours(*values: float, start: datetime = NOON) -> list[str]:
    return [f"{(start + index * HOUR).isoformat()},{value}" for index, value in enumerate(values)]


def test_hourly_rows_are_held_over_both_half_hours(tmp_path: Path) -> None:
    forecast = source(tmp_path, *hours(100, 200)).forecast("FR", NOON, NOON + 2 * HOUR)
    assert forecast.median_g_per_kwh == (100, 100, 200, 200)
    assert forecast.origin is Origin.FORECAST


def test_five_minute_rows_are_averaged(tmp_path: Path) -> None:
    rows = [f"{(NOON + timedelta(minutes=5 * step)).isoformat()},{step}" for step in range(12)]
    assert source(tmp_path, *rows).forecast("FR", NOON, NOON + HOUR).median_g_per_kwh == (2.5, 8.5)


def test_past_rows_are_measured(tmp_path: Path) -> None:
    series = source(tmp_path, *hours(100, 200)).history("FR", NOON, NOON + HOUR)
    assert [(reading.intensity_g_per_kwh, reading.origin) for reading in series.readings] == [(100, Origin.MEASURED)]


def test_rows_may_come_in_any_order_and_the_last_of_twins_counts(tmp_path: Path) -> None:
    one, two, three = hours(100, 200, 300)
    mixed = source(tmp_path, three, one, two, f"{NOON.isoformat()},111")
    assert mixed.forecast("FR", NOON, NOON + 3 * HOUR).median_g_per_kwh == (111, 111, 200, 200, 300, 300)


def test_a_gap_stays_a_gap(tmp_path: Path) -> None:
    """The hour that is missing is neither held over nor interpolated."""
    one, two, _, four, five = hours(100, 200, 300, 400, 500)
    gappy = source(tmp_path, one, two, four, five)
    assert gappy.forecast("FR", NOON, NOON + 5 * HOUR).median_g_per_kwh == (100, 100, 200, 200)
    assert gappy.history("FR", NOON, NOON + 5 * HOUR).at(NOON + 2.5 * HOUR) is None


def test_a_file_that_ends_early_makes_a_shorter_forecast(tmp_path: Path) -> None:
    forecast = source(tmp_path, *hours(100, 200)).forecast("FR", NOON, NOON + 24 * HOUR)
    assert forecast.grid.end == NOON + 2 * HOUR


def test_a_file_of_the_past_alone_has_no_forecast(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no row of FR for 2026-07-07 12:00 UTC"):
        source(tmp_path, *hours(100, 200)).forecast("FR", NOON + 24 * HOUR, NOON + 48 * HOUR)


def test_a_single_row_holds_for_an_hour(tmp_path: Path) -> None:
    assert source(tmp_path, *hours(100)).history("FR", NOON, NOON + 5 * HOUR).readings[0].end == NOON + HOUR


@pytest.mark.parametrize(("day", "length"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)], ids=["spring", "autumn"])
def test_local_times_with_offsets_cross_the_change_of_clocks(
    tmp_path: Path, day: tuple[int, int, int], length: int
) -> None:
    """02:30 exists twice in autumn and never in spring; the offset tells which is meant."""
    midnight = datetime(*day, tzinfo=ZoneInfo("Europe/Paris")).astimezone(UTC)
    local = [(midnight + index * HOUR).astimezone(ZoneInfo("Europe/Paris")) for index in range(length)]
    rows = [f"{moment.isoformat()},{100 + index}" for index, moment in enumerate(local)]
    forecast = source(tmp_path, *rows).forecast("FR", midnight, midnight + length * HOUR)
    assert forecast.median_g_per_kwh == tuple(float(100 + index) for index in range(length) for _ in range(2))


def test_a_zone_column_lets_one_file_hold_several(tmp_path: Path) -> None:
    head = f"zone,note,{HEAD}"
    several = source(tmp_path, f"fr,x,{NOON.isoformat()},50", f"PL,y,{NOON.isoformat()},700", head=head)
    assert several.zones() == ["FR", "PL"]
    assert several.forecast("PL", NOON, NOON + HOUR).median_g_per_kwh == (700, 700)


def test_a_folder_has_a_zone_a_file_plain_before_packed(tmp_path: Path) -> None:
    source(tmp_path, *hours(100), name="FR.csv")
    (tmp_path / "FR.csv.gz").write_bytes(gzip.compress(b"never read"))
    (tmp_path / "de.csv.gz").write_bytes(gzip.compress("\n".join([HEAD, *hours(300)]).encode()))
    (tmp_path / "README.md").write_text("no data")
    folder = CsvSource(tmp_path)
    assert folder.zones() == ("DE", "FR")
    assert folder.forecast("DE", NOON, NOON + HOUR).median_g_per_kwh == (300, 300)
    assert folder.forecast("FR", NOON, NOON + HOUR).median_g_per_kwh == (100, 100)


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    changing = source(tmp_path, *hours(100))
    assert changing.forecast("FR", NOON, NOON + HOUR).median_g_per_kwh == (100, 100)
    source(tmp_path, *hours(222))
    os.utime(changing.path, ns=(1, 1))
    assert changing.forecast("FR", NOON, NOON + HOUR).median_g_per_kwh == (222, 222)
    status = changing.path.stat()
    changing.path.write_text("\n".join([HEAD, *hours(333)]) + "\n")
    os.utime(changing.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert changing.forecast("FR", NOON, NOON + HOUR).median_g_per_kwh == (222, 222)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("2026-07-06T12:00:00,100", "is no time with a zone"),
        ("06/07/2026 12:00,100", "is no time with a zone"),
        (",100", "is no time with a zone"),
        ("2026-07-06T12:00:00Z,", "is no carbon intensity"),
        ("2026-07-06T12:00:00Z", "is no carbon intensity"),
        ("2026-07-06T12:00:00Z,n/a", "is no carbon intensity"),
        ("2026-07-06T12:00:00Z,nan", "that a grid can have"),
        ("2026-07-06T12:00:00Z,inf", "that a grid can have"),
        ("2026-07-06T12:00:00Z,5001", "that a grid can have"),
        ("2026-07-06T12:00:00Z,-1001", "that a grid can have"),
    ],
)
def test_a_bad_row_is_refused_with_its_file_and_line(tmp_path: Path, row: str, what: str) -> None:
    bad = source(tmp_path, *hours(100, start=NOON - HOUR), row)
    with pytest.raises(SourceNonsense, match=what) as caught:
        bad.forecast("FR", NOON, NOON + HOUR)
    assert caught.value.where == f"{tmp_path / 'FR.csv'}:3"


def test_a_few_bad_rows_of_many_are_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = hours(*range(100, 124))
    rows[3] = "2026-07-06 at three,103"
    rows[7] = rows[7].replace("107", "n/a")
    few = source(tmp_path, *rows)
    series = few.history("FR", NOON, NOON + 24 * HOUR)
    assert [reading.intensity_g_per_kwh for reading in series.readings] == [
        value for value in range(100, 124) if value not in (103, 107)
    ]
    assert series.at(NOON + 3 * HOUR) is None
    assert "2 of 24 rows left out; the first: '2026-07-06 at three'" in caplog.text


def test_more_than_a_tenth_of_bad_rows_is_a_bad_file(tmp_path: Path) -> None:
    with pytest.raises(SourceNonsense) as caught:
        source(tmp_path, *hours(*range(17)), "x,1", "y,2").zones()
    assert caught.value.where == f"{tmp_path / 'FR.csv'}:19"
    assert "2026-01-05T18:00:00Z" in caught.value.hint


def test_negative_intensity_within_reason_is_kept(tmp_path: Path) -> None:
    assert source(tmp_path, *hours(-20)).forecast("FR", NOON, NOON + HOUR).median_g_per_kwh == (-20, -20)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceNonsense, match="carbon_intensity_gco2_per_kwh"):
        source(tmp_path, "2026-07-06T12:00:00Z,1", head="timestamp,intensity").zones()


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "FR.csv").write_text("")
    with pytest.raises(SourceNonsense, match="timestamp"):
        CsvSource(tmp_path).forecast("FR", NOON, NOON + HOUR)


def test_text_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "FR.csv").write_bytes(b"\xff\xfe\x00t")
    with pytest.raises(SourceNonsense, match="UTF-8"):
        CsvSource(tmp_path).forecast("FR", NOON, NOON + HOUR)


def test_a_mark_that_spreadsheets_put_first_is_no_part_of_the_column_name(tmp_path: Path) -> None:
    assert source(tmp_path, *hours(100), head="\ufeff" + HEAD).zones() == ["FR"]


def test_a_packed_bomb_is_not_unpacked_beyond_the_bound(tmp_path: Path) -> None:
    (tmp_path / "FR.csv.gz").write_bytes(gzip.compress(b"0" * 3 * 2**20))
    with pytest.raises(SourceNonsense, match="more than 1 MiB"):
        CsvSource(tmp_path, max_file_b=2**20).forecast("FR", NOON, NOON + HOUR)


@pytest.mark.parametrize("cut", [b"no gzip at all", gzip.compress(b"x" * 10_000)[:20]], ids=["not packed", "cut off"])
def test_a_damaged_archive_is_a_source_that_cannot_be_read(tmp_path: Path, cut: bytes) -> None:
    (tmp_path / "FR.csv.gz").write_bytes(cut)
    with pytest.raises(SourceUnreachable, match="cannot read"):
        CsvSource(tmp_path).forecast("FR", NOON, NOON + HOUR)


def test_a_missing_file_is_a_source_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="cannot read"):
        CsvSource(tmp_path / "absent").zones()


def test_an_unknown_zone_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        source(tmp_path, *hours(100)).forecast("DE", NOON, NOON + HOUR)
    assert caught.value.hint == "it has FR"
