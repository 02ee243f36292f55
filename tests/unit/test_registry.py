"""From the settings' words to sources."""

from pathlib import Path

import pytest

from carbonq.domain.errors import InvalidInput
from carbonq.forecasters.carbon.registry import make_source, make_sources


def test_sources_are_made_in_the_users_order(tmp_path: Path) -> None:
    names = ["csv:grid", "uk", "typical", "replay:typical"]
    made = make_sources(names, uk_url="http://127.0.0.1:1", folder=tmp_path)
    assert [source.name for source in made] == [f"csv:{tmp_path / 'grid'}", "uk", "typical", "replay:typical"]


def test_absolute_paths_stay_as_they_are(tmp_path: Path) -> None:
    assert make_source(f"csv:{tmp_path}/a:b.csv", folder=Path("/elsewhere")).name == f"csv:{tmp_path}/a:b.csv"


def test_a_replay_takes_its_error_and_seed_and_wraps_any_source(tmp_path: Path) -> None:
    replay = make_source(f"replay:error=0.25,seed=9:csv:{tmp_path}")
    assert replay.name == f"replay:csv:{tmp_path}"
    assert getattr(replay, "label", "").endswith("a seeded error of 25%, seed 9")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("typcal", "did you mean typical"),
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
