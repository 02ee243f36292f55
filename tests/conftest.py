"""Real servers for every test that needs the queue: the wheel's Valkey, and Debian's Redis 7 where it is installed."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings

from carbonq.scheduler.queue.rules import MIN_SERVER_VERSION
from carbonq.scheduler.queue.server import EmbeddedServer, server_version, wheel_binaries

# How long drawing and testing take says nothing where machines are shared; that it ends is held to by the tests' own timeout.
settings.register_profile("carbonq", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("carbonq")


class KillableServer(EmbeddedServer):
    """A server that a test may treat badly. `start` after `kill` brings the same data up again."""

    def kill(self) -> None:
        """kill -9, as the kernel's OOM killer would; returns once nothing answers any more."""
        os.kill(self.pid, signal.SIGKILL)
        while self.is_running():
            time.sleep(0.001)


def _binary(kind: str) -> Path:
    on_path = shutil.which("redis-server")
    found = wheel_binaries() if kind == "valkey" else [Path(on_path)] if on_path else []
    fit = [binary for binary in found if (server_version(binary) or 0) >= MIN_SERVER_VERSION]
    if not fit:
        pytest.skip(f"this machine has no {kind} server >= {MIN_SERVER_VERSION}")
    return fit[0]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A temporary folder whose path leaves room for a socket's name (unix(7): 108 bytes)."""
    with tempfile.TemporaryDirectory(prefix="cq-", dir="/tmp") as folder:
        yield Path(folder)


KINDS = ("valkey", "redis")


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], EmbeddedServer]]:
    """The session's real servers by kind, each with an AOF, started when first asked for."""
    with ExitStack() as running:

        @cache
        def started(kind: str) -> EmbeddedServer:
            folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="cq-", dir="/tmp")))
            server = EmbeddedServer(folder / "data", socket=folder / "s" / "redis.sock", binary=_binary(kind))
            return running.enter_context(server)

        yield started


@pytest.fixture(scope="session", params=KINDS)
def server(request: pytest.FixtureRequest, servers: Callable[[str], EmbeddedServer]) -> EmbeddedServer:
    """A real server, shared by the session's tests."""
    return servers(request.param)


@pytest.fixture
def redis_url(server: EmbeddedServer) -> str:
    """The URL of a server that holds nothing."""
    return _emptied(server)


def _emptied(server: EmbeddedServer) -> str:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server.url


@pytest.fixture
def empty_server(servers: Callable[[str], EmbeddedServer]) -> Callable[[str], str]:
    """The URL of the server of that kind, which holds nothing."""
    return lambda kind: _emptied(servers(kind))


@pytest.fixture(params=KINDS)
def fresh_server(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[KillableServer]:
    """A server of this test's own, to kill, stop and restart."""
    running = KillableServer(
        short_folder / "data", socket=short_folder / "s" / "redis.sock", binary=_binary(request.param)
    )
    running.start()
    yield running
    if not running.is_running():  # a test may leave it dead
        running.start()
    running.stop()
