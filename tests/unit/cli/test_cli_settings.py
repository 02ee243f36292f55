"""`carbonq config` and `carbonq schema`."""

from collections.abc import Mapping

import pytest

from carbonq.config import load_settings

from .conftest import Cli


@pytest.fixture
def real(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """With real settings, of a home and a working folder without any file."""
    home = tmp_path_factory.mktemp("home")

    def settings(flags: Mapping[str, object]) -> object:
        return load_settings(flags, {"HOME": str(home), "CARBONQ_NAMESPACE": "lab"}, home)

    cli.house.settings = settings
    return cli


def test_config_shows_what_is_in_force_and_from_where(real: Cli) -> None:
    out = real("config", "show", "--origin", "--zone", "FR").out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert rows["zone"] == ["FR", "--zone"]
    assert rows["namespace"] == ["lab", "CARBONQ_NAMESPACE"]
    assert rows["lease_s"] == ["30.0", "default"]


def test_config_alone_shows_too(real: Cli) -> None:
    assert real("config").out == real("config", "show").out


def test_config_as_json_has_units_and_origins(real: Cli) -> None:
    assert real("config", "show", "--json").json["lease_s"] == 30.0
    assert real("config", "show", "--origin", "--json").json["namespace"] == {
        "value": "lab", "origin": "CARBONQ_NAMESPACE",
    }  # fmt: skip


def test_passwords_are_not_shown(real: Cli) -> None:
    out = real("--redis-url", "redis://me:hunter2@host:6379/0", "config", "show").out
    assert "hunter2" not in out
    assert "redis://me:***@host" in out


def test_a_wrong_setting_exits_2(real: Cli) -> None:
    done = real("config", "--redis-url", "ftp://x")
    assert (done.code, "--redis-url" in done.err) == (2, True)


def test_schema_prints_a_json_schema(cli: Cli) -> None:
    assert cli("schema").json == cli("schema", "job").json
    assert "deadline" in cli("schema", "job").json["properties"]
    assert "avoided_g" in cli("schema", "receipt").json["properties"]


def test_an_unknown_schema_exits_3_and_names_those_there_are(cli: Cli) -> None:
    done = cli("schema", "zzz")
    assert (done.code, "job-record" in done.err) == (3, True)
