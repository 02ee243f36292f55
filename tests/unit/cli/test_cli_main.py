"""The command as a whole: help, common options, errors."""

import json
import subprocess
import sys

import pytest
from typer.main import get_command

from carbonq.cli.main import app, hoist
from carbonq.cli.reference import commands
from carbonq.domain.errors import InvalidInput, Problem

from .conftest import Cli

COMMANDS = dict(commands(get_command(app)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["status", "--json"], ["--json", "status"]),
        (["forecast", "FR", "--zone", "DE", "--hours", "3"], ["--zone", "DE", "forecast", "FR", "--hours", "3"]),
        (["status", "--redis-url=redis://x"], ["--redis-url=redis://x", "status"]),
        (["show", "--", "--json"], ["show", "--", "--json"]),
        (["status", "--zone"], ["--zone", "status"]),
        (["status", "--zones"], ["status", "--zones"]),
    ],
)
def test_common_options_may_stand_anywhere(given: list[str], expected: list[str]) -> None:
    assert hoist(given) == expected


def test_carbonq_alone_shows_grouped_help_and_how_to_start(cli: Cli) -> None:
    done = cli()
    assert (done.code, done.err) == (0, "")
    for title in ("Jobs:", "Plan and forecasts:", "Services:", "Reports and settings:", "Start here:"):
        assert title in done.out
    assert done.out == cli("--help").out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does_in_a_line_and_gives_an_example(cli: Cli, command: str) -> None:
    about = COMMANDS[command].help
    first, *_ = about.splitlines()
    assert first.endswith((".", "submitting."))
    assert len(first) <= 64
    assert f"Example: carbonq {command}" in about
    assert cli(*command.split(), "--help").code == 0


def test_every_option_has_a_help() -> None:
    bare = [(name, param.name) for name, command in COMMANDS.items() for param in command.params if not param.help]
    assert bare == []


@pytest.mark.parametrize(
    "words", [("statsu",), ("status", "--no-such"), ("submit",), ("status", "--limit", "0"), ("show", "a", "b")]
)
def test_mistaken_calls_exit_2_on_stderr(cli: Cli, words: tuple[str, ...]) -> None:
    done = cli(*words)
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_a_mistyped_command_is_suggested(cli: Cli) -> None:
    assert "Did you mean 'status'" in cli("statsu").err


def test_a_package_that_is_missing_is_named_with_the_way_to_get_it(cli: Cli) -> None:
    cli.client.failure = ModuleNotFoundError("No module named 'numpy.linalg'", name="numpy.linalg")
    assert cli("status").err.splitlines() == [
        "error: the package numpy is not installed",
        "       pip install numpy",
    ]


def test_a_mistake_of_ours_shows_no_traceback_but_how_to_get_one(cli: Cli) -> None:
    cli.client.failure = KeyError("surprise")
    done = cli("status")
    assert done.code == 1
    assert done.err.splitlines() == [
        "error: unexpected KeyError: 'surprise'",
        "       this is a mistake in carbonq; run the command again with --debug and report what it prints",
    ]


def test_debug_shows_the_traceback(cli: Cli) -> None:
    cli.client.failure = KeyError("surprise")
    assert "Traceback (most recent call last)" in cli("status", "--debug").err


def test_every_problem_of_a_file_is_a_line(cli: Cli) -> None:
    problems = (Problem("job.yaml", 1, 1, "no name"), Problem("job.yaml", 2, 5, "no such field", "did you mean run?"))
    cli.client.failure = InvalidInput("2 problems", problems=problems)
    done = cli("status")
    assert done.code == 2
    assert done.err.splitlines() == [
        "error: job.yaml:1:1: no name",
        "error: job.yaml:2:5: no such field; did you mean run?",
    ]


def test_with_json_an_error_is_an_object_on_stderr(cli: Cli) -> None:
    cli.client.failure = InvalidInput("wrong", where="here", problems=(Problem("a.yaml", 1, 2, "bad"),))
    done = cli("status", "--json")
    assert (done.code, done.out) == (2, "")
    assert json.loads(done.err) == {
        "error": {
            "what": "wrong",
            "where": "here",
            "problems": [{"file": "a.yaml", "line": 1, "column": 2, "what": "bad", "hint": ""}],
        },
        "exit_code": 2,
    }


def test_help_loads_typer_and_nothing_else_of_weight() -> None:
    heavy = ("pydantic", "redis", "requests", "yaml", "rich", "apscheduler", "carbonq.domain", "carbonq.client")
    code = (
        "import sys, carbonq.cli.main as m\n"
        "try: m.app(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


def test_the_version_is_printed(cli: Cli) -> None:
    assert cli("--version").out.startswith("carbonq 0.")
