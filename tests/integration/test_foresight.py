"""The foresight beside a real provider on loopback that misbehaves as providers do: a forecast always comes, and says how it came."""

import errno
import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar
from unittest.mock import Mock

import pytest

from carbonq.domain.carbon import Forecast, Origin, Scope
from carbonq.domain.errors import NotFound, SourceUnreachable
from carbonq.domain.ports import Revised
from carbonq.domain.time import SlotGrid, floor_to
from carbonq.forecasters.carbon.archive import Archive, SeriesKey
from carbonq.forecasters.carbon.foresight import Foresight
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.models.baselines import WeekMean
from carbonq.forecasters.carbon.models.series import CarbonModel, Features, FloatArray, Readings
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.forecasters.carbon.refusal import hint_for
from carbonq.forecasters.carbon.sources.csv_files import CsvSource
from carbonq.forecasters.carbon.sources.uk import UkSource
from carbonq.forecasters.carbon.testing.open_meteo import OpenMeteoServer
from carbonq.forecasters.carbon.testing.server import Answer, Request
from carbonq.forecasters.carbon.testing.uk import Entry, UkServer, error
from carbonq.forecasters.carbon.weather import OpenMeteo, open_meteo

NOW = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONE = "GB"
AGAIN = "it is tried again until it goes well"


def daily(moment: datetime) -> int:
    """Cleanest at 04:00 UTC, 100 g/kWh; dirtiest at 16:00, 300."""
    return round(200 - 100 * math.cos((moment.hour - 4) / 24 * math.tau))


class MoodyServer(UkServer):
    """What the grid reports, `actual`, may differ from what was expected; `since` is when its records begin."""

    def __init__(self, now: datetime) -> None:
        super().__init__(now, daily, actual_differs=0)
        self.actual: Callable[[datetime], int] = daily
        self.since = datetime(2020, 1, 1, tzinfo=UTC)
        self.silent = (now, now)
        self.forecasts = True

    def answer(self, request: Request) -> Answer:
        if request.path.endswith("fw48h") and not self.forecasts:
            return error(500, "no model today")
        return super().answer(request)

    def entries(self, start: datetime, end: datetime) -> list[Entry]:
        return [
            self._as_reported(entry) for entry in super().entries(start, end) if entry["from"] >= _minute(self.since)
        ]

    def _as_reported(self, entry: Entry) -> Entry:
        intensity = entry["intensity"]
        moment = datetime.fromisoformat(entry["from"])
        told = intensity["actual"] is not None and not self.silent[0] <= moment + timedelta(minutes=29) < self.silent[1]
        return entry | {"intensity": intensity | {"actual": self.actual(moment) if told else None}}

    def spoil(self, first: datetime, last: datetime, value: int | None = None, factor: int = 1) -> None:
        """What it reports of `[first, last)` stands still, or is off by a factor."""
        self.actual = lambda moment: (
            daily(moment) if not first <= moment < last else daily(moment) * factor if value is None else value
        )


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")


class Rig:
    """A provider, a data folder, and what a scheduler does with them, on a clock that the test moves."""

    def __init__(self, server: MoodyServer, folder: Path) -> None:
        self.server, self.folder, self.real_s = server, folder, 0.0
        self.kept: Forecast | None = None
        self.foresight = self.started()

    def started(self, weather: OpenMeteo | None = None) -> Foresight:
        """As after a restart: the archive is there, and what was in memory is not."""
        client = JsonClient(self.server.url, attempts=1, read_timeout_s=2)
        outlook = Outlook([UkSource(client)], last_good=lambda _zone: self.kept)
        return Foresight(
            outlook, self.folder, make_model, features=[weather] if weather else [], timer=lambda: self.real_s
        )

    @property
    def now(self) -> datetime:
        return self.server.now

    def pass_time(self, span: timedelta) -> None:
        self.server.now += span
        self.real_s += span.total_seconds()

    def round(self) -> Forecast:
        """What the scheduler does every quarter of an hour, with the nightly refit where it is due."""
        self.foresight.refresh(ZONE, self.now, self.now + 4 * DAY)
        self.foresight.refit(self.now, limit=9)
        return self.forecast()

    def forecast(self) -> Forecast:
        self.kept = self.foresight.forecast(ZONE, self.now, self.now + 4 * DAY)
        assert self.kept.grid == SlotGrid.covering(self.now, self.now + 4 * DAY)
        assert all(math.isfinite(value) for values in self.kept.quantiles_g_per_kwh.values() for value in values)
        return self.kept


