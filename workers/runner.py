"""The process tree of one attempt, seen from the worker: start it, find it again, signal it, stop it, learn how it ended."""

import contextlib
import dataclasses
import functools
import importlib.util
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from carbonq.workers import leftovers
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.settings import Keepalive
from carbonq.workers.shim import cgroup, proc
from carbonq.workers.shim.counters import node_busy_s

START_SHIM = "import sys; sys.path.append(sys.argv[1]); from shim import attempt; attempt.main()"
STOP_REASON_B = 64  # room taken in advance: a full disk must not keep a job from being stopped
JOURNAL_POINTS = 1900  # a trace may have 2,000 segments


@functools.cache
def _binding() -> str | None:
    """The file of NVIDIA's binding, which a shim loads by its path."""
    spec = importlib.util.find_spec("pynvml")
    return spec.origin if spec else None


@dataclasses.dataclass(frozen=True)
class Command:
    """What to run, and with which limits. `env` may hold secrets: it goes through a socket and touches no file."""

    argv: tuple[str, ...]
    env: dict[str, str]
    workdir: str
    timeout_s: float | None = None
    grace_s: float = 10.0
    linger_s: float = 900.0
    log_limit_b: int = 256 * 2**20
    sample_interval_s: float = 1.0
    powercap_dir: str = "/sys/class/powercap"
    gpu_uuids: tuple[str, ...] = ()  # whose energy counters the shim is to journal
    pynvml_path: str | None = dataclasses.field(default_factory=_binding)  # None: not installed


class GpuReading(NamedTuple):
    """A row of gpus.jsonl: what a GPU's energy counter showed; None where it could not be read."""

    at_s: float
    uuid: str
    counter_j: float | None


@dataclasses.dataclass(frozen=True)
class Ending:
    """How an attempt ended, as its shim recorded it. `reason` says who ended it; it is empty where the job did.

    Reasons: `timeout`, `cancel`, `stale`, `drain` and `terminated` (somebody else sent the shim SIGTERM) from the shim;
    `shim-died` and `never-started` where there is no record.
    """

    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    could_not_start: str = ""  # `workdir` or `command`
    subject: str = ""
    error: str = ""
    started_real_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None
    cpu_s: float | None = None
    log_lost_b: int = 0
    points: tuple[Sequence[float | None], ...] = ()
    gpus: tuple[GpuReading, ...] = ()  # the shim's last look at each

    @classmethod
    def recorded(cls, record: dict[str, Any]) -> "Ending":
        known = {field.name for field in dataclasses.fields(cls)}
        ending = cls(**{name: value for name, value in record.items() if name in known})
        return dataclasses.replace(ending, gpus=tuple(GpuReading(*row) for row in ending.gpus))


class Attempt:
    """A running attempt: one that this worker started, or one that it found."""

    def __init__(self, folder: AttemptFolder, shim: "Child | None", fd: int) -> None:
        self.folder, self._shim, self._fd = folder, shim, fd

    def fileno(self) -> int:
        """Readable when there may be news: the shim's socket, or the pidfd of a shim that was found."""
        return self._fd

    def poll(self) -> Ending | None:
        """How it ended, or None while it runs. A shim that died without a record has its job cleaned away first."""
        if ending := recorded_ending(self.folder):
            return ending
        if self._shim_lives():
            return None
        return recorded_ending(self.folder) or clean_up(self.folder)

    def stop(self, reason: str) -> None:
        """SIGTERM to the whole tree, SIGKILL after the grace; the reason comes back in the ending."""
        with (self.folder.path / "stop").open("r+") as file:
            file.write(reason)
        self._signal_shim(signal.SIGTERM)

    def signal(self, signum: int) -> None:
        """Signal the job's main process, never anybody else who may have its pid by now."""
        identity = self.folder.read("shim.json") or {}
        job = identity.get("job")
        if not leftovers.is_same(job, identity.get("boot_id")):
            return
        _signal_process(job["pid"], job["start_ticks"], signum)

    def dismiss(self) -> None:
        """The end is reported: the shim may go."""
        self._signal_shim(signal.SIGTERM)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _shim_lives(self) -> bool:
        if self._shim is not None:
            return self._shim.is_alive()
        identity = self.folder.read("shim.json") or {}
        return leftovers.is_same(identity.get("shim"), identity.get("boot_id"))

    def _signal_shim(self, signum: int) -> None:
        if self._shim is not None:
            self._shim.signal(signum)
            return
        identity = self.folder.read("shim.json") or {}
        if leftovers.is_same(identity.get("shim"), identity.get("boot_id")):
            _signal_process(identity["shim"]["pid"], identity["shim"]["start_ticks"], signum)


