"""`carbonq worker`, `scheduler`, `up`, `doctor` and `demo`: what they hand to the rest of carbonq."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from carbonq.doctor import Check
from carbonq.domain.errors import QueueRefused

from .conftest import Cli


def check(name: str, ok: bool | None, hint: str = "") -> Check:
    return Check(name, ok, f"{name} was looked at", hint)


def test_a_workers_flags_are_settings(cli: Cli) -> None:
    calls: list[Any] = []
    cli.house.run_worker = calls.append
    cli("worker", "--pool", "lab", "--worker-cpus", "2", "--zone", "FR")
    assert calls == [{"zone": "FR", "pool": "lab", "worker_cpus": 2}]


def test_the_scheduler_runs(cli: Cli) -> None:
    calls: list[Any] = []
    cli.house.run_scheduler = calls.append
    assert cli("scheduler", "--redis-url", "redis://x").code == 0
    assert calls == [{"redis_url": "redis://x"}]


def test_up_says_when_it_is_ready_and_what_comes_next(cli: Cli) -> None:
    def run(settings: object, *, on_ready: Callable[..., None]) -> None:
        on_ready("queue on unix:///run/redis.sock")

    cli.parts["up"] = SimpleNamespace(run=run)
    done = cli("up")
    assert done.out == ""
    assert "carbonq submit job.yaml" in done.err
    assert "queue on unix:///run/redis.sock" in done.err


def test_ctrl_c_is_quiet_and_exits_130(cli: Cli) -> None:
    def interrupted(settings: object) -> None:
        raise KeyboardInterrupt

    cli.house.run_scheduler = interrupted
    done = cli("scheduler")
    assert (done.code, done.out, done.err) == (130, "", "")


def test_a_server_unfit_for_jobs_exits_1(cli: Cli) -> None:
    def refused(settings: object) -> None:
        raise QueueRefused("the server evicts keys", where="maxmemory-policy allkeys-lru", hint="set it to noeviction")

    cli.house.run_scheduler = refused
    done = cli("scheduler")
    assert (done.code, len(done.err.splitlines())) == (1, 3)


@pytest.mark.parametrize(("found", "code"), [(True, 0), (None, 0), (False, 1)])
def test_the_doctor_fails_only_for_what_is_broken(cli: Cli, found: bool | None, code: int) -> None:
    checks = [check("server", True), check("gpu", found, "install the driver")]
    cli.parts["doctor"] = SimpleNamespace(diagnose=lambda settings: iter(checks))
    done = cli("doctor")
    assert done.code == code
    assert ("install the driver" in done.out) is (found is not True)
    assert cli("doctor", "--json").json[1] == {
        "name": "gpu", "ok": found, "what": "gpu was looked at", "hint": "install the driver",
    }  # fmt: skip


def test_the_demo_tells_on_stderr_shows_on_stdout_and_names_its_page(cli: Cli, tmp_path: Path) -> None:
    def run(out: Path, tell: Callable[[str], None], show: Callable[[str], None]) -> Path:
        tell("starting")
        show("the report")
        return out / "demo-report.html"

    cli.parts["demo"] = SimpleNamespace(run=run)
    done = cli("demo", "--out", str(tmp_path))
    assert (done.code, done.out) == (0, "the report\n")
    assert "starting" in done.err
    assert str(tmp_path / "demo-report.html") in done.err
