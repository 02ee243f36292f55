"""What a job finds when it starts."""

from pathlib import Path
from typing import Any

import pytest

from carbonq.domain.errors import InvalidInput
from carbonq.domain.spec import JobSpec
from carbonq.testing import make_job
from carbonq.workers import environment
from carbonq.workers.folder import AttemptFolder


def spec(**fields: Any) -> JobSpec:
    return JobSpec.model_validate(
        {"name": "job", "deadline": 3600.0} | ({"run": ["true"]} | fields if "script" not in fields else fields)
    )


def compose(given: JobSpec, worker_env: dict[str, str], **fields: Any) -> dict[str, str]:
    defaults: dict[str, Any] = {"attempt": 2, "folder": Path("/a"), "secrets": {}, "gpu_uuids": ()}
    return environment.compose(given, make_job(array_index=1), worker_env=worker_env, **(defaults | fields))


def test_only_named_variables_are_inherited() -> None:
    env = compose(spec(), {"PATH": "/x", "LC_ALL": "C", "AWS_SECRET_ACCESS_KEY": "s", "CARBONQ_REDIS_URL": "r"})
    assert (env["PATH"], env["LC_ALL"]) == ("/x", "C")
    assert "AWS_SECRET_ACCESS_KEY" not in env
    assert "CARBONQ_REDIS_URL" not in env


def test_the_spec_outdoes_the_worker_and_carbonq_outdoes_both() -> None:
    env = compose(spec(env={"PATH": "/spec", "OMP_NUM_THREADS": 7}), {"PATH": "/worker"}, gpu_uuids=("GPU-a", "GPU-b"))
    assert (env["PATH"], env["OMP_NUM_THREADS"]) == ("/spec", "7")
    assert env["CUDA_VISIBLE_DEVICES"] == "GPU-a,GPU-b"
    assert (env["CARBONQ_JOB_ID"], env["CARBONQ_ATTEMPT"]) == ("job-1", "2")


def test_without_gpus_none_is_visible() -> None:
    assert compose(spec(), {"CUDA_VISIBLE_DEVICES": "0,1"})["CUDA_VISIBLE_DEVICES"] == ""


def test_an_arrays_task_sees_its_values() -> None:
    env = compose(spec(array={"values": {"SEED": [1, 2], "FAST": [True]}}), {})
    assert (env["SEED"], env["FAST"], env["CARBONQ_TASK_INDEX"], env["CARBONQ_TASK_COUNT"]) == ("2", "true", "1", "2")


def test_a_secret_comes_from_its_file_then_from_the_workers_environment(tmp_path: Path) -> None:
    (tmp_path / "A").write_text("from-file\n")
    (tmp_path / "A").chmod(0o600)
    env = {"CARBONQ_SECRET_A": "x", "CARBONQ_SECRET_B": "from-env"}
    assert environment.read_secrets(["A", "B"], tmp_path, env) == {"A": "from-file", "B": "from-env"}


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "A").write_text("x")
    (tmp_path / "A").chmod(0o640)
    with pytest.raises(InvalidInput, match="can be read by others"):
        environment.read_secrets(["A"], tmp_path, {})


def test_a_missing_secret_says_how_to_give_it() -> None:
    with pytest.raises(InvalidInput) as caught:
        environment.read_secrets(["KEY"], None, {})
    assert "CARBONQ_SECRET_KEY" in str(caught.value)


def test_commands_by_kind(tmp_path: Path) -> None:
    folder = AttemptFolder(tmp_path)
    assert environment.command(spec(run="a | b"), folder) == ("/bin/sh", "-c", "a | b")
    assert environment.command(spec(run=["a", "b c"]), folder) == ("a", "b c")
    script = str(tmp_path / "script")
    assert environment.command(spec(script="echo\n"), folder) == ("/bin/sh", "-eu", script)
    assert environment.command(spec(script="#!/usr/bin/env python3\nprint()"), folder) == (script,)
    assert (tmp_path / "script").stat().st_mode & 0o777 == 0o700


def test_a_workdir_starts_from_the_job_files_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    job = make_job(folder=str(tmp_path))
    assert environment.workdir(spec(workdir="sub"), job) == str(tmp_path / "sub")
    assert Path(environment.workdir(spec(), job)) == tmp_path


@pytest.mark.parametrize(("workdir", "what"), [("missing", "does not exist"), ("file", "is no folder")])
def test_a_workdir_that_is_not_there_is_refused(tmp_path: Path, workdir: str, what: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=what):
        environment.workdir(spec(workdir=workdir), make_job(folder=str(tmp_path)))


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("python train.py", "python"),
        ("SEED=1 ./train --x", "./train"),
        ("cd x && y", None),
        ("$TOOL run", None),
        ("(a; b)", None),
        ("'unclosed", None),
    ],
)
def test_the_first_word_of_a_shell_line_where_it_can_be_told(line: str, word: str | None) -> None:
    assert environment.first_word(spec(run=line)) == word
