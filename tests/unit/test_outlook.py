"""The order in which sources are asked, what bridges an outage, and what is said about it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, SignalKind, SourceInfo
from carbonq.domain.errors import NotFound, SourceNonsense, SourceUnreachable
from carbonq.domain.time import SlotGrid
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.forecasters.carbon.readings import Row, forecast_of, series_of
from carbonq.forecasters.carbon.sources.typical import TypicalSource
from carbonq.forecasters.carbon.sources.world import WORLD_G_PER_KWH

NOW = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SLOT = timedelta(minutes=30)


class Flat:
    """A source with one value, as far ahead as `reach` and as far back as `published` says; or with an error for all."""

    def __init__(
        self,
        value: float,
        name: str = "flat",
        *,
        zone: str = "FR",
        reach: timedelta = 30 * DAY,
        published: datetime = NOW,
        quantiles: Sequence[str] = ("0.5",),
        error: Exception | None = None,
    ) -> None:
        self.value, self.name, self.zone, self.reach, self.published = value, name, zone, reach, published
        self.quantiles, self.error, self.asked = quantiles, error, 0
        self.info = SourceInfo(name=name, title=name, licence="none", attribution="somebody")

    def zones(self) -> Sequence[str]:
        self._ask(self.zone)
        return (self.zone,)

    def history(self, zone: str, start: datetime, end: datetime) -> IntensitySeries:
        self._ask(zone)
        end = min(end, self.published)
        rows = [Row(start, end, self.value)] if start < end else []
        return series_of(zone, rows, Origin.MEASURED, self.info)

    def forecast(self, zone: str, now: datetime, end: datetime) -> Forecast:
        self._ask(zone)
        grid = SlotGrid.covering(now, min(end, now + self.reach))
        return forecast_of(
            zone,
            grid,
            dict.fromkeys(self.quantiles, (self.value,) * grid.slots),
            model="flat",
            origin=Origin.FORECAST,
            info=self.info,
            now=now,
        )

    def _ask(self, zone: str) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        if zone != self.zone:
            raise NotFound(f"no zone {zone}")


DOWN = SourceUnreachable("the provider answers 503")
LIES = SourceNonsense("the answer is no JSON")


def test_the_first_source_that_answers_is_taken_and_the_next_is_not_asked() -> None:
    second = Flat(200, "second")
    foreseen = Outlook([Flat(100, "first"), second]).foresee("FR", NOW, NOW + DAY)
    assert (foreseen.forecast.source, foreseen.problems, second.asked) == ("first", (), 0)


@pytest.mark.parametrize("error", [DOWN, LIES, NotFound("no zone"), KeyError("a bug"), OSError("disk")])
def test_whatever_goes_wrong_in_one_source_the_next_is_asked_and_the_reason_kept(error: Exception) -> None:
    foreseen = Outlook([Flat(1, "first", error=error), Flat(200, "second")]).foresee("FR", NOW, NOW + DAY)
    assert foreseen.forecast.source == "second"
    assert [(problem.source, problem.error) for problem in foreseen.problems] == [("first", error)]


def test_a_problem_reads_as_a_sentence() -> None:
    problems = Outlook([Flat(1, "a", error=DOWN), Flat(1, "b", error=KeyError("x"))]).foresee("FR", NOW, NOW).problems
    assert list(map(str, problems)) == ["a: the provider answers 503", "b: KeyError: 'x'"]


def test_not_knowing_a_zone_is_no_failure() -> None:
    (problem,) = Outlook([Flat(1, zone="DE")]).foresee("FR", NOW, NOW + DAY).problems
    assert not problem.is_failure


@pytest.mark.parametrize("value", [6000.0, -2000.0])
def test_absurd_values_are_nonsense_whichever_source_they_come_from(value: float) -> None:
    foreseen = Outlook([Flat(value, "wild"), Flat(200, "tame")]).foresee("FR", NOW, NOW + DAY)
    assert foreseen.forecast.source == "tame"
    assert isinstance(foreseen.problems[0].error, SourceNonsense)


def test_a_forecast_that_does_not_begin_now_is_nonsense() -> None:
    class Late(Flat):
        def forecast(self, zone: str, now: datetime, end: datetime) -> Forecast:
            return super().forecast(zone, now + DAY, end + DAY)

    foreseen = Outlook([Late(1, "late"), Flat(200, "prompt")]).foresee("FR", NOW, NOW + DAY)
    assert foreseen.forecast.source == "prompt"


def test_all_down_the_last_good_forecast_keeps_its_own_age() -> None:
    kept = Flat(100).forecast("FR", NOW - 5 * HOUR, NOW + 2 * DAY)
    foreseen = Outlook([Flat(1, error=DOWN)], last_good=lambda _: kept).foresee("FR", NOW, NOW + DAY)
    assert foreseen.forecast.issued_at == NOW - 5 * HOUR
    assert foreseen.forecast.origin is Origin.FORECAST
    assert foreseen.forecast.grid == SlotGrid.covering(NOW, NOW + DAY)
    assert set(foreseen.forecast.median_g_per_kwh) == {100}


def test_a_forecast_kept_of_the_other_signal_does_not_stand_in() -> None:
    kept = Flat(100).forecast("FR", NOW - HOUR, NOW + 2 * DAY)
    outlook = Outlook([], last_good=lambda _: kept, signal=SignalKind.MARGINAL)
    assert outlook.last_good("FR") is None
    assert Outlook([], last_good=lambda _: kept).last_good("FR") == kept


def test_where_the_last_good_forecast_ends_the_typical_profile_goes_on_and_says_so() -> None:
    kept = Flat(100).forecast("FR", NOW - 5 * HOUR, NOW + 3 * HOUR)
    forecast = Outlook([Flat(1, error=DOWN)], last_good=lambda _: kept).forecast("FR", NOW, NOW + DAY)
    assert forecast.extended_from == kept.grid.end
    assert forecast.model == "flat, then typical profile of FR, 2020-2022"
    assert forecast.origin_at(kept.grid.end - SLOT) is Origin.FORECAST
    assert forecast.origin_at(kept.grid.end) is Origin.MODELLED
    assert [reading.origin for reading in forecast.series().readings].count(Origin.FORECAST) == 7


def test_a_bridged_forecast_that_is_kept_and_bridged_again_tells_its_own_part_from_the_extension() -> None:
    """What the service writes back while the source is down must not launder the profile into a forecast."""
    kept = Flat(100).forecast("FR", NOW - 5 * HOUR, NOW + 3 * HOUR)
    down = Flat(1, error=DOWN)
    once = Outlook([down], last_good=lambda _: kept).forecast("FR", NOW, NOW + DAY)
    twice = Outlook([down], last_good=lambda _: once).forecast("FR", NOW + HOUR, NOW + HOUR + DAY)
    assert (twice.extended_from, twice.model) == (once.extended_from, once.model)
    thrice = Outlook([down], last_good=lambda _: twice).forecast("FR", NOW + 6 * HOUR, NOW + 7 * HOUR)
    assert (thrice.origin, thrice.source) == (Origin.MODELLED, "typical")


@pytest.mark.parametrize(
    "kept",
    [
        None,
        Flat(100).forecast("FR", NOW - DAY, NOW - HOUR),
        TypicalSource().forecast("FR", NOW - HOUR, NOW + DAY),
        Flat(100).forecast("FR", NOW + HOUR, NOW + DAY),
        Flat(100, zone="DE").forecast("DE", NOW - HOUR, NOW + DAY),
    ],
    ids=["none", "over", "no forecast", "of a time to come", "of another zone"],
)
def test_a_kept_forecast_of_no_use_is_passed_over_for_the_typical_profile(kept: Forecast | None) -> None:
    forecast = Outlook([Flat(1, error=DOWN)], last_good=lambda _: kept).forecast("FR", NOW, NOW + DAY)
    assert (forecast.source, forecast.origin, forecast.issued_at) == ("typical", Origin.MODELLED, NOW)


def test_a_typical_profile_in_the_users_order_does_not_hide_the_last_good_forecast() -> None:
    kept = Flat(100).forecast("FR", NOW - HOUR, NOW + DAY)
    outlook = Outlook([Flat(1, error=DOWN), TypicalSource()], last_good=lambda _: kept)
    assert outlook.forecast("FR", NOW, NOW + DAY).issued_at == NOW - HOUR


def test_who_wants_the_typical_profile_only_gets_no_old_forecast() -> None:
    kept = Flat(100).forecast("FR", NOW - HOUR, NOW + DAY)
    forecast = Outlook([TypicalSource()], last_good=lambda _: kept).forecast("FR", NOW, NOW + DAY)
    assert forecast.source == "typical"


def test_a_board_that_cannot_be_read_is_one_more_problem_and_no_obstacle() -> None:
    def unreachable(_zone: str) -> Forecast:
        raise ConnectionError("no queue")

    foreseen = Outlook([Flat(1, error=DOWN)], last_good=unreachable).foresee("FR", NOW, NOW + DAY)
    assert foreseen.forecast.source == "typical"
    assert [problem.source for problem in foreseen.problems] == ["flat", "last good forecast"]


def test_a_zone_that_nothing_knows_still_gets_a_forecast_with_a_wide_band() -> None:
    forecast = Outlook([]).forecast("XX-NOWHERE", NOW, NOW + DAY)
    assert set(forecast.median_g_per_kwh) == {WORLD_G_PER_KWH}
    assert forecast.origin is Origin.MODELLED
    assert forecast.quantiles_g_per_kwh["0.9"][0] > 5 * forecast.quantiles_g_per_kwh["0.1"][0]


def test_a_short_forecast_is_extended_at_its_own_level() -> None:
    """Twice as high as the profile over its last day: the extension is twice the profile."""
    profile = TypicalSource().forecast("FR", NOW, NOW + 3 * DAY)

    class Doubled(Flat):
        def forecast(self, zone: str, now: datetime, end: datetime) -> Forecast:
            usual = TypicalSource().forecast(zone, now, now + DAY)
            doubled = {"0.5": tuple(2 * value for value in usual.median_g_per_kwh)}
            return usual.model_copy(
                update={"quantiles_g_per_kwh": doubled, "origin": Origin.FORECAST, "source": self.name}
            )

    forecast = Outlook([Doubled(0)]).forecast("FR", NOW, NOW + 3 * DAY)
    assert forecast.median_g_per_kwh == pytest.approx([2 * value for value in profile.median_g_per_kwh])
    assert forecast.grid == profile.grid


def test_what_is_shown_of_an_extended_forecast_are_the_quantiles_that_both_parts_have() -> None:
    banded = Outlook([Flat(100, reach=HOUR, quantiles=("0.1", "0.5", "0.95"))]).forecast("FR", NOW, NOW + DAY)
    assert sorted(banded.quantiles_g_per_kwh) == ["0.1", "0.5"]


@pytest.mark.parametrize("value", [0.0, -50.0])
def test_a_level_without_meaning_leaves_the_profile_as_it_is(value: float) -> None:
    forecast = Outlook([Flat(value, reach=HOUR)]).forecast("FR", NOW, NOW + DAY)
    profile = TypicalSource().forecast("FR", NOW, NOW + DAY)
    assert forecast.median_g_per_kwh[3:] == profile.median_g_per_kwh[3:]


def test_a_zone_without_profile_is_extended_flat_at_its_own_level() -> None:
    forecast = Outlook([Flat(150, zone="GB", reach=2 * DAY)]).forecast("GB", NOW, NOW + 4 * DAY)
    assert set(forecast.median_g_per_kwh) == {150}
    assert forecast.extended_from == SlotGrid.covering(NOW, NOW + 2 * DAY).end


def test_the_past_comes_from_the_first_source_that_has_all_of_it() -> None:
    late = Flat(100, "late", published=NOW - 2 * HOUR)
    whole = Flat(200, "whole")
    observed = Outlook([late, whole, Flat(300, "third")]).observe("FR", NOW - 6 * HOUR, NOW)
    assert observed.series.source == "whole"


def test_providers_are_never_mixed_in_one_series() -> None:
    most, some = Flat(100, "most", published=NOW - HOUR), Flat(200, "some", published=NOW - 3 * HOUR)
    series = Outlook([some, most]).history("FR", NOW - 6 * HOUR, NOW)
    assert (series.source, series.readings[-1].end) == ("most", NOW - HOUR)


def test_what_is_still_to_be_published_is_not_made_up() -> None:
    to_come = Outlook([Flat(100, published=NOW - DAY), TypicalSource()]).history("FR", NOW - HOUR, NOW)
    assert to_come.readings == ()


def test_an_outage_does_not_turn_the_past_into_a_model_either() -> None:
    observed = Outlook([Flat(100, error=DOWN), TypicalSource()]).observe("FR", NOW - HOUR, NOW)
    assert observed.series.readings == ()
    assert [problem.error for problem in observed.problems] == [DOWN]


def test_where_nothing_can_ever_measure_the_past_is_modelled_at_once() -> None:
    series = Outlook([Flat(1, zone="DE"), TypicalSource()]).history("FR", NOW - HOUR, NOW)
    assert {reading.origin for reading in series.readings} == {Origin.MODELLED}


def test_the_log_says_who_failed_and_what_is_used_instead(caplog: pytest.LogCaptureFixture) -> None:
    kept = Flat(100, "kept").forecast("FR", NOW - 5 * HOUR, NOW + DAY)
    Outlook([Flat(1, error=DOWN)], last_good=lambda _: kept).forecast("FR", NOW, NOW + DAY)
    assert caplog.messages == [
        "flat: the provider answers 503",
        "FR: going on with kept, a forecast issued 5h ago",
    ]


def test_the_log_names_a_zone_that_nobody_knows(caplog: pytest.LogCaptureFixture) -> None:
    Outlook([Flat(1)]).forecast("RF", NOW, NOW + DAY)
    assert caplog.messages == ["no source knows zone 'RF': going on with a flat world average, 2023"]


def test_the_log_is_silent_while_all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    outlook = Outlook([Flat(1, zone="DE"), Flat(100)])
    outlook.forecast("FR", NOW, NOW + DAY)
    outlook.history("FR", NOW - HOUR, NOW)
    assert caplog.messages == []


def test_a_source_that_answers_in_other_slots_is_named_for_it() -> None:
    (problem, *_) = Outlook([Flat(100)], slot_s=900).foresee("FR", NOW, NOW + DAY).problems
    assert str(problem) == "flat: answers in slots of 1800 s instead of 900 s"


def test_the_catalogue_names_each_zones_sources_in_order_and_who_could_not_say() -> None:
    broken = Flat(1, "broken", error=DOWN)
    catalogue = Outlook([Flat(1, "one"), broken, Flat(1, "two"), Flat(1, "three", zone="DE")]).catalogue()
    assert catalogue.sources == {"DE": ("three",), "FR": ("one", "two")}
    assert [problem.source for problem in catalogue.problems] == ["broken"]