def make_model(step_s: int) -> CarbonModel:
    assert step_s == 1800
    return WeekMean()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with MoodyServer(NOW) as server:
        yield Rig(server, tmp_path)


def rounds(rig: Rig, span: timedelta, every: timedelta = 6 * HOUR) -> Forecast:
    forecast = rig.round()
    until = rig.now + span
    while rig.now < until:
        rig.pass_time(every)
        forecast = rig.round()
    return forecast


def down(rig: Rig, answers: int = 500) -> None:
    rig.server.faults.extend([error(503, "down")] * answers)


def test_the_first_round_forecasts_by_a_model_from_the_past_that_was_fetched(rig: Rig) -> None:
    forecast = rig.round()
    assert (forecast.source, forecast.origin) == ("uk", Origin.FORECAST)
    assert forecast.model == "mean-7d on 38 days of readings and the source's own forecast"
    assert forecast.readings_until == NOW - timedelta(minutes=10)
    assert [forecast.at(NOW + h * HOUR) for h in (0, 19, 43)] == [
        pytest.approx(daily(NOW + h * HOUR), abs=1) for h in (0, 19, 43)
    ]


def test_the_past_grows_behind_the_readings_round_by_round(rig: Rig) -> None:
    days = []
    for _ in range(3):
        days.append(int(rig.round().model.split()[2]))
        rig.pass_time(15 * timedelta(minutes=1))
    assert days == [38, 68, 98]


def test_before_the_sources_were_asked_the_forecast_comes_at_once_and_asks_nobody(rig: Rig) -> None:
    assert rig.forecast().origin is Origin.MODELLED
    assert rig.server.requests == []


def test_before_the_first_fit_the_sources_own_forecast_serves(rig: Rig) -> None:
    rig.foresight.refresh(ZONE, NOW, NOW + 4 * DAY)
    forecast = rig.forecast()
    assert (forecast.model.partition(", then ")[0], forecast.readings_until) == ("fw48h", None)


def test_after_a_restart_the_archive_is_there_and_only_what_is_new_is_asked_for(rig: Rig) -> None:
    rounds(rig, DAY)
    rig.server.requests.clear()
    rig.foresight = rig.started()
    rig.pass_time(HOUR)
    assert rig.round().model.startswith("mean-7d on 1")
    asked = [request.path for request in rig.server.requests if "fw48h" not in request.path]
    assert asked[0] == "/intensity/2026-06-29T10:00Z/2026-07-07T10:10Z"
    assert all(path < "/intensity/2026-03" for path in asked[1:])


def test_three_days_without_any_source_end_in_the_model_on_old_readings_and_heal(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "carbonq.carbon")
    rounds(rig, DAY)
    down(rig)
    after: list[Forecast] = []
    for _ in range(12):
        rig.pass_time(6 * HOUR)
        after.append(rig.round())
    assert after[0].issued_at == rig.now - 66 * HOUR
    assert after[-1].origin is Origin.FORECAST
    assert after[-1].at(rig.now + 12 * HOUR) == pytest.approx(daily(rig.now + 12 * HOUR), abs=1)
    assert sum("the provider answers 503" in record.message for record in caplog.records) == 1

    rig.server.faults.clear()
    rig.pass_time(6 * HOUR)
    healed = rig.round()
    assert healed.readings_until is not None
    assert rig.now - healed.readings_until < HOUR
    assert [record.message for record in caplog.records if "well again" in record.message] != []


def test_a_source_that_rests_is_not_asked_at_every_round(rig: Rig) -> None:
    rig.round()
    down(rig)
    rig.server.requests.clear()
    for _ in range(60):
        rig.pass_time(timedelta(minutes=1))
        rig.round()
    assert len(rig.server.requests) < 8


def test_a_source_without_forecasts_for_now_goes_on_giving_readings_and_is_told_once(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "carbonq.carbon")
    rig.server.forecasts = False
    forecast = rounds(rig, DAY, every=HOUR)
    assert forecast.readings_until is not None
    assert rig.now - forecast.readings_until < HOUR
    told = [record.message for record in caplog.records]
    assert told == [f"the forecasts of uk for GB: the provider answers 500: no model today ({hint_for(500)}); {AGAIN}"]
    rig.server.forecasts = True
    rig.pass_time(HOUR)
    rig.round()
    assert [record.message for record in caplog.records[1:]] == ["the forecasts of uk for GB: well again after 1d1h"]


