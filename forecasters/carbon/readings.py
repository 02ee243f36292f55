"""From rows of numbers to a series, and from a series to a forecast: what every source has in common.

One rule for rows that cannot be right (an absurd value, a time without zone, an interval that begins before the one before
it ends): they are left out and told in the log, so that one of them does not cost the rest. Where they are more than a tenth
of an answer, the answer is nonsense.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, TypeVar

from carbonq.domain.carbon import CarbonIntensity, Forecast, IntensitySeries, Origin, SourceInfo, Zone
from carbonq.domain.errors import SourceNonsense
from carbonq.domain.time import SlotGrid

log = logging.getLogger("carbonq.carbon")

Entry = TypeVar("Entry")
Read = TypeVar("Read")

MAX_BAD_SHARE = 0.1
LOWEST_G_PER_KWH, HIGHEST_G_PER_KWH = -1000.0, 5000.0
"""Beyond these no grid is: the dirtiest plants emit some 1,500 g/kWh, marginal signals dip below zero."""


class Row(NamedTuple):
    """One interval of a provider's answer, in g/kWh."""

    start: datetime
    end: datetime
    intensity_g_per_kwh: float


def checked_intensity(value: object, where: str) -> float:
    """The value as a float. Raises SourceNonsense for anything but a finite number that a grid can have."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SourceNonsense(f"{value!r:.80} is no carbon intensity", where=where)
    if not LOWEST_G_PER_KWH <= value <= HIGHEST_G_PER_KWH:  # which NaN and the infinities are not either
        raise SourceNonsense(f"{value!r:.80} g/kWh is no carbon intensity that a grid can have", where=where)
    return float(value)


def moment_in(text: object, where: str) -> datetime:
    """The moment that an ISO 8601 text names, in UTC. Raises SourceNonsense, also where it names no zone."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise SourceNonsense(f"{text!r:.80} is no time with a zone", where=where)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # the year 1 or 9999
        raise SourceNonsense(f"{text!r:.80} is no time of ours", where=where) from None


def moment_of(unix_seconds: object, where: str) -> datetime:
    """The moment so many seconds after 1970. Raises SourceNonsense."""
    try:
        if isinstance(unix_seconds, int | float) and not isinstance(unix_seconds, bool):
            return datetime.fromtimestamp(unix_seconds, UTC)
    except (OverflowError, ValueError, OSError):
        pass
    raise SourceNonsense(f"{unix_seconds!r:.80} is no time in seconds since 1970", where=where)


def sound(entries: Iterable[Entry], read: Callable[[Entry], Read | None], where: str) -> list[Read]:
    """What `read` makes of a provider's entries, as they come. It gives None for a gap, and raises SourceNonsense for what
    cannot be right: for such entries the rule above holds."""
    good: list[Read] = []
    bad: list[SourceNonsense] = []
    for entry in entries:
        try:
            value = read(entry)
        except SourceNonsense as problem:
            bad.append(problem)
        else:
            good += [] if value is None else [value]
    _tolerate(bad, len(good) + len(bad), where)
    return good


def tidy(rows: Iterable[Row], where: str) -> list[Row]:
    """Sorted; of rows that start together the last one counts. For rows that overlap otherwise the rule above holds."""
    by_start = {row.start: row for row in rows}
    kept: list[Row] = []
    bad: list[SourceNonsense] = []
    for start in sorted(by_start):
        if kept and start < kept[-1].end:
            bad.append(SourceNonsense(f"the interval from {start} begins before the one before it ends", where=where))
        else:
            kept.append(by_start[start])
    _tolerate(bad, len(by_start), where)
    return kept


def usual_step(moments: Iterable[datetime]) -> timedelta:
    """The most frequent distance of moments, the shortest of several; an hour where there are less than two."""
    steps = Counter(later - earlier for earlier, later in pairwise(sorted(set(moments))))
    return max(steps, key=lambda step: (steps[step], -step)) if steps else timedelta(hours=1)


def held(points: Mapping[datetime, float], step: timedelta) -> list[Row]:
    """Rows of points that name their start alone: each holds until the next, at most for that long."""
    starts = sorted(points)
    ends = [min(start + step, follower) for start, follower in pairwise(starts)]
    ends += [start + step for start in starts[-1:]]
    return [Row(start, end, points[start]) for start, end in zip(starts, ends, strict=True)]


def _tolerate(bad: Sequence[SourceNonsense], of: int, where: str) -> None:
    """Raises the first of the problems where they are too many, and tells the log of them where they are not."""
    if len(bad) > MAX_BAD_SHARE * of:
        raise bad[0]
    if bad:
        log.warning("%s: %d of %d rows left out; the first: %s", where, len(bad), of, bad[0].what)


def overlapping(rows: Iterable[Row], start: datetime, end: datetime) -> Iterator[Row]:
    """The rows that overlap `[start, end)`, uncut; none where no time lies between."""
    return (row for row in rows if row.start < end and row.end > start and start < end)


def spans(start: datetime, end: datetime, longest: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """`[start, end)` in spans that a provider answers in one go."""
    while start < end:
        yield start, min(end, start + longest)
        start += longest


def series_of(zone: Zone, rows: Iterable[Row], origin: Origin, info: SourceInfo) -> IntensitySeries:
    return IntensitySeries(
        zone=zone,
        source=info.name,
        signal=info.signal,
        scope=info.scope,
        attribution=info.attribution,
        readings=tuple(
            CarbonIntensity(start=start, end=end, intensity_g_per_kwh=value, origin=origin)
            for start, end, value in rows
        ),
    )


def known_stretch(series: IntensitySeries, grid: SlotGrid) -> tuple[float, ...]:
    """One mean a slot, from the grid's first slot up to the first that is not wholly known."""
    values: list[float] = []
    for value in series.on(grid):
        if value is None:
            break
        values.append(value)
    return tuple(values)


def forecast_of(
    zone: Zone,
    grid: SlotGrid,
    quantiles: Mapping[str, tuple[float, ...]],
    *,
    model: str,
    origin: Origin,
    info: SourceInfo,
    now: datetime,
) -> Forecast:
    """A forecast made and fetched at `now`, over as many of the grid's slots as the median has values."""
    return Forecast(
        zone=zone,
        source=info.name,
        model=model,
        signal=info.signal,
        scope=info.scope,
        origin=origin,
        attribution=info.attribution,
        issued_at=now,
        fetched_at=now,
        grid=grid.model_copy(update={"slots": len(quantiles["0.5"])}),
        quantiles_g_per_kwh=dict(quantiles),
    )


def forecast_from(
    rows: Sequence[Row], zone: Zone, grid: SlotGrid, *, model: str, info: SourceInfo, now: datetime, where: str
) -> Forecast:
    """A provider's own forecast over the slots from the grid's first to the first that its rows leave open.

    A row that begins within the first slot counts from the slot's begin: what is asked for is the future, and some providers
    leave out the minutes that have passed. Raises SourceNonsense where nothing is said about the first slot.
    """
    rows = [row for row in rows if row.end > grid.start]
    if rows and grid.start < rows[0].start < grid.at(1):
        rows[0] = rows[0]._replace(start=grid.start)
    median = known_stretch(series_of(zone, rows, Origin.FORECAST, info), grid)
    if grid.slots and not median:
        raise SourceNonsense(f"no value for {grid.start:%Y-%m-%d %H:%M} UTC, the time asked for", where=where)
    return forecast_of(zone, grid, {"0.5": median}, model=model, origin=Origin.FORECAST, info=info, now=now)
