"""Finds the settings in force: flag > `CARBONQ_*` > ./carbonq.yaml and upwards > user > system > default."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from carbonq import problems, yaml12
from carbonq.domain.errors import InvalidInput, Problem
from carbonq.domain.written import AS_WRITTEN
from carbonq.localzone import guess_zone
from carbonq.settings import ENV_PREFIX, Settings, keys

FILE_NAME = "carbonq.yaml"
SYSTEM_FILE = Path("/etc/carbonq") / FILE_NAME


class Given(NamedTuple):
    """A value that somebody gave, and where: in a file, or in the variable or flag of that name."""

    value: object
    source: str
    folder: Path  # what a relative path in it starts from
    document: yaml12.Document | None = None

    def origin(self, key: str) -> str:
        if self.document is None:
            return self.source
        line, column = self.document.values[key,]
        return f"{self.source}:{line}:{column}"

    def problem(self, mistake: problems.Located) -> Problem:
        if self.document is None:
            return Problem(self.source, 0, 0, mistake.what, mistake.hint)
        return mistake.in_document(self.document)


def load_settings(
    flags: Mapping[str, object] | None = None, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Settings:
    """The settings in force; `origins` says of each key where its value came from.

    `flags` maps keys to texts or plain values; None means not given. Raises InvalidInput with every problem found.
    """
    env = os.environ if env is None else env
    cwd = Path.cwd() if cwd is None else cwd
    found: list[Problem] = []
    given: dict[str, Given] = {}
    for path in reversed(config_files(env, cwd)):
        given |= _from_file(path, found)
    given |= _from_env(env, cwd)
    given |= _from_flags(flags or {}, cwd, found)
    return _settle(given, env, found)


def config_files(env: Mapping[str, str], cwd: Path) -> list[Path]:
    """The files that are read, the one that counts most first: the nearest upwards, the user's, the system's."""
    nearest = next((file for folder in (cwd, *cwd.parents) if _is_trusted(file := folder / FILE_NAME)), None)
    candidates = [nearest, _config_home(env) / FILE_NAME, SYSTEM_FILE]
    return list(dict.fromkeys(file for file in candidates if file is not None and file.exists()))


def _is_trusted(file: Path) -> bool:
    """Whether a file may steer us: in a folder that everybody can write to, such as /tmp, only one's own or root's may."""
    try:
        owner, folder = file.stat().st_uid, file.parent.stat()
    except OSError:
        return False
    return owner in (0, os.getuid()) or not folder.st_mode & stat.S_IWOTH


def _from_file(path: Path, found: list[Problem]) -> dict[str, Given]:
    document = yaml12.read(yaml12.read_bytes(path), str(path))
    found += document.problems
    if document.data is None:
        return {}
    if not isinstance(document.data, dict):
        what = f"needs settings, as `key: value`, got {problems.show(document.data)}"
        raise InvalidInput(what, where=str(path), problems=(Problem(str(path), *document.values[()], what),))
    known = keys()
    for key in document.data.keys() - known.keys():
        hint = problems.did_you_mean(key, known) or "`carbonq config show` lists all"
        found.append(Problem(str(path), *document.keys[key,], f"unknown setting `{key}`", hint))

    unread = {path[0] for path in document.unread if path}
    return {
        key: Given(value, str(path), path.absolute().parent, document)
        for key, value in document.data.items()
        if key in known and key not in unread and value is not None
    }


def _from_env(env: Mapping[str, str], cwd: Path) -> dict[str, Given]:
    names = {key: ENV_PREFIX + key.upper() for key in keys()}
    return {key: Given(_from_text(key, env[name]), name, cwd) for key, name in names.items() if env.get(name)}


def _from_flags(flags: Mapping[str, object], cwd: Path, found: list[Problem]) -> dict[str, Given]:
    known = keys()
    given: dict[str, Given] = {}
    for key, value in flags.items():
        flag = f"--{key.replace('_', '-')}"
        if key not in known:
            found.append(Problem(flag, 0, 0, f"unknown setting `{key}`", problems.did_you_mean(key, known)))
        elif value is not None:
            plain = (
                _from_text(key, value) if isinstance(value, str) else str(value) if isinstance(value, Path) else value
            )
            given[key] = Given(plain, flag, cwd)
    return given


def _from_text(key: str, text: str) -> object:
    """What a flag's or a variable's text means: a number or a list where the setting is one, else the text itself."""
    name = keys()[key]
    if name == "sources":
        return [part.strip() for part in text.split(",") if part.strip()]
    if name in _NUMBERS:
        try:
            return yaml12.resolve(text)
        except ValueError:
            return text
    return text


_NUMBERS = frozenset(
    {
        "slot_minutes",
        "horizon_hours",
        "deadline_margin_rel",
        "worker_cpus",
        "worker_pue",
        "worker_embodied_kg",
        "worker_lifetime_years",
    }
)
_FOLDERS = frozenset({"data_dir", "runtime_dir", "secrets_dir"})


def _settle(given: Mapping[str, Given], env: Mapping[str, str], found: list[Problem]) -> Settings:
    """What was given over what is usual here, checked."""
    usual, origins = _usual(given, env)
    data = usual | {key: _rooted(key, one) for key, one in given.items()}
    try:
        settings = Settings.model_validate(data, context=AS_WRITTEN)
    except ValidationError as error:
        found += [given[str(mistake.path[0])].problem(mistake) for mistake in problems.located(error, Settings, data)]
        raise problems.invalid("settings", found, "mistakes in the settings") from None
    if found:
        raise problems.invalid("settings", found, "mistakes in the settings")
    origins |= {key: one.origin(key) for key, one in given.items()}
    return settings.model_copy(update={"origins": {key: origins.get(key, "default") for key in keys()}})


def _usual(given: Mapping[str, Given], env: Mapping[str, str]) -> tuple[dict[str, object], dict[str, str]]:
    """The defaults that depend on the machine, and why they are what they are."""
    guess = guess_zone(env)
    runtime = _xdg(env, "XDG_RUNTIME_DIR")
    usual: dict[str, object] = {
        "zone": guess.zone,
        "sources": list(_usual_sources(given)),
        "data_dir": (_xdg(env, "XDG_DATA_HOME") or _home(env) / ".local/share") / "carbonq",
        "runtime_dir": runtime / "carbonq" if runtime else Path(f"/tmp/carbonq-{os.getuid()}"),  # noqa: S108  # its user makes it 0700; TMPDIR is often too long for a socket
        "secrets_dir": _config_home(env) / "secrets",
    }
    return usual, {"zone": guess.why}


_KEYED = {
    "electricity-maps": ("electricity_maps_key",),
    "watttime": ("watttime_user", "watttime_password"),
    "entsoe": ("entsoe_key",),
    "eia": ("eia_key",),
}


def _usual_sources(given: Mapping[str, Given]) -> Iterator[str]:
    """Sources whose keys are there, then those that need none: each is asked only for the zones that it knows."""
    for source, wanted in _KEYED.items():
        if all(key in given and given[key].value for key in wanted):
            yield source
    yield from ("uk", "energy-charts", "rte", "typical")


def _rooted(key: str, given: Given) -> object:
    """The value, with a relative path in it made absolute from where it was given."""
    if key in _FOLDERS and isinstance(given.value, str):
        return given.folder / Path(given.value).expanduser()
    if key == "sources" and isinstance(given.value, list):
        return [_rooted_source(source, given.folder) for source in given.value]
    return given.value


def _rooted_source(source: object, folder: Path) -> object:
    kind, _, path = source.partition(":") if isinstance(source, str) else ("", "", "")
    return f"{kind}:{folder / Path(path).expanduser()}" if kind in _FILES and path else source


_FILES = frozenset({"csv", "parquet"})


def _home(env: Mapping[str, str]) -> Path:
    return Path(env["HOME"]) if env.get("HOME") else Path.home()


def _config_home(env: Mapping[str, str]) -> Path:
    return (_xdg(env, "XDG_CONFIG_HOME") or _home(env) / ".config") / "carbonq"


def _xdg(env: Mapping[str, str], name: str) -> Path | None:
    """A base folder of the XDG specification, which says that a relative one is to be ignored."""
    folder = Path(env.get(name, ""))
    return folder if folder.is_absolute() else None


def misspelt(env: Mapping[str, str]) -> list[Problem]:
    """Variables that look like a setting's and are none. Not an error: jobs find more `CARBONQ_*` around them."""
    names = [ENV_PREFIX + key.upper() for key in keys()]
    unknown = sorted(name for name in env if name.startswith(ENV_PREFIX) and name not in names)
    near = {name: problems.did_you_mean(name, names, cutoff=0.85) for name in unknown}
    return [Problem(name, 0, 0, "is no setting", hint) for name, hint in near.items() if hint]
