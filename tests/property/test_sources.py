"""What holds for any file, any moment and any answer of a provider."""

import csv
import io
import math
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carbonq.domain.errors import NotFound, SourceNonsense, SourceUnreachable
from carbonq.domain.ports import IntensitySource
from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.forecasters.carbon.sources.carbon_aware_sdk import CarbonAwareSdkSource
from carbonq.forecasters.carbon.sources.csv_files import CsvSource
from carbonq.forecasters.carbon.sources.energy_charts import EnergyChartsSource
from carbonq.forecasters.carbon.sources.files import TIME_COLUMN, VALUE_COLUMN
from carbonq.forecasters.carbon.sources.replay import ReplaySource
from carbonq.forecasters.carbon.sources.rte import RteSource
from carbonq.forecasters.carbon.sources.typical import TypicalSource, profile_zones
from carbonq.forecasters.carbon.sources.uk import UkSource

SHARED_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
moments = st.datetimes(datetime(2001, 1, 1), datetime(2049, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # Hypothesis adds the zone
spans = st.timedeltas(timedelta(0), timedelta(days=6))
intensities = st.floats(-1000, 5000)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


class Says(JsonClient):
    """A client whose provider has already answered; a server's list of locations is empty."""

    def __init__(self, answer: object) -> None:
        super().__init__("http://provider.invalid")
        self._answer = answer

    def get(self, path: str, params: Any = None) -> object:
        return {} if path == "/locations" else self._answer


def write(path: Path, rows: list[tuple[datetime, float]]) -> CsvSource:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow([TIME_COLUMN, VALUE_COLUMN])
    table.writerows((moment.isoformat(), repr(value)) for moment, value in rows)
    (path / "FR.csv").write_text(text.getvalue())
    return CsvSource(path / "FR.csv")


@SHARED_FOLDER
@given(
    start=moments, values=st.lists(intensities, min_size=1, max_size=60), order=st.randoms(), shift=st.integers(-12, 14)
)
def test_a_file_reads_the_same_in_any_order_and_any_local_time(
    tmp_path: Path, start: datetime, values: list[float], order: Any, shift: int
) -> None:
    start = start.replace(minute=0, second=0, microsecond=0)
    local = timezone(timedelta(hours=shift))
    rows = [((start + timedelta(hours=hour)).astimezone(local), value) for hour, value in enumerate(values)]
    order.shuffle(rows)
    forecast = write(tmp_path, rows).forecast("FR", start, start + timedelta(days=30))
    assert forecast.median_g_per_kwh == pytest.approx([value for value in values for _ in range(2)], rel=1e-12)


@SHARED_FOLDER
@given(start=moments, gaps=st.lists(st.integers(1, 400), min_size=1, max_size=40), value=intensities)
def test_readings_of_a_ragged_file_never_overlap_and_none_outlasts_the_usual_step(
    tmp_path: Path, start: datetime, gaps: list[int], value: float
) -> None:
    minutes = [sum(gaps[:count]) for count in range(len(gaps) + 1)]
    source = write(tmp_path, [(start + timedelta(minutes=minute), value) for minute in minutes])
    series = source.history("FR", start, start + timedelta(minutes=minutes[-1] + 1))
    assert [reading.start for reading in series.readings] == [start + timedelta(minutes=minute) for minute in minutes]
    steps = {(reading.end - reading.start) // timedelta(minutes=1) for reading in series.readings}
    assert max(steps) in gaps
    assert gaps.count(max(steps)) == max(map(gaps.count, gaps))


@SHARED_FOLDER
@given(text=st.text(max_size=300))
def test_any_text_is_read_or_refused_but_never_surprises(tmp_path: Path, text: str) -> None:
    (tmp_path / "FR.csv").write_text(f"{TIME_COLUMN},{VALUE_COLUMN}\n{text}", encoding="utf-8", errors="replace")
    now = datetime(2026, 7, 6, tzinfo=UTC)
    with suppress(SourceNonsense, SourceUnreachable, NotFound):
        CsvSource(tmp_path / "FR.csv").history("FR", now, now + timedelta(days=1))


@given(answer=json_values | st.fixed_dictionaries({"data": json_values | st.lists(json_values, max_size=3)}))
def test_any_json_from_the_uk_api_is_nonsense_unless_it_is_the_documented(answer: object) -> None:
    now = datetime(2026, 7, 6, tzinfo=UTC)
    with pytest.raises(SourceNonsense):
        UkSource(Says(answer)).forecast("GB", now, now + timedelta(days=1))


PROVIDERS: list[tuple[Callable[[JsonClient], IntensitySource], str]] = [
    (UkSource, "GB"),
    (UkSource, "GB-WLS"),
    (EnergyChartsSource, "DE"),
    (RteSource, "FR"),
    (CarbonAwareSdkSource, "EASTUS"),
]
times = st.sampled_from(
    ["2026-07-06T00:00Z", "2026-07-06T01:00:00+00:00", "2026-07-06T00:00", "2026-07-06T23:00-14:00"]
)
entries = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("from", "to", "date_heure", "timestamp", "time"), times | json_values),
        **dict.fromkeys(("taux_co2", "duration", "value", "rating"), intensities | json_values),
        "intensity": st.fixed_dictionaries({"forecast": intensities | json_values, "actual": json_values})
        | json_values,
    },
)
lists = st.lists(entries | json_values, max_size=4)
answers = (
    json_values
    | lists
    | st.fixed_dictionaries({"data": lists | st.fixed_dictionaries({"regionid": st.just(17), "data": lists})})
    | st.lists(st.fixed_dictionaries({"forecastData": lists}), max_size=2)
    | st.lists(st.integers() | st.none() | st.floats(), max_size=4).flatmap(
        lambda column: st.fixed_dictionaries(
            dict.fromkeys(("unix_seconds", "co2eq", "co2eq_forecast"), st.permutations(column))
        )
    )
)


