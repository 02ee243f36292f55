"""Keeps a few child processes running: starts what dies again, ends all together.

A child learns of its parent's death through a pipe that only the parent holds open: it then ends as on SIGTERM. Children run
in sessions of their own, so that Ctrl-C reaches the parent alone and it decides who ends first.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PARENT_FD = "CARBONQ_PARENT_FD"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
SOUND_AFTER_S = 60.0
"""A child that ran this long is started again at once; one that dies sooner waits twice as long each time."""


@dataclass
class Child:
    """One process to keep running."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    restart_at_s: float = 0.0


class Supervisor:
    """Runs `commands` (name to argument vector) with `env`; each child's output goes to `log_folder/<name>.log`.

    `tell` gets one line for a person whenever something happens to a child.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        env: Mapping[str, str],
        log_folder: Path,
        tell: Callable[[str], None],
    ) -> None:
        self._children = [Child(name, command) for name, command in commands.items()]
        self._env = dict(env)
        self._log_folder = log_folder
        self._tell = tell
        self._read_fd, self._write_fd = os.pipe()

    def start(self) -> None:
        self._log_folder.mkdir(parents=True, exist_ok=True)
        for child in self._children:
            self._start(child)

    def watch(self) -> None:
        """Look after the children once: start again what has died and waited its time."""
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._note_death(child)
            if child.process is None and time.monotonic() >= child.restart_at_s:
                self._start(child)

    def pids(self) -> dict[str, int]:
        return {child.name: child.process.pid for child in self._children if child.process is not None}

    def send(self, name: str, number: signal.Signals) -> None:
        for child in self._children:
            if child.name == name and child.process is not None and child.process.poll() is None:
                child.process.send_signal(number)

    def stop(self, *, grace_s: float = 15.0) -> None:
        """SIGTERM to each child, last started first; SIGKILL to what is still there after `grace_s` each."""
        for child in reversed(self._children):
            if child.process is None:
                continue
            child.process.send_signal(signal.SIGTERM)
            try:
                child.process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self._tell(
                    f"the {child.name} did not end within {grace_s:.0f} s and was killed; its jobs go on and are found again"
                )
                child.process.kill()
                child.process.wait()
            child.process = None
        os.close(self._write_fd)
        os.close(self._read_fd)

    def ended(self, name: str) -> bool:
        return all(
            child.process is None or child.process.poll() is not None for child in self._children if child.name == name
        )

    def log_of(self, name: str) -> Path:
        return self._log_folder / f"{name}.log"

    def _start(self, child: Child) -> None:
        with self.log_of(child.name).open("ab") as log:
            child.process = subprocess.Popen(
                child.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env | {PARENT_FD: str(self._read_fd)},
                pass_fds=(self._read_fd,),
                start_new_session=True,
            )
        child.started_s = time.monotonic()

    def _note_death(self, child: Child) -> None:
        code = child.process.returncode if child.process else None
        lived_s = time.monotonic() - child.started_s
        child.pause_s = FIRST_PAUSE_S if lived_s > SOUND_AFTER_S else min(LONGEST_PAUSE_S, child.pause_s * 2)
        child.restart_at_s = time.monotonic() + child.pause_s
        child.process = None
        self._tell(
            f"the {child.name} ended ({describe_exit(code)}) and starts again in {child.pause_s:.0f} s; see {self.log_of(child.name)}"
        )


def describe_exit(code: int | None) -> str:
    """`exit code 1`, or `SIGKILL` for the negative codes that subprocess gives."""
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def end_with_parent(env: Mapping[str, str] = os.environ) -> None:
    """In a supervised child: once the parent's end of the pipe closes, end as on SIGTERM. Nothing without a supervisor."""
    number = env.get(PARENT_FD, "")
    if not number.isdigit():
        return

    def watch() -> None:
        os.read(int(number), 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
