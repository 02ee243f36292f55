"""job.yaml -> JobSpec, and every mistake with its place and how to mend it."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from carbonq import jobfile
from carbonq.domain.errors import InvalidInput, NotFound
from carbonq.domain.spec import JobSpec

MINIMAL = "name: train\nrun: python train.py\ndeadline: 18h\n"
EXAMPLES = sorted((Path(__file__).parents[2] / "configs" / "examples").glob("*.yaml"))


def mistakes(text: str | bytes) -> list[str]:
    """What is wrong with a document, as `line:column: what; hint`."""
    document = text.encode() if isinstance(text, str) else text
    with pytest.raises(InvalidInput) as caught:
        jobfile.parse(document, "j")
    assert caught.value.exit_code == 2
    assert caught.value.problems
    return [str(problem).removeprefix("j:").removeprefix(" ") for problem in caught.value.problems]


def with_lines(*lines: str) -> str:
    return MINIMAL + "\n".join(lines) + "\n"


def test_three_fields_are_enough() -> None:
    spec = jobfile.parse(MINIMAL.encode())

    assert (spec.name, spec.run, spec.deadline) == ("train", "python train.py", 64_800.0)
    assert (spec.resources.cpus, spec.resources.gpus, spec.retry.max_attempts, spec.tasks) == (1, 0, 1, 1)


def test_every_field_is_read_in_base_units() -> None:
    spec = jobfile.parse(b"""
version: 1
name: resnet
script: |
  #!/bin/bash
  echo hi
workdir: work
env: {EPOCHS: 90}
secrets: [TOKEN]
resources: {gpus: 2, gpu_model: A100, gpu_memory: 40GiB, cpus: 8, memory: 64GB}
duration: 2h30m
deadline: 2026-01-05T18:00:00+01:00
not_before: 2026-01-05t08:00:00.5z
timeout: 1d
interruptible: {mode: checkpoint, checkpoint_signal: SIGTERM, grace: 90s, min_run: 1h}
workload: {family: resnet50, work: 90, unit: epochs, batch_size: 256, amp: true, net: r50}
carbon: {zones: [NO, DE], policy: planned, max_delay: 12h}
energy: {power_w: 550}
retry: {max_attempts: 3, on: [failure]}
array: {values: {LR: [0.1, 0.01], SEED: [1, 2, 3]}}
needs: [job-1]
priority: -5
project: vision
labels: {team: blue}
on_miss: drop
""")

    assert (spec.duration, spec.timeout, spec.resources.gpu_memory, spec.resources.memory) == (
        9000,
        86400,
        40 * 2**30,
        64 * 10**9,
    )
    assert spec.deadline == datetime(2026, 1, 5, 17, tzinfo=UTC)
    assert spec.not_before == datetime(2026, 1, 5, 8, 0, 0, 500_000, tzinfo=UTC)
    assert spec.carbon.zones == ("NO", "DE")
    assert spec.workload is not None
    assert spec.workload.model_extra == {"batch_size": 256, "amp": True, "net": "r50"}
    assert spec.interruptible is not None
    assert (spec.interruptible.grace, spec.interruptible.min_run) == (90.0, 3600.0)
    assert spec.tasks == 6
    assert spec.script == "#!/bin/bash\necho hi\n"


def test_words_that_yaml_1_1_reads_as_something_else_stay_text() -> None:
    spec = jobfile.parse(with_lines("labels: {country: NO, at: 18:30, on: yes, date: 2026-01-05}").encode())

    assert spec.labels == {"country": "NO", "at": "18:30", "on": "yes", "date": "2026-01-05"}


def test_the_environment_gets_words_and_numbers_exactly_as_written() -> None:
    spec = jobfile.parse(
        with_lines(
            "env: {VERSION: 1.10, PAD: 007, RATE: 1e-5, FLAG: TRUE, Q: '1.50'}", "array: {values: {LR: [0.10, 1]}}"
        ).encode()
    )

    assert spec.env == {"VERSION": "1.10", "PAD": "007", "RATE": "1e-5", "FLAG": "TRUE", "Q": "1.50"}
    assert spec.array is not None
    assert spec.array.task_env(0)["LR"] == "0.10"


def test_an_array_may_be_a_number() -> None:
    assert jobfile.parse(with_lines("array: 10").encode()).tasks == 10


def test_json_is_a_job_file_too_also_with_escaped_emoji() -> None:
    document = json.dumps({"name": "a", "run": ["echo", "🌱 \\ud83c"], "deadline": "2h"})
    assert "\\ud83c\\udf31" in document

    assert jobfile.parse(document.encode()).run == ("echo", "🌱 \\ud83c")


def test_what_looks_like_an_escaped_emoji_in_yaml_stays_as_it_is() -> None:
    spec = jobfile.parse(b"name: a\ndeadline: 2h\nscript: |\n  echo '\\ud83c\\udf31'\n")

    assert spec.script == "echo '\\ud83c\\udf31'\n"


@pytest.mark.parametrize(
    "change", [lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text], ids=["crlf", "bom"]
)
def test_files_from_windows_are_read(change) -> None:  # type: ignore[no-untyped-def]  # a lambda of the table above
    assert jobfile.parse(change(MINIMAL).encode()) == jobfile.parse(MINIMAL.encode())


def test_all_mistakes_come_at_once_each_at_its_place() -> None:
    text = """\