@given(provider=st.sampled_from(PROVIDERS), answer=answers)
def test_any_json_of_a_provider_is_read_or_refused_but_never_surprises(
    provider: tuple[Callable[[JsonClient], IntensitySource], str], answer: object
) -> None:
    make, zone = provider
    now = datetime(2026, 7, 6, tzinfo=UTC)
    with suppress(SourceNonsense, NotFound):
        make(Says(answer)).history(zone, now, now + timedelta(days=1))
    with suppress(SourceNonsense, NotFound):
        make(Says(answer)).forecast(zone, now, now + timedelta(days=1))


@given(zone=st.sampled_from(profile_zones()), now=moments, span=spans)
def test_a_typical_forecast_covers_any_span_with_finite_ordered_quantiles(
    zone: str, now: datetime, span: timedelta
) -> None:
    forecast = TypicalSource().forecast(zone, now, now + span)
    assert forecast.grid == SlotGrid.covering(now, now + span)
    for low, middle, high in zip(*(forecast.quantiles_g_per_kwh[name] for name in ("0.1", "0.5", "0.9")), strict=True):
        assert 0 < low <= middle <= high < math.inf


@given(zone=st.text(max_size=12), now=moments, span=spans)
def test_the_outlook_always_has_an_answer_that_covers_the_whole_span(zone: str, now: datetime, span: timedelta) -> None:
    forecast = Outlook([]).forecast(zone, now, now + span)
    assert forecast.zone == zone
    assert forecast.grid == SlotGrid.covering(now, now + span)


@given(now=moments, reach=st.integers(1, 96), value=st.floats(1, 2000))
def test_an_extended_forecast_covers_the_span_and_leaves_the_sources_part_untouched(
    now: datetime, reach: int, value: float
) -> None:
    start = SlotGrid.covering(now, now).start
    entries = [
        {
            "from": (start + timedelta(minutes=30 * slot)).isoformat(),
            "to": (start + timedelta(minutes=30 * (slot + 1))).isoformat(),
            "intensity": {"forecast": value, "actual": None},
        }
        for slot in range(reach)
    ]
    forecast = Outlook([UkSource(Says({"data": entries}))]).forecast("GB", now, now + timedelta(days=3))
    own = min(reach, forecast.grid.slots)
    assert forecast.grid == SlotGrid.covering(now, now + timedelta(days=3))
    assert forecast.median_g_per_kwh[:own] == pytest.approx((value,) * own)
    assert forecast.extended_from == start + timedelta(minutes=30 * reach)


@given(now=moments, seed=st.integers(), cut=st.integers(1, 47))
def test_a_replayed_day_is_the_same_however_it_is_cut(now: datetime, seed: int, cut: int) -> None:
    source = ReplaySource(TypicalSource(), seed=seed)
    start = SlotGrid.covering(now, now).start
    middle, end = start + timedelta(minutes=30 * cut), start + timedelta(days=1)
    parts = source.history("DE", start, middle).readings + source.history("DE", middle, end).readings
    assert parts == source.history("DE", start, end).readings
