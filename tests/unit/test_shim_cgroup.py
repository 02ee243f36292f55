"""A control group counts what its processes used, also of those that are gone, and goes when it is left."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carbonq.workers.shim import cgroup

WORKERS = Path(__file__).parents[2] / "workers"
ENTER = "import sys; sys.path.append(sys.argv[1]); from shim import cgroup; cgroup.enter(sys.argv[2]); "


def places() -> list[str]:
    return [place for place in cgroup.places() if os.access(place, os.W_OK)] or ["none"]


@pytest.fixture(params=places())
def group(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A group on each hierarchy that this machine has."""
    path = Path(request.param) / f"{cgroup.OURS}test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError:
        pytest.skip("no control group may be made here")
    yield path
    cgroup.remove(str(path))


def run(group: Path, program: str) -> None:
    subprocess.run([sys.executable, "-I", "-S", "-c", ENTER + program, str(WORKERS), str(group)], check=True)


def test_a_group_counts_those_that_are_gone(group: Path) -> None:
    assert cgroup.usage_s(str(group)) == 0.0
    run(group, "import time\nwhile time.process_time() < 0.3: pass")
    used_s = cgroup.usage_s(str(group))
    assert used_s is not None
    assert 0.25 < used_s < 0.6


def test_its_processes_are_known_also_in_the_groups_that_they_made(group: Path) -> None:
    below = group / "below"
    program = (
        "import os; os.mkdir(sys.argv[2] + '/below'); cgroup.enter(sys.argv[2] + '/below'); print(flush=True); input()"
    )
    command = [sys.executable, "-I", "-S", "-c", ENTER + program, str(WORKERS), str(group)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as inside:
        assert inside.stdout is not None
        inside.stdout.readline()
        assert cgroup.members(str(group)) == [inside.pid]
        cgroup.remove(str(group))
        assert below.exists()  # a group with a process in it stays
        inside.communicate(b"\n")
    cgroup.remove(str(group))
    assert not group.exists()


def test_a_group_that_is_gone_counts_nothing() -> None:
    assert cgroup.usage_s("/sys/fs/cgroup/carbonq-none") is None
    assert cgroup.members("/sys/fs/cgroup/carbonq-none") == []
    cgroup.remove("/sys/fs/cgroup/carbonq-none")


@pytest.mark.parametrize(
    ("root", "path", "seen"),
    [
        ("/", "/user.slice", "/user.slice"),
        ("/docker/a", "/docker/a", ""),
        ("/docker/a", "/docker/a/b", "/b"),
        ("/docker/a", "/docker/ab", None),
        ("/", "/../outside", None),
    ],
)
def test_a_container_sees_only_what_lies_below_its_own_root(root: str, path: str, seen: str | None) -> None:
    assert cgroup._below(root, path) == seen
