"""The JSON Schemas of carbonq's files and messages, made from the models. `python -m carbonq.schemas` writes them anew."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from carbonq.domain.carbon import Forecast
from carbonq.domain.errors import NotFound
from carbonq.domain.job import Event, Job, Measurement
from carbonq.domain.plan import Plan, PlanSnapshot
from carbonq.domain.receipt import Receipt
from carbonq.domain.spec import JobSpec
from carbonq.domain.units import DURATION_PATTERN, SIZE_PATTERN, format_duration, format_size
from carbonq.problems import did_you_mean
from carbonq.settings import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Format(NamedTuple):
    """One published format: its model, what it is, and the file under `configs/` that holds its schema."""

    model: type[BaseModel]
    title: str
    file: str
    version: int = 1


FORMATS = {
    "job": Format(JobSpec, "carbonq job file", "job.schema.json"),
    "settings": Format(Settings, "carbonq settings", "schemas/settings.json"),
    "job-record": Format(Job, "A job as the queue keeps it", "schemas/job-record.json"),
    "event": Format(Event, "One thing that happened", "schemas/event.json"),
    "measurement": Format(Measurement, "What a worker saw of one attempt", "schemas/measurement.json"),
    "receipt": Format(Receipt, "What a job used, emitted and avoided", "schemas/receipt.json"),
    "plan": Format(Plan, "A plan", "schemas/plan.json"),
    "plan-snapshot": Format(PlanSnapshot, "A planner's whole input", "schemas/plan-snapshot.json"),
    "forecast": Format(Forecast, "Expected carbon intensity of one zone", "schemas/forecast.json"),
}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a format. Raises NotFound, with the names that there are."""
    if name not in FORMATS:
        hint = did_you_mean(name, FORMATS) or f"there are: {', '.join(FORMATS)}"
        raise NotFound(f"no schema {name!r}", hint=hint)
    chosen = FORMATS[name]
    made = chosen.model.model_json_schema()
    made.get("properties", {}).pop("origins", None)  # of Settings: what carbonq found, not what a person writes
    for part in _parts(made):
        _tidy(part)
    head = {"$schema": DIALECT, "$id": f"urn:carbonq:schema:{name}:{chosen.version}", "title": chosen.title}
    return head | {key: value for key, value in made.items() if key != "title"}


def text(name: str) -> str:
    """The schema as its committed file holds it."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def write(folder: Path) -> None:
    """Write every schema to its place under `configs/`."""
    for name, chosen in FORMATS.items():
        path = folder / chosen.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(name), encoding="utf-8")


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """Every schema within a schema, the outer ones first."""
    if isinstance(node, dict):
        yield node
        for value in list(node.values()):
            yield from _parts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _parts(value)


def _tidy(part: dict[str, Any]) -> None:
    """What pydantic leaves out or says twice: closed mappings, defaults as they are written, no titles made of names."""
    if "patternProperties" in part:
        part["additionalProperties"] = False
    if isinstance(part.get("title"), str) and "properties" not in part:
        del part["title"]
    if part.get("default", "") is None or isinstance(part.get("default"), dict):
        del part["default"]
    patterns = {part.get("pattern"), *(option.get("pattern") for option in part.get("anyOf", ()))}
    if isinstance(part.get("default"), int | float) and patterns & {DURATION_PATTERN, SIZE_PATTERN}:
        written = format_duration if DURATION_PATTERN in patterns else format_size
        part["default"] = written(part["default"])


if __name__ == "__main__":
    write(Path(__file__).resolve().parent.parent / "configs")
