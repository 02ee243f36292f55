"""When jobs would have started, had all been started at once on the machines there are."""

from datetime import datetime, timedelta
from typing import Any

from carbonq.domain.job import Capacity, Job, JobState, Requirement
from carbonq.scheduler.accounting import BaselineStart
from carbonq.scheduler.baseline import Claim, baseline_starts, first_come
from carbonq.scheduler.pools import pools_of
from carbonq.testing import MIDNIGHT, make_job, make_profile, make_worker


def at(hours: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hours)


def claims(*rows: tuple[str, float, int, float]) -> list[Claim]:
    """Name, arrival, units, hours."""
    return [Claim(at(arrival), name, units, timedelta(hours=hours)) for name, arrival, units, hours in rows]


def job(job_id: str, submitted: float = 0, cpus: int = 4, **fields: Any) -> Job:
    defaults: dict[str, Any] = {"submitted_at": at(submitted), "requirement": Requirement(cpus=cpus), "pool": "default"}
    return make_job(job_id, **(defaults | fields))


def starts(*jobs: Job) -> dict[str, BaselineStart]:
    return baseline_starts(jobs, pools_of([make_worker()]))


def test_free_machines_are_taken_on_arrival() -> None:
    assert first_come(claims(("a", 0, 2, 1), ("b", 0.5, 2, 1)), 4) == {"a": at(0), "b": at(0.5)}


def test_full_machines_are_waited_for_in_the_order_of_arrival() -> None:
    found = first_come(claims(("a", 0, 4, 2), ("b", 0.5, 4, 1), ("c", 0.6, 4, 1)), 4)

    assert found == {"a": at(0), "b": at(2), "c": at(3)}


def test_a_small_one_passes_a_large_one_that_does_not_fit_yet() -> None:
    found = first_come(claims(("a", 0, 3, 2), ("large", 0.5, 4, 1), ("small", 0.6, 1, 1)), 4)

    assert found == {"a": at(0), "small": at(0.6), "large": at(2)}


def test_what_is_larger_than_the_pool_starts_on_arrival_and_holds_nothing() -> None:
    assert first_come(claims(("giant", 0, 9, 5), ("b", 1, 4, 1)), 4) == {"giant": at(0), "b": at(1)}


def test_a_job_that_ran_counts_as_long_as_it_ran_and_one_that_waits_as_predicted() -> None:
    ran = job("ran", state=JobState.SUCCEEDED, started_at=at(5), finished_at=at(8))
    waits = job("waits", 0.1, profile=make_profile(duration_s=7200))

    found = starts(ran, waits, job("last", 0.2))

    assert found == {
        "ran": BaselineStart(at(0)),
        "waits": BaselineStart(at(3)),
        "last": BaselineStart(at(5)),
    }


def test_no_baseline_starts_later_than_the_job_did() -> None:
    """The first would have held the machines at once; as it waits, the second found them free: neither cleaner nor dirtier."""
    waits = job("waits", 0, profile=make_profile(duration_s=7200))
    hurried = job("hurried", 0.1, state=JobState.SUCCEEDED, started_at=at(0.1), finished_at=at(0.2))

    assert starts(waits, hurried)["hurried"] == BaselineStart(at(0.1))


def test_not_before_is_an_arrival() -> None:
    assert starts(job("later", not_before=at(2)), job("sooner", 1)) == {
        "sooner": BaselineStart(at(1)),
        "later": BaselineStart(at(2)),
    }


def test_without_a_known_pool_the_baseline_is_the_submission_and_says_so() -> None:
    found = starts(job("gone", pool="retired"), job("large", cpus=99))

    assert found == {
        "gone": BaselineStart(at(0), capacity_known=False),
        "large": BaselineStart(at(0), capacity_known=False),
    }


def test_gpu_jobs_and_cpu_jobs_wait_in_lines_of_their_own() -> None:
    pools = pools_of([make_worker(capacity=Capacity(gpus=1, gpu_model="A100", cpus=4))])
    gpu = Requirement(gpus=1)
    jobs = [job("gpu-1", requirement=gpu), job("gpu-2", 0.1, requirement=gpu), job("cpu", 0.2)]

    found = {name: one.start for name, one in baseline_starts(jobs, pools).items()}

    assert found == {"gpu-1": at(0), "gpu-2": at(1), "cpu": at(0.2)}
