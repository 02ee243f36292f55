"""The shim's own way to the server: small, bounded in time, and never a reason to stop a job that it cannot judge."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from carbonq.workers.shim.keeper import Keeper


@contextmanager
def speaking(path: Path, *replies: bytes) -> Iterator[list[bytes]]:
    """A server that answers each command on a connection with the next of these replies, then closes it."""
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            for reply in replies:
                heard.append(connection.recv(65536))
                connection.sendall(reply)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield heard
        thread.join()


def order(path: Path, **fields: Any) -> dict[str, Any]:
    return {"unix_socket": str(path), "command": ["RENEW", "job-1", "7"], "every_s": 2.0} | fields


def ask(path: Path, **fields: Any) -> str:
    return Keeper(order(path, **fields), -1).ask()


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (b"+held\r\n", "held"),
        (b"$5\r\nstale\r\n", "stale"),
        (b"*1\r\n$6\r\ncancel\r\n", "cancel"),
        (b":1\r\n", "1"),
        (b"$-1\r\n", ""),
        (b"*0\r\n", ""),
    ],
)
def test_each_kind_of_reply_is_understood(short_folder: Path, reply: bytes, answer: str) -> None:
    with speaking(short_folder / "s", reply):
        assert ask(short_folder / "s") == answer


def test_the_command_is_sent_as_it_was_given(short_folder: Path) -> None:
    with speaking(short_folder / "s", b"+held\r\n") as heard:
        ask(short_folder / "s")
    assert heard == [b"*3\r\n$5\r\nRENEW\r\n$5\r\njob-1\r\n$1\r\n7\r\n"]


def test_it_logs_in_and_chooses_its_database_first(short_folder: Path) -> None:
    with speaking(short_folder / "s", b"+OK\r\n", b"+OK\r\n", b"+held\r\n") as heard:
        ask(short_folder / "s", username="worker", password="pass word", database=3)
    assert heard[0] == b"*3\r\n$4\r\nAUTH\r\n$6\r\nworker\r\n$9\r\npass word\r\n"
    assert heard[1] == b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"


def test_an_error_is_no_answer(short_folder: Path) -> None:
    with speaking(short_folder / "s", b"-LOADING Redis is loading\r\n"), pytest.raises(ValueError, match="LOADING"):
        ask(short_folder / "s")


def test_no_server_is_no_answer(short_folder: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        ask(short_folder / "s")


def test_a_cut_off_reply_is_no_answer(short_folder: Path) -> None:
    with speaking(short_folder / "s", b"+he"), pytest.raises(ConnectionError):
        ask(short_folder / "s")


def test_a_verdict_wakes_the_shim_and_an_absent_server_does_not(short_folder: Path) -> None:
    read_end, write_end = os.pipe()
    keeper = Keeper(order(short_folder / "s", every_s=0.05), write_end)
    keeper.start()
    assert keeper.verdict == "held"  # nobody answers yet
    with speaking(short_folder / "s", b"+stale\r\n"):
        assert os.read(read_end, 1) == b"k"
    keeper.join(10)
    assert keeper.verdict == "stale"
    os.close(read_end)
    os.close(write_end)
