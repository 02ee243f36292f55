"""What a job finds when it starts: its command, its folder, its environment."""

import shlex
import shutil
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from carbonq.domain.errors import InvalidInput
from carbonq.domain.job import Job
from carbonq.domain.spec import JobSpec, env_text
from carbonq.job import PROGRESS_VARIABLE
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.leftovers import MARKER

# fmt: off
INHERITED = frozenset((
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX",
    "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
))
# fmt: on
INHERITED_PREFIXES = ("LC_", "CUDA_", "NCCL_")
SECRET_PREFIX = "CARBONQ_SECRET_"  # noqa: S105  # the name of a variable, not a secret
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELL_WORDS = frozenset(
    ("if", "for", "while", "until", "case", "!", "[", "cd", "exec", "export", "set", "eval", "trap")
)


def compose(
    spec: JobSpec,
    job: Job,
    *,
    attempt: int,
    folder: Path,
    worker_env: Mapping[str, str],
    secrets: Mapping[str, str],
    gpu_uuids: Sequence[str],
) -> dict[str, str]:
    """The job's whole environment: a few inherited names, the spec's own, its secrets, and CARBONQ_*.

    GPUs are named by UUID, so that a renumbering cannot hand out another one; without GPUs none is visible.
    """
    env = {"PATH": DEFAULT_PATH, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(spec.resources.cpus)}
    env |= {name: value for name, value in worker_env.items() if _is_inherited(name)}
    env |= {name: env_text(value) for name, value in spec.env.items()}
    env |= secrets
    if spec.array is not None and job.array_index is not None:
        env |= spec.array.task_env(job.array_index)
    return env | {
        "CARBONQ_JOB_ID": job.id,
        "CARBONQ_JOB_NAME": job.name,
        "CARBONQ_ATTEMPT": str(attempt),
        MARKER: str(folder),
        PROGRESS_VARIABLE: str(folder / "progress.json"),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(gpu_uuids),
    }


def read_secrets(names: Sequence[str], secrets_dir: Path | None, worker_env: Mapping[str, str]) -> dict[str, str]:
    """Each secret from its file in `secrets_dir`, else from CARBONQ_SECRET_<name>. Raises InvalidInput for what is missing."""
    return {name: _secret(name, secrets_dir, worker_env) for name in names}


def command(spec: JobSpec, folder: AttemptFolder) -> tuple[str, ...]:
    """The program and its arguments. A script becomes a file of the attempt's folder."""
    if spec.script is not None:
        script = folder.path / "script"
        script.write_text(spec.script if spec.script.endswith("\n") else spec.script + "\n")
        script.chmod(0o700)
        return (str(script),) if spec.script.startswith("#!") else ("/bin/sh", "-eu", str(script))
    return ("/bin/sh", "-c", spec.run) if isinstance(spec.run, str) else tuple(spec.run or ())


def workdir(spec: JobSpec, job: Job) -> str:
    """Where the job runs. Raises InvalidInput for a folder that this worker does not have."""
    path = Path(job.folder or Path.home()) / Path(spec.workdir or ".").expanduser()
    if not path.is_dir():
        what = "is no folder" if path.exists() else "does not exist on this worker"
        raise InvalidInput(
            f"workdir {path} {what}",
            hint="put the files where every worker sees them, or set `workdir` to a folder that exists there",
        )
    return str(path)


def first_word(spec: JobSpec) -> str | None:
    """The command that a simple shell line starts with; None where the shell's grammar hides it."""
    if not isinstance(spec.run, str):
        return None
    try:
        words = shlex.split(spec.run)
    except ValueError:
        return None
    word = next((word for word in words if "=" not in word), None)
    return None if word is None or word in SHELL_WORDS or not set("$`;|&<>(){}*").isdisjoint(word) else word


def interpreter_of(program: str, workdir: str) -> str:
    """The interpreter that a script's first line names; empty for what is no script, or is not there."""
    with suppress(OSError), (Path(workdir) / program).open("rb") as file:
        first = file.readline(256).decode(errors="replace")
        return first.removeprefix("#!").strip() if first.startswith("#!") else ""
    return ""


def is_missing(word: str, search_path: str, workdir: str) -> bool:
    """Whether a shell started in `workdir` would not find this command."""
    if "/" in word:
        return not (Path(workdir) / word).exists()
    return shutil.which(word, path=search_path) is None


def _is_inherited(name: str) -> bool:
    return name in INHERITED or name.startswith(INHERITED_PREFIXES)


def _secret(name: str, secrets_dir: Path | None, worker_env: Mapping[str, str]) -> str:
    path = secrets_dir / name if secrets_dir else None
    if path is not None and path.is_file():
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidInput(
                f"secret {name}: {path} can be read by others",
                hint=f"on the worker: chmod 600 {shlex.quote(str(path))}",
            )
        return path.read_text().removesuffix("\n")
    if SECRET_PREFIX + name in worker_env:
        return worker_env[SECRET_PREFIX + name]
    place = f"write it to {path} (mode 600)" if path else "give the worker a secrets folder"
    raise InvalidInput(
        f"secret {name} is not known to this worker", hint=f"{place}, or set {SECRET_PREFIX}{name} in its environment"
    )
