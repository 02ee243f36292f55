"""Where settings come from, what goes before what, and how mistakes in them are told."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from carbonq import config, yaml12
from carbonq.config import load_settings, misspelt
from carbonq.domain.errors import InvalidInput
from carbonq.settings import SECRETS, Settings, keys, redact_url

EXAMPLE = Path(__file__).parents[2] / "configs" / "carbonq.yaml"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, and no system-wide file."""
    monkeypatch.setattr(config, "SYSTEM_FILE", tmp_path / "etc" / "carbonq.yaml")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def load(home: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None, **flags: object) -> Settings:
    return load_settings(flags, {"HOME": str(home), "TZ": "Europe/Paris"} | dict(env or {}), cwd or home)


def mistakes(home: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None, **flags: object) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load(home, env, cwd, **flags)
    return [str(problem) for problem in caught.value.problems]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_any_source_the_defaults_hold(home: Path) -> None:
    settings = load(home)

    assert (settings.redis_url, settings.namespace, settings.lease_s, settings.log_limit_b) == (
        None,
        "carbonq",
        30.0,
        64 * 2**20,
    )
    assert settings.data_dir == home / ".local/share/carbonq"
    assert settings.secrets_dir == home / ".config/carbonq/secrets"
    assert settings.runtime_dir == Path(f"/tmp/carbonq-{os.getuid()}")
    assert set(settings.origins) == set(keys())
    assert settings.origins["lease"] == "default"


def test_each_source_goes_before_the_next(home: Path, tmp_path: Path) -> None:
    system = write(tmp_path / "etc" / "carbonq.yaml", "lease: 1s\n")
    user = home / ".config/carbonq/carbonq.yaml"
    local = home / "project/carbonq.yaml"
    cwd = home / "project/deep/er"
    cwd.mkdir(parents=True)

    seen = [load(home, cwd=cwd)]
    write(user, "# mine\nlease: 2s\n")
    seen.append(load(home, cwd=cwd))
    write(local, "pool: gpu\nlease:  3s\n")
    seen.append(load(home, cwd=cwd))
    seen.append(load(home, {"CARBONQ_LEASE": "4s"}, cwd))
    seen.append(load(home, {"CARBONQ_LEASE": "4s"}, cwd, lease="5s"))

    assert [settings.lease_s for settings in seen] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert [settings.origins["lease"] for settings in seen] == [
        f"{system}:1:8",
        f"{user}:2:8",
        f"{local}:2:9",
        "CARBONQ_LEASE",
        "--lease",
    ]
    assert seen[-1].pool == "gpu"


def test_a_flag_that_was_not_given_and_an_empty_variable_do_not_count(home: Path) -> None:
    assert load(home, {"CARBONQ_POOL": ""}, lease=None).origins["pool"] == "default"


def test_variables_are_read_as_what_the_setting_is(home: Path) -> None:
    settings = load(
        home,
        {
            "CARBONQ_SLOT_MINUTES": "15",
            "CARBONQ_DEADLINE_MARGIN": "0.1",
            "CARBONQ_NAMESPACE": "123",
            "CARBONQ_SOURCES": "csv:data, typical",
            "CARBONQ_ZONE": "NO",
            "CARBONQ_WORKER_GPUS": "none",
            "CARBONQ_LOG_LIMIT": "1MB",
            "CARBONQ_WORKER_CPUS": "4",
        },
    )

    assert (settings.slot_minutes, settings.deadline_margin_rel, settings.namespace) == (15, 0.1, "123")
    assert settings.sources == (f"csv:{home}/data", "typical")
    assert (settings.zone, settings.worker_gpus, settings.log_limit_b, settings.worker_cpus) == ("NO", "none", 10**6, 4)


def test_relative_paths_start_where_they_are_written(home: Path) -> None:
    write(home / "project/carbonq.yaml", "data_dir: data\nsources: [csv:grid.csv]\nsecrets_dir: ~/s\n")
    (home / "project/sub").mkdir()

    settings = load(home, {"CARBONQ_RUNTIME_DIR": "run"}, home / "project/sub")

    assert settings.data_dir == home / "project/data"
    assert settings.sources == (f"csv:{home}/project/grid.csv",)
    assert settings.runtime_dir == home / "project/sub/run"
    assert settings.secrets_dir == Path("~/s").expanduser()


