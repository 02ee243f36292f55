"""The pages made from the code say what the code says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from carbonq import jobfile
from carbonq.domain.job import TRANSITIONS, JobState
from carbonq.domain.spec import JobSpec
from carbonq.settings import SOURCE_KINDS, keys

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_every_generated_page_is_up_to_date() -> None:
    """`make docs` writes them anew."""
    result = subprocess.run([sys.executable, DOCS / "generate.py", "--check"], capture_output=True, text=True)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_pages_have_every_field_and_setting() -> None:
    assert [name for name in JobSpec.model_fields if f"| `{name}`" not in page("reference/job-file.md")] == []
    assert [
        key for key in keys() if f"| `{key}` | `CARBONQ_{key.upper()}` |" not in page("reference/settings.md")
    ] == []


def test_the_page_of_sources_has_every_kind_with_its_licence() -> None:
    rows = [line for line in page("reference/sources.md").splitlines() if line.startswith("| `")]
    terms = rows[len(rows) // 2 :]
    named = [kind for kind in SOURCE_KINDS if any(row.startswith((f"| `{kind}`", f"| `{kind}:")) for row in terms)]

    assert named == list(SOURCE_KINDS)
    assert [row for row in terms if not row.split(" | ")[2].strip()] == []


def test_the_diagram_has_exactly_the_moves_of_the_table() -> None:
    arrows = re.findall(r"^    (\w+) --> (\w+): (.+)$", page("explanation/states.md"), re.MULTILINE)
    drawn = {(event, source, target) for source, target, events in arrows for event in events.split(", ")}

    assert drawn == {(move.event, str(move.source), str(move.target)) for move in TRANSITIONS}


def test_the_page_explains_every_state() -> None:
    assert [state for state in JobState if f"| `{state}` |" not in page("explanation/states.md")] == []


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", page("reference/job-file.md"), re.DOTALL))
def test_the_job_files_of_the_reference_are_sound(block: str) -> None:
    assert jobfile.parse(block.encode()).name


def test_the_glossary_is_sorted_and_says_each_word_once() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", page("glossary.md"), re.MULTILINE)

    assert words == sorted(set(words), key=str.lower)
    assert len(words) > 30