def test_a_provider_whose_forecasts_hang_goes_on_giving_the_readings_of_all_zones(rig: Rig) -> None:
    zones = [ZONE, "GB-LONDON", "GB-WLS"]
    source = rig.foresight._outlook.measuring[0]
    source.forecast = Mock(side_effect=SourceUnreachable("no answer in 10 s"))  # type: ignore[method-assign]
    for _ in range(4):
        for zone in zones:
            rig.foresight.refresh(zone, rig.now, rig.now + 4 * DAY)
        rig.pass_time(timedelta(minutes=15))
    assert source.forecast.call_count == 3
    for zone in zones:
        past = rig.foresight.history(zone, rig.now - 2 * HOUR, rig.now)
        assert past.readings[-1].end >= rig.now - timedelta(minutes=45)


def test_files_of_the_past_alone_are_learnt_from_zone_by_zone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    zones = ["AA", "BB", "CC"]
    for zone in zones:
        hours = [NOW - timedelta(minutes=10) - hour * HOUR for hour in range(1, 24 * 40)]
        rows = [f"{moment:%Y-%m-%dT%H:%M:%SZ},{daily(moment)}" for moment in hours]
        (tmp_path / f"{zone}.csv").write_text("\n".join(["timestamp,carbon_intensity_gco2_per_kwh", *rows]))
    foresight = Foresight(Outlook([CsvSource(tmp_path)]), tmp_path / "data", lambda _step_s: WeekMean())
    for zone in zones:
        foresight.refresh(zone, NOW, NOW + 4 * DAY)
    assert foresight.refit(NOW, limit=9) == 3
    assert {foresight.forecast(zone, NOW, NOW + 4 * DAY).origin for zone in zones} == {Origin.FORECAST}
    assert caplog.records == []


