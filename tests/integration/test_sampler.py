"""The sampler by itself, on this machine's own clock: it waits for nobody for ever, and keeps no account for those who are gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from carbonq.domain.energy import Component, Provenance, Rung
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.ledger import CARBONQ
from carbonq.workers.meters.fake import FakeMeter
from carbonq.workers.readings import CpuModel, Method
from carbonq.workers.runner import Ending
from carbonq.workers.sampler import Sampler
from carbonq.workers.shim import proc
from tests.worker_rig import until

MODEL = CpuModel(Method("cpu-model", Provenance.MODELLED, Rung.PRIOR, 0.5), 1.0, lambda busy: busy)


def sampler(folder: Path, *meters: FakeMeter) -> Sampler:
    return Sampler(meters, MODEL, cpus=4, folder=folder, interval_s=0.05)


def attempt(folder: Path, name: str) -> AttemptFolder:
    made = AttemptFolder(folder / name)
    made.make()
    return made


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Sampler]:
    one = sampler(tmp_path, FakeMeter(Component.GPU, GPU_a=0.0))
    one.start()
    yield one
    one.stop()


def test_an_attempt_whose_start_is_never_written_down_holds_up_nobody_else(tmp_path: Path, running: Sampler) -> None:
    running.begin("stuck", attempt(tmp_path, "stuck"), cpus=1, gpus=())
    running.begin("other", attempt(tmp_path, "other"), cpus=1, gpus=())
    now_s = proc.now_s()
    running.end("other", Ending(started_s=now_s, ended_s=now_s, cpu_s=0.0))
    until(lambda: running.is_settled("other"), "its time is closed")


def test_one_that_never_started_is_settled_at_once(tmp_path: Path, running: Sampler) -> None:
    running.begin("never", attempt(tmp_path, "never"), cpus=1, gpus=())
    running.end("never", Ending(reason="never-started"))
    until(lambda: running.is_settled("never"), "its time is closed", patience_s=1.5)


def test_bursts_without_a_pause_keep_no_end_waiting(tmp_path: Path, running: Sampler) -> None:
    """As short jobs on many GPUs make them."""
    now_s = proc.now_s()
    running.begin("first", attempt(tmp_path, "first"), cpus=1, gpus=("GPU_a",))
    running.end("first", Ending(started_s=now_s, ended_s=now_s + 0.01, cpu_s=0.0))
    names = iter(range(1_000_000))

    def another_begins() -> bool:
        name = f"next-{next(names)}"
        running.begin(name, attempt(tmp_path, name), cpus=1, gpus=())
        running.end(name, Ending(started_s=proc.now_s(), ended_s=proc.now_s(), cpu_s=0.0))
        running.forget(name)
        return running.is_settled("first")

    until(another_begins, "its time is closed", patience_s=3.0)


def test_a_successor_books_nothing_to_an_attempt_that_nobody_found_again(tmp_path: Path) -> None:
    first = sampler(tmp_path)
    first.start()
    first.begin("ghost", attempt(tmp_path, "ghost"), cpus=1, gpus=())
    first.stop()
    second = sampler(tmp_path)
    assert set(second.ledger.users) == {"ghost", CARBONQ}
    second.start()
    second.stop()
    assert set(second.ledger.users) == {CARBONQ}
