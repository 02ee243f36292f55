"""Where each job's bar goes."""

from datetime import timedelta

from carbonq.domain.receipt import EmissionsSlot
from carbonq.reports.lanes import JOBS_WITH_OWN_LANE, Kind, lanes, spans
from carbonq.testing import MIDNIGHT, make_receipt

HOUR = timedelta(hours=1)


def slot(start_h: int, end_h: int) -> EmissionsSlot:
    return EmissionsSlot(
        start=MIDNIGHT + start_h * HOUR,
        end=MIDNIGHT + end_h * HOUR,
        energy_j=1.0,
        intensity_g_per_kwh=None,
        origin=None,
        emissions_g=None,
    )


def test_few_jobs_have_a_lane_each_with_their_story_from_back_to_front() -> None:
    heading, lane = lanes([make_receipt(delay_s=10800)], until=MIDNIGHT + 48 * HOUR)
    assert (heading.label, heading.marks) == ("pool default", ())
    assert lane.label == "job"
    assert [mark.kind for mark in lane.marks] == [Kind.WAIT, Kind.AT_ONCE, Kind.RUN, Kind.DEADLINE]
    run = lane.marks[2]
    assert (run.start, run.end) == (MIDNIGHT + 3 * HOUR, MIDNIGHT + 4 * HOUR)


def test_a_deadline_after_the_period_is_not_moved_into_it() -> None:
    _, lane = lanes([make_receipt()], until=MIDNIGHT + 3 * HOUR)
    assert Kind.DEADLINE not in [mark.kind for mark in lane.marks]


def test_a_job_that_never_ran_has_no_bar() -> None:
    never = make_receipt(started_at=None, baseline=None)
    _, lane = lanes([never], until=MIDNIGHT)
    assert list(lane.marks) == []


def test_tasks_of_an_array_are_told_apart() -> None:
    tasks = [make_receipt(f"sweep-3fa9.{i}", name="sweep", delay_s=i) for i in range(2)]
    assert [row.label for row in lanes(tasks, until=MIDNIGHT)][1:] == ["sweep.0", "sweep.1"]


def test_a_pause_shows_as_a_gap_and_neighbours_are_joined() -> None:
    paused = make_receipt(slots=(slot(1, 2), slot(2, 3), slot(5, 6)))
    assert [(b - MIDNIGHT, e - MIDNIGHT) for b, e in spans(paused)] == [(HOUR, 3 * HOUR), (5 * HOUR, 6 * HOUR)]


def test_pools_are_kept_apart() -> None:
    rows = lanes([make_receipt("1", pool="b"), make_receipt("2", pool="a")], until=MIDNIGHT)
    assert [row.label for row in rows if not row.marks] == ["pool a", "pool b"]


def test_many_jobs_share_as_few_lanes_as_they_can_without_overlap() -> None:
    """Three jobs at a time, one after the other: three lanes as run, and three for the same at once."""
    jobs = [
        make_receipt(str(i), submitted_at=MIDNIGHT + (i // 3) * HOUR) for i in range(3 * (JOBS_WITH_OWN_LANE // 3 + 1))
    ]
    rows = [row for row in lanes(jobs, until=MIDNIGHT) if row.marks]
    assert [row.label for row in rows] == ["as run", "", "", "had all started at once", "", ""]
    assert sum(len(row.marks) for row in rows) == 2 * len(jobs)
    for row in rows:
        assert all(before.end <= after.start for before, after in zip(row.marks, row.marks[1:], strict=False))
