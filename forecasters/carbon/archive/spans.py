"""Half-open stretches of time, and which of them to ask a source for. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from carbonq.domain.carbon import SourceInfo

REACH = timedelta(days=730)
"""How much of the past a model has use for: two of every season."""
CHUNK = timedelta(days=30)
RECENT, LATE = timedelta(hours=48), timedelta(days=8)
"""Values of the last two days are still revised by the hour, those of the last week by the day."""
SHORTEST = timedelta(minutes=1)
"""A smaller hole is the rounding of somebody's clock."""


class Span(NamedTuple):
    """`[start, end)`."""

    start: datetime
    end: datetime


def merged(spans: Iterable[Span]) -> Iterator[Span]:
    """In order; what touches or overlaps is one."""
    current: Span | None = None
    for span in sorted(span for span in spans if span.start < span.end):
        if current is None or span.start > current.end:
            if current is not None:
                yield current
            current = span
        else:
            current = Span(current.start, max(current.end, span.end))
    if current is not None:
        yield current


def missing(wanted: Span, covered: Iterable[Span]) -> Iterator[Span]:
    """The parts of `wanted` that no span covers, in order."""
    at = wanted.start
    for span in merged(covered):
        hole = Span(at, min(span.start, wanted.end))
        if hole.end - hole.start >= SHORTEST:
            yield hole
        at = max(at, span.end)
    if wanted.end - at >= SHORTEST:
        yield Span(at, wanted.end)


def backfill(
    covered: Sequence[Span],
    now: datetime,
    info: SourceInfo,
    *,
    questions: int,
    in_vain: Sequence[Span] = (),
    reach: timedelta = REACH,
    chunk: timedelta = CHUNK,
) -> tuple[Span, ...]:
    """What of the past to ask the source for, newest first: at most `questions` spans, each at most `chunk` long.

    `in_vain` are spans that it was asked for and knew nothing of: they are not asked again. As far back as `reach`, or as the
    source says that it answers; up to the newest reading that it can have yet.
    """
    holes = missing(_answerable(now, info, reach), (*covered, *in_vain))
    pieces = [piece for hole in reversed(list(holes)) for piece in _pieces(hole, chunk)]
    return tuple(pieces[:questions])


def refresh(covered: Sequence[Span], now: datetime, info: SourceInfo, *, thorough: bool) -> Span:
    """What to ask for again, because late values and revisions come there: two days, once a day (`thorough`) eight.

    After an outage from where the readings end, as far as eight days; what is older is `backfill`'s. Ends at `now`, for some
    sources publish early.
    """
    known_until = max((span.end for span in covered if span.start <= now), default=now - LATE)
    since = now - LATE if thorough else min(now - RECENT, max(known_until, now - LATE))
    return Span(max(since, _answerable(now, info, LATE).start), now)


def _answerable(now: datetime, info: SourceInfo, reach: timedelta) -> Span:
    back = reach if info.history_s is None else min(reach, timedelta(seconds=info.history_s))
    end = now - timedelta(seconds=info.lag_s)
    return Span(min(now - back, end), end)


def _pieces(hole: Span, chunk: timedelta) -> Iterator[Span]:
    """Newest first."""
    end = hole.end
    while end > hole.start:
        start = max(hole.start, end - chunk)
        yield Span(start, end)
        end = start
