"""The foresight with the real model beside a provider that fails: a forecast always comes, and says what it rests on."""

import logging
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from carbonq.domain.carbon import Forecast, Origin
from carbonq.forecasters.carbon.models.zone_model import ZoneModel
from carbonq.forecasters.carbon.testing.uk import error
from tests.integration import test_foresight
from tests.integration.test_foresight import DAY, HOUR, ZONE, MoodyServer, Rig, daily

NOW = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)


class ModelRig(Rig):
    """That can wait."""

    def rounds(self, span: timedelta, every: timedelta = 12 * HOUR) -> Forecast:
        forecast = self.round()
        until = self.now + span
        while self.now < until:
            self.pass_time(every)
            forecast = self.round()
        return forecast

    def error_g(self, forecast: Forecast) -> float:
        """The mean error of the next two days, if the grid goes on as ever."""
        return sum(abs((forecast.at(self.now + h * HOUR) or 0) - daily(self.now + h * HOUR)) for h in range(48)) / 48


@pytest.fixture
def rig(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelRig]:
    """With the model of the service, and whose source has five weeks of readings, so that a fit takes a tenth of a second."""
    monkeypatch.setattr(test_foresight, "make_model", ZoneModel)
    caplog.set_level(logging.INFO, "carbonq.carbon")
    with MoodyServer(NOW) as server:
        server.since = NOW - 36 * DAY
        yield ModelRig(server, tmp_path)


def no_model_failed(caplog: pytest.LogCaptureFixture) -> bool:
    return not [one.message for one in caplog.records if "model of" in one.message or "by_model" in one.message]


def test_from_the_first_round_on_the_model_forecasts_and_says_on_what(
    rig: ModelRig, caplog: pytest.LogCaptureFixture
) -> None:
    forecast = rig.round()
    assert (forecast.model, forecast.origin, forecast.notes) == (
        "carbonq on 36 days of readings and the source's own forecast",
        Origin.FORECAST,
        (),
    )
    assert rig.error_g(forecast) < 3
    assert no_model_failed(caplog)


def test_three_days_without_any_source_end_in_the_model_on_old_readings(
    rig: ModelRig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.rounds(DAY)
    last = rig.now
    rig.server.faults.extend([error(503, "down")] * 500)
    after = []
    for _ in range(6):
        rig.pass_time(12 * HOUR)
        after.append(rig.round())
    assert [one.origin for one in after] == [Origin.FORECAST] * 6
    assert after[-1].model.startswith("carbonq on 3")
    assert after[-1].readings_until is not None
    assert abs(after[-1].readings_until - last) <= timedelta(minutes=30)
    assert after[-1].notes[0].startswith("uk has given no reading since")
    assert rig.error_g(after[-1]) < 8

    rig.server.faults.clear()
    rig.pass_time(12 * HOUR)
    healed = rig.round()
    assert healed.notes == ()
    assert rig.error_g(healed) < 5
    assert no_model_failed(caplog)


def test_an_hour_at_ten_times_the_value_is_left_out_and_named(rig: ModelRig, caplog: pytest.LogCaptureFixture) -> None:
    rig.server.spoil(NOW - 5 * HOUR, NOW - 4 * HOUR, factor=10)
    forecast = rig.round()
    assert rig.error_g(forecast) < 5
    assert "2 readings of the last week look wrong and were left out" in forecast.notes
    assert no_model_failed(caplog)


def test_a_day_at_one_value_moves_the_forecast_little(rig: ModelRig, caplog: pytest.LogCaptureFixture) -> None:
    rig.rounds(DAY)
    rig.server.spoil(rig.now - HOUR, rig.now + 2 * DAY, value=777)
    forecast = rig.rounds(30 * HOUR, every=6 * HOUR)
    assert max(forecast.median_g_per_kwh) < 330
    assert no_model_failed(caplog)


@pytest.mark.parametrize("days", [2.1, 5, 9])
def test_a_young_zone_is_forecast_and_says_how_little_is_known(
    rig: ModelRig, caplog: pytest.LogCaptureFixture, days: float
) -> None:
    rig.server.since = NOW - days * DAY
    forecast = rig.round()
    assert forecast.model.startswith(f"carbonq on {days:.0f} days")
    assert forecast.notes == (f"only {days:.1f} days of readings are known: with 28 the forecast gets good",)
    assert rig.error_g(forecast) < 3
    assert no_model_failed(caplog)


def test_with_one_day_of_readings_the_sources_own_forecast_serves(
    rig: ModelRig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.server.since = NOW - DAY
    assert rig.round().model.startswith("fw48h")
    assert no_model_failed(caplog)


@pytest.mark.parametrize("value", [0, 42])
def test_a_grid_that_never_changes_is_forecast_as_such(
    rig: ModelRig, caplog: pytest.LogCaptureFixture, value: int
) -> None:
    rig.server._forecast = rig.server.actual = lambda _moment: value
    forecast = rig.rounds(3 * DAY)
    assert forecast.model.startswith("carbonq on")
    quantiles = [one for row in forecast.quantiles_g_per_kwh.values() for one in row]
    assert quantiles == pytest.approx([value] * len(quantiles), abs=0.01)
    assert no_model_failed(caplog)


def test_readings_of_the_future_are_left_out(rig: ModelRig, caplog: pytest.LogCaptureFixture) -> None:
    rig.round()
    real = rig.now
    rig.foresight.refresh(ZONE, real - DAY, real + 3 * DAY)  # this machine's clock has gone back by a day
    rig.foresight.refit(real - DAY, limit=9)
    forecast = rig.foresight.forecast(ZONE, real - DAY, real + 3 * DAY)
    assert forecast.origin is Origin.FORECAST
    assert forecast.readings_until is not None
    assert forecast.readings_until <= real - DAY + timedelta(minutes=30)
    assert all(math.isfinite(value) for row in forecast.quantiles_g_per_kwh.values() for value in row)
    assert no_model_failed(caplog)


def test_a_week_without_readings_in_the_past_is_no_hindrance(rig: ModelRig, caplog: pytest.LogCaptureFixture) -> None:
    rig.server.silent = (NOW - 12 * DAY, NOW - 5 * DAY)
    forecast = rig.rounds(DAY)
    assert forecast.model.startswith("carbonq on")
    assert rig.error_g(forecast) < 5
    assert no_model_failed(caplog)


def test_after_a_restart_the_forecast_is_the_same_once_the_model_has_learnt_again(
    rig: ModelRig, caplog: pytest.LogCaptureFixture
) -> None:
    before = rig.rounds(DAY)
    rig.foresight = rig.started()
    after = rig.round()
    assert after.model == before.model
    assert after.median_g_per_kwh == pytest.approx(before.median_g_per_kwh, abs=2)
    assert no_model_failed(caplog)
