"""Every source of carbon intensity passes this one suite."""

import gzip
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import pytest

from carbonq.domain.carbon import Origin, Scope
from carbonq.domain.errors import NotFound
from carbonq.domain.ports import IntensitySource
from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.forecasters.carbon.sources.carbon_aware_sdk import CarbonAwareSdkSource
from carbonq.forecasters.carbon.sources.csv_files import CsvSource
from carbonq.forecasters.carbon.sources.eia import EiaSource, eia_client
from carbonq.forecasters.carbon.sources.electricity_maps import ElectricityMapsSource, electricity_maps_client
from carbonq.forecasters.carbon.sources.energy_charts import EnergyChartsSource
from carbonq.forecasters.carbon.sources.energy_charts_mix import EnergyChartsMixSource
from carbonq.forecasters.carbon.sources.entsoe import EntsoeSource, entsoe_client
from carbonq.forecasters.carbon.sources.parquet_files import ParquetSource
from carbonq.forecasters.carbon.sources.replay import ReplaySource
from carbonq.forecasters.carbon.sources.rte import RteSource
from carbonq.forecasters.carbon.sources.typical import TypicalSource
from carbonq.forecasters.carbon.sources.uk import UkSource
from carbonq.forecasters.carbon.sources.watttime import WattTimeSource, watttime_client
from carbonq.forecasters.carbon.sources.world import WorldAverage
from carbonq.forecasters.carbon.testing.carbon_aware_sdk import CarbonAwareSdkServer
from carbonq.forecasters.carbon.testing.eia import EiaServer
from carbonq.forecasters.carbon.testing.electricity_maps import ElectricityMapsServer
from carbonq.forecasters.carbon.testing.energy_charts import EnergyChartsServer
from carbonq.forecasters.carbon.testing.entsoe import EntsoeServer
from carbonq.forecasters.carbon.testing.rte import RteServer
from carbonq.forecasters.carbon.testing.uk import UkServer
from carbonq.forecasters.carbon.testing.watttime import WattTimeServer

NOW = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)
DAY = timedelta(days=1)


class Case(NamedTuple):
    """A source, a zone it knows, and what is true of it."""

    source: IntensitySource
    zone: str
    past: Origin
    knows_every_zone: bool = False


def _csv(folder: Path, *, packed: bool) -> CsvSource:
    """Hourly rows from a day before NOW to two days after it, in local time as meters write them."""
    rows = ["timestamp,carbon_intensity_gco2_per_kwh,coal_mw"]
    start = NOW.replace(hour=0, minute=0) - DAY
    for hour in range(4 * 24):
        moment = (start + timedelta(hours=hour)).astimezone(timezone(timedelta(hours=2)))
        rows.append(f"{moment.isoformat()},{200 + 50 * math.cos(hour / 24 * math.tau):.3f},12")
    text = "\n".join(rows).encode()
    if packed:
        (folder / "FR.csv.gz").write_bytes(gzip.compress(text))
        return CsvSource(folder)
    (folder / "FR.csv").write_bytes(text)
    return CsvSource(folder / "FR.csv")


def _parquet(folder: Path) -> ParquetSource:
    """The rows of `_csv` in a table."""
    pq = pytest.importorskip("pyarrow.parquet")
    import pyarrow.csv

    _csv(folder, packed=False)
    pq.write_table(pyarrow.csv.read_csv(folder / "FR.csv"), folder / "FR.parquet")
    return ParquetSource(folder)


def _uk(stack: ExitStack) -> UkSource:
    server = stack.enter_context(UkServer(NOW))
    return UkSource(JsonClient(server.url))


def _energy_charts(stack: ExitStack) -> EnergyChartsSource:
    """In the evening, when the next day is known."""
    server = stack.enter_context(EnergyChartsServer(NOW, until=NOW.replace(hour=22, minute=0) + DAY))
    return EnergyChartsSource(JsonClient(server.url))


def _energy_charts_mix(stack: ExitStack) -> EnergyChartsMixSource:
    server = stack.enter_context(EnergyChartsServer(NOW, until=NOW))
    return EnergyChartsMixSource(JsonClient(server.url))


def _rte(stack: ExitStack) -> RteSource:
    server = stack.enter_context(RteServer(NOW))
    return RteSource(JsonClient(server.url))


def _carbon_aware_sdk(stack: ExitStack) -> CarbonAwareSdkSource:
    server = stack.enter_context(CarbonAwareSdkServer(NOW))
    return CarbonAwareSdkSource(JsonClient(server.url))


