"""The installed command against a real server, in a pipe and on a terminal."""

import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.parametrize("server", ["valkey"], indirect=True)  # the queue is tested on both

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CARBONQ = [sys.executable, "-m", "carbonq"]
JOB = "name: hello\nrun: echo hello\ndeadline: 12h\nenergy: {power_w: 200}\nduration: 1h\n"


@dataclass
class Terminal:
    """A user's shell: a home of its own and a queue."""

    home: Path
    env: dict[str, str]

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CARBONQ, *words], env=self.env | more, cwd=self.home, capture_output=True, text=True, timeout=60
        )

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def on_a_terminal(self, *words: str, columns: int = 80, **more: str) -> tuple[int, str]:
        """The exit code, and all that a terminal of that width is sent."""
        master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        process = subprocess.Popen(
            [*CARBONQ, *words], env=self.env | more, cwd=self.home, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        sent = b"".join(_all_of(master))
        os.close(master)
        return process.wait(60), sent.decode().replace("\r\n", "\n")


def _all_of(descriptor: int) -> Iterator[bytes]:
    """What arrives until the other side closes."""
    with suppress(OSError):  # EIO: how Linux says that the last process has closed a terminal
        while data := os.read(descriptor, 65536):
            yield data


@pytest.fixture
def terminal(redis_url: str, tmp_path: Path) -> Terminal:
    (tmp_path / "job.yaml").write_text(JOB)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CARBONQ_", "XDG_", "COLUMNS", "LINES"))
    }
    kept.pop("NO_COLOR", None)
    own = {
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "CARBONQ_REDIS_URL": redis_url,
        "CARBONQ_ZONE": "FR",
        "CARBONQ_SOURCES": "typical",
        "TZ": "Europe/Paris",
        "TERM": "xterm",
        "PYTHONIOENCODING": "utf-8",
    }
    return Terminal(tmp_path, kept | own)


def test_a_job_from_submit_to_cancel(terminal: Terminal) -> None:
    submitted = terminal.json("submit", "job.yaml", "--id", "mine")
    assert (submitted["job_id"], submitted["new"]) == ("mine", True)
    assert submitted["quote"]["energy_j"] == 720_000.0
    assert terminal.json("submit", "job.yaml", "--id", "mine")["new"] is False
    assert [job["id"] for job in terminal.json("status")] == ["mine"]
    assert terminal.json("show", "mi")["spec"]["run"] == "echo hello"
    assert terminal.json("explain", "mine")["job"]["id"] == "mine"
    assert terminal.json("run-now", "mine")[0]["state"] == "ready"
    assert terminal.json("cancel", "mine")[0]["state"] == "cancelled"
    waited = terminal.run("wait", "mine")
    assert (waited.returncode, waited.stdout) == (1, "cancelled  mine\n")


def test_an_array_is_one_row(terminal: Terminal) -> None:
    (terminal.home / "job.yaml").write_text(JOB + "array: 6\n")
    terminal.json("submit", "job.yaml", "--id", "sweep")
    done = terminal.run("status")
    assert len(done.stdout.splitlines()) == 2
    assert "6 tasks: " in done.stdout
    assert len(terminal.json("status", "sweep")) == 6


@pytest.mark.parametrize("words", [["status"], ["forecast"], ["submit", "job.yaml"], ["plan", "job.yaml"], ["zones"]])
def test_a_narrow_terminal_wraps_no_line_and_a_pipe_gets_no_colour(terminal: Terminal, words: list[str]) -> None:
    terminal.json("submit", "job.yaml", "--id", "a-job-with-quite-a-long-name-that-does-not-fit")
    code, sent = terminal.on_a_terminal(*words, columns=60)
    assert code == 0, sent
    plain = COLOUR.sub("", sent).rpartition("\x1b[K")[2]
    data = [line for line in plain.splitlines() if not line.startswith(("note", "no worker", "Nothing", "       "))]
    assert max(map(len, data)) <= 60, plain
    assert "\x1b" not in terminal.run(*words).stdout
    assert COLOUR.search(sent)
    assert not COLOUR.search(terminal.on_a_terminal(*words, NO_COLOR="1")[1])


def test_times_are_local_and_name_their_zone(terminal: Terminal) -> None:
    assert " CE" in terminal.run("plan", "job.yaml").stdout  # CET or CEST


def test_a_closed_pipe_is_quiet(terminal: Terminal) -> None:
    command = f"{' '.join(CARBONQ)} schema job | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], env=terminal.env, capture_output=True, text=True)
    assert done.stdout in ("{141\n", "{0\n")  # 0 where all of it went into the pipe's buffer first
    assert done.stderr == ""


def test_ctrl_c_while_waiting_is_quiet_and_exits_130(terminal: Terminal) -> None:
    terminal.json("submit", "job.yaml", "--id", "mine")
    master, slave = pty.openpty()
    process = subprocess.Popen([*CARBONQ, "wait"], env=terminal.env, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    sent = _until(master, b"0/1")
    process.send_signal(signal.SIGINT)
    sent += b"".join(_all_of(master))
    os.close(master)
    assert process.wait(20) == 130
    assert b"Traceback" not in sent


def _until(descriptor: int, mark: bytes, timeout_s: float = 20.0) -> bytes:
    sent, give_up = b"", time.monotonic() + timeout_s
    while mark not in sent:
        ready, _, _ = select.select([descriptor], [], [], give_up - time.monotonic())
        assert ready, sent
        sent += os.read(descriptor, 65536)
    return sent


def test_the_grid_can_be_asked_before_there_is_a_queue(terminal: Terminal) -> None:
    """A newcomer looks at the forecast and the zones first: both come from the sources themselves."""
    away = {"CARBONQ_REDIS_URL": "redis://127.0.0.1:1/0", "CARBONQ_SOURCES": "typical"}
    forecast = terminal.run("forecast", "DE", "--json", **away)
    zones = terminal.run("zones", "DE", "--json", **away)
    assert (forecast.returncode, zones.returncode) == (0, 0), forecast.stderr + zones.stderr
    assert (json.loads(forecast.stdout)["zone"], json.loads(forecast.stdout)["origin"]) == ("DE", "modelled")
    assert [one["sources"] for one in json.loads(zones.stdout)["zones"] if one["zone"] == "DE"] == [["typical"]]


def test_without_a_server_the_error_is_three_lines_and_exit_4(terminal: Terminal) -> None:
    done = terminal.run("status", CARBONQ_REDIS_URL="unix:///nowhere/redis.sock")
    assert done.returncode == 4
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 3
    assert "carbonq up" in done.stderr


def test_an_ascii_terminal_gets_ascii_bars(terminal: Terminal) -> None:
    done = terminal.run("forecast", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^expected +[0-9]{20}", done.stdout, re.MULTILINE)
    assert done.stdout.isascii()


@pytest.mark.parametrize("words", [("submit", "nö-süch-日本.yaml"), ("show", "日本")])
def test_names_of_all_letters_are_told_back(terminal: Terminal, words: Sequence[str]) -> None:
    done = terminal.run(*words)
    assert done.returncode == 3
    assert words[1] in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_break_nothing(terminal: Terminal, closed: str) -> None:
    command = ["/bin/sh", "-c", f"exec {' '.join(CARBONQ)} status {closed}"]
    done = subprocess.run(command, env=terminal.env, cwd=terminal.home, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_a_full_disk_is_no_mistake_of_carbonq(terminal: Terminal) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*CARBONQ, "zones"], env=terminal.env, cwd=terminal.home, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the output could not be written: No space left on device")