def test_base_folders_follow_xdg_where_they_are_absolute(home: Path) -> None:
    settings = load(home, {"XDG_DATA_HOME": "/data", "XDG_RUNTIME_DIR": "/run/user/7", "XDG_CONFIG_HOME": "relative"})

    assert (settings.data_dir, settings.runtime_dir) == (Path("/data/carbonq"), Path("/run/user/7/carbonq"))
    assert settings.secrets_dir == home / ".config/carbonq/secrets"


def test_the_zone_is_assumed_from_the_time_zone_and_says_so(home: Path) -> None:
    settings = load(home)

    assert (settings.zone, settings.origins["zone"]) == ("FR", "assumed from the time zone Europe/Paris")
    assert load(home, {"CARBONQ_ZONE": "DE"}).origins["zone"] == "CARBONQ_ZONE"


KEYS = {
    "CARBONQ_ELECTRICITY_MAPS_KEY": "hunter2-maps",
    "CARBONQ_WATTTIME_USER": "hunter2-user",
    "CARBONQ_WATTTIME_PASSWORD": "hunter2-pass",
    "CARBONQ_ENTSOE_KEY": "hunter2-entsoe",
    "CARBONQ_EIA_KEY": "hunter2-eia",
}
KEYLESS = ("uk", "energy-charts", "rte", "typical")


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ((), ()),
        (("CARBONQ_EIA_KEY",), ("eia",)),
        (("CARBONQ_WATTTIME_USER",), ()),
        (tuple(KEYS), ("electricity-maps", "watttime", "entsoe", "eia")),
    ],
)
def test_sources_whose_keys_are_set_are_asked_before_those_without(
    home: Path, given: tuple[str, ...], first: tuple[str, ...]
) -> None:
    assert load(home, {name: KEYS[name] for name in given}).sources == (*first, *KEYLESS)


def test_an_empty_key_is_none(home: Path) -> None:
    write(home / "carbonq.yaml", "eia_key: ''\n")
    settings = load(home)
    assert (settings.eia_key, settings.sources) == (None, KEYLESS)


def test_a_key_is_never_shown(home: Path) -> None:
    settings = load(home, KEYS)
    hidden = {name: value for name, value in settings.redacted().items() if value == "***"}
    assert hidden == dict.fromkeys(SECRETS, "***")
    assert "hunter2" not in f"{settings!r}{settings}{settings.redacted()}{settings.origins}"
    assert load(home).redacted()["eia_key"] is None


def test_no_mistake_shows_a_key(home: Path) -> None:
    write(home / "carbonq.yaml", "watttime_password: 12345678\neia_key: [hunter2]\n")
    told = mistakes(home)
    assert [line.partition(": ")[2] for line in told] == [
        "watttime_password: needs a text; put it in quotes",
        "eia_key: needs a text; put it in quotes",
    ]


def test_a_password_in_a_sources_address_is_not_shown(home: Path) -> None:
    settings = load(home, sources="carbon-aware-sdk:https://me:hunter2@sdk.example.org,typical")
    assert settings.redacted()["sources"] == ["carbon-aware-sdk:https://me:***@sdk.example.org", "typical"]
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    "url", ["http://me:hunter2@host/", "http://hunter2@host", "http://host/?api_key=hunter2", "http://host/#hunter2"]
)
def test_a_providers_address_holds_no_key(home: Path, url: str) -> None:
    (told,) = mistakes(home, uk_url=url)
    assert "settings of their own" in told
    assert "hunter2" not in told


def test_no_mistake_shows_a_password_in_an_address(home: Path) -> None:
    told = [
        *mistakes(home, uk_url="htp://me:hunter2@host"),
        *mistakes(home, sources="carbon-aware-sdkk:https://me:hunter2@host"),
    ]
    assert ["me:***@host" in one for one in told] == [True, True]
    assert "hunter2" not in str(told)


@pytest.mark.parametrize("source", ["csv", "parquet:", "carbon-aware-sdk"])
def test_a_source_without_its_place_is_told_how_to_write_it(home: Path, source: str) -> None:
    assert f"write {source.partition(':')[0]}:" in mistakes(home, sources=source)[0]


