"""The archive of readings: what it keeps, what it tells apart, and what it refuses."""

import logging
import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from carbonq.domain.carbon import CarbonIntensity, IntensitySeries, Origin, Scope, SignalKind
from carbonq.domain.errors import StorageFailed
from carbonq.forecasters.carbon.archive import Added, Archive, Compacted, SeriesKey, Span

pq = pytest.importorskip("pyarrow.parquet")

NOON = datetime(2026, 7, 6, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GB = SeriesKey("uk", "GB")


def hourly(
    *values: float,
    start: datetime = NOON,
    step: timedelta = HOUR,
    origin: Origin = Origin.MEASURED,
    key: SeriesKey = GB,
) -> IntensitySeries:
    readings = (
        CarbonIntensity(
            start=start + index * step, end=start + (index + 1) * step, intensity_g_per_kwh=value, origin=origin
        )
        for index, value in enumerate(values)
    )
    return IntensitySeries(**key._asdict(), readings=tuple(readings))


def values(series: IntensitySeries) -> list[float]:
    return [reading.intensity_g_per_kwh for reading in series.readings]


def test_readings_come_back_as_they_were(tmp_path: Path) -> None:
    archive, series = Archive(tmp_path), hourly(100, 200.25, -3)
    assert archive.add(series, NOON + DAY) == Added(new=3)
    assert archive.series(GB, NOON, NOON + 3 * HOUR) == series


def test_only_readings_that_overlap_the_span_are_given_uncut(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(hourly(1, 2, 3, 4), NOON + DAY)
    assert values(archive.series(GB, NOON + 1.5 * HOUR, NOON + 3 * HOUR)) == [2, 3]


def test_the_same_again_is_not_kept_again(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(hourly(1, 2), NOON + DAY)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert archive.add(hourly(1, 2), NOON + 2 * DAY) == Added()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == stamps


def test_a_revision_counts_and_the_former_value_stays_readable(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(hourly(1, 2, 3), NOON + DAY)
    assert archive.add(hourly(1, 22, 3, 4), NOON + 2 * DAY) == Added(new=1, revised=1)
    archive.add(hourly(222, start=NOON + HOUR), NOON + 3 * DAY)
    assert values(archive.series(GB, NOON, NOON + DAY)) == [1, 222, 3, 4]
    told = [
        (revision.before.intensity_g_per_kwh, revision.after.intensity_g_per_kwh, revision.seen_at)
        for revision in archive.revisions(GB, NOON, NOON + DAY)
    ]
    assert told == [(2, 22, NOON + 2 * DAY), (22, 222, NOON + 3 * DAY)]


def test_an_estimate_that_is_confirmed_is_a_revision(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(hourly(5, origin=Origin.ESTIMATED), NOON + DAY)
    assert archive.add(hourly(5), NOON + 2 * DAY) == Added(revised=1)
    assert archive.series(GB, NOON, NOON + HOUR).readings[0].origin is Origin.MEASURED


def test_a_revision_counts_although_the_clock_was_set_back(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(hourly(1), NOON + 30 * DAY)
    archive.add(hourly(2), NOON + DAY)
    assert values(archive.series(GB, NOON, NOON + HOUR)) == [2]


def test_sources_zones_signals_and_scopes_are_kept_apart(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    keys = [
        GB,
        GB._replace(source="other"),
        GB._replace(zone="FR"),
        GB._replace(signal=SignalKind.MARGINAL),
        GB._replace(scope=Scope.DIRECT),
    ]
    for number, key in enumerate(keys):
        archive.add(hourly(number, key=key), NOON + DAY)
    assert sorted(keys) == list(archive.keys())
    assert [values(archive.series(key, NOON, NOON + HOUR)) for key in keys] == [[0], [1], [2], [3], [4]]


@pytest.mark.parametrize(
    "name",
    ["../../escape", "..", ".", "", "a/b\\c", "csv:/data/x", "nul\0", "Zürich", "\ud800", "x" * 5000, "CON", "a=b%2F"],
)
def test_any_name_from_outside_stays_within_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep" / "down"
    archive = Archive(folder)
    keys = {SeriesKey(name, "GB"), SeriesKey("uk", name)}
    if name.isprintable() or "\0" in name:
        for key in keys:
            archive.add(hourly(7, key=key), NOON + DAY)
        assert set(archive.keys()) == keys
        assert all(values(archive.series(key, NOON, NOON + HOUR)) == [7] for key in keys)
    else:
        assert archive.series(SeriesKey(name, name), NOON, NOON + HOUR).readings == ()
    assert all(folder in path.parents for path in tmp_path.rglob("*") if path.is_file())


def test_long_names_that_begin_alike_are_kept_apart(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for end in "ab":
        archive.add(hourly(ord(end), key=SeriesKey("x" * 200 + end, "GB")), NOON + DAY)
    assert values(archive.series(SeriesKey("x" * 200 + "a", "GB"), NOON, NOON + HOUR)) == [ord("a")]


def test_what_was_not_observed_is_refused_and_counted(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    assert archive.add(hourly(1, 2, 3), NOON) == Added(new=2, refused=1)  # the third begins two hours after now
    assert archive.add(hourly(1, origin=Origin.MODELLED, start=NOON - DAY), NOON) == Added(refused=1)
    assert archive.add(hourly(1, origin=Origin.FORECAST, start=NOON - DAY), NOON) == Added(refused=1)
    assert archive.add(hourly(1, start=NOON - 9 * DAY, step=2 * DAY), NOON) == Added(refused=1)
    assert archive.add(hourly(), NOON) == Added()


def test_a_source_that_turns_to_finer_or_coarser_steps_makes_no_overlaps(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(hourly(10, 20, 30), NOON + DAY)
    archive.add(hourly(1, 2, step=HOUR / 2, start=NOON + HOUR), NOON + 2 * DAY)
    finer = archive.series(GB, NOON, NOON + 3 * HOUR)
    assert values(finer) == [10, 1, 2, 30]
    archive.add(hourly(99, start=NOON + HOUR), NOON + 3 * DAY)
    assert values(archive.series(GB, NOON, NOON + 3 * HOUR)) == [10, 99, 30]
    archive.add(hourly(5, step=HOUR / 2, start=NOON + 2.25 * HOUR), NOON + 4 * DAY)
    cut = archive.series(GB, NOON + 2 * HOUR, NOON + 3 * HOUR)
    assert [(reading.end - reading.start, reading.intensity_g_per_kwh) for reading in cut.readings] == [
        (HOUR / 4, 30),
        (HOUR / 2, 5),
    ]


def test_a_large_addition_goes_to_the_years_and_is_whole(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    start = datetime(2024, 12, 1, tzinfo=UTC)
    many = hourly(*range(3000), start=start)
    assert archive.add(many, NOON) == Added(new=3000)
    assert sorted(path.name for path in tmp_path.rglob("*.parquet")) == ["2024.parquet", "2025.parquet"]
    assert archive.series(GB, start, NOON) == many


def test_compaction_changes_no_reading_and_empties_the_tail(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for day in range(5):
        archive.add(hourly(*range(day, day + 30), start=NOON + day * DAY), NOON + (day + 3) * DAY)
    before = archive.series(GB, NOON, NOON + 9 * DAY), archive.revisions(GB, NOON, NOON + 9 * DAY)
    assert len(before[1]) == 4 * 6
    assert archive.compact() == Compacted(series=1, rows=150)
    assert [path.name for path in tmp_path.rglob("*.parquet")] == ["2026.parquet"]
    assert (archive.series(GB, NOON, NOON + 9 * DAY), archive.revisions(GB, NOON, NOON + 9 * DAY)) == before
    assert archive.compact() == Compacted(series=1, rows=0)


def test_coverage_joins_what_adjoins_and_shows_gaps(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    assert archive.coverage(GB) == ()
    archive.add(hourly(1, 2), NOON + DAY)
    archive.add(hourly(3), NOON + DAY)
    archive.add(hourly(4, 5, start=NOON + 5 * HOUR), NOON + DAY)
    assert archive.coverage(GB) == (Span(NOON, NOON + 2 * HOUR), Span(NOON + 5 * HOUR, NOON + 7 * HOUR))
    assert archive.coverage(GB, since=NOON + 6 * HOUR) == (Span(NOON + 6 * HOUR, NOON + 7 * HOUR),)


def test_a_regular_grid_holds_coarser_readings_and_leaves_gaps(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(hourly(10, 20), NOON + DAY)
    archive.add(hourly(40, start=NOON + 3 * HOUR), NOON + DAY)
    readings = archive.readings(GB, 1800, NOON - HOUR / 2, NOON + 4 * HOUR)
    assert (readings.start, readings.step_s) == (NOON - HOUR / 2, 1800)
    np.testing.assert_array_equal(readings.values, [math.nan, 10, 10, 20, 20, math.nan, math.nan, 40, 40])


def test_a_regular_grid_averages_finer_readings_even_if_a_few_are_missing(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    step = timedelta(minutes=5)
    archive.add(hourly(*range(12), step=step), NOON + DAY)
    archive.add(hourly(1, 2, 3, step=step, start=NOON + HOUR), NOON + DAY)
    archive.add(hourly(7, 7, step=step, start=NOON + 1.5 * HOUR), NOON + DAY)
    readings = archive.readings(GB, 1800, NOON, NOON + 2 * HOUR)
    np.testing.assert_allclose(readings.values, [2.5, 8.5, 2, math.nan])


def test_a_grid_says_the_same_as_the_series_it_is_made_of(tmp_path: Path) -> None:
    """Quarter hours, off the clock by seven minutes, on a grid of half hours."""
    archive, rng = Archive(tmp_path), np.random.default_rng(1)
    start = NOON + timedelta(minutes=7)
    series = hourly(*rng.uniform(0, 500, 96), start=start, step=HOUR / 4)
    archive.add(series, NOON + 2 * DAY)
    readings = archive.readings(GB, 1800, NOON + HOUR, NOON + 20 * HOUR)
    expected = [series.mean(first, last) for first, last in pairwise(readings.at(index) for index in range(39))]
    np.testing.assert_allclose(readings.values, np.array(expected, float), rtol=1e-12)


def test_a_series_that_can_not_be_compacted_does_not_keep_the_others_from_it(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for zone in ("FR", "GB", "PL"):
        archive.add(hourly(1, key=GB._replace(zone=zone)), NOON + DAY)
    (tmp_path / "readings/source=uk/zone=GB/signal=average/scope=lifecycle/2026.parquet").mkdir()
    with pytest.raises(StorageFailed, match=r"cannot read 2026.parquet"):
        archive.compact()
    assert [path.parts[-4] for path in tmp_path.rglob("tail.parquet")] == ["zone=GB"]
    with pytest.raises(StorageFailed):
        archive.series(GB, NOON, NOON + HOUR)


def test_an_unknown_series_has_nothing(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "absent")
    assert (archive.keys(), archive.coverage(GB), archive.compact()) == ((), (), Compacted(0, 0))
    assert archive.series(GB, NOON, NOON + DAY).readings == ()
    assert np.isnan(archive.readings(GB, 3600, NOON, NOON + DAY).values).tolist() == [True] * 24
    assert not (tmp_path / "absent" / "readings" / "source=uk").exists()


@pytest.mark.parametrize("spoil", ["cut", "noise", "empty", "other table", "other zone", "not finite", "unknown word"])
@pytest.mark.parametrize("which", ["tail", "year"])
def test_a_damaged_or_foreign_file_is_set_aside_with_a_warning_and_the_rest_stays(
    tmp_path: Path, spoil: str, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    import pyarrow as pa

    archive = Archive(tmp_path)
    archive.add(hourly(1), NOON + DAY)
    archive.compact()
    archive.add(hourly(2, start=NOON + HOUR), NOON + DAY)
    bad = next(tmp_path.rglob("tail.parquet" if which == "tail" else "2026.parquet"))
    table = pq.read_table(bad)
    match spoil:
        case "cut":
            bad.write_bytes(bad.read_bytes()[:-30])
        case "noise":
            bad.write_bytes(b"PAR1" + bytes(range(256)) * 8 + b"PAR1")
        case "empty":
            bad.write_bytes(b"")
        case "other table":
            pq.write_table(pa.table({"x": [1]}), bad)
        case "other zone":
            pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"zone": b"FR"}), bad)
        case "not finite":
            pq.write_table(table.set_column(3, "intensity_g_per_kwh", pa.array([math.nan])), bad)
        case _:
            pq.write_table(table.set_column(4, "origin", pa.array(["guessed"])), bad)
    kept = [1.0] if which == "tail" else [2.0]
    with caplog.at_level(logging.WARNING, "carbonq.carbon"):
        assert values(archive.series(GB, NOON, NOON + DAY)) == kept
    assert f"{bad} is passed over" in caplog.text
    assert archive.compact().series == 1
    assert f"{bad} is set aside as {bad.name}.damaged" in caplog.text
    assert bad.with_name(f"{bad.name}.damaged").exists()
    caplog.clear()
    archive.add(hourly(1, 2), NOON + DAY)
    assert values(archive.series(GB, NOON, NOON + DAY)) == [1, 2]
    assert caplog.text == ""


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(hourly(1), NOON + DAY)
    folder = next(tmp_path.rglob("tail.parquet")).parent
    strange = [folder / name for name in ("2026-13.parquet", "20260.parquet", "copy of 2026.parquet", "notes.txt")]
    for path in strange:
        path.write_bytes(b"mine")
    (tmp_path / "readings" / "source=uk" / "zone=FR" / "signal=spot" / "scope=all").mkdir(parents=True)
    archive.compact()
    assert (archive.keys(), values(archive.series(GB, NOON, NOON + DAY))) == ((GB,), [1])
    assert [path.read_bytes() for path in strange] == [b"mine"] * 4


def test_other_tools_read_the_folder_as_one_data_set(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(hourly(1, 2), NOON + DAY)
    archive.add(hourly(3, key=GB._replace(zone="FR")), NOON + DAY)
    table = pq.read_table(tmp_path / "readings", partitioning="hive")
    rows = table.select(["zone", "intensity_g_per_kwh", "origin"]).to_pylist()
    assert sorted(tuple(row.values()) for row in rows) == [
        ("FR", 3, "measured"),
        ("GB", 1, "measured"),
        ("GB", 2, "measured"),
    ]
