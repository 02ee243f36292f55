"""Whatever the bytes are, a job file gives a JobSpec or InvalidInput, soon; and the schema and the parser agree."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema.validators import extend

from carbonq import jobfile, schemas, yaml12
from carbonq.domain.errors import InvalidInput, Problem
from carbonq.domain.spec import JobSpec

LIMIT_S = 5.0  # the worst takes 0.4 s on an idle machine; what is not linear takes a minute
FIELDS = sorted(JobSpec.model_fields)
SNIPPETS = st.sampled_from(
    [
        *(f"{name}: " for name in FIELDS),
        "{",
        "}",
        "[",
        "]",
        ", ",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "&a ",
        "*a",
        "!!int ",
        "|\n",
        ">\n",
        "'",
        '"',
        "\t",
        "#",
        "? ",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "2h",
        "18",
        ".nan",
        "0x1F",
        "null",
        "true",
        "\u2028",
        "\ufeff",
        "\\",
        "é",
        "<<: ",
    ]
)


def outcome(document: bytes) -> JobSpec | tuple[Problem, ...]:
    began = time.perf_counter()
    try:
        return jobfile.parse(document)
    except InvalidInput as error:
        placed = [problem for problem in error.problems if problem.line]
        assert placed == sorted(placed, key=lambda problem: (problem.line, problem.column))
        return error.problems
    finally:
        assert time.perf_counter() - began < LIMIT_S


@given(st.binary(max_size=300))
def test_any_bytes_give_a_spec_or_problems(document: bytes) -> None:
    assert isinstance(outcome(document), JobSpec) or outcome(document)


@given(st.lists(SNIPPETS, max_size=40).map("".join))
@settings(max_examples=500)
@example("a: b\u2028\u2028\u2028c\u2028\u2028")
@example("name: a\nrun: b\ndeadline: 2h\nneeds: [\u2028\n]")
def test_any_yaml_gives_a_spec_or_problems(text: str) -> None:
    result = outcome(text.encode("utf-8", "surrogatepass"))

    assert isinstance(result, JobSpec) or all(problem.what for problem in result)


@given(st.lists(SNIPPETS | st.text(max_size=5), max_size=30).map("".join))
@settings(max_examples=300)
@example("\u2028\ufeff")
def test_both_parsers_of_pyyaml_read_the_same(text: str) -> None:
    """Where libyaml is not at hand, the pure parser takes its place: what it accepts has the same content."""
    with pytest.MonkeyPatch.context() as patch:
        fast = _read(text)
        patch.setattr(yaml, "CBaseLoader", yaml.BaseLoader)
        pure = _read(text)

    if fast is not None and pure is not None:  # libyaml is stricter in places: then there is nothing to compare
        assert (fast.data, fast.keys) == (pure.data, pure.keys)  # they differ in where an empty value stands


def _read(text: str) -> yaml12.Document | None:
    try:
        return yaml12.read(text.encode("utf-8", "surrogatepass"), "j")
    except InvalidInput:
        return None


@pytest.mark.parametrize(
    "document",
    [
        "[" * 250_000,
        "{a: " * 60_000,
        "- " * 120_000,
        "a: 1\n" * 50_000,
        "? " * 120_000,
        "a" * 250_000,
        '"' + "\\x41" * 60_000 + '"',
        "&a " * 80_000,
        "\n".join(f"k{i}: [{i}]" for i in range(18_000)),
        "a: |\n" + "  x\n" * 60_000,
        "{" + ",".join(f"k{i}" for i in range(35_000)) + "}",
    ],
    ids=lambda document: document[:8],
)
def test_large_documents_are_judged_in_time(document: str) -> None:
    assert not isinstance(outcome(document[: yaml12.MAX_BYTES].encode()), JobSpec)


# --- the schema agrees with the parser

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=12)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True)
ENV_NAMES = st.sampled_from(["LR", "SEED", "_x", "x1"])
SPANS = st.sampled_from(["2h30m", "90s", "1d12h", "1w", "0.5h", "000.5m"])
SIZES = st.sampled_from(["16GiB", "512MB", "80G", "1 kB", "100B", "1.5TiB", "2Ki"])
MOMENTS = st.sampled_from(["2026-01-05T18:00:00Z", "2026-01-05t18:00z", "2026-01-05 18:00:00.25+01:00"])
ZONES = st.sampled_from(["FR", "US-CAL-CISO", "AUS_QLD", "DK-DK1"])
WHOLE = st.integers(1, 60)
NUMBERS = WHOLE | st.floats(0.1, 200).filter(lambda number: not number.is_integer())
SCALARS = WORDS | NUMBERS | st.booleans()
ODD_TEXTS = st.sampled_from(
    [
        "",
        " ",
        "CARBONQ_X",
        "1A",
        "a b",
        "a\n",
        "0s",
        "2h 30m",
        "90",
        "1h1d",
        "1.h",
        "h",
        "-1h",
        "٣h",
        " 2h",
        "2h\n",
        "16",
        "0B",
        "1iB",
        "16gb",
        "KiB",
        "16GiBs",
        "1  GB",
        "2026-01-05",
        "2026-01-05T18:00:00",
        "now",
        "no",
        "F",
        "FR-",
        "SIGKILL",
        "yes",
        "x" * 300,
    ]
)
ODD: st.SearchStrategy[Any] = (
    ODD_TEXTS | SCALARS | st.none() | st.integers(-(10**6), 10**6) | st.lists(SCALARS | ODD_TEXTS, max_size=2)
)
ODD |= st.dictionaries(NAMES | ODD_TEXTS, SCALARS | ODD_TEXTS, max_size=2)


def _fields(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=optional)


JOBS = st.builds(
    lambda what, rest: what | rest,
    _fields({"run": WORDS | st.lists(WORDS, min_size=1, max_size=3)}) | _fields({"script": WORDS}),
    _fields(
        {"name": NAMES, "deadline": SPANS | MOMENTS},
        version=st.just(1),
        workdir=WORDS,
        env=st.dictionaries(ENV_NAMES, SCALARS, max_size=2),
        secrets=st.lists(ENV_NAMES, max_size=2),
        resources=_fields({}, gpus=WHOLE, gpu_model=WORDS, gpu_memory=SIZES, cpus=WHOLE, memory=SIZES),
        duration=SPANS,
        timeout=SPANS,
        interruptible=_fields(
            {"mode": st.sampled_from(["checkpoint", "suspend"])},
            checkpoint_signal=st.just("SIGTERM"),
            grace=SPANS,
            min_run=SPANS,
        ),
        workload=_fields({"family": WORDS}, work=NUMBERS, unit=WORDS, batch=SCALARS),
        carbon=_fields(
            {}, zones=st.lists(ZONES, max_size=2), policy=st.sampled_from(["planned", "immediate"]), max_delay=SPANS
        ),
        energy=_fields({}, power_w=NUMBERS),
        retry=_fields({}, max_attempts=WHOLE, on=st.lists(st.sampled_from(["failure", "timeout"]), max_size=2)),
        array=WHOLE
        | _fields({"size": WHOLE})
        | _fields(
            {"values": st.dictionaries(ENV_NAMES, st.lists(SCALARS, min_size=1, max_size=2), min_size=1, max_size=2)}
        ),
        needs=st.lists(NAMES, max_size=2),
        priority=WHOLE,
        project=NAMES,
        labels=st.dictionaries(NAMES, WORDS, max_size=2),
        on_miss=st.sampled_from(["run", "drop"]),
    ),
)


@st.composite
def spoilt_jobs(draw: st.DrawFn) -> Any:
    """A sound job with one value replaced, a field added, or one taken away."""
    job = draw(JOBS)
    *way, last = draw(st.sampled_from(list(_ways(job))))
    parent = job
    for part in way:
        parent = parent[part]
    match draw(st.sampled_from(["replace", "replace", "replace", "add", "remove"])):
        case "add" if isinstance(parent, dict):
            parent[draw(st.sampled_from([*FIELDS, "colour", "CARBONQ_X", "size", "values"]))] = draw(ODD)
        case "remove":
            del parent[last]
        case _:
            parent[last] = draw(ODD)
    return job


def _ways(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*way, key)
        yield from _ways(part, (*way, key))


def _ecma_pattern(_validator: object, pattern: str, instance: object, _schema: object) -> Any:
    """`$` ends the text, as JSON Schema has it; Python's also stands before a last line end."""
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern}")


