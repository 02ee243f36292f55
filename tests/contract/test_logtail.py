"""The log's tail: what its adapters must do alike."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from carbonq.domain.ports import LogTail
from carbonq.scheduler.queue.connection import Store
from carbonq.scheduler.queue.logtail import MemoryLogTail, RedisLogTail

TAIL_B = 1000


@pytest.fixture(params=["memory", "valkey", "redis"])
def tail(request: pytest.FixtureRequest, empty_server: Callable[[str], str]) -> Iterator[LogTail]:
    if request.param == "memory":
        yield MemoryLogTail(tail_b=TAIL_B)
        return
    store = Store.connect(empty_server(request.param))
    yield RedisLogTail(store, tail_b=TAIL_B)
    store.close()


def test_output_comes_back_byte_for_byte_and_goes_on_from_the_cursor(tail: LogTail) -> None:
    tail.append("a", 1, b"epoch 1\n\xff\x00")
    tail.append("a", 1, b"epoch 2\n")
    tail.append("b", 1, b"another's\n")
    data, cursor = tail.read("a")
    assert data == b"epoch 1\n\xff\x00epoch 2\n"
    assert tail.read("a", cursor) == (b"", cursor)
    tail.append("a", 1, b"epoch 3\n")
    assert tail.read("a", cursor)[0] == b"epoch 3\n"


def test_only_the_end_is_kept(tail: LogTail) -> None:
    for number in range(300):
        tail.append("a", 1, b"%09d\n" % number)
    data, _ = tail.read("a")
    assert data == b"".join(b"%09d\n" % number for number in range(200, 300))


def test_it_says_whether_older_output_was_dropped(tail: LogTail) -> None:
    tail.append("whole", 1, b"x" * TAIL_B)
    for _ in range(3):
        tail.append("a", 1, b"x" * (TAIL_B // 2))
    tail.append("b", 1, b"x" * (TAIL_B + 1))
    assert [tail.is_cut(name) for name in ("whole", "a", "b", "nobody")] == [False, True, True, False]


def test_of_one_large_piece_the_end_is_kept(tail: LogTail) -> None:
    tail.append("a", 1, b"x" * 5000 + b"the end")
    data, _ = tail.read("a")
    assert data == b"x" * (TAIL_B - 7) + b"the end"


def test_a_replaced_attempt_writes_no_more(tail: LogTail) -> None:
    tail.append("a", 7, b"first\n")
    tail.append("a", 8, b"second\n")
    tail.append("a", 7, b"late\n")
    assert tail.read("a")[0] == b"first\nsecond\n"


def test_a_job_without_output_has_none(tail: LogTail) -> None:
    assert tail.read("nobody") == (b"", "")
    tail.append("a", 1, b"")
    assert tail.read("a") == (b"", "")


def test_a_reader_waits_for_the_next_output(tail: LogTail) -> None:
    later = threading.Timer(0.05, lambda: tail.append("a", 1, b"now\n"))
    later.start()
    began = time.monotonic()
    assert tail.read("a", block_s=10)[0] == b"now\n"
    assert time.monotonic() - began < 5
    later.join()
