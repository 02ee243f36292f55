"""Accepting, planning, cancelling and listing jobs: what every queue must do."""

from datetime import timedelta
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from carbonq.domain.errors import InvalidInput, JobConflict, JobNotFound, NotFound
from carbonq.domain.job import JobState, Outcome, WaitReason
from carbonq.domain.ports import JobQuery, PlannedStart
from carbonq.domain.time import to_ms
from carbonq.testing import MIDNIGHT, make_job

if TYPE_CHECKING:
    from tests.contract.conftest import Station

HOUR = timedelta(hours=1)
SPEC = b"version: 1\nname: job\nrun: 'true'\ndeadline: 24h\n"
SHA = sha256(SPEC).hexdigest()


def test_a_job_comes_back_as_it_was_submitted(station: "Station") -> None:
    job = make_job(
        "a",
        spec_sha256=SHA,
        labels={"team": "vision", "näme": "ü"},
        not_before=MIDNIGHT + HOUR,
        planned_start=MIDNIGHT + 2 * HOUR,
        planned_end=MIDNIGHT + 3 * HOUR,
        planned_emissions_g=0.1 + 0.2,
        immediate_emissions_g=12.5,
        pool="default",
        reason=WaitReason.CLEANER_SLOT_AHEAD,
        reason_detail="at 02:00",
        priority=7,
        submitter="ada",
        folder="/home/ada",
    )
    assert station.queue.submit([job], {SHA: SPEC}) == [True]
    assert station.queue.get("a") == job.model_copy(update={"state": JobState.SCHEDULED})
    assert station.queue.spec("a") == SPEC


def test_submitting_the_same_job_again_changes_nothing(station: "Station") -> None:
    assert station.submit("a", "b") == [True, True]
    station.lease_one()
    before = station.job("a")
    assert station.submit("a", "b", "c") == [False, False, True]
    assert station.job("a") == before
    assert [event.type for event in station.queue.events()].count("submitted") == 3


def test_an_id_that_another_spec_has_taken_is_refused(station: "Station") -> None:
    station.submit("a")
    other = b"name: other\n"
    sha = sha256(other).hexdigest()
    with pytest.raises(JobConflict, match="'a' is taken"):
        station.queue.submit([make_job("a", spec_sha256=sha)], {sha: other})
    assert station.queue.spec("a") == SPEC


def test_of_a_refused_job_nothing_is_kept_and_its_neighbours_are(station: "Station") -> None:
    with pytest.raises(NotFound, match="needs 'nobody'"):
        station.queue.submit(
            [make_job("a", spec_sha256=SHA), make_job("b", spec_sha256=SHA, needs=("a", "nobody"))], {SHA: SPEC}
        )
    assert [job.id for job in station.queue.jobs(JobQuery())] == ["a"]
    with pytest.raises(JobNotFound):
        station.queue.get("b")
    station.queue.run_now("a", MIDNIGHT)
    station.finish(station.lease_one())
    assert station.state("a") == "succeeded"  # and no trace of b disturbs it


@pytest.mark.parametrize("job_id", ["", "a b", "../x", "{x}", "a\n", "x" * 129, "-rf"])
def test_an_id_that_could_not_be_a_key_or_a_file_name_is_refused(station: "Station", job_id: str) -> None:
    with pytest.raises(InvalidInput, match="no job id"):
        station.submit(job_id)
    assert station.queue.jobs(JobQuery()) == []


def test_a_job_whose_spec_is_not_given_is_refused(station: "Station") -> None:
    with pytest.raises(InvalidInput, match="no bytes"):
        station.queue.submit([make_job("a", spec_sha256=SHA)], {})


def test_ten_thousand_tasks_share_one_spec_and_are_listed_newest_first(station: "Station") -> None:
    tasks = [make_job(f"a.{i}", spec_sha256=SHA, array_id="a", array_index=i) for i in range(10_000)]
    assert station.queue.submit(tasks, {SHA: SPEC}) == [True] * 10_000
    assert station.queue.counts()[JobState.PENDING] == 10_000
    newest = station.queue.jobs(JobQuery(array_id="a", limit=3, offset=1))
    assert [task.array_index for task in newest] == [9998, 9997, 9996]
    assert len({task.id for task in station.queue.jobs(JobQuery(array_id="a", limit=20_000))}) == 10_000


# --- listing