def _is_whole(_checker: object, instance: object) -> bool:
    """2.0 is a whole number to JSON Schema and none to YAML: here YAML's word counts."""
    return isinstance(instance, int) and not isinstance(instance, bool)


SCHEMA = extend(  # type: ignore[no-untyped-call]  # its stub types none of it
    jsonschema.Draft202012Validator,
    {"pattern": _ecma_pattern},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole),
)(schemas.schema("job"))


@given(JOBS)
def test_every_sound_job_is_accepted(fields: dict[str, Any]) -> None:
    assert isinstance(outcome(jobfile.dump(fields)), JobSpec)
    assert not list(SCHEMA.iter_errors(fields))


@given(spoilt_jobs())
@settings(max_examples=400)
@example({"name": "a", "run": "b", "script": None, "deadline": "1h"})
@example({"name": "a", "run": "b", "deadline": "1h", "array": {"size": 3, "values": {}}})
@example({"name": "a", "run": "b", "deadline": "1h", "array": {"size": None, "values": {"A": [1]}}})
@example({"name": "a", "run": [""], "deadline": "1h"})
@example({"name": "a\n", "run": "b", "deadline": "1h"})
def test_the_schema_and_the_parser_agree(fields: dict[str, Any]) -> None:
    result = outcome(jobfile.dump(fields))
    complaints = [error.message for error in SCHEMA.iter_errors(fields)]

    assert isinstance(result, JobSpec) == (not complaints), (result, complaints)


class _Quoting(yaml.SafeDumper):
    """PyYAML leaves `08` bare, which is a text to YAML 1.1 and a number to 1.2: so each text gets its quotes."""


_Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@given(JOBS)
@example({"name": "08", "script": "0", "deadline": "1h"})
def test_block_yaml_of_the_same_fields_is_the_same_job(fields: dict[str, Any]) -> None:
    block = yaml.dump(fields, Dumper=_Quoting, allow_unicode=True, sort_keys=False)

    assert outcome(block.encode()) == outcome(jobfile.dump(fields))


@given(
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=366)),
    st.datetimes(
        datetime(1970, 1, 2),  # noqa: DTZ001  # Hypothesis wants the bounds without the zone that it adds
        datetime(2200, 1, 1),  # noqa: DTZ001  # as above
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))]),
    ),
)
def test_spans_and_moments_survive_dump(span: timedelta, moment: datetime) -> None:
    spec = jobfile.parse(jobfile.dump({"name": "a", "run": "b", "deadline": moment, "timeout": span}))

    assert spec.deadline == moment
    assert spec.timeout == pytest.approx(span.total_seconds(), abs=1e-6)
