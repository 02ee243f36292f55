"""Threads for the service's steps, one a lane. None of them can hold up the end of the process: a provider may let an answer
hang for half a minute, and a model learns for seconds. What a step that is left has not done, the next leader does."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

from apscheduler.executors.pool import BasePoolExecutor

Words = ParamSpec("Words")
Result = TypeVar("Result")


class Lane(BasePoolExecutor):  # type: ignore[misc]  # APScheduler has no types
    """APScheduler's executor of one thread."""

    def __init__(self) -> None:
        self._thread = OneThread()
        super().__init__(self._thread)

    def rest(self, wait_s: float) -> bool:
        """Take nothing more on; whether what was under way has ended within that time."""
        self._thread.shutdown(wait=False)
        return self._thread.ended(wait_s)


class OneThread(Executor):
    """Does one thing after the other, in a daemon thread: such ones end with the process, whatever they are at."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="carbonq-lane", daemon=True)
        self._starting = threading.Lock()

    def submit(self, fn: Callable[Words, Result], /, *args: Words.args, **kwargs: Words.kwargs) -> "Future[Result]":
        future: Future[Result] = Future()
        self._tasks.put(lambda: _do(future, lambda: fn(*args, **kwargs)))
        with self._starting:
            if self._thread.ident is None:
                self._thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002  # the base class's
        self._tasks.put(None)
        if wait:
            self.ended()

    def ended(self, wait_s: float | None = None) -> bool:
        """Whether it is idle for good within that time. To be asked after `shutdown`."""
        if self._thread.ident is not None:
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()


def _do(future: "Future[Result]", work: Callable[[], Result]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001  # it is the future's to tell
        future.set_exception(error)