def test_a_job_that_is_due_at_once_stands_in_line_at_once(station: "Station") -> None:
    station.submit("now", reason=WaitReason.STARTS_NOW)
    station.submit("later", planned_start=MIDNIGHT + timedelta(hours=1))
    station.submit("late", planned_start=None, latest_start=MIDNIGHT)
    station.submit("child", needs=("now",))
    standing = [(station.job(name).state, station.job(name).reason) for name in ("now", "later", "late", "child")]
    assert standing == [
        (JobState.READY, WaitReason.STARTS_NOW),
        (JobState.SCHEDULED, None),
        (JobState.READY, WaitReason.DEADLINE_FORCES_START),
        (JobState.PENDING, WaitReason.WAITS_FOR_PARENTS),
    ]
    assert [event.type for event in station.queue.events() if event.job_id == "now"] == ["submitted", "due"]
    assert [grant.job.id for grant in station.lease(4)] == ["late", "now"]


def test_jobs_are_filtered_by_state_project_and_array(station: "Station") -> None:
    tomorrow = MIDNIGHT + timedelta(hours=20)
    station.submit("a", "b", project="red", planned_start=tomorrow)
    station.submit("c", project="blue", planned_start=tomorrow)
    station.submit("d.0", "d.1", array_id="d", project="blue", planned_start=tomorrow)
    station.queue.cancel("b", MIDNIGHT)

    def ids(**query: Any) -> list[str]:
        return [job.id for job in station.queue.jobs(JobQuery(**query))]

    assert ids() == ["d.1", "d.0", "c", "b", "a"]
    assert ids(limit=2, offset=1) == ["d.0", "c"]
    assert ids(project="red") == ["b", "a"]
    assert ids(project="red", states=frozenset({JobState.CANCELLED})) == ["b"]
    assert ids(project="red", states=frozenset({JobState.SCHEDULED})) == ["a"]
    assert ids(states=frozenset({JobState.CANCELLED, JobState.SCHEDULED})) == ["d.1", "d.0", "c", "b", "a"]
    assert ids(array_id="d") == ["d.1", "d.0"]
    assert ids(project="green") == []
    assert ids(limit=0) == []


def test_counts_follow_every_move(station: "Station") -> None:
    station.submit("a", "b", "c", "d")
    station.queue.cancel("d", MIDNIGHT)
    grants = station.lease(2)
    station.finish(grants[0])
    counts = {state.value: number for state, number in station.queue.counts().items() if number}
    assert counts == {"cancelled": 1, "succeeded": 1, "running": 1, "ready": 1}


def test_what_nobody_knows_is_not_found(station: "Station") -> None:
    for ask in (station.queue.get, station.queue.spec):
        with pytest.raises(JobNotFound, match="no job 'x'"):
            ask("x")
    for order in (station.queue.cancel, station.queue.run_now):
        with pytest.raises(JobNotFound):
            order("x", MIDNIGHT)
    assert station.queue.measurements("x") == []


# --- planning


def _at(job_id: str, hours: float, **fields: Any) -> PlannedStart:
    start = MIDNIGHT + hours * HOUR
    known: dict[str, Any] = {"job_id": job_id, "start": start, "end": start + HOUR, "pool": None}
    return PlannedStart(
        **(known | {"reason": WaitReason.CLEANER_SLOT_AHEAD, "detail": "", "emissions_g": 1.5} | fields)
    )


def test_a_planned_job_waits_for_its_start_and_says_why(station: "Station") -> None:
    station.submit("a", planned_start=None)
    assert station.queue.assign([_at("a", 3, detail="120 g less")], MIDNIGHT) == 1
    job = station.job("a")
    assert (job.state, job.planned_start, job.planned_end) == (
        JobState.SCHEDULED,
        MIDNIGHT + 3 * HOUR,
        MIDNIGHT + 4 * HOUR,
    )
    assert (job.reason, job.reason_detail) == (WaitReason.CLEANER_SLOT_AHEAD, "120 g less")
    assert job.planned_emissions_g == 1.5
    station.clock.advance(hours=2.9)
    assert station.lease() == []
    station.clock.advance(hours=0.1)
    assert station.lease_one().job.id == "a"


def test_the_same_plan_again_is_silent(station: "Station") -> None:
    station.submit("a", planned_start=None)
    station.queue.assign([_at("a", 3)], MIDNIGHT)
    before = station.queue.events()
    assert station.queue.assign([_at("a", 3)], MIDNIGHT) == 0
    assert station.queue.events() == before
    assert station.queue.assign([_at("a", 4)], MIDNIGHT) == 1


def test_a_plan_for_jobs_that_no_longer_wait_is_passed_over(station: "Station") -> None:
    station.submit("a", "b")
    grant = station.lease_one()
    station.queue.cancel("b", MIDNIGHT)
    before = station.job("a")
    assert station.queue.assign([_at("a", 3), _at("b", 3), _at("nobody", 3)], MIDNIGHT) == 0
    assert station.job("a") == before
    assert grant.job.id == "a"


def test_a_ready_job_can_be_put_off_to_a_cleaner_hour(station: "Station") -> None:
    station.submit("a")
    assert station.lease(cpus=0) == []
    assert station.state("a") == "ready"
    assert station.queue.assign([_at("a", 3)], MIDNIGHT) == 1
    assert station.state("a") == "scheduled"
    assert station.lease() == []
    station.clock.advance(hours=3)
    assert station.lease_one().job.id == "a"


