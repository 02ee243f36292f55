"""A backtest on all cores: its days are independent of each other, so they may be worked on in any order and process."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import datetime
from itertools import chain, groupby

import numpy as np

from carbonq.forecasters.carbon.backtest import Contender, History, Trial, midnight, run

CHUNKS_A_PROCESS = 8
"""Small enough that all processes end at about the same time, and that progress is seen."""
FEWEST_DAYS = 6
"""A process takes about half a second to start: fewer days are quicker without."""

_Task = tuple[History, Contender, int, Callable[[], float]]
_task: _Task | None = None


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_on(
    processes: int,
    history: History,
    contender: Contender,
    origins: Sequence[datetime],
    horizon_h: int,
    *,
    timer: Callable[[], float],
    on_origin: Callable[[datetime], None] = lambda _origin: None,
) -> Trial:
    """What `run` gives, number for number; `contender` and `timer` must be picklable. An interrupt ends the processes, too."""
    days = [list(of_day) for _, of_day in groupby(origins, key=midnight)]
    if processes < 2 or not contender.refit or len(days) < FEWEST_DAYS:
        return run(history, contender, origins, horizon_h, timer=timer, on_origin=on_origin)
    size = max(1, len(days) // (processes * CHUNKS_A_PROCESS))
    chunks = [list(chain(*days[first : first + size])) for first in range(0, len(days), size)]
    task: _Task = (history, contender, horizon_h, timer)
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin, (task,))
    try:
        with _interrupts_ignored():  # as the processes inherit: only this one answers to Ctrl-C
            futures = [pool.submit(_work, chunk) for chunk in chunks]
        _watch(futures, on_origin)
        return _joined([future.result() for future in futures])
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(task: _Task) -> None:
    """A process has one task, sent once, and one model, which saves itself in each chunk what it learnt in those before."""
    _end_with_parent()
    global _task  # noqa: PLW0603  # what a worker process of a pool can hand from one call to the next
    history, contender, horizon_h, timer = task
    model = contender.make()
    _task = (history, contender._replace(make=lambda: model), horizon_h, timer)


def _end_with_parent() -> None:
    """A pool's process waits for its next task for ever, also when nobody is left who could send one."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="carbonq-parent-watch", daemon=True).start()


def _work(origins: list[datetime]) -> Trial:
    if _task is None:
        raise RuntimeError("the process has no task")
    history, contender, horizon_h, timer = _task
    return run(history, contender, origins, horizon_h, timer=timer)


def _watch(futures: Sequence[Future[Trial]], on_origin: Callable[[datetime], None]) -> None:
    for future in as_completed(futures):
        for origin in future.result().origins:
            on_origin(origin)


def _joined(trials: Sequence[Trial]) -> Trial:
    """One trial of many, in their order; mean times weigh by how often they were taken."""
    fits = [len({midnight(origin) for origin in trial.origins}) for trial in trials]
    predicts = [len(trial.origins) for trial in trials]
    return trials[0]._replace(
        origins=tuple(origin for trial in trials for origin in trial.origins),
        quantiles=np.concatenate([trial.quantiles for trial in trials]),
        actual=np.concatenate([trial.actual for trial in trials]),
        fit_s=float(np.average([trial.fit_s for trial in trials], weights=fits)),
        predict_s=float(np.average([trial.predict_s for trial in trials], weights=predicts)),
    )


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # elsewhere Python lets nobody set a handler
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
