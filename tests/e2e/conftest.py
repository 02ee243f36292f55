"""carbonq as its users have it: the built wheel in a virtual environment of its own, driven through its command line."""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that holds the wheel. Its dependencies are those of the tests' own environment."""
    folder = tmp_path_factory.mktemp("wheel")
    # By way of the sdist: what it lacks the wheel lacks, and no old build folder leaks in.
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(build, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    site_packages = next((folder / "venv" / "lib").glob("python*/site-packages"))
    # A path file of its own is searched after the wheel; the editable install's is not followed from here.
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(folder / "venv" / "bin" / "python"),
        "install",
        "--quiet",
        "--no-deps",
    ]
    done = subprocess.run([*install, str(next(folder.glob("*.whl")))], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "venv" / "bin"


@dataclass
class Machine:
    """One user's machine: a home, a queue, and whatever processes a test starts."""

    bin: Path
    home: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CARBONQ_", "XDG_"))}
        return kept | {
            "HOME": str(self.home),
            "PATH": f"{self.bin}:{kept['PATH']}",
            "XDG_DATA_HOME": str(self.home / "share"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "CARBONQ_ZONE": "FR",
            "CARBONQ_SOURCES": "typical",  # no test goes out to a provider
            "CARBONQ_LEASE": "5s",
            "NO_COLOR": "1",
        }

    def run(self, *arguments: str, check: bool = True, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        command = [str(self.bin / "carbonq"), *arguments]
        done = subprocess.run(command, env=self.env, cwd=self.home, capture_output=True, text=True, timeout=timeout)
        assert not check or done.returncode == 0, f"carbonq {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)

    def json_or_none(self, *arguments: str) -> Any:
        """None where the command fails."""
        done = self.run(*arguments, "--json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def pids(self, service: str) -> list[int]:
        """The processes `carbonq <service>` of this machine."""
        return [pid for pid, command in self._own_processes() if command[-2:] == ["carbonq", service]]

    def left_running(self) -> list[list[str]]:
        """Command lines of this machine's processes that are not ours to wait for."""
        ours = {process.pid for process in self.processes}
        return [command for pid, command in self._own_processes() if pid not in ours]

    def _own_processes(self) -> Iterator[tuple[int, list[str]]]:
        """Processes whose environment has this home."""
        mark = f"HOME={self.home}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
                    if command:
                        yield int(folder.name), command
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.home / f"{arguments[0]}.log").open("ab")
        with log:
            process = subprocess.Popen(
                [self.bin / "carbonq", *arguments], env=self.env, cwd=self.home, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
        """The first true answer of `condition`. Fails, with the services' logs, where none comes in time."""
        give_up = time.monotonic() + timeout_s
        while not (answer := condition()):
            logs = "\n".join(f"== {log.name}\n{log.read_text()}" for log in self.home.glob("*.log"))
            assert time.monotonic() < give_up, f"not within {timeout_s:.0f} s: {what}\n{logs}"
            time.sleep(0.1)
        return answer


@pytest.fixture
def machine(installed: Path) -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="cq-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        there = Machine(installed, Path(folder))
        yield there
        for process in reversed(there.processes):
            if process.poll() is None:
                process.terminate()
        for process in there.processes:
            process.wait(60)
