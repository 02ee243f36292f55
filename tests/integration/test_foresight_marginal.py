"""A marginal signal from the source to the forecast: a series of its own, with nothing of an average in it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from carbonq.domain.carbon import Forecast, Origin, Scope, SignalKind
from carbonq.domain.ports import IntensitySource
from carbonq.forecasters.carbon.foresight import Foresight
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.models.zone_model import ZoneModel
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.forecasters.carbon.sources.uk import UkSource
from carbonq.forecasters.carbon.sources.watttime import WattTimeSource, watttime_client
from carbonq.forecasters.carbon.testing.uk import UkServer
from carbonq.forecasters.carbon.testing.watttime import WattTimeServer

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
DAY = timedelta(days=1)
ZONE = "FR"
"""A zone that has a typical profile, of an average: it must not show through."""


class Rig:
    def __init__(self, uk: UkServer, watttime: WattTimeServer, folder: Path) -> None:
        self.uk, self.watttime = uk, watttime
        sources: list[IntensitySource] = [
            UkSource(JsonClient(uk.url, attempts=1)),
            WattTimeSource(watttime_client(watttime.url, "a-user", "a-password")),
        ]
        self.outlook = Outlook(sources, signal=SignalKind.MARGINAL)
        self.foresight = Foresight(self.outlook, folder, lambda step_s: ZoneModel(step_s=step_s))

    def forecast(self) -> Forecast:
        return self.foresight.forecast(ZONE, NOW, NOW + 4 * DAY)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with UkServer(NOW) as uk, WattTimeServer(NOW, regions=(ZONE,)) as watttime:
        yield Rig(uk, watttime, tmp_path)


def test_the_model_learns_from_marginal_readings_alone_and_every_answer_says_marginal_and_direct(rig: Rig) -> None:
    rig.foresight.refresh(ZONE, NOW, NOW + 4 * DAY)
    rig.foresight.refit(NOW, limit=9)
    forecast, past = rig.forecast(), rig.foresight.history(ZONE, NOW - DAY, NOW)

    assert (forecast.source, forecast.signal, forecast.scope) == ("watttime", SignalKind.MARGINAL, Scope.DIRECT)
    assert forecast.model.startswith("carbonq")
    assert (past.source, past.signal, past.scope) == ("watttime", SignalKind.MARGINAL, Scope.DIRECT)
    assert ([source.name for source in rig.outlook.skipped], rig.uk.requests) == (["uk"], [])


def test_where_a_marginal_forecast_ends_it_goes_on_flat_not_in_the_shape_of_an_average(rig: Rig) -> None:
    rig.foresight.refresh(ZONE, NOW, NOW + 4 * DAY)
    forecast = rig.forecast()

    assert forecast.extended_from is not None
    beyond = forecast.median_g_per_kwh[forecast.grid.index(forecast.extended_from) :]
    assert (len(beyond) > 0, max(beyond) - min(beyond) < 1e-9) == (True, True)


def test_without_any_marginal_answer_an_average_stands_in_and_is_called_one(rig: Rig) -> None:
    forecast = rig.forecast()

    assert (forecast.signal, forecast.origin) == (SignalKind.AVERAGE, Origin.MODELLED)
    assert forecast.notes == ("an average: no marginal source answers",)
