"""A running job's pace, from what it tells of its progress."""

import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from carbonq.domain.energy import PowerProfile
from carbonq.domain.progress import Pace, Progress, Told
from carbonq.forecasters.energy.inflight import pace
from carbonq.testing import MIDNIGHT, make_profile
from carbonq.workers.progress import Point, thinned


def at(seconds: float) -> datetime:
    return MIDNIGHT + timedelta(seconds=seconds)


def told(*points: tuple[float, float], total: float | None = 100.0) -> Progress:
    """`points` are (seconds, units done), thinned as a worker thins them."""
    kept: list[Point] = []
    for point in points:
        kept = thinned([*kept, Point(*point)])
    return Progress(job_id="job", fence=1, total=total, points=tuple(Told(at(s), done) for s, done in kept))


def steady(unit_s: float, units: int, *, warm_up_s: float = 0.0, total: float | None = 100.0) -> Progress:
    return told(*((warm_up_s + unit_s * unit, float(unit)) for unit in range(1, units + 1)), total=total)


def seen(progress: Progress, profile: PowerProfile | None = None, now_s: float | None = None) -> Pace:
    now = progress.points[-1].at if now_s is None else at(now_s)
    found = pace(profile or make_profile(duration_s=1000), progress, now)
    assert found is not None
    return found


def test_a_few_steady_steps_replace_a_prior_that_was_three_times_too_short() -> None:
    found = seen(steady(30, 5))

    assert found.rate_per_s == pytest.approx(1 / 30)
    assert found.remaining_s.p50 == pytest.approx(95 * 30, rel=0.05)


def test_a_prior_that_agrees_narrows_the_interval() -> None:
    alone = seen(steady(10, 4), make_profile(duration_s=1e6))
    agreeing = seen(steady(10, 4), make_profile(duration_s=1000))

    assert agreeing.remaining_s.p50 == pytest.approx(960)
    assert agreeing.remaining_s.p90 - agreeing.remaining_s.p10 < alone.remaining_s.p90 - alone.remaining_s.p10


def test_the_interval_narrows_as_work_is_done() -> None:
    early, late = (seen(steady(30, units)).remaining_s for units in (5, 60))

    assert (late.p90 - late.p10) / late.p50 < 0.5 * (early.p90 - early.p10) / early.p50
    assert early.p05 is not None
    assert early.p95 is not None
    assert early.p05 < early.p10 < early.p50 < early.p90 < early.p95


def test_warming_up_is_not_the_pace() -> None:
    assert seen(steady(10, 6, warm_up_s=5000)).rate_per_s == pytest.approx(0.1)
    assert seen(told((0, 0), (900, 1), (910, 2), (920, 3), (930, 4))).rate_per_s == pytest.approx(0.1)


def test_one_stall_is_not_the_pace() -> None:
    with_stall = told(*((10.0 * unit + (3600 if unit > 5 else 0), float(unit)) for unit in range(1, 20)))

    assert seen(with_stall, make_profile(duration_s=1e6)).remaining_s.p50 == pytest.approx(810, rel=0.2)


def test_later_steps_count_for_more_than_earlier_ones() -> None:
    slower = told(
        *((10.0 * unit, float(unit)) for unit in range(1, 11)), *((90.0 + 20 * n, 10.0 + n) for n in range(1, 11))
    )

    assert seen(slower).rate_per_s < 1 / 15


@pytest.mark.parametrize(
    "progress",
    [
        pytest.param(steady(10, 3), id="two steps"),
        pytest.param(steady(10, 20, total=None), id="no total"),
        pytest.param(steady(10, 20, total=19), id="more done than there is"),
        pytest.param(told(*((10.0, float(unit)) for unit in range(1, 20))), id="all at one moment"),
        pytest.param(told(*((10.0 * n, 5.0) for n in range(1, 20))), id="nothing new"),
    ],
)
def test_too_little_leaves_what_was_foreseen(progress: Progress) -> None:
    assert pace(make_profile(), progress, progress.points[-1].at) is None


def test_a_job_that_counts_anew_is_believed_once_it_is_further_than_before() -> None:
    first = [(10.0 * n, float(n)) for n in range(1, 8)]
    again = [(100.0 + 5.0 * n, float(n)) for n in range(1, 12)]

    assert pace(make_profile(), told(*first, *again[:7]), at(140)) is None
    assert seen(told(*first, *again[:8])).rate_per_s == pytest.approx(0.2)


def test_a_resumed_job_is_expected_to_do_only_what_is_left() -> None:
    resumed = told(*((10.0 * n, 90.0 + n) for n in range(5)))

    assert seen(resumed).remaining_s.p50 == pytest.approx(60, rel=0.01)


def test_the_step_under_way_counts_down_and_the_end_is_never_past() -> None:
    progress = steady(10, 98)

    assert seen(progress, now_s=984).remaining_s.p50 == pytest.approx(16, rel=0.01)
    for silent_s in (0, 10, 100, 1e5):
        found = seen(progress, now_s=980 + silent_s)
        assert found.end(at(980 + silent_s)) >= at(980 + silent_s)
        assert found.remaining_s.p50 >= 9.99


def test_long_silence_widens_the_interval() -> None:
    progress = steady(10, 90)

    assert seen(progress, now_s=10_000).remaining_s.p90 > 9000


def test_work_that_is_done_leaves_nothing() -> None:
    assert seen(steady(10, 100)).remaining_s.p50 == 0


def test_a_step_of_many_units_is_no_better_known_than_one_of_few() -> None:
    few, many = (seen(told(*((10.0 * n, size * n) for n in range(1, 6)), total=size * 100)) for size in (1.0, 1e6))

    assert many.remaining_s.p90 == pytest.approx(few.remaining_s.p90)


def _run(dice: random.Random) -> tuple[Sequence[float], float]:
    """Moments at which each of 60 units is done: a job's own pace, epochs that scatter and hang together, a drift."""
    unit_s, scatter, drift = math.exp(dice.gauss(3, 1)), dice.uniform(0.01, 0.3), dice.gauss(0, 0.05)
    now_s, noise, moments = 0.0, 0.0, list[float]()
    for unit in range(60):
        noise = 0.3 * noise + dice.gauss(0, scatter)
        now_s += unit_s * math.exp(noise + drift * unit / 60)
        moments.append(now_s)
    return moments, moments[-1]


@pytest.mark.parametrize("units", [4, 10, 30, 50])
def test_the_interval_covers_what_it_says(units: int) -> None:
    """Over made-up runs whose epochs scatter, hang together and drift, with a prior that knows nothing."""
    dice, inside, errors = random.Random(units), 0, list[float]()
    runs = 400
    for _ in range(runs):
        moments, end_s = _run(dice)
        progress = told(*((s, n + 1.0) for n, s in enumerate(moments[:units])), total=60.0)
        found = seen(progress, make_profile(duration_s=1e7))
        left_s = end_s - moments[units - 1]
        inside += found.remaining_s.p10 <= left_s <= found.remaining_s.p90
        errors.append(abs(found.remaining_s.p50 / left_s - 1))
    assert 0.74 <= inside / runs <= 0.9, inside / runs
    assert sorted(errors)[runs // 2] < 0.12
