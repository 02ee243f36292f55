"""The published schemas: valid, committed as they are made, and true of what carbonq writes."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from carbonq import schemas, yaml12
from carbonq.domain.errors import NotFound
from carbonq.domain.plan import Plan
from carbonq.testing import make_job

CONFIGS = Path(__file__).parents[2] / "configs"
EXAMPLES = sorted((CONFIGS / "examples").glob("*.yaml"))


def complaints(name: str, value: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(schemas.schema(name)).iter_errors(value)]


@pytest.mark.parametrize("name", schemas.FORMATS)
def test_a_schema_is_valid_and_committed_as_made(name: str) -> None:
    """`make docs` writes them anew."""
    jsonschema.Draft202012Validator.check_schema(schemas.schema(name))

    assert (CONFIGS / schemas.FORMATS[name].file).read_text() == schemas.text(name)


def test_no_other_schema_is_committed() -> None:
    assert {
        str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.json") if path.parent.name in ("schemas", "configs")
    } == {chosen.file for chosen in schemas.FORMATS.values()}


def test_write_makes_the_committed_files(tmp_path: Path) -> None:
    schemas.write(tmp_path)

    assert (tmp_path / "job.schema.json").read_bytes() == (CONFIGS / "job.schema.json").read_bytes()


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(NotFound, match="did you mean `receipt`"):
        schemas.schema("reciept")
    with pytest.raises(NotFound, match="there are: job, settings"):
        schemas.schema("xyz")


def test_the_job_schema_describes_every_field() -> None:
    schema = schemas.schema("job")
    parts = [schema, *schema["$defs"].values()]

    assert [
        name for part in parts for name, field in part.get("properties", {}).items() if not field.get("description")
    ] == []
    assert schema["required"] == ["name", "deadline"]
    assert schema["properties"]["array"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 100_000}
    assert schema["$defs"]["Interruptible"]["properties"]["grace"]["default"] == "2m"


def test_every_setting_is_described_and_its_default_is_as_written() -> None:
    fields = schemas.schema("settings")["properties"]

    assert "origins" not in fields
    assert [name for name, field in fields.items() if not field.get("description")] == []
    assert (fields["lease"]["default"], fields["log_limit"]["default"]) == ("30s", "64MiB")


def test_what_carbonq_writes_fits_its_schemas() -> None:
    plan = Plan(method="exact", emissions_g=1.0, solve_s=0.1)

    assert complaints("job-record", json.loads(make_job().model_dump_json())) == []
    assert complaints("plan", json.loads(plan.model_dump_json())) == []
    assert complaints("plan", {"method": "exact"}) == [
        "'emissions_g' is a required property",
        "'solve_s' is a required property",
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_fits_the_job_schema(path: Path) -> None:
    assert complaints("job", yaml12.read(path.read_bytes(), path.name).data) == []


def test_the_example_settings_fit_their_schema() -> None:
    lines = [line.removeprefix("# ") for line in (CONFIGS / "carbonq.yaml").read_text().splitlines()]
    taken = "\n".join(line for line in lines if line.partition(":")[0] in schemas.schema("settings")["properties"])

    assert complaints("settings", yaml.safe_load(taken)) == []
