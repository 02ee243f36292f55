"""`carbonq plan`, `forecast` and `zones`."""

from datetime import timedelta

import pytest

from carbonq.cli import chart
from carbonq.client import SourceUse
from carbonq.domain.carbon import CarbonIntensity, IntensitySeries, Origin, Scope, SourceInfo
from carbonq.domain.errors import SourceUnreachable
from carbonq.domain.time import SlotGrid
from carbonq.testing import MIDNIGHT

from .conftest import Cli, make_forecast, make_plan


def test_the_current_plan_is_listed_by_start_with_reasons_in_words(cli: Cli) -> None:
    cli.client.current_plan = make_plan()
    done = cli("plan")
    assert done.out.splitlines() == [
        "START (UTC)  END    POOL       CO2E  JOB     WHY",
        "00:00        00:30  default  20.0 g  sooner  starts as soon as a worker is free",
        "01:00        02:00  default  10.0 g  later   a cleaner time is ahead",
    ]
    assert "2 jobs, 30.0 g in all, at most 0 % above the best possible" in done.err


def test_a_long_plan_is_cut_and_says_so(cli: Cli) -> None:
    cli.client.current_plan = make_plan()
    done = cli("plan", "--limit", "1")
    assert len(done.out.splitlines()) == 2
    assert "1 more line" in done.err


def test_jobs_without_a_place_are_named(cli: Cli) -> None:
    snapshot, plan = make_plan()
    cli.client.current_plan = snapshot, plan.model_copy(update={"unplaced": ("huge",), "late": ("later",)})
    done = cli("plan")
    assert done.out.splitlines()[-1].startswith("no place")
    assert "late: a cleaner time is ahead" in done.out
    assert "1 late" in done.err


def test_no_plan_yet_says_how_to_get_one(cli: Cli) -> None:
    done = cli("plan")
    assert (done.code, done.out) == (0, "")
    assert "`carbonq up`" in done.err
    assert cli("plan", "--json").json is None


def test_the_plan_as_json_has_its_snapshot(cli: Cli) -> None:
    cli.client.current_plan = make_plan()
    answer = cli("plan", "--json").json
    assert answer["plan"]["assignments"][1]["job"] == "sooner"
    assert answer["snapshot"]["slot_minutes"] == 30


def test_the_band_is_named_after_its_own_quantiles(cli: Cli) -> None:
    found = make_forecast()
    quantiles = {"0.05": found.quantiles_g_per_kwh["0.1"], "0.95": found.quantiles_g_per_kwh["0.9"]}
    assert "high 90 %" in cli("forecast").out
    cli.client.found_forecast = make_forecast(quantiles_g_per_kwh=found.quantiles_g_per_kwh | quantiles)
    shown = cli("forecast").out
    assert "high 95 %" in shown
    assert "low 5 %" in shown


def test_a_forecast_is_a_curve_with_its_band_and_its_cleanest_windows(cli: Cli) -> None:
    assert (
        cli("forecast").out
        == """\
GB  average carbon intensity (lifecycle) in gCO2eq/kWh

high 90 %    ██████▂▂▂▂██████████████████████████████████████
expected     ▆▆▆▆▆▆▁▁▁▁▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆
cleanest 4h    ━━━━━━━━
low 10 %     ▅▅▅▅▅▅▁▁▁▁▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅
UTC          00:00       06:00       12:00       18:00
scale        ▁ 90  █ 240 g/kWh

CLEANEST  FROM          TO     g/kWh  AGAINST AT ONCE
1h        03:00  in 3h  04:00    100  50 % less
4h        01:00  in 1h  05:00    150  14 % less
8h        00:00  now    08:00    175  no better

now     200 g/kWh
source  uk: operator (forecast)
age     12m old
"""
    )


@pytest.mark.parametrize(
    ("words", "zone", "hours"),
    [((), None, 24.0), (("fr",), "FR", 24.0), (("--zone", "DE", "--hours", "48"), "DE", 48.0)],
)
def test_the_forecasts_zone_and_reach(cli: Cli, words: tuple[str, ...], zone: str | None, hours: float) -> None:
    cli("forecast", *words)
    assert cli.client.asked == [("forecast", zone, hours)]


def test_the_forecast_as_json_is_the_published_format(cli: Cli) -> None:
    assert cli("forecast", "--json").json == make_forecast().model_dump(mode="json")


def test_a_typical_day_is_labelled_as_such(cli: Cli) -> None:
    cli.client.found_forecast = make_forecast(origin=Origin.MODELLED, source="typical")
    assert "(modelled: a typical day, no knowledge of this one)" in cli("forecast").out


def test_it_is_said_from_when_on_a_forecast_is_a_profile(cli: Cli) -> None:
    since, model = MIDNIGHT + timedelta(hours=20), "operator, then typical profile of GB"
    cli.client.found_forecast = make_forecast(extended_from=since, model=model)
    assert "beyond  from 20:00 on it is a typical profile of GB, at the forecast's level" in cli("forecast").out
    cli.client.found_forecast = make_forecast(extended_from=MIDNIGHT + timedelta(days=1), model=model)
    assert "beyond" not in cli("forecast").out


