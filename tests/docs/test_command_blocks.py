"""Every command block and every example of the README and the docs runs, in the order of its page.

A page's blocks share one folder (a copy of configs/) and one private queue. `carbonq up` runs in the background for the rest of
the page. `make` recipes are the ones that install; they are checked against the Makefile and run by CI itself.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(console|python|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UP_READY_S = 60


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text())


def commands(text: str) -> list[str]:
    """The lines after `$ `, continued ones joined."""
    return [line[2:] for line in text.replace("\\\n", " ").splitlines() if line.startswith("$ ")]


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cq-", dir="/tmp") as folder:
        shutil.copytree(ROOT / "configs", Path(folder, "configs"))
        yield Path(folder)


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CARBONQ_", "XDG_"))}
    bin_folder = str(Path(sys.executable).parent)
    return kept | {
        "HOME": str(home),
        "PATH": f"{bin_folder}:{kept['PATH']}",
        "XDG_DATA_HOME": str(home / "share"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "CARBONQ_SOURCES": "typical",  # no test goes out to a provider
        "NO_COLOR": "1",
    }


@pytest.mark.parametrize("page", [page for page in PAGES if "$ " in page.read_text()], ids=lambda page: page.stem)
@pytest.mark.timeout(300)
def test_every_command_of_the_page_runs(page: Path, home: Path, environment: dict[str, str]) -> None:
    background: list[subprocess.Popen[str]] = []
    try:
        for kind, text in blocks(page):
            if kind == "console":
                for command in commands(text):
                    run(command, home, environment, background)
            elif kind == "python":
                done = subprocess.run(
                    [sys.executable, "-c", text], cwd=home, env=environment, capture_output=True, text=True, timeout=60
                )
                assert done.returncode == 0, f"{text}\n{done.stderr}"
    finally:
        for process in background:
            process.terminate()
        for process in background:
            assert process.wait(60) == 0, "`carbonq up` did not end cleanly"


def run(command: str, home: Path, environment: dict[str, str], background: list[subprocess.Popen[str]]) -> None:
    command = command.replace(".venv/bin/", "")
    if command.startswith("make "):
        planned = subprocess.run(["make", "--dry-run", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True)
        assert planned.returncode == 0, planned.stderr
    elif command.split()[:2] == ["carbonq", "up"]:
        background.append(start_up(command, home, environment))
    else:
        done = subprocess.run(
            command, shell=True, cwd=home, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"


def start_up(command: str, home: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """`carbonq up`, once a client reaches it."""
    with (home / "up.log").open("w") as log:
        process = subprocess.Popen(command.split(), cwd=home, env=environment, stdout=log, stderr=log, text=True)
    give_up = time.monotonic() + UP_READY_S
    while (
        subprocess.run(["carbonq", "status", "--json"], cwd=home, env=environment, capture_output=True).returncode != 0
    ):
        assert process.poll() is None, (home / "up.log").read_text()
        assert time.monotonic() < give_up, f"`carbonq up` was not reached within {UP_READY_S} s"
    return process


def test_the_first_screen_names_the_two_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:40])
    assert "$ make demo" in first_screen
    assert "$ make test" in first_screen


@pytest.mark.parametrize("page", [page for page in PAGES if "```yaml" in page.read_text()], ids=lambda page: page.stem)
def test_every_job_file_in_the_docs_is_valid(page: Path) -> None:
    from carbonq import jobfile

    for kind, text in blocks(page):
        if kind == "yaml" and "deadline:" in text:
            jobfile.parse(text.encode(), page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
