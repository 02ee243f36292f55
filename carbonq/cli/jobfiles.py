"""Job files as the command line names them: paths, and `-` for stdin."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from carbonq import jobfile, yaml12
from carbonq.domain.errors import InvalidInput
from carbonq.domain.spec import JobFile


def load(name: str) -> JobFile:
    """Raises NotFound, or InvalidInput with every mistake found."""
    if name != "-":
        return jobfile.load(name)
    document = sys.stdin.buffer.read(yaml12.MAX_BYTES + 1)  # one more than is allowed is enough to be refused
    return JobFile(jobfile.parse(document, "stdin"), document, str(Path.cwd()))


def load_all(names: Sequence[str]) -> list[tuple[str, JobFile]]:
    """Every file, so that the mistakes of all of them are told at once."""
    loaded: list[tuple[str, JobFile]] = []
    wrong: list[InvalidInput] = []
    for name in names:
        try:
            loaded.append((name, load(name)))
        except InvalidInput as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        problems = tuple(problem for error in wrong for problem in error.problems)
        raise InvalidInput(f"{len(wrong)} of {len(names)} job files have mistakes", problems=problems)
    return loaded