class Runner:
    """Starts attempts, with idle shims kept ready so that a due job's command runs within milliseconds."""

    def __init__(self, attempts_dir: Path, *, prewarmed: int = 1) -> None:
        self.attempts_dir, self._prewarmed = attempts_dir, prewarmed
        attempts_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._idle: list[tuple[Child, socket.socket]] = []
        self._children: list[Child] = []

    def prewarm(self) -> None:
        """Bring the idle shims up to their number; call when there is time for it."""
        while len(self._idle) < self._prewarmed:
            self._idle.append(self._start_shim())

    def start(
        self,
        folder: AttemptFolder,
        command: Command,
        keepalive: Keepalive | None = None,
        every_s: float = 10.0,
        locks: Sequence[int] = (),
    ) -> Attempt:
        """Hand the order to a shim. `locks` are file descriptors that the shim holds open until it ends."""
        order = {
            "folder": str(folder.path),
            "argv": command.argv,
            "env": command.env,
            "workdir": command.workdir,
            "timeout_s": command.timeout_s,
            "grace_s": command.grace_s,
            "linger_s": command.linger_s if keepalive else 5.0,
            "log_limit_b": command.log_limit_b,
            "journal": {
                "interval_s": command.sample_interval_s,
                "points": JOURNAL_POINTS,
                "powercap": command.powercap_dir,
            },
            "gpus": command.gpu_uuids,
            "pynvml": command.pynvml_path,
            "keepalive": None if keepalive is None else dataclasses.asdict(keepalive) | {"every_s": every_s},
        }
        shim, control = self._take_idle()
        # before the order: whoever finds this folder from now on knows whom to look for
        (folder.path / "stop").write_text(" " * STOP_REASON_B)
        folder.write("shim.json", {"boot_id": proc.boot_id(), "shim": shim.identity})
        _send_order(control, json.dumps(order).encode() + b"\n", locks)
        return Attempt(folder, shim, control.detach())

    def existing(self) -> Iterator[AttemptFolder]:
        """Folders of attempts that have not been reported."""
        for path in sorted(self.attempts_dir.iterdir()):
            folder = AttemptFolder(path)
            if path.is_dir() and not folder.is_reported:
                yield folder

    def find(self, folder: AttemptFolder) -> Attempt:
        """Take up an attempt that another worker process started; it may have ended meanwhile."""
        identity = folder.read("shim.json") or {}
        fd = -1
        if leftovers.is_same(identity.get("shim"), identity.get("boot_id")):
            with contextlib.suppress(OSError):
                fd = os.pidfd_open(identity["shim"]["pid"])
        return Attempt(folder, None, fd)

    def reap(self) -> None:
        """Collect the exit status of shims that are gone."""
        self._children = [child for child in self._children if child.is_alive()]

    def close(self) -> None:
        """End the idle shims; attempts are left alone."""
        while self._idle:
            shim, control = self._idle.pop()
            control.close()
            shim.wait()
        self.reap()

    def _take_idle(self) -> "tuple[Child, socket.socket]":
        while self._idle:
            shim, control = self._idle.pop()
            if shim.is_alive():
                return shim, control
            control.close()
        return self._start_shim()

    def _start_shim(self) -> "tuple[Child, socket.socket]":
        shim, control = start_shim()
        self._children.append(shim)
        return shim, control


