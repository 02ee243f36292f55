"""The supervisor keeps children running, with real processes."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carbonq import supervisor
from carbonq.supervisor import Supervisor, describe_exit


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def services(tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.01)
    sleeper = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
    running = Supervisor({"one": sleeper, "two": sleeper}, os.environ, tmp_path / "logs", said.append)
    running.start()
    yield running
    running.stop(grace_s=5)


def test_each_child_writes_to_a_log_of_its_own(services: Supervisor) -> None:
    for name in ("one", "two"):
        until(lambda name=name: services.log_of(name).read_text() == "here\n")  # type: ignore[misc]  # mypy knows no default of a lambda


def test_a_child_that_dies_is_started_again_and_its_death_is_told(services: Supervisor, said: list[str]) -> None:
    first = services.pids()["one"]
    os.kill(first, signal.SIGKILL)

    def is_back() -> bool:
        services.watch()
        return services.pids().get("one", first) != first

    until(is_back)
    assert "the one ended (SIGKILL)" in said[0]
    assert str(services.log_of("one")) in said[0]
    assert services.pids()["two"] != services.pids()["one"]


def test_a_child_that_ignores_sigterm_is_killed_in_the_end(tmp_path: Path, said: list[str]) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    running = Supervisor({"deaf": [sys.executable, "-c", deaf]}, os.environ, tmp_path, said.append)
    running.start()
    until(lambda: running.log_of("deaf").read_text() == "deaf\n")
    pid = running.pids()["deaf"]
    running.stop(grace_s=0.2)
    assert not alive(pid)
    assert "was killed" in said[-1]


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    """The pipe that only the parent holds open closes with it, however it dies."""
    child = "from carbonq.supervisor import end_with_parent; import signal; end_with_parent(); print('up', flush=True); signal.pause()"
    parent = textwrap.dedent(f"""
        import os, sys, time
        from pathlib import Path
        from carbonq.supervisor import Supervisor
        s = Supervisor({{"child": [sys.executable, "-c", {child!r}]}}, os.environ, Path({str(tmp_path)!r}), print)
        s.start()
        while s.log_of("child").read_text() != "up\\n": time.sleep(0.01)
        print(s.pids()["child"], flush=True)
        time.sleep(600)
    """)
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.kill()
    until(lambda: not alive(pid))


def test_exits_are_told_in_words() -> None:
    assert describe_exit(1) == "exit code 1"
    assert describe_exit(-9) == "SIGKILL"