def _electricity_maps(stack: ExitStack, scope: Scope) -> ElectricityMapsSource:
    server = stack.enter_context(ElectricityMapsServer(NOW))
    return ElectricityMapsSource(electricity_maps_client(f"{server.url}/v4", "a-good-key"), scope=scope)


def _watttime(stack: ExitStack) -> WattTimeSource:
    server = stack.enter_context(WattTimeServer(NOW))
    return WattTimeSource(watttime_client(server.url, "a-user", "a-password"))


def _entsoe(stack: ExitStack) -> EntsoeSource:
    pytest.importorskip("entsoe", reason="needs entsoe-py: pip install carbonq[entsoe]")
    server = stack.enter_context(EntsoeServer(NOW))
    return EntsoeSource(entsoe_client(server.url, "a-good-token"))


def _eia(stack: ExitStack) -> EiaSource:
    server = stack.enter_context(EiaServer(NOW))
    return EiaSource(eia_client(f"{server.url}/v2", "a-good-key"))


MAKERS: dict[str, Callable[[Path, ExitStack], Case]] = {
    "csv file": lambda folder, _: Case(_csv(folder, packed=False), "FR", Origin.MEASURED),
    "csv folder": lambda folder, _: Case(_csv(folder, packed=True), "FR", Origin.MEASURED),
    "parquet folder": lambda folder, _: Case(_parquet(folder), "FR", Origin.MEASURED),
    "uk": lambda _, stack: Case(_uk(stack), "GB", Origin.MEASURED),
    "uk, a region": lambda _, stack: Case(_uk(stack), "GB-LONDON", Origin.ESTIMATED),
    "energy-charts": lambda _, stack: Case(_energy_charts(stack), "DE", Origin.MEASURED),
    "energy-charts:direct": lambda _, stack: Case(_energy_charts_mix(stack), "DE", Origin.MEASURED),
    "rte": lambda _, stack: Case(_rte(stack), "FR", Origin.MEASURED),
    "carbon-aware-sdk": lambda _, stack: Case(_carbon_aware_sdk(stack), "EASTUS", Origin.MEASURED),
    "electricity-maps": lambda _, stack: Case(_electricity_maps(stack, Scope.LIFECYCLE), "DE", Origin.MEASURED),
    "electricity-maps direct": lambda _, stack: Case(_electricity_maps(stack, Scope.DIRECT), "DE", Origin.MEASURED),
    "watttime": lambda _, stack: Case(_watttime(stack), "CAISO_NORTH", Origin.MEASURED),
    "entsoe": lambda _, stack: Case(_entsoe(stack), "DE", Origin.MEASURED),
    "eia": lambda _, stack: Case(_eia(stack), "US-CAL-CISO", Origin.MEASURED),
    "typical": lambda *_: Case(TypicalSource(), "CISO", Origin.MODELLED),
    "typical, other name": lambda *_: Case(TypicalSource(), "US-CAL-CISO", Origin.MODELLED),
    "world": lambda *_: Case(WorldAverage(), "XX", Origin.MODELLED, knows_every_zone=True),
    "replay typical": lambda *_: Case(ReplaySource(TypicalSource()), "DE", Origin.REPLAYED),
    "replay csv": lambda folder, _: Case(ReplaySource(_csv(folder, packed=False)), "FR", Origin.REPLAYED),
    "outlook of uk": lambda _, stack: Case(Outlook([_uk(stack)]), "GB", Origin.MEASURED, knows_every_zone=True),
    "outlook of nothing": lambda *_: Case(Outlook([]), "PL", Origin.MODELLED, knows_every_zone=True),
}


WITHOUT_FORECAST = {"energy-charts:direct", "rte", "eia", "entsoe"}
"""Makers of sources that publish the past alone."""


