"""The example jobs are what they say: valid, complete, and programs that really train something."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from carbonq import jobfile
from carbonq.domain.spec import JobSpec

EXAMPLES = Path(__file__).parents[2] / "configs" / "examples"
JOB_FILES = sorted(EXAMPLES.glob("*.yaml"))
TRAINING = ("cancer.yaml", "digits-sweep.yaml", "digits.yaml")
SCORE = re.compile(r"(?:accuracy|area under the curve)\D* (0\.\d{4})")


def read(name: str) -> JobSpec:
    return jobfile.parse((EXAMPLES / name).read_bytes(), name)


@pytest.mark.parametrize("path", JOB_FILES, ids=lambda path: path.name)
def test_every_example_is_a_valid_job_file(path: Path) -> None:
    assert read(path.name).name


def test_the_minimal_example_has_only_what_is_required() -> None:
    assert read("minimal.yaml").model_fields_set == {"name", "run", "deadline"}


def test_the_long_example_shows_every_field() -> None:
    """All but the three that exclude or need something else are set; those are named in a comment."""
    spec, text = read("gpu-training.yaml"), (EXAMPLES / "gpu-training.yaml").read_text()
    left_out = set(JobSpec.model_fields) - spec.model_fields_set
    assert {"script", "needs"} == left_out
    assert all(f"{name}:" in text for name in left_out)


@pytest.mark.parametrize("name", TRAINING)
def test_a_training_example_teaches_the_fields_that_matter(name: str) -> None:
    spec = read(name)
    assert {"project", "labels", "resources", "duration", "deadline", "workload"} <= spec.model_fields_set
    assert isinstance(spec.deadline, float)
    assert spec.duration is not None
    assert spec.deadline > 8 * spec.duration, "there is room to choose from"


def test_the_sweep_has_six_tasks_that_differ() -> None:
    array = read("digits-sweep.yaml").array
    assert array is not None
    tasks = {(env["C"], env["GAMMA"]) for env in map(array.task_env, range(array.count))}
    assert len(tasks) == 6


@pytest.mark.parametrize("name", TRAINING)
def test_a_training_example_trains_for_real(name: str, tmp_path: Path) -> None:
    """It exits 0, says how far it is, reports its progress to carbonq, and ends with a sound score."""
    report = tmp_path / "progress.json"
    *steps, last = _train(read(name), CARBONQ_PROGRESS=str(report)).splitlines()
    assert len(steps) >= 3
    found = SCORE.search(last)
    assert found, last
    assert float(found[1]) > 0.95
    done, total = re.findall(r"[\d.]+", report.read_text())
    assert done == total


def test_training_twice_gives_the_same_lines() -> None:
    spec = read("digits.yaml")
    assert _train(spec, EPOCHS="12") == _train(spec, EPOCHS="12")


def _train(spec: JobSpec, **extra: str) -> str:
    """The job's output, run as a worker would run it: its command line, in its folder, by this environment's Python."""
    env = {key: str(value) for key, value in spec.env.items()} | (spec.array.task_env(0) if spec.array else {})
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    assert isinstance(spec.run, str)
    done = subprocess.run(
        ["/bin/sh", "-c", spec.run],
        cwd=EXAMPLES,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": str(spec.resources.cpus), **env, **extra},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