def recorded_ending(folder: AttemptFolder) -> Ending | None:
    record = folder.read("exit.json")
    return None if record is None else Ending.recorded(record)


def gpu_readings(folder: AttemptFolder) -> list[GpuReading]:
    """What the shim journalled of the attempt's GPUs, in the order in which it was read."""
    return [GpuReading(*line) for line in folder.lines("gpus.jsonl") if len(line) == len(GpuReading._fields)]


def clean_up(folder: AttemptFolder) -> Ending:
    """After a shim that left no record: kill what is left of its job, and tell what is known.

    A job that still ran ends now, not when its shim died; its journal gets a last point, so that this counts as well.
    """
    identity = folder.read("shim.json")
    killed = leftovers.kill(folder.path, identity)
    if identity is None or "job" not in identity:
        _close_group(identity)
        return Ending(reason="never-started", error="the worker ended before the job's command ran")
    points = [line for line in folder.lines("meter.jsonl") if line and not isinstance(line[0], str)]
    known_s = [seen_s for seen_s in (points[-1][1] if points else None, _close_group(identity)) if seen_s is not None]
    cpu_s = max(known_s, default=None)
    if killed and cpu_s is not None:
        points.append([proc.now_s(), cpu_s, node_busy_s(), None, None])
        folder.append("meter.jsonl", points[-1])
    if identity["boot_id"] == proc.boot_id():
        error = f"its shim was killed; {killed} of its processes were still running and were ended"
    else:
        error = "the machine was restarted"
    return Ending(
        reason="shim-died",
        error=error,
        started_real_s=identity["started_real_s"],
        started_s=identity["started_s"],
        ended_s=max(points[-1][0] if points else 0.0, identity["started_s"]),
        cpu_s=cpu_s,
        points=(points[0], points[-1]) if points else (),
        gpus=tuple({reading.uuid: reading for reading in gpu_readings(folder)}.values()),
    )


def _close_group(identity: dict[str, Any] | None) -> float | None:
    """Remove a dead shim's control group; the CPU seconds that it counted to the last, where it can be known."""
    group = (identity or {}).get("cgroup")
    if identity is None or not group or identity.get("boot_id") != proc.boot_id():
        return None
    used_s = cgroup.usage_s(group)
    cgroup.remove(group)
    return used_s


class Child:
    """A shim that this process started. Until it is waited for, its pid is nobody else's."""

    def __init__(self, pid: int) -> None:
        self.pid, self.identity = pid, {"pid": pid, "start_ticks": proc.start_ticks(pid)}
        self._is_gone, self._lock = False, threading.Lock()

    def is_alive(self) -> bool:
        return not self._wait(os.WNOHANG)

    def wait(self) -> None:
        self._wait(0)

    def signal(self, signum: int) -> None:
        with self._lock:
            if not self._is_gone:
                os.kill(self.pid, signum)

    def _wait(self, options: int) -> bool:
        with self._lock:
            if not self._is_gone:
                self._is_gone = os.waitpid(self.pid, options)[0] == self.pid
            return self._is_gone


def start_shim() -> tuple[Child, socket.socket]:
    """A shim that waits for its order on the returned socket.

    It gets a session of its own, so that a terminal's Ctrl-C reaches the worker and not the jobs, and of the worker's
    environment only what the interpreter may need to start.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-X", "utf8", "-c", START_SHIM, str(Path(__file__).resolve().parent)],
            {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PYTHONHOME") if name in os.environ},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setsid=True,
        )
    return Child(pid), ours


def _send_order(control: socket.socket, order: bytes, locks: Sequence[int]) -> None:
    control.settimeout(10.0)
    sent = socket.send_fds(control, [order], list(locks)) if locks else 0
    control.sendall(order[sent:])


def _signal_process(pid: int, start_ticks: int, signum: int) -> None:
    """By pidfd, checked after it is open: between looking and signalling no other process can slip in."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if proc.start_ticks(pid) == start_ticks:
            signal.pidfd_send_signal(fd, signum)
    except ProcessLookupError:
        pass
    finally:
        os.close(fd)