def test_a_ready_job_says_what_the_plan_says_of_it_and_keeps_its_place_in_line(station: "Station") -> None:
    station.submit("a", "b")
    assert station.lease(cpus=0) == []
    before = station.queue.events()
    taken = _at("a", 0, reason=WaitReason.NO_FREE_CAPACITY, detail="all are taken")
    assert station.queue.assign([taken], MIDNIGHT) == 1
    job = station.job("a")
    assert (job.state, job.reason, job.reason_detail) == ("ready", WaitReason.NO_FREE_CAPACITY, "all are taken")
    assert station.queue.assign([taken], MIDNIGHT) == 0
    assert station.queue.events() == before
    grants = station.lease(2)
    assert [(grant.job.id, grant.job.reason, grant.job.reason_detail) for grant in grants] == [
        ("a", None, ""),
        ("b", None, ""),
    ]


@pytest.mark.parametrize(
    "reason", [WaitReason.STARTS_NOW, WaitReason.NO_WORKER, WaitReason.NO_FREE_GPU, WaitReason.NO_FREE_CAPACITY]
)
def test_what_still_holds_of_a_job_that_is_due_is_kept(station: "Station", reason: WaitReason) -> None:
    station.submit("a", latest_start=MIDNIGHT, reason=reason, reason_detail="in words")
    assert station.lease(cpus=0) == []
    job = station.job("a")
    assert (job.state, job.reason, job.reason_detail) == ("ready", reason, "in words")


def test_a_cleaner_slot_is_no_longer_ahead_once_a_job_is_due(station: "Station") -> None:
    station.submit("a", reason=WaitReason.CLEANER_SLOT_AHEAD, reason_detail="in words")
    assert station.lease(cpus=0) == []
    job = station.job("a")
    assert (job.state, job.reason, job.reason_detail) == ("ready", None, "")


def test_a_job_past_its_latest_safe_start_is_not_put_off(station: "Station") -> None:
    station.submit("a", latest_start=MIDNIGHT)
    assert station.lease(cpus=0) == []
    assert station.job("a").reason is WaitReason.DEADLINE_FORCES_START
    station.queue.assign([_at("a", 3)], MIDNIGHT)
    assert station.lease_one().job.id == "a"


def test_a_plan_beyond_the_latest_safe_start_does_not_hold_a_job_back(station: "Station") -> None:
    station.submit("a", planned_start=None, latest_start=MIDNIGHT + 2 * HOUR)
    station.queue.assign([_at("a", 5)], MIDNIGHT)
    station.clock.advance(hours=2)
    assert station.lease_one().job.id == "a"


def test_run_now_makes_a_waiting_job_due_at_once_in_any_pool(station: "Station") -> None:
    station.submit("a", planned_start=MIDNIGHT + 5 * HOUR, pool="elsewhere", not_before=MIDNIGHT + 4 * HOUR)
    assert station.lease() == []
    assert station.queue.run_now("a", MIDNIGHT) is JobState.READY
    assert station.job("a").reason is WaitReason.STARTS_NOW
    assert station.lease_one().job.id == "a"
    assert station.queue.run_now("a", MIDNIGHT) is JobState.RUNNING


# --- parents


def test_a_child_waits_for_all_its_parents(station: "Station") -> None:
    station.submit("p", "q")
    station.submit("child", needs=("p", "q", "p"))
    job = station.job("child")
    assert (job.state, job.reason) == (JobState.PENDING, WaitReason.WAITS_FOR_PARENTS)
    first, second = station.lease(5)
    station.finish(first)
    assert station.lease() == []
    station.finish(second)
    assert station.lease_one().job.id == "child"


def test_a_child_keeps_the_plan_that_it_got_while_its_parents_ran(station: "Station") -> None:
    station.submit("p")
    station.submit("child", needs=("p",), planned_start=None)
    assert station.queue.assign([_at("child", 3)], MIDNIGHT) == 1
    assert station.job("child").reason is WaitReason.WAITS_FOR_PARENTS
    station.finish(station.lease_one())
    assert station.state("child") == "scheduled"
    assert station.lease() == []
    station.clock.advance(hours=3)
    assert station.lease_one().job.id == "child"


def test_run_now_does_not_pass_over_parents(station: "Station") -> None:
    station.submit("p")
    station.submit("child", needs=("p",), planned_start=None)
    assert station.queue.run_now("child", MIDNIGHT) is JobState.PENDING
    station.finish(station.lease_one())
    assert station.lease_one().job.id == "child"


