"""From the settings' words to sources."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from carbonq.domain.errors import InvalidInput
from carbonq.forecasters.carbon.outlook import Outlook
from carbonq.forecasters.carbon.registry import make_source, make_sources
from carbonq.settings import SECRETS, SOURCE_KINDS, Settings


def test_sources_are_made_in_the_users_order(tmp_path: Path) -> None:
    names = [f"csv:{tmp_path}/a:b.csv", "uk", "typical", "replay:typical"]
    made, unusable = make_sources(Settings(sources=tuple(names), uk_url="http://127.0.0.1:1"))
    assert unusable == []
    assert [source.name for source in made] == names


def test_all_sources_answer_in_the_slots_asked_for(tmp_path: Path) -> None:
    now = datetime(2026, 7, 6, 9, 10, tzinfo=UTC)
    rows = (f"{now + timedelta(minutes=5 * step)},{100 + step}" for step in range(-12, 24))
    (tmp_path / "FR.csv").write_text("\n".join(["timestamp,carbon_intensity_gco2_per_kwh", *rows]))
    settings = Settings(sources=(f"csv:{tmp_path}/FR.csv", "typical", "replay:typical"), slot_minutes=5)
    for source in make_sources(settings)[0]:
        forecast = Outlook([source], slot_s=300).forecast("FR", now, now + timedelta(hours=1))
        assert (forecast.source, forecast.grid.slot_s, forecast.grid.slots) == (source.name, 300, 12)


def test_a_replay_takes_its_error_and_seed_and_wraps_any_source(tmp_path: Path) -> None:
    replay = make_source(f"replay:error=0.25,seed=9:csv:{tmp_path}")
    assert replay.name == f"replay:csv:{tmp_path}"
    assert getattr(replay, "label", "").endswith("a seeded error of 25%, seed 9")


PLACES = {"csv": "csv:{}", "parquet": "parquet:{}", "carbon-aware-sdk": "carbon-aware-sdk:http://127.0.0.1:1"}
KEYS = dict.fromkeys(SECRETS, "a-key")


@pytest.mark.parametrize("kind", SOURCE_KINDS)
def test_every_kind_that_a_setting_may_name_is_made(kind: str, tmp_path: Path) -> None:
    made = make_source(PLACES.get(kind, kind).format(tmp_path), Settings.model_validate(KEYS))
    assert made.name.startswith(kind)


def test_a_source_that_is_left_out_is_told_without_its_password() -> None:
    _, unusable = make_sources(Settings(sources=("carbon-aware-sdk:http://me:hunter2@host",)))
    assert [one.word for one in unusable] == ["carbon-aware-sdk:http://me:***@host"]
    assert "hunter2" not in str(unusable[0].error)


def test_a_source_without_its_key_costs_the_others_nothing() -> None:
    made, unusable = make_sources(Settings(sources=("eia", "typical")))
    assert [source.name for source in made] == ["typical"]
    assert [(one.word, one.error.what) for one in unusable] == [("eia", "eia_key is not set")]


@pytest.mark.parametrize("kind", ["electricity-maps", "watttime", "entsoe", "eia"])
def test_a_source_without_its_key_says_which_setting_it_needs(kind: str) -> None:
    with pytest.raises(InvalidInput, match=kind.replace("-", "_")) as raised:
        make_source(kind)
    assert "CARBONQ_" in raised.value.hint


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("typcal", "did you mean `typical`"),
        ("", "sources are"),
        ("csv", "write csv:FILE"),
        ("csv:", "write csv:FILE"),
        ("uk:regional", "sources are"),
        ("replay:error=2:typical", "error from 0 to 1"),
        ("replay:error=x:typical", "error from 0 to 1"),
        ("replay:speed=2:typical", "error from 0 to 1"),
        ("replay:seed=1.5:typical", "error from 0 to 1"),
        ("replay:nonsense", "sources are"),
    ],
)
def test_a_wrong_name_is_refused_with_how_to_write_it(name: str, what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        make_source(name)


@pytest.mark.parametrize(("kind", "variable"), [("watttime", "WATTTIME_API_URL"), ("entsoe", "ENTSOE_ENDPOINT_URL")])
def test_the_address_of_a_providers_own_client_holds_unless_the_setting_says_otherwise(
    kind: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1/theirs")
    own = {f"{kind}_url": "http://127.0.0.1:1/ours"}
    addresses = [
        vars(make_source(kind, Settings.model_validate(KEYS | said)))["_client"].base_url for said in ({}, own)
    ]
    assert addresses == ["http://127.0.0.1:1/theirs", "http://127.0.0.1:1/ours"]