@pytest.fixture(params=MAKERS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with ExitStack() as stack:
        yield MAKERS[request.param](tmp_path, stack)


@pytest.fixture(params=[name for name in MAKERS if name not in WITHOUT_FORECAST])
def forecasting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with ExitStack() as stack:
        yield MAKERS[request.param](tmp_path, stack)


@pytest.fixture(params=sorted(WITHOUT_FORECAST))
def looking_back(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with ExitStack() as stack:
        yield MAKERS[request.param](tmp_path, stack)


def test_a_source_says_whether_it_forecasts(forecasting: Case) -> None:
    assert forecasting.source.info.forecasts
    assert forecasting.source.info.name.partition(":")[0] == forecasting.source.name.partition(":")[0]


def test_a_source_without_forecast_says_so_and_is_passed_over(looking_back: Case) -> None:
    assert not looking_back.source.info.forecasts
    with pytest.raises(NotFound, match="no forecast"):
        looking_back.source.forecast(looking_back.zone, NOW, NOW + DAY)


def test_a_forecast_covers_the_day_asked_for_from_the_slot_that_holds_now(forecasting: Case) -> None:
    forecast = forecasting.source.forecast(forecasting.zone, NOW, NOW + DAY)
    assert forecast.grid == SlotGrid.covering(NOW, NOW + DAY)
    assert (forecast.zone, forecast.issued_at, forecast.fetched_at) == (forecasting.zone, NOW, NOW)


def test_a_forecast_names_where_it_comes_from(forecasting: Case) -> None:
    forecast = forecasting.source.forecast(forecasting.zone, NOW, NOW + DAY)
    assert forecast.model
    assert forecast.attribution
    assert forecasting.source.name == forecast.source or isinstance(forecasting.source, Outlook)


def test_quantiles_are_finite_and_in_order(forecasting: Case) -> None:
    quantiles = forecasting.source.forecast(forecasting.zone, NOW, NOW + DAY).quantiles_g_per_kwh
    bands = [quantiles[name] for name in sorted(quantiles, key=float)]
    for slot in zip(*bands, strict=True):
        assert all(map(math.isfinite, slot))
        assert sorted(slot) == list(slot)


def test_the_same_question_gets_the_same_answer(forecasting: Case) -> None:
    first = forecasting.source.forecast(forecasting.zone, NOW, NOW + DAY)
    assert forecasting.source.forecast(forecasting.zone, NOW, NOW + DAY) == first


def test_a_moment_is_the_same_in_any_zone_of_the_earth(forecasting: Case) -> None:
    tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
    assert forecasting.source.forecast(forecasting.zone, tokyo, tokyo + DAY) == forecasting.source.forecast(
        forecasting.zone, NOW, NOW + DAY
    )


def test_asked_three_hours_later_the_slots_of_the_future_read_the_same(forecasting: Case) -> None:
    early = forecasting.source.forecast(forecasting.zone, NOW, NOW + DAY)
    late = forecasting.source.forecast(forecasting.zone, NOW + timedelta(hours=3), NOW + DAY)
    assert late.median_g_per_kwh == early.median_g_per_kwh[6:]


def test_no_time_ahead_is_no_slots_or_the_present_one(forecasting: Case) -> None:
    on_the_hour = NOW.replace(minute=0)
    assert forecasting.source.forecast(forecasting.zone, on_the_hour, on_the_hour).grid.slots <= 1


def test_the_past_has_its_readings_and_their_origin(case: Case) -> None:
    start, end = NOW - timedelta(hours=8), NOW - timedelta(hours=2)
    series = case.source.history(case.zone, start, end)
    assert series.zone == case.zone
    assert {reading.origin for reading in series.readings} == {case.past}
    assert series.mean(start, end) is not None


def test_readings_outside_the_time_asked_for_are_left_out(case: Case) -> None:
    start, end = NOW - timedelta(hours=8), NOW - timedelta(hours=2)
    for reading in case.source.history(case.zone, start, end).readings:
        assert reading.end > start
        assert reading.start < end


def test_portions_of_the_past_add_up_to_the_whole(case: Case) -> None:
    start, middle, end = (NOW.replace(minute=0) - timedelta(hours=hours) for hours in (8, 5, 2))
    parts = [case.source.history(case.zone, *span).mean(*span) for span in ((start, middle), (middle, end))]
    whole = case.source.history(case.zone, start, end).mean(start, end)
    assert parts[0] is not None
    assert parts[1] is not None
    assert whole == pytest.approx((parts[0] + parts[1]) / 2, rel=1e-12)


def test_no_time_has_no_past(case: Case) -> None:
    assert case.source.history(case.zone, NOW, NOW).readings == ()


def test_an_unknown_zone_is_not_found(case: Case) -> None:
    if case.knows_every_zone:
        assert case.source.forecast("NOWHERE", NOW, NOW + DAY).zone == "NOWHERE"
        return
    with pytest.raises(NotFound):
        case.source.forecast("NOWHERE", NOW, NOW + DAY)
    with pytest.raises(NotFound):
        case.source.history("NOWHERE", NOW - DAY, NOW)


def test_every_zone_that_a_source_lists_it_also_answers_for(case: Case) -> None:
    for zone in case.source.zones():
        if case.source.info.forecasts:
            assert case.source.forecast(zone, NOW, NOW + timedelta(hours=1)).zone == zone
        assert case.source.history(zone, NOW - DAY, NOW).zone == zone