def test_a_parent_that_succeeded_long_ago_holds_nobody(station: "Station") -> None:
    station.submit("p")
    station.finish(station.lease_one())
    station.submit("child", needs=("p",))
    assert station.lease_one().job.id == "child"


@pytest.mark.parametrize("how", ["failed", "cancelled", "expired"])
def test_when_a_parent_ends_otherwise_its_descendants_are_cancelled(station: "Station", how: str) -> None:
    station.submit("p", drop_when_late=how == "expired")
    station.submit("other")
    station.submit("child", needs=("p", "other"))
    station.submit("grandchild", needs=("child",))
    if how == "failed":
        station.finish(station.lease_one(), Outcome.FAILED)
    elif how == "cancelled":
        station.queue.cancel("p", MIDNIGHT)
    else:
        station.clock.advance(days=2)
        station.lease(cpus=0)
    assert station.state("p") == how
    for name, parent in (("child", "p"), ("grandchild", "child")):
        job = station.job(name)
        assert (job.state, job.reason, job.reason_detail) == (JobState.CANCELLED, WaitReason.PARENT_FAILED, parent)
    assert set(station.queue.unbooked()) >= {"p", "child", "grandchild"}


def test_a_child_of_a_parent_that_has_failed_is_cancelled_at_once(station: "Station") -> None:
    station.submit("p")
    station.queue.cancel("p", MIDNIGHT)
    assert station.submit("child", needs=("p",)) == [True]
    assert station.job("child").reason is WaitReason.PARENT_FAILED
    assert station.state("child") == "cancelled"


def test_a_long_chain_falls_without_recursion(station: "Station") -> None:
    names = [f"j{i}" for i in range(1500)]
    station.submit(names[0])
    station.queue.submit(
        [make_job(name, spec_sha256=SHA, needs=(parent,)) for parent, name in pairwise(names)], {SHA: SPEC}
    )
    station.queue.cancel(names[0], MIDNIGHT)
    assert station.queue.counts()[JobState.CANCELLED] == 1500


# --- cancelling


def test_a_waiting_job_is_cancelled_at_once_wherever_it_waits(station: "Station") -> None:
    station.submit("ready")
    station.lease(cpus=0)
    station.submit("pending", planned_start=None)
    station.submit("scheduled", planned_start=MIDNIGHT + HOUR)
    station.submit("child", needs=("pending",))
    for name in ("child", "pending", "scheduled", "ready"):
        assert station.queue.cancel(name, MIDNIGHT) is JobState.CANCELLED
        assert station.job(name).finished_at == MIDNIGHT
    station.clock.advance(days=3)
    assert station.lease() == []
    assert station.queue.next_due() is None


def test_a_running_job_is_cancelled_through_its_worker(station: "Station") -> None:
    station.submit("a")
    grant = station.lease_one()
    assert station.queue.cancel("a", MIDNIGHT) is JobState.RUNNING
    assert station.queue.cancel("a", MIDNIGHT) is JobState.RUNNING
    assert station.queue.heartbeat([grant.lease]) == ["cancel"]
    assert station.finish(grant, Outcome.CANCELLED)
    assert station.state("a") == "cancelled"
    assert station.queue.cancel("a", MIDNIGHT) is JobState.CANCELLED
    assert [event.type for event in station.queue.events()].count("cancel_requested") == 1


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.SUCCEEDED, "succeeded"),  # it was faster than its cancellation
        (Outcome.FAILED, "cancelled"),
        (Outcome.CHECKPOINTED, "cancelled"),
        (Outcome.LOST, "cancelled"),
    ],
)
def test_once_cancelled_a_running_job_is_never_run_again(station: "Station", outcome: Outcome, state: str) -> None:
    station.submit("a", max_attempts=3)
    grant = station.lease_one()
    station.queue.cancel("a", MIDNIGHT)
    station.finish(grant, outcome)
    assert station.state("a") == state
    assert station.lease() == []


def test_a_job_waiting_for_its_retry_is_cancelled_at_once(station: "Station") -> None:
    station.submit("a", max_attempts=2)
    station.finish(station.lease_one(), Outcome.FAILED, backoff_s=10)
    assert station.queue.cancel("a", MIDNIGHT) is JobState.CANCELLED
    station.real.advance(60)
    assert station.lease() == []


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
def test_what_has_ended_is_not_cancelled(station: "Station", outcome: Outcome) -> None:
    station.submit("a")
    station.finish(station.lease_one(), outcome)
    before = station.job("a")
    assert station.queue.cancel("a", MIDNIGHT).value == outcome.value
    assert station.job("a") == before


def test_times_are_kept_to_the_millisecond(station: "Station") -> None:
    start = MIDNIGHT + timedelta(microseconds=1_234_567)
    station.submit("a", planned_start=start)
    planned = station.job("a").planned_start
    assert planned is not None
    assert to_ms(planned) == to_ms(start)
