"""Tables of past runs that a person hands in: CSV, plain or gzipped, bounded, every mistake with its line and column.

Known columns are those of `RunRecord`. Of the others, numbers are features and texts are labels of the family.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from carbonq.domain.errors import InvalidInput
from carbonq.forecasters.carbon.tables import Table, is_text, numbers
from carbonq.forecasters.energy.runs import RunRecord

TARGETS = ("energy_j", "duration_s")
KNOWN_TEXTS = ("family", "gpu_model")
KNOWN_NUMBERS = ("gpus", "work", *TARGETS, "power_limit_w", "batch_size")
REQUIRED = ("family", "gpu_model", "gpus", "work")
ANSWERS = ("predicted", "p05", "p95")
"""The columns that a dump adds."""
MAX_TEXT = 128
HINT = "give the columns family, gpu_model, gpus, work, energy_j and duration_s; leave a cell empty where it is unknown"


class Runs(NamedTuple):
    """A file as read. `labels`: which of its further columns hold text."""

    table: Table
    records: tuple[RunRecord, ...]
    labels: frozenset[str]

    def actual(self, target: str) -> list[float | None]:
        return [getattr(record, target) for record in self.records]


def read_runs(table: Table, *, target: str, like: Runs | None = None) -> Runs:
    """Every row a run, in the table's order. Raises InvalidInput.

    `target`: the column that must be there. `like`: the runs learnt from, whose labels are labels here as well.
    """
    for name in (*REQUIRED, target):
        table.need(name, HINT)
    further = [name for name in table.columns if name not in (*KNOWN_TEXTS, *KNOWN_NUMBERS)]
    labels = frozenset(name for name in further if _is_label(table, name, like))
    known = {name: _numbers(table, name) for name in KNOWN_NUMBERS if name in table.columns}
    for name, values in known.items():
        _check(table, name, values)
    features = {name: _numbers(table, name) for name in further if name not in labels}
    return Runs(table, tuple(_records(table, known, features, labels)), labels)


def dump(runs: Runs, answers: Sequence[tuple[float, float, float]]) -> str:
    """The rows as they were read, each with what was predicted of it and its 5 % and 95 % quantiles."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    kept = [name for name in runs.table.columns if name not in ANSWERS]
    rows.writerow([*kept, *ANSWERS])
    cells = zip(*(runs.table.columns[name] for name in kept), strict=True)
    rows.writerows([*row, *map(repr, answer)] for row, answer in zip(cells, answers, strict=True))
    return text.getvalue()


def _records(
    table: Table,
    known: Mapping[str, Sequence[float | None]],
    features: Mapping[str, Sequence[float | None]],
    labels: frozenset[str],
) -> Iterator[RunRecord]:
    empty = [None] * len(table.lines)
    columns = {name: known.get(name, empty) for name in KNOWN_NUMBERS}
    for row in range(len(table.lines)):
        gpu_model = _text(table, "gpu_model", row)
        gpus = columns["gpus"][row]
        yield RunRecord(
            family=_text(table, "family", row, required=True),
            gpu_model=gpu_model,
            gpus=int(gpus) if gpus is not None else int(bool(gpu_model)),
            work=columns["work"][row],
            energy_j=columns["energy_j"][row],
            duration_s=columns["duration_s"][row],
            power_limit_w=columns["power_limit_w"][row],
            batch_size=columns["batch_size"][row],
            numbers={name: value for name, values in features.items() if (value := values[row]) is not None},
            labels={name: text for name in sorted(labels) if (text := _text(table, name, row))},
        )


def _is_label(table: Table, name: str, like: Runs | None) -> bool:
    """As where it was learnt from, else told by its first filled cell; a column without any is nothing to learn from."""
    if like is not None and name in like.table.columns:
        return name in like.labels
    return is_text(table, name)


def _numbers(table: Table, name: str) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in numbers(table, name)]


def _check(table: Table, name: str, values: Sequence[float | None]) -> None:
    """GPUs are counted from 0; all else that is known is more than nothing."""
    for row, value in enumerate(values):
        if value is None:
            continue
        if name == "gpus" and (value < 0 or value != int(value)):
            what, hint = "no number of GPUs", "write a whole number, 0 for a run without any"
        elif name != "gpus" and value <= 0:
            what, hint = "not above 0", "leave the cell empty where it is unknown"
        else:
            continue
        raise InvalidInput(
            f"{table.columns[name][row].strip()[:40]} is {what}",
            where=f"{table.where(row)}, column {name}",
            hint=hint,
        )


def _text(table: Table, name: str, row: int, *, required: bool = False) -> str:
    text = table.columns[name][row].strip()
    if len(text) > MAX_TEXT or (required and not text):
        what = f"more than {MAX_TEXT} letters" if text else "empty"
        raise InvalidInput(
            f"{name} is {what}", where=f"{table.where(row)}, column {name}", hint="give each kind of run a short name"
        )
    return text
