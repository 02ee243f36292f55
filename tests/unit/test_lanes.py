"""A lane does one thing after the other, and ends when it should, or with the process."""

import subprocess
import sys
import threading

import pytest

from carbonq.scheduler.lanes import OneThread


def test_tasks_are_done_in_their_order_and_tell_their_results() -> None:
    thread, done = OneThread(), list[int]()
    futures = [thread.submit(done.append, number) for number in range(5)]
    assert [future.result(10) for future in futures] == [None] * 5
    assert done == [0, 1, 2, 3, 4]
    thread.shutdown()
    assert thread.ended(0)


def test_an_error_is_the_futures_and_the_thread_goes_on() -> None:
    thread = OneThread()
    failed, went_well = thread.submit(int, "x"), thread.submit(int, "1")
    with pytest.raises(ValueError, match="invalid literal"):
        failed.result(10)
    assert went_well.result(10) == 1
    thread.shutdown()


def test_one_that_never_worked_has_ended() -> None:
    thread = OneThread()
    thread.shutdown()
    assert thread.ended(0)


def test_what_hangs_is_told_and_not_waited_for() -> None:
    thread, release = OneThread(), threading.Event()
    thread.submit(release.wait, 60)
    thread.shutdown(wait=False)
    assert not thread.ended(0.05)
    release.set()
    assert thread.ended(10)


def test_the_process_ends_beside_a_task_that_hangs() -> None:
    script = "import time; from carbonq.scheduler.lanes import OneThread; OneThread().submit(time.sleep, 600)"
    assert subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode == 0
