"""The transition table: what can follow what."""

from collections import defaultdict

import pytest

from carbonq.domain.job import ACTIVE, TERMINAL, TRANSITIONS, WAITING, JobState, may_move


def reachable(start: JobState) -> set[JobState]:
    onward = defaultdict(set)
    for move in TRANSITIONS:
        onward[move.source].add(move.target)
    seen, ahead = set(), [start]
    while ahead:
        state = ahead.pop()
        if state not in seen:
            seen.add(state)
            ahead.extend(onward[state])
    return seen


def test_each_state_is_waiting_active_or_terminal() -> None:
    assert sorted([*WAITING, *ACTIVE, *TERMINAL]) == sorted(JobState)


def test_nothing_leaves_a_terminal_state() -> None:
    assert [move for move in TRANSITIONS if move.source in TERMINAL] == []


def test_every_state_can_be_reached_from_submission() -> None:
    assert reachable(JobState.PENDING) == set(JobState)


@pytest.mark.parametrize("state", sorted(WAITING | ACTIVE))
def test_every_job_can_still_succeed_and_be_cancelled(state: JobState) -> None:
    assert {JobState.SUCCEEDED, JobState.CANCELLED} <= reachable(state)
    assert may_move(state, JobState.CANCELLED)


def test_no_move_is_listed_twice_and_an_event_has_one_target() -> None:
    assert len(set(TRANSITIONS)) == len(TRANSITIONS)
    assert len({(move.event, move.target) for move in TRANSITIONS}) == len({move.event for move in TRANSITIONS})


def test_only_a_lease_or_an_adoption_makes_a_waiting_job_run() -> None:
    """Whatever runs holds a fence."""
    assert {move.event for move in TRANSITIONS if move.source in WAITING and move.target is JobState.RUNNING} == {
        "leased",
        "adopted",
    }


def test_what_has_not_started_cannot_have_ended_well() -> None:
    assert not may_move(JobState.READY, JobState.SUCCEEDED)
    assert not may_move(JobState.PENDING, JobState.FAILED)


def test_a_job_that_runs_does_not_expire() -> None:
    """Late jobs run on: only what has not started is dropped."""
    assert {move.source for move in TRANSITIONS if move.target is JobState.EXPIRED} == WAITING