def test_a_source_that_refuses_all_zones_rests_as_a_whole(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    zones = UkSource().zones()
    down(rig, 1000)
    for _ in range(4 * 6):
        for zone in zones:
            rig.foresight.refresh(zone, rig.now, rig.now + 4 * DAY)
        rig.pass_time(timedelta(minutes=15))
    assert len(rig.server.requests) < 20
    assert len(caplog.records) == 3
    rig.server.faults.clear()
    rig.pass_time(HOUR)
    for zone in zones:
        rig.foresight.refresh(zone, rig.now, rig.now + 4 * DAY)
        assert rig.foresight.forecast(zone, rig.now, rig.now + 4 * DAY).origin is not Origin.MODELLED


def test_a_provider_that_asks_to_be_left_alone_for_a_day_is(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.round()
    rig.server.faults.extend([error(429, "enough", ("Retry-After", "86400"))] * 500)
    rounds(rig, 23 * HOUR, every=2 * HOUR - timedelta(minutes=1))
    assert len(caplog.records) == 1
    asked = len(rig.server.requests)
    rig.server.faults.clear()
    forecast = rounds(rig, 3 * HOUR, every=HOUR)
    assert len(rig.server.requests) > asked
    assert forecast.readings_until is not None
    assert rig.now - forecast.readings_until < HOUR


def test_readings_from_the_future_are_not_kept_and_the_clock_is_named(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.round()
    real = rig.now
    rig.foresight.refresh(ZONE, real - DAY, real + 3 * DAY)  # this machine's clock has gone back by a day
    forecast = rig.foresight.forecast(ZONE, real - DAY, real + 3 * DAY)
    assert forecast.readings_until is not None
    assert forecast.readings_until <= real - DAY + timedelta(minutes=30)
    assert forecast.origin is Origin.FORECAST


def test_an_hour_at_ten_times_the_value_moves_no_forecast(rig: Rig) -> None:
    rig.server.spoil(NOW - 2 * HOUR, NOW - HOUR, factor=10)
    forecast = rig.round()
    tomorrow = NOW + 22 * HOUR + timedelta(minutes=30)
    assert forecast.at(tomorrow) == pytest.approx(daily(tomorrow), abs=3)
    assert "2 readings of the last week look wrong and were left out" in forecast.notes


def test_a_value_that_stands_still_for_a_day_is_not_believed(rig: Rig) -> None:
    rounds(rig, DAY)
    rig.server.spoil(rig.now - HOUR, rig.now + 2 * DAY, value=777)
    forecast = rounds(rig, 30 * HOUR)
    assert max(forecast.median_g_per_kwh) < 310


def test_a_source_that_no_longer_knows_the_zone_is_left_alone_for_a_day_and_told_once(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rounds(rig, DAY)
    source = rig.foresight._outlook.measuring[0]
    known, source.zones = source.zones, lambda: ("GB-GBN",)  # type: ignore[method-assign]
    rig.server.requests.clear()
    forecast = rounds(rig, 2 * DAY)
    assert len(rig.server.requests) < 40
    assert forecast.origin in (Origin.FORECAST, Origin.MODELLED)
    source.zones = known  # type: ignore[method-assign]


def test_a_clock_that_was_years_ahead_for_a_moment_costs_a_zone_nothing_once_it_is_right(rig: Rig) -> None:
    later = NOW + 4 * 365 * DAY
    source = rig.foresight._outlook.measuring[0]
    known, source.history = source.history, Mock(side_effect=NotFound("no such zone"))  # type: ignore[method-assign]
    rig.foresight.refresh(ZONE, later, later + 4 * DAY)
    source.history = known  # type: ignore[method-assign]
    forecast = rig.round()
    assert forecast.readings_until is not None
    assert rig.now - forecast.readings_until < HOUR


@pytest.mark.parametrize("value", [0, 42])
def test_a_grid_that_never_changes_is_forecast_as_such(rig: Rig, value: int) -> None:
    rig.server._forecast = rig.server.actual = lambda _moment: value
    forecast = rounds(rig, 9 * DAY, 12 * HOUR)
    assert set(forecast.median_g_per_kwh) == {value}
    assert forecast.skill in (None, 0.0)
    assert not any("yesterday" in note for note in forecast.notes)


def test_a_zone_with_five_days_of_history_is_forecast_and_says_how_little_is_known(rig: Rig) -> None:
    rig.server.since = NOW - 5 * DAY
    forecast = rig.round()
    assert forecast.model.startswith("mean-7d on 5 days")
    assert forecast.notes == ("only 5.0 days of readings are known: with 28 the forecast gets good",)


@pytest.mark.parametrize("moment", [datetime(2028, 2, 29, 12, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)])
def test_leap_days_and_clock_changes_pass_unnoticed(tmp_path: Path, moment: datetime) -> None:
    with MoodyServer(moment - DAY) as server:
        forecast = rounds(Rig(server, tmp_path), 2 * DAY)
        late = moment + DAY + 12 * HOUR
        assert forecast.at(late) == pytest.approx(daily(late), abs=1)


def test_a_model_that_does_worse_than_yesterdays_curve_steps_back_and_says_so(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.server.since = NOW - 21 * DAY
    rig.server.actual = lambda moment: 600 + (moment - NOW).days * 20 + moment.hour  # a week's mean is always too low
    forecast = rounds(rig, 10 * DAY)
    assert forecast.skill is not None
    assert forecast.skill < 0
    assert forecast.model == "yesterday"
    assert forecast.notes[0].startswith("yesterday's curve, for the model did worse than it over the last")
    assert sum("did worse than yesterday's curve" in record.message for record in caplog.records) == 1


def test_a_full_disk_stops_no_forecast(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.folder.joinpath("readings").write_text("a file where a folder should be")
    forecast = rounds(rig, 3 * HOUR, every=HOUR)
    assert forecast.model.startswith("fw48h")
    assert sum("the archive of readings" in record.message for record in caplog.records) == 1


def test_a_disk_that_is_full_for_a_day_is_told_once_and_once_when_there_is_room_again(
    rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.round()
    caplog.set_level(logging.INFO, "carbonq.carbon")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", Mock(side_effect=full))
        forecast = rounds(rig, DAY, every=HOUR)
    assert forecast.origin is Origin.FORECAST
    rounds(rig, 12 * HOUR, every=HOUR)
    told = sorted((record.message.partition(":")[0], record.levelname) for record in caplog.records)
    assert told == [
        ("the archive of readings", "INFO"),
        ("the archive of readings", "WARNING"),
        ("the record of forecasts", "INFO"),
        ("the record of forecasts", "WARNING"),
    ]


def test_what_was_lost_from_the_disk_is_fetched_again_within_days(rig: Rig) -> None:
    rounds(rig, HOUR, every=timedelta(minutes=15))
    known = Archive(rig.folder).coverage(SeriesKey("uk", ZONE, scope=Scope.DIRECT))
    (rig.folder / "readings").rename(rig.folder / "lost")
    rounds(rig, 2 * DAY, every=4 * HOUR)
    (again,) = Archive(rig.folder).coverage(SeriesKey("uk", ZONE, scope=Scope.DIRECT))
    assert again.start <= known[0].start


def test_the_past_comes_from_the_archive_also_while_the_source_is_away(rig: Rig) -> None:
    rig.round()
    down(rig)
    series = rig.foresight.history(ZONE, NOW - DAY, NOW - HOUR)
    assert series.mean(NOW - DAY, NOW - HOUR) is not None
    assert {reading.origin for reading in series.readings} == {Origin.MEASURED}


def test_a_gap_is_estimated_after_a_day_and_its_reading_replaces_the_estimate_when_it_comes(rig: Rig) -> None:
    first, last = NOW - 2 * HOUR, NOW - HOUR
    rig.server.silent = (first, last)
    rig.round()
    assert rig.foresight.history(ZONE, first, last).mean(first, last) is None

    rounds(rig, 2 * DAY)
    filled = rig.foresight.history(ZONE, first - HOUR, last + HOUR)
    assert filled.mean(first, last) == pytest.approx(daily(first), abs=20)
    assert [reading.origin for reading in filled.readings].count(Origin.ESTIMATED) == 2
    assert rig.foresight.revised(NOW) == []

    rig.server.silent = (NOW, NOW)
    rounds(rig, 2 * DAY)
    assert {reading.origin for reading in rig.foresight.history(ZONE, first, last).readings} == {Origin.MEASURED}
    assert rig.foresight.revised(NOW) == [Revised(ZONE, floor_to(first, 1800), floor_to(last, 1800))]


def test_a_correction_by_the_grid_is_told_as_a_revised_span(rig: Rig) -> None:
    rig.round()
    rig.server.actual = lambda moment: daily(moment) + 9
    rig.pass_time(timedelta(minutes=30))
    rig.round()
    spans = rig.foresight.revised(rig.now)
    assert spans
    assert {span.zone for span in spans} == {ZONE}
    assert rig.foresight.revised(rig.now + HOUR) == []
    assert Archive(rig.folder).keys() == (SeriesKey("uk", ZONE, scope=UkSource(JsonClient(rig.server.url)).info.scope),)


class Listening(WeekMean):
    """Remembers what it was given beside the readings."""

    heard: ClassVar[list[Features]] = []

    def predict(self, readings: Readings, horizon: int, features: Sequence[Features] = ()) -> FloatArray:
        Listening.heard[:] = features
        return super().predict(readings, horizon, features)


def test_the_weather_of_the_zone_is_given_to_the_model_where_it_was_chosen(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "make_model", lambda _step_s: Listening())
    with OpenMeteoServer(NOW, lambda variable, latitude, label, run: 5.0) as server:
        rig.foresight = rig.started(open_meteo(server.url))
        rig.round()
        rig.pass_time(HOUR)
        forecast = rig.round()
        asked = len(server.requests)
        assert "and weather" in forecast.model
        assert "Open-Meteo" in forecast.attribution
        published, weather = Listening.heard
        assert (published.names, weather.names[0]) == (("published",), "wind_speed_100m_m_per_s")
        assert all(issue.issued_at <= rig.now for issue in weather.issues)
        assert [issue.issued_at for issue in weather.issues] == sorted(issue.issued_at for issue in weather.issues)
        assert len(weather.issues) == pytest.approx(121, abs=2)
        rig.pass_time(timedelta(minutes=15))
        rig.round()
        assert len(server.requests) - asked <= 1


def test_without_an_answer_about_the_weather_the_forecast_goes_on(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with OpenMeteoServer(NOW, lambda variable, latitude, label, run: 5.0) as server:
        server.faults.extend([error(403, "blocked")] * 50)
        rig.foresight = rig.started(open_meteo(server.url))
        rig.round()
        rig.pass_time(timedelta(minutes=1))
        assert rig.round().origin is Origin.FORECAST
    assert sum("the weather of GB" in record.message for record in caplog.records) == 1
