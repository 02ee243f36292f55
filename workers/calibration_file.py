"""Calibration on disk: the pairs that a person read, and `calibration.json` in the worker's data folder."""

import csv
import logging
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from carbonq.domain.errors import InvalidInput, NotFound, Problem, StorageFailed
from carbonq.workers.calibration import Calibration, Pair
from carbonq.workers.folder import replace_bytes

NAME = "calibration.json"
MACHINE_ID = Path("/etc/machine-id")
_ENERGY = ("duration_s", "software_j", "wall_j")
_POWER = ("duration_s", "software_w", "wall_w")

log = logging.getLogger(__name__)


def this_node(machine_id: Path = MACHINE_ID) -> str:
    """The host's name and the beginning of its machine-id: a home folder may be shared by many nodes."""
    try:
        kept = machine_id.read_text().strip()[:8]
    except (OSError, ValueError):
        kept = ""
    return f"{platform.node()}-{kept}" if kept else platform.node()


def load(path: Path, node: str | None = None) -> Calibration | None:
    """This node's calibration. None where there is none; one that cannot be used is said in the log, and stops no job."""
    try:
        found = Calibration.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        log.warning("%s cannot be used; make it anew with `carbonq calibrate`: %s", path, str(error).splitlines()[0])
        return None
    node = this_node() if node is None else node
    if found.schema_version != 1 or found.node != node:
        log.warning(
            "%s is of %s, version %d: not used on %s; run `carbonq calibrate` here",
            path,
            found.node or "an unnamed node",
            found.schema_version,
            node,
        )
        return None
    return found


def save(path: Path, calibration: Calibration) -> None:
    """In one step: a worker that reads meanwhile finds the old one or the new one. Raises StorageFailed."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_bytes(path, (calibration.model_dump_json(indent=2) + "\n").encode(), durable=True)
    except OSError as error:
        raise StorageFailed(
            f"the calibration cannot be written: {error.strerror}",
            where=str(path),
            hint="run it as the worker's user, or name the worker's folder with --data-dir",
        ) from error


def read_pairs(path: Path) -> list[Pair]:
    """The rows of a CSV file with `duration_s` and either `software_j, wall_j` or `software_w, wall_w`.

    Raises NotFound, and InvalidInput with the line of every mistake.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"no file {str(path)!r}", hint="`carbonq calibrate --help` shows what it has to hold") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"cannot be read as a table: {error}", where=str(path), hint="save it as CSV in UTF-8"
        ) from None
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    columns = _columns(reader.fieldnames or (), path)
    problems: list[Problem] = []
    pairs = [
        pair
        for row in reader
        if any(value for key, value in row.items() if key is not None)
        and (pair := _pair(row, columns, path, reader.line_num, problems))
    ]
    if problems:
        raise InvalidInput("mistakes in the pairs", where=str(path), problems=tuple(problems))
    return pairs


def _columns(header: Iterable[str], path: Path) -> tuple[str, str, str]:
    names = [name.strip() for name in header]
    for wanted in (_ENERGY, _POWER):
        if set(wanted) <= set(names):
            return wanted
    raise InvalidInput(
        f"needs the columns {', '.join(_ENERGY)}, or {', '.join(_POWER)}",
        where=f"{path}: its first line has {', '.join(names) or 'nothing'}",
        hint="the first line names the columns, the units are seconds, joules and watts, and a decimal point is a point",
    )


def _pair(
    row: Mapping[str, str | None], columns: tuple[str, str, str], path: Path, line: int, problems: list[Problem]
) -> Pair | None:
    cells = {(name or "").strip(): value for name, value in row.items()}
    values: list[float] = []
    for name in columns:
        text = cells.get(name) or ""
        try:
            values.append(float(text))
        except ValueError:
            problems.append(Problem(str(path), line, 1, f"`{name}` is {text[:40]!r}", "write a number such as 60.5"))
    if len(values) < len(columns):
        return None
    duration_s, software, wall = values
    per = duration_s if columns is _POWER else 1.0
    return Pair(duration_s, software * per, wall * per, f"{path}:{line}")