def test_all_mistakes_are_told_with_their_place(home: Path) -> None:
    file = write(home / "carbonq.yaml", "leese: 30s\nzone: no\nslot_minutes: '30'\npool: a\npool: b\npoll: 5\n")

    assert mistakes(
        home,
        {"CARBONQ_LEASE": "x", "CARBONQ_REDIS_URL": "http://me:hunter2@host"},
        horizon_hours="abc",
        zonn="x",
        sources="ukk",
    ) == [
        '--horizon-hours: needs a whole number, got "abc"',
        '--sources: "ukk" is no source; did you mean `uk`?',
        "--zonn: unknown setting `zonn`; did you mean `zone`?",
        f"{file}:1:1: unknown setting `leese`; did you mean `lease`?",
        f'{file}:2:7: zone: "no" is not allowed; did you mean `NO`?',
        f'{file}:3:15: slot_minutes: needs a whole number, got "30"; remove the quotes',
        f"{file}:5:1: `pool` was given before, in line 4; remove one of the two",
        f"{file}:6:7: poll: 5 has no unit; write it like 2h30m",
        'CARBONQ_LEASE: "x" is no duration; write it like 2h30m, 45m, 90s or 1d12h',
        "CARBONQ_REDIS_URL: is no Redis URL; write redis://host:6379/0, rediss://… for TLS or unix:///path/to/socket",
    ]


def test_a_file_that_is_no_mapping_or_no_yaml_is_told(home: Path) -> None:
    file = write(home / "carbonq.yaml", "- a\n")
    assert mistakes(home) == [f"{file}:1:1: needs settings, as `key: value`, got a list"]

    write(file, "a: [\n")
    assert mistakes(home)[0].startswith(f"{file}:2:1: a `[` or `{{` above is not closed here")


def test_a_folder_in_the_place_of_the_file_is_told(home: Path) -> None:
    (home / "carbonq.yaml").mkdir()

    with pytest.raises(InvalidInput, match="is a folder"):
        load(home)


def test_an_empty_file_changes_nothing(home: Path) -> None:
    write(home / "carbonq.yaml", "# lease: 1s\n")

    assert load(home).lease_s == 30.0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
def test_a_strangers_file_in_a_folder_open_to_all_does_not_count(home: Path) -> None:
    shared = home / "shared"
    file = write(shared / "carbonq.yaml", "redis_url: redis://trap\n")
    os.chown(file, 12345, 12345)
    assert load(home, cwd=shared).redis_url == "redis://trap"

    shared.chmod(0o777 | stat.S_ISVTX)

    assert load(home, cwd=shared).redis_url is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:hunter2@host:6379/0", "redis://user:***@host:6379/0"),
        ("rediss://:hunter2@host", "rediss://:***@host"),
        ("redis://host:6379/2", "redis://host:6379/2"),
        ("redis://user@host", "redis://user@host"),
        ("redis://host?password=hunter2&db=1", "redis://host?password=***&db=1"),
        ("redis://u:hunter2/@?ss@host", "redis://u:***@host"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_a_password_is_never_shown(home: Path, url: str, shown: str) -> None:
    settings = load(home, redis_url=url)

    assert settings.redacted()["redis_url"] == redact_url(url) == shown
    assert "hunter2" not in repr(settings) + str(settings)


def test_no_mistake_shows_a_password(home: Path) -> None:
    for url in ("http://u:hunter2@h", "redis//u:hunter2@h", "hunter2"):
        assert "hunter2" not in mistakes(home, redis_url=url)[0]


def test_redacted_has_every_setting_with_its_unit(home: Path) -> None:
    assert set(load(home).redacted()) == set(keys().values())


def test_variables_near_a_settings_name_are_told(home: Path) -> None:
    env = {
        "CARBONQ_REDISURL": "x",
        "CARBONQ_TASK_INDEX": "1",
        "CARBONQ_JOB_ID": "a",
        "PATH": "/bin",
        "CARBONQ_LEASE": "1s",
    }

    assert list(map(str, misspelt(env))) == ["CARBONQ_REDISURL: is no setting; did you mean `CARBONQ_REDIS_URL`?"]


def test_the_example_file_has_every_setting_and_is_sound(home: Path) -> None:
    """As it stands it changes nothing; with every `# key:` line taken in, each is accepted."""
    text = EXAMPLE.read_text()
    assert yaml12.read(text.encode(), "example").data is None
    lines = [
        line.removeprefix("# ")
        for line in text.splitlines()
        if line.startswith("# ") and line.split(":")[0][2:] in keys()
    ]
    file = write(home / "carbonq.yaml", "\n".join(lines))

    settings = load(home)

    assert {key for key, origin in settings.origins.items() if origin.startswith(str(file))} == set(keys())
    machine = {*SECRETS, "redis_url", "zone", "sources", "data_dir", "runtime_dir", "secrets_dir"}
    machine |= {"worker_cpus", "worker_pue", "worker_embodied_kg"}
    assert {key: settings.redacted()[name] for key, name in keys().items() if key not in machine} == {
        key: Settings().redacted()[name] for key, name in keys().items() if key not in machine
    }
