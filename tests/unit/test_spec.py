"""The job's spec: what follows from it. How it is read is in test_jobfile."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from carbonq.domain.job import Outcome, Requirement
from carbonq.domain.spec import Array, JobSpec
from carbonq.domain.written import AS_WRITTEN, parse_moment


def spec(**fields: object) -> JobSpec:
    return JobSpec.model_validate({"name": "train", "run": "true", "deadline": "18h"} | fields)


def test_a_spec_is_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(spec(), "name", "other")  # noqa: B010  # a plain assignment is refused before it runs


def test_python_callers_may_give_base_units_and_moments() -> None:
    made = JobSpec(name="a", run="true", deadline=datetime(2026, 1, 5, tzinfo=UTC), duration=90.0, timeout=5)

    assert (made.deadline, made.duration, made.timeout) == (datetime(2026, 1, 5, tzinfo=UTC), 90.0, 5.0)


@pytest.mark.parametrize("deadline", [0.0, -1.0, float("inf"), float("nan"), True, datetime(2026, 1, 5)])  # noqa: DTZ001  # a mistake to be found
def test_python_callers_get_no_nonsense_in(deadline: object) -> None:
    with pytest.raises(ValidationError):
        spec(deadline=deadline)


def test_the_requirement_is_what_one_task_holds() -> None:
    made = spec(
        resources={"gpus": 2, "gpu_model": "A100", "gpu_memory": "40GiB", "cpus": 8, "memory": "1GB"},
        carbon={"zones": ["FR"]},
    )

    assert made.requirement == Requirement(
        gpus=2, gpu_model="A100", gpu_memory_b=40 * 2**30, cpus=8, memory_b=10**9, zones=("FR",)
    )


def test_retry_names_the_outcomes_that_are_tried_again() -> None:
    assert spec(retry={"on": ["timeout"]}).retry.outcomes == (Outcome.TIMED_OUT,)
    assert spec().retry.outcomes == (Outcome.FAILED, Outcome.TIMED_OUT)


def test_an_array_of_values_has_one_task_a_combination() -> None:
    array = Array(values={"LR": (0.1, 0.01), "SEED": (1, 2, 3), "DEBUG": (True,)})

    tasks = [array.task_env(index) for index in range(array.count)]

    assert [(task["LR"], task["SEED"]) for task in tasks] == [
        ("0.1", "1"), ("0.1", "2"), ("0.1", "3"), ("0.01", "1"), ("0.01", "2"), ("0.01", "3"),
    ]  # fmt: skip
    assert tasks[4] == {
        "CARBONQ_TASK_INDEX": "4",
        "CARBONQ_TASK_COUNT": "6",
        "LR": "0.01",
        "SEED": "2",
        "DEBUG": "true",
    }


def test_an_array_of_a_size_counts_its_tasks() -> None:
    array = Array(size=3)

    assert (array.count, array.task_env(2)) == (3, {"CARBONQ_TASK_INDEX": "2", "CARBONQ_TASK_COUNT": "3"})


@pytest.mark.parametrize(
    "text", ["2026-01-05T18:00:00Z", "2026-01-05t18:00z", "2026-01-05 20:00:00.000+02:00", "2026-01-05T18:00:00-00:00"]
)
def test_a_moment_is_read_in_utc(text: str) -> None:
    moment = parse_moment(text)

    assert (moment, moment.utcoffset()) == (datetime(2026, 1, 5, 18, tzinfo=UTC), timedelta(0))


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-05",
        "2026-01-05T18:00",
        "2026-W01-1T00:00:00Z",
        "20260105T180000Z",
        "2026-13-01T00:00:00Z",
        "2026-01-05T24:00:01Z",
        "9999-12-31T23:59:59-10:00",
    ],
)
def test_what_is_no_moment_is_refused_with_the_way_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="; write "):
        parse_moment(text)


def test_a_spec_as_json_is_a_job_file_again() -> None:
    """What `show --json` prints of a spec has its units, and can be submitted as it stands."""
    fields = {
        "name": "a",
        "run": "b",
        "deadline": "2026-01-05T18:00:00Z",
        "not_before": "90m",
        "duration": "1d30m0.25s",
        "timeout": "500s",
        "resources": {"gpus": 1, "gpu_memory": "40GiB"},
        "interruptible": {"mode": "suspend"},
    }
    spec = JobSpec.model_validate(fields)

    written = spec.model_dump(mode="json", exclude_none=True)

    assert JobSpec.model_validate(written, context=AS_WRITTEN) == spec
    assert (written["duration"], written["not_before"], written["timeout"]) == ("1d30m0.25s", "1h30m", "8m20s")
    assert written["resources"]["gpu_memory"] == "42949672960B"
    assert written["deadline"] == "2026-01-05T18:00:00Z"
