"""A log's new bytes, delivered once and bounded."""

from pathlib import Path

from carbonq.workers.logs import BACKLOG_B, CHUNK_B, LogReader


def test_each_byte_is_read_once_also_by_the_next_worker(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one ")
    reader = LogReader(log)
    chunk = reader.read()
    reader.delivered(chunk)
    with log.open("ab") as file:
        file.write(b"two")
    assert (chunk.data, LogReader(log).read().data) == (b"one ", b"two")


def test_what_was_not_delivered_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"text")
    reader = LogReader(tmp_path / "log")
    assert reader.read() == reader.read()


def test_a_long_backlog_is_skipped_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 10 + b"y" * BACKLOG_B)
    reader = LogReader(tmp_path / "log")
    chunk = reader.read()
    reader.delivered(chunk)
    note = b"\n[carbonq: 10 bytes are left out here; the whole log is on the worker's disk]\n"
    assert chunk.data == note + b"y" * CHUNK_B
    assert reader.sent_b == 10 + CHUNK_B


def test_no_log_yet_is_nothing_new(tmp_path: Path) -> None:
    assert LogReader(tmp_path / "log").read().data == b""
