"""The record of forecasts: what it keeps, how long, and what comes back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from carbonq.domain.carbon import Forecast, Origin, SignalKind
from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.models.series import MEDIAN, QUANTILES
from carbonq.forecasters.carbon.record import KEEP, Record

pytest.importorskip("pyarrow")

NOON = datetime(2026, 7, 6, 12, 10, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def forecast(
    issued_at: datetime,
    *,
    zone: str = "GB",
    slots: int = 48,
    level: float = 100,
    quantiles: tuple[float, ...] = QUANTILES,
    signal: SignalKind = SignalKind.AVERAGE,
) -> Forecast:
    grid = SlotGrid.covering(issued_at, issued_at).model_copy(update={"slots": slots})
    return Forecast(
        zone=zone,
        source="uk",
        model="carbonq",
        signal=signal,
        origin=Origin.FORECAST,
        issued_at=issued_at,
        fetched_at=issued_at,
        grid=grid,
        quantiles_g_per_kwh={
            str(quantile): tuple(level + slot + 10 * quantile for slot in range(slots)) for quantile in quantiles
        },
    )


def issue_times(record: Record, zone: str = "GB") -> list[datetime]:
    return [issued.issued_at for issued in record.issued(zone, NOON - 999 * DAY, NOON + 999 * DAY)]


def test_a_forecast_comes_back_as_arrays(tmp_path: Path) -> None:
    record = Record(tmp_path)
    assert record.keep(forecast(NOON))
    (issued,) = record.issued("GB", NOON, NOON + HOUR)
    assert (issued.source, issued.model, issued.issued_at) == ("uk", "carbonq", NOON)
    assert (issued.start, issued.step_s) == (NOON.replace(minute=0), 1800)
    assert issued.quantiles.shape == (len(QUANTILES), 48)
    np.testing.assert_allclose(issued.quantiles[MEDIAN], 105 + np.arange(48))
    np.testing.assert_allclose(issued.quantiles[0], 100.5 + np.arange(48))


def test_quantiles_that_a_source_does_not_give_are_unknown(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.keep(forecast(NOON, quantiles=(0.5,)))
    (issued,) = record.issued("GB", NOON, NOON + HOUR)
    known = [np.isfinite(values).all() for values in issued.quantiles]
    assert known == [quantile == 0.5 for quantile in QUANTILES]


def test_of_six_hours_the_first_forecast_is_kept(tmp_path: Path) -> None:
    record = Record(tmp_path)
    times = [NOON + step * timedelta(minutes=15) for step in range(4 * 24)]
    kept = [moment for moment in times if record.keep(forecast(moment))]
    assert kept == [NOON + hours * HOUR for hours in (0, 6, 12, 18)]
    assert issue_times(record) == kept


def test_another_process_knows_what_is_kept(tmp_path: Path) -> None:
    Record(tmp_path).keep(forecast(NOON))
    assert not Record(tmp_path).keep(forecast(NOON + HOUR))
    assert Record(tmp_path).keep(forecast(NOON + 6 * HOUR))


def test_zones_and_signals_are_thinned_by_themselves(tmp_path: Path) -> None:
    record = Record(tmp_path)
    assert record.keep(forecast(NOON))
    assert record.keep(forecast(NOON, zone="../FR"))
    assert record.keep(forecast(NOON, signal=SignalKind.MARGINAL, level=900))
    assert issue_times(record, "../FR") == [NOON]
    (marginal,) = record.issued("GB", NOON, NOON + HOUR, signal=SignalKind.MARGINAL)
    assert marginal.quantiles[MEDIAN, 0] == 905
    assert list(tmp_path.iterdir()) == [tmp_path / "forecasts"]


def test_four_days_of_a_long_forecast_are_kept(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.keep(forecast(NOON, slots=7 * 48))
    assert record.issued("GB", NOON, NOON + HOUR)[0].quantiles.shape[1] == 4 * 48


def test_an_empty_forecast_is_none(tmp_path: Path) -> None:
    assert not Record(tmp_path).keep(forecast(NOON, slots=0))
    assert Record(tmp_path).issued("GB", NOON - DAY, NOON + DAY) == ()


def test_it_is_bounded_by_whole_months(tmp_path: Path) -> None:
    record = Record(tmp_path)
    days = 200
    for day in range(days):
        record.keep(forecast(NOON + day * DAY, slots=12))
        record.compact(NOON + day * DAY)
    kept = issue_times(record)
    last = NOON + (days - 1) * DAY
    assert kept[-1] == last
    assert KEEP <= last - kept[0] <= KEEP + 31 * DAY
    assert kept == [kept[0] + day * DAY for day in range(len(kept))]
