"""Whatever a job tells of its progress, the plan gets a date that it can use, or what was foreseen stands."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from carbonq.domain.energy import Quantity
from carbonq.domain.progress import LEAST_WORK, MOST_POINTS, MOST_WORK, Progress, Told
from carbonq.forecasters.energy.inflight import LONGEST_S, pace
from carbonq.testing import MIDNIGHT, make_profile
from carbonq.workers.progress import parse

DURATIONS_S = st.floats(min_value=0, max_value=1e9)
AMOUNTS = st.one_of(
    st.floats(min_value=0, max_value=MOST_WORK), st.integers(0, 100), st.sampled_from([LEAST_WORK, MOST_WORK])
).map(lambda amount: round(float(amount), 9))
MOMENTS_S = st.lists(st.floats(min_value=0, max_value=1e8), min_size=1, max_size=MOST_POINTS)


@st.composite
def told(draw: st.DrawFn) -> Progress:
    moments_s = draw(MOMENTS_S)
    done = draw(st.lists(AMOUNTS, min_size=len(moments_s), max_size=len(moments_s)))
    if draw(st.booleans()):  # as most jobs do
        moments_s, done = sorted(moments_s), sorted(done)
    total = draw(st.none() | AMOUNTS.filter(lambda amount: amount >= LEAST_WORK) | st.just(max(*done, 1.0)))
    points = tuple(Told(MIDNIGHT + timedelta(seconds=s), d) for s, d in zip(moments_s, done, strict=True))
    return Progress(job_id="job", fence=1, total=total, points=points)


@given(told(), DURATIONS_S, DURATIONS_S, st.floats(min_value=-1e8, max_value=1e9))
def test_any_progress_gives_an_end_that_is_not_past_or_none(
    progress: Progress, duration_s: float, spread_s: float, after_s: float
) -> None:
    duration = Quantity(p50=duration_s, p10=max(0.0, duration_s - spread_s), p90=duration_s + spread_s)
    profile = make_profile().model_copy(update={"duration_s": duration})
    now = progress.points[-1].at + timedelta(seconds=after_s)

    found = pace(profile, progress, now)

    if found is not None:
        left = found.remaining_s
        assert left.p05 is not None
        assert left.p95 is not None
        assert 0 <= left.p05 <= left.p10 <= left.p50 <= left.p90 <= left.p95 <= 2 * LONGEST_S
        assert found.end(now) >= now


@given(st.text() | st.from_regex(r"[0-9.e+-]{1,40}(/[0-9.e+-]{1,40})?", fullmatch=True))
def test_any_line_is_an_amount_that_can_be_told_or_nothing(line: str) -> None:
    report = parse(line)
    if report is not None:
        Progress(job_id="job", fence=1, total=report.total, points=(Told(MIDNIGHT, report.done),))