def test_age_skill_and_notes_are_told_in_words(cli: Cli) -> None:
    until = MIDNIGHT - timedelta(minutes=35)
    cli.client.found_forecast = make_forecast(skill=0.42, readings_until=until, notes=("only 5.0 days are known",))
    lines = cli("forecast").out.splitlines()
    assert "age     12m old; the last reading ended 35m before now" in lines
    assert "skill   0.42: over the last 14 days its error was 42 % smaller than that of yesterday's curve" in lines
    assert "note    only 5.0 days are known" in lines
    cli.client.found_forecast = make_forecast(skill=-0.1)
    assert "10 % larger than" in cli("forecast").out


def test_a_terminal_without_unicode_gets_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart, "speaks_unicode", lambda _stream: False)
    shown = chart.forecast(make_forecast(), MIDNIGHT, 24)
    assert shown.isascii()
    assert "expected     777777000000" not in shown
    assert "777777" in shown


def test_a_long_forecast_still_fits_a_screen(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = SlotGrid(start=MIDNIGHT, slots=48 * 7)
    cli.client.found_forecast = make_forecast(grid=grid, quantiles_g_per_kwh={"0.5": tuple(range(1, 48 * 7 + 1))})
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("forecast", "--hours", "168")
    assert len(done.out.splitlines()) < 24
    assert max(map(len, done.out.splitlines())) <= 80
    assert "no better" in done.out


def test_intensity_of_zero_and_below_is_drawn(cli: Cli) -> None:
    cli.client.found_forecast = make_forecast(quantiles_g_per_kwh={"0.5": (-50.0, 0.0) * 24})
    assert "expected     ▁█▁█" in cli("forecast").out
    cli.client.found_forecast = make_forecast(quantiles_g_per_kwh={"0.5": (0.0,) * 48})
    assert "always 0 g/kWh" in cli("forecast").out


def test_a_window_longer_than_the_forecast_is_said(cli: Cli) -> None:
    assert "the forecast is too short for it" in cli("forecast", "--window", "3d").out


@pytest.mark.parametrize("words", [("--window", "2"), ("--hours", "0"), ("--hours", "x")])
def test_bad_spans_exit_2(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli("forecast", *words).code == 2


def test_a_source_that_does_not_answer_exits_4(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(zone: str | None, hours: float) -> None:
        raise SourceUnreachable("uk does not answer", hint="try --zone")

    monkeypatch.setattr(cli.client, "forecast", down)
    assert cli("forecast").code == 4


def test_the_cleanest_window_may_begin_within_a_slot() -> None:
    """A window that ends where a clean slot ends begins between two borders: 90 minutes in 60-minute slots."""
    values = (300.0, 200.0, 100.0, 300.0)
    readings = tuple(
        CarbonIntensity(
            start=MIDNIGHT + timedelta(hours=i),
            end=MIDNIGHT + timedelta(hours=i + 1),
            intensity_g_per_kwh=value,
            origin=Origin.FORECAST,
        )
        for i, value in enumerate(values)
    )
    series = IntensitySeries(zone="GB", source="uk", readings=readings)
    best = chart.cleanest(series, MIDNIGHT, MIDNIGHT + timedelta(hours=4), 5400.0)
    assert best is not None
    assert best.start == MIDNIGHT + timedelta(minutes=90)
    assert best.intensity_g_per_kwh == pytest.approx(400 / 3)


UK = SourceInfo(
    name="uk",
    title="t",
    scope=Scope.DIRECT,
    resolution_s=1800,
    horizon_s=172_800,
    licence="l",
    attribution="a",
)


def test_zones_lists_the_sources_with_what_they_give_and_why_one_is_left_out(cli: Cli) -> None:
    key = UK.model_copy(update={"name": "eia", "horizon_s": 0, "key_setting": "eia_key", "scope": Scope.LIFECYCLE})
    cli.client.known_sources = [
        SourceUse("uk", UK, 18),
        SourceUse("eia", key, 60),
        SourceUse("entsoe", None, 0, "entsoe_key is not set"),
    ]
    assert cli("zones").out.splitlines()[:5] == [
        "SOURCE  SIGNAL             STEP  FORECAST  KEY          ZONES",
        "uk      average direct      30m        2d  none needed     18",
        "eia     average lifecycle   30m      none  eia_key         60",
        "entsoe  -                     -         -  -",
        "  left out: entsoe_key is not set",
    ]


def test_where_only_a_typical_profile_is_known_it_is_said_what_is_lost_and_how_to_mend_it(cli: Cli) -> None:
    said = cli("zones").err
    assert "45 % of the saving" in said
    assert "entsoe_key" in said
    assert cli("zones", "brit").err == ""


def test_zones_can_be_searched(cli: Cli) -> None:
    assert cli("zones", "brit").out.splitlines()[1:] == ["GB    uk, typical                           Great Britain"]
    answer = cli("zones", "--json").json
    assert answer["zones"][0] == {"zone": "GB", "sources": ["uk", "typical"], "note": "Great Britain"}
    assert answer["sources"] == []
    assert "no zone matches 'mars'" in cli("zones", "mars").err
