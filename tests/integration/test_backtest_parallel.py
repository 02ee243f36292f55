"""A backtest in several processes: the same numbers as in one, errors come through, and nothing is left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from carbonq.forecasters.carbon.backtest import Contender, History, Span, origins_of, run
from carbonq.forecasters.carbon.models.baselines import Typical
from carbonq.forecasters.carbon.models.series import Features, FloatArray, Readings
from carbonq.forecasters.carbon.parallel import run_on

START = datetime(2021, 1, 1, tzinfo=UTC)


def history() -> History:
    noise = np.random.default_rng(2).normal(200, 30, 24 * 60)
    return History("X", Readings(START, 3600, noise))


def origins(given: History) -> list[datetime]:
    return origins_of(given.readings, Span(START + timedelta(days=30), START + timedelta(days=50), 48, (0, 12)))


class Failing(Typical):
    """Breaks on one day."""

    def predict(self, readings: Readings, horizon: int, features: Sequence[Features] = ()) -> FloatArray:
        if readings.end == START + timedelta(days=41):
            raise ArithmeticError("no such number")
        return super().predict(readings, horizon, features)


def test_several_processes_give_the_very_same_trial() -> None:
    given = history()
    contender = Contender("typical", Typical)
    alone = run(given, contender, origins(given), 48)
    told: list[datetime] = []
    shared = run_on(2, given, contender, origins(given), 48, timer=time.perf_counter, on_origin=told.append)

    assert (shared.origins, shared.name, shared.step_s) == (alone.origins, alone.name, alone.step_s)
    np.testing.assert_array_equal(alone.quantiles, shared.quantiles)
    np.testing.assert_array_equal(alone.actual, shared.actual)
    assert sorted(told) == origins(given)
    assert shared.fit_s > 0


def test_an_error_in_a_process_comes_through_and_ends_the_others() -> None:
    given = history()
    with pytest.raises(ArithmeticError, match="no such number"):
        run_on(2, given, Contender("failing", Failing), origins(given), 48, timer=time.perf_counter)
    assert multiprocessing.active_children() == []


def test_what_is_fitted_once_stays_in_this_process() -> None:
    given = history()
    contender = Contender("typical", Typical, refit=False)
    found = run_on(2, given, contender, origins(given), 48, timer=lambda: 0.0)  # a lambda could not be sent
    np.testing.assert_array_equal(run(given, contender, origins(given), 48).quantiles, found.quantiles)


SLOW = """
import os, signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored, as nohup wants it
from datetime import UTC, datetime, timedelta
import numpy as np
from carbonq.forecasters.carbon.backtest import Contender, History, Span, origins_of
from carbonq.forecasters.carbon.models.baselines import Yesterday
from carbonq.forecasters.carbon.models.series import Readings
from carbonq.forecasters.carbon.parallel import run_on

class Slow(Yesterday):
    def predict(self, *given):
        print(os.getpid(), flush=True)
        time.sleep(0.2)  # stands for a model that has much to compute
        return super().predict(*given)

if __name__ == "__main__":
    start = datetime(2021, 1, 1, tzinfo=UTC)
    readings = Readings(start, 3600, np.zeros(24 * 2000))
    origins = origins_of(readings, Span(start + timedelta(days=9), start + timedelta(days=1900)))
    try:
        run_on(2, History("X", readings), Contender("slow", Slow), origins, 96, timer=time.perf_counter)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_ctrl_c_ends_every_process_at_once_and_quietly(tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    workers = {int(process.stdout.readline()) for _ in range(10)}
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group
    _, told = process.communicate(timeout=10)

    assert (process.returncode, told) == (130, "")
    assert process.pid not in workers
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_outlives_the_one_that_wanted_its_work(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(number)
        process.communicate(timeout=20)  # both streams end when the last process that holds them has
        assert process.returncode == -number
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
