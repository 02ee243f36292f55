"""job.yaml -> JobSpec: strict, bounded, and with every mistake at once, each with its place and how to mend it."""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from carbonq import problems, yaml12
from carbonq.domain.errors import InvalidInput, Problem
from carbonq.domain.spec import JobFile, JobSpec
from carbonq.domain.written import AS_WRITTEN
from carbonq.syntax import missing_space


def load(path: str | Path) -> JobFile:
    """Read a job file. Raises NotFound where there is none, and InvalidInput with every problem found."""
    path = Path(path)
    document = yaml12.read_bytes(path)
    return JobFile(parse(document, str(path)), document, str(path.absolute().parent))


def parse(document: bytes, name: str = "job.yaml") -> JobSpec:
    """The spec that a document holds; `name` is what messages call it. Raises InvalidInput, whatever the bytes are."""
    read = yaml12.read(document, name)
    if not isinstance(read.data, dict):
        raise _invalid(name, [*read.problems, _not_fields(read)])
    found: list[Problem] = list(read.problems)
    try:
        spec = JobSpec.model_validate(_env_as_written(read), context=AS_WRITTEN)
    except ValidationError as error:
        raise _invalid(name, [*found, *problems.in_document(error, JobSpec, read)]) from None
    if found:
        raise _invalid(name, found)
    return spec


def dump(fields: Mapping[str, object]) -> bytes:
    """A job document of Python values: JSON, which is YAML. Spans may be timedeltas, moments datetimes with a zone.

    Raises InvalidInput for values that no job file can hold.
    """
    try:
        text = json.dumps(fields, default=_plain, ensure_ascii=False, allow_nan=False, indent=2)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"not a job's fields: {error}", hint="use texts, numbers, lists and dicts") from None
    return re.sub(_UNSAFE, lambda match: f"\\u{ord(match[0]):04x}", text).encode()


_UNSAFE = "[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]"
"""Characters that JSON allows in a string and YAML does not, or folds as line ends."""


def _plain(value: object) -> str:
    match value:
        case timedelta():
            return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"
        case datetime() if value.tzinfo is None:
            raise ValueError(f"{value} has no zone")
        case datetime():
            return value.isoformat()
        case Path():
            return str(value)
        case _:
            raise TypeError(f"{type(value).__name__} {value!r:.60}")


def _env_as_written(read: yaml12.Document) -> dict[str, Any]:
    """The data with each environment value as its text: `LR: 1.10` is `1.10` to the job, not `1.1`."""
    data: dict[str, Any] = read.data

    def text(path: yaml12.Path, value: object) -> object:
        return value if value is None else read.written.get(path, value)

    if isinstance(env := data.get("env"), dict):
        data = data | {"env": {name: text(("env", name), value) for name, value in env.items()}}
    array = data.get("array")
    if isinstance(array, dict) and isinstance(values := array.get("values"), dict):
        lists = {
            name: [text(("array", "values", name, i), item) for i, item in enumerate(items)]
            if isinstance(items, list)
            else items
            for name, items in values.items()
        }
        data = data | {"array": array | {"values": lists}}
    return data


def _not_fields(read: yaml12.Document) -> Problem:
    if read.data is None:
        return Problem(read.name, 1, 1, "the file is empty", "a job needs `name`, `run` and `deadline`")
    if isinstance(read.data, str) and (found := missing_space(read.data)):
        _, what, hint = found
        return Problem(read.name, *read.values[()], what, hint)
    what = f"needs fields, as `key: value`, got {problems.show(read.data)}"
    return Problem(read.name, *read.values[()], what, "a job needs `name`, `run` and `deadline`")


def _invalid(name: str, found: list[Problem]) -> InvalidInput:
    return problems.invalid(name, found, f"mistakes in {name}")