name: my job
run: 5
deadlin: 18h
resources:
  gpus: "2"
  cpus: four
  memory: 16
  gpu_memory: 3 GiBs
duration: 18
timeout: 1 hour
interruptible:
  mode: checkpiont
  grace:
carbon: {zones: [no], policy: cheap}
env: {CARBONQ_X: 1, "a b": 2, B: [1]}
secrets: [1]
workload: {family: x, extra: [1], n: .nan}
retry: {max_attempts: 0, on: failure}
labels: {year: 2026}
priority: yes
version: 2
timeout: 2h
"""

    assert mistakes(text) == [
        "1:1: `deadline` is missing; add `deadline: 18h`",
        '1:7: name: "my job" is not allowed; did you mean `my-job`?',
        "2:6: run: needs a text or a list, such as [a, b], got the number 5; put it in quotes",
        "3:1: unknown field `deadlin`; did you mean `deadline`?",
        '5:9: resources.gpus: needs a whole number, got "2"; remove the quotes',
        '6:9: resources.cpus: needs a whole number, got "four"',
        "7:11: resources.memory: 16 has no unit; write it like 16GiB",
        '8:15: resources.gpu_memory: "3 GiBs" is no size; write it like 16GiB, 512MB or 80G',
        "9:11: duration: 18 has no unit; write it like 2h30m",
        '10:10: timeout: "1 hour" is no duration; write it like 2h30m, 45m, 90s or 1d12h',
        '12:9: interruptible.mode: must be checkpoint or suspend, got "checkpiont"; did you mean `checkpoint`?',
        "13:9: interruptible.grace: needs a number with its unit; write it like 2h30m",
        '14:18: carbon.zones[0]: "no" is not allowed; did you mean `NO`?',
        '14:31: carbon.policy: must be planned or immediate, got "cheap"',
        (
            "15:7: env.CARBONQ_X: "
            '"CARBONQ_X" is not allowed; use letters, digits and `_`, no digit first; names that begin with CARBONQ_ are carbonq\'s own'
        ),
        (
            "15:21: env.a b: "
            '"a b" is not allowed; use letters, digits and `_`, no digit first; names that begin with CARBONQ_ are carbonq\'s own'
        ),
        "15:34: env.B: needs a text, a number or true or false, got a list",
        "16:11: secrets[0]: needs a text, got the number 1; put it in quotes",
        "17:30: workload.extra: needs a text, a number or true or false, got a list",
        "17:38: .nan is not a finite number; put it in quotes if it is meant as text",
        "18:23: retry.max_attempts: must be at least 1, got the number 0",
        '18:30: retry.on: needs a list, such as [a, b], got "failure"; write [failure]',
        "19:16: labels.year: needs a text, got the number 2026; put it in quotes",
        '20:11: priority: needs a whole number, got "yes"',
        "21:10: version: this carbonq reads version 1; write `version: 1` or leave it out",
        "22:1: `timeout` was given before, in line 10; remove one of the two",
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("18", "18 has no unit; write it like 18h or 2026-01-05T18:00:00Z"),
        ("18.5", "18.5 has no unit; write it like 18h or 2026-01-05T18:00:00Z"),
        ('"18"', '"18" has no unit; write it like 18h or 2026-01-05T18:00:00Z'),
        ("18:30", '"18:30" is neither a span nor a time; write it like 18h or 2026-01-05T18:00:00Z'),
        ("tomorrow", '"tomorrow" is neither a span nor a time; write it like 18h or 2026-01-05T18:00:00Z'),
        ("0s", '"0s" is out of range; write it like 18h or 2026-01-05T18:00:00Z'),
        (
            "2026-01-05",
            '"2026-01-05" is a day without a time and a zone; write 2026-01-05T18:00:00Z for 18:00 UTC',
        ),
        (
            "2026-01-05T18:00",
            '"2026-01-05T18:00" has no zone; write 2026-01-05T18:00Z for UTC or add an offset such as 2026-01-05T18:00+02:00',
        ),
        (
            "2026-02-30T18:00:00Z",
            '"2026-02-30T18:00:00Z" does not exist in the calendar; write it like 2026-01-05T18:00:00Z',
        ),
        (
            "0001-01-01T00:00:00+14:00",
            '"0001-01-01T00:00:00+14:00" does not exist in the calendar; write it like 2026-01-05T18:00:00Z',
        ),
        ("2026-01-05T18:00:00 CET", '"2026-01-05T18:00:00 CET" is no time; write it like 2026-01-05T18:00:00Z'),
        ("[18h]", "needs a span or a time; write it like 18h or 2026-01-05T18:00:00Z"),
        ("", "needs a span or a time; write it like 18h or 2026-01-05T18:00:00Z"),
        ("true", "needs a span or a time; write it like 18h or 2026-01-05T18:00:00Z"),
    ],
)
def test_a_deadline_needs_a_unit_or_a_zone(value: str, message: str) -> None:
    text = f"name: a\nrun: b\ndeadline: {value}\n"

    assert [line.partition(" deadline: ")[2] for line in mistakes(text)] == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name:train\nrun: x\n", "1:5: a colon needs a space after it; write `name: train`"),
        ("name:train", "1:1: a colon needs a space after it; write `name: train`"),
        ("name: a\n\trun: x\n", "2:1: a tab cannot indent a line; use spaces"),
        ("run: @x\n", "1:6: a text cannot begin with '@'; put the text in quotes"),
        ('run: "abc\nname: x\n', "1:6: this quote is never closed; close it where the text ends"),
        ('run: "a\\qb"\n', None),
        (
            "run: [a, b\nname: x\n",
            "2:5: the `[` of line 1 is not closed here, or a comma is missing; write it like [a, b] or {a: 1, b: 2}",
        ),
        (
            "run: echo: hi\n",
            "1:10: a value with `: ` in it needs quotes; begin a new, indented line after `run:`, or quote the value if it is one text",
        ),
        ('run: echo "it\'s": x\n', "1:17: a value with `: ` in it needs quotes; write `run: 'echo \"it''s\": x'`"),
        ('run: "a" && "b"\n', '1:11: a text cannot go on after its closing quote; write `run: \'"a" && "b"\'`'),
        (
            "name: a\nrun: |\necho hi\nname: b\n",
            "3:1: a text in lines begins above, and this line is not indented; indent its lines",
        ),
        (
            "resources:\n gpus: 1\n   cpus: 2\n",
            "3:8: this line is indented too far, or the line above is no field; indent fields of one level alike",
        ),
        ("run: !<\n", None),
        ("run: *\n", "1:7: `*` and `&` begin an alias or an anchor, which are not allowed; put the text in quotes"),
        ("name: a\nfoo\n", "2:1: this line is no field; write it like `key: value`, with a space after the colon"),
        (
            "a:\n  b: 1\n c: 2\n",
            "3:2: this does not fit the lines above; indent fields of one level alike",
        ),
        ("", "1:1: the file is empty; a job needs `name`, `run` and `deadline`"),
        ("# nothing\n", "1:1: the file is empty; a job needs `name`, `run` and `deadline`"),
        ("- a\n- b\n", "1:1: needs fields, as `key: value`, got a list; a job needs `name`, `run` and `deadline`"),
        ("? [a]\n: b\n", "1:3: a key must be a word; write it like `key: value`, without [ ] { } * ?"),
    ],
)
def test_syntax_errors_are_said_in_words(text: str, message: str | None) -> None:
    found = mistakes(text)

    assert len(found) == 1
    if message is not None:
        assert found == [message]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("env: &a {A: b}", "4:6: the anchor &a is not allowed; remove it"),
        ("priority: !!int 3", "4:11: the tag !!int is not allowed; remove it"),
        ("needs: [*a]", "4:9: the alias *a is not allowed; write the value out"),
        ("priority: .inf", "4:11: .inf is not a finite number; put it in quotes if it is meant as text"),
        ("priority: 1e999", "4:11: 1e999 is more than a number can hold; put it in quotes if it is meant as text"),
        (
            "priority: " + "9" * 100_000,
            "4:11: a number of 100000 digits is more than any setting needs; put it in quotes if it is meant as text",
        ),
        ('workdir: "a\\0b"', "4:10: a text with a NUL or half a character is not allowed; remove it"),
        ("---\nname: b", "4:1: a second document begins here; keep one job a file"),
        ("&k priority: 3", "4:1: an anchor or a tag on a key is not allowed; remove it"),
    ],
)
def test_what_a_job_file_has_no_need_of_is_refused(line: str, message: str) -> None:
    assert mistakes(with_lines(line)) == [message]


def test_bombs_are_refused() -> None:
    levels = "\n".join(f"l{i}: [{', '.join([f'*l{i - 1}'] * 9)}]" if i else "l0: &l0 [a]" for i in range(9))

    assert any("alias" in line for line in mistakes(levels))
    assert mistakes("run: " + "[" * 5000) == ["1:25: more than 20 levels of lists and fields; flatten the file"]
    assert mistakes("a: 1\n" + "a: {" * 5000)  # repeated keys are skipped, however deep
    assert mistakes(b"#" * (256 * 1024 + 1)) == ["the file is larger than 256 KiB; keep data in files of its own"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"name: a\nrun: \xff\n", "2:6: the file is not UTF-8 text; save it as UTF-8"),
        ("name: a".encode("utf-16"), "1:1: the file is not UTF-8 text; save it as UTF-8"),
        (b"name: a\nrun: \x00\n", "2:6: the character U+0000 is not allowed in a text file; remove it"),
    ],
)
def test_only_text_in_utf_8_is_read(document: bytes, message: str) -> None:
    assert mistakes(document) == [message]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("script: ls", "4:9: script: a job has either `run` (a command) or `script` (several lines); give one of them"),
        (
            "array: {size: 3, values: {A: [1]}}",
            "4:26: array.values: an array has either `size` or `values`; give one of them",
        ),
        ("array: {}", "4:8: array.values: an array has either `size` or `values`; give one of them"),
        ("array: 0", "4:8: array.size: must be at least 1, got the number 0"),
        (
            "not_before: 18h",
            "4:13: not_before: lies at or after the deadline; give an earlier start or a later deadline",
        ),
        ("version: true", "4:10: version: this carbonq reads version 1; write `version: 1` or leave it out"),
        ("resources: {cpus: true}", "4:19: resources.cpus: needs a whole number, got true"),
        ("resources: {cpus: 2.0}", "4:19: resources.cpus: needs a whole number, got the number 2.0"),
        ("energy: {power_w: true}", "4:19: energy.power_w: needs a number, got true"),
        ("env:", "4:5: env: needs fields, as `key: value`, got nothing; fill it, or remove the line"),
        ("interruptible: {grace: 1m}", "4:16: `interruptible.mode` is missing; add `mode: checkpoint`"),
        ("colour: red", None),
        ("gpus: 2", "4:1: unknown field `gpus`; `gpus` belongs under `resources`"),
        ("carbon: {deadline: 2h}", "4:10: unknown field `carbon.deadline`; `deadline` belongs to the top level"),
    ],
)
def test_mistakes_of_meaning_have_the_place_of_the_value(lines: str, message: str | None) -> None:
    found = mistakes(with_lines(lines))

    assert (
        found == [message]
        if message
        else found[0].startswith("4:1: unknown field `colour`; known here: array, carbon,")
    )


def test_neither_run_nor_script_is_told_beside_other_mistakes() -> None:
    assert mistakes("name: a\ndeadline: 18\n") == [
        "1:1: script: a job has either `run` (a command) or `script` (several lines); give one of them",
        "2:11: deadline: 18 has no unit; write it like 18h or 2026-01-05T18:00:00Z",
    ]


@pytest.mark.parametrize("run", ["''", "'  '", "[]", "['']"])
def test_an_empty_command_is_refused(run: str) -> None:
    assert mistakes(f"name: a\nrun: {run}\ndeadline: 1h\n")[0].startswith("2:")


def test_a_huge_array_is_refused_without_being_built() -> None:
    axes = "\n".join(f"    {name}: [{', '.join(map(str, range(100)))}]" for name in "ABCDEFGH")

    (found,) = mistakes(with_lines("array:", "  values:", axes))

    assert "10000000000000000 tasks are more than one array may have" in found


def test_load_gives_the_bytes_and_the_folder(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(MINIMAL)

    file = jobfile.load(tmp_path / "job.yaml")

    assert file == (jobfile.parse(MINIMAL.encode()), MINIMAL.encode(), str(tmp_path))


def test_load_says_what_is_wrong_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        jobfile.load(tmp_path / "none.yaml")
    with pytest.raises(InvalidInput, match="is a folder"):
        jobfile.load(tmp_path)
    with pytest.raises(InvalidInput, match="cannot read"):
        jobfile.load("a\0b")
    with pytest.raises(InvalidInput, match="larger than 256 KiB"):
        jobfile.load("/dev/zero")


def test_messages_name_the_file_as_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("name: a\n")

    with pytest.raises(InvalidInput) as caught:
        jobfile.load(tmp_path / "job.yaml")

    assert str(caught.value).startswith(f"{tmp_path}/job.yaml:1:1: ")


def test_dump_writes_what_parse_reads() -> None:
    fields = {
        "name": "train",
        "run": ("python", "a b.py", "🌱\u2028\x85\x7f"),
        "deadline": datetime(2026, 1, 5, 18, tzinfo=timezone(timedelta(hours=1))),
        "duration": timedelta(hours=2, microseconds=500_000),
        "workdir": Path("/tmp"),
        "env": {"LR": 0.1, "N": 3},
    }

    spec = jobfile.parse(jobfile.dump(fields))

    assert spec == JobSpec(
        name="train",
        run=("python", "a b.py", "🌱\u2028\x85\x7f"),
        deadline=datetime(2026, 1, 5, 17, tzinfo=UTC),
        duration=7200.5,
        workdir="/tmp",
        env={"LR": "0.1", "N": "3"},
    )


@pytest.mark.parametrize("value", [{1, 2}, object(), float("nan"), datetime(2026, 1, 5)])  # noqa: DTZ001  # a mistake to be found
def test_dump_refuses_what_no_file_can_hold(value: object) -> None:
    with pytest.raises(InvalidInput, match="not a job's fields"):
        jobfile.dump({"name": value})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_sound(path: Path) -> None:
    assert jobfile.load(path).spec.name
