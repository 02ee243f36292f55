"""Small drawing tools for the plots: scales, ticks, axes. Pure; coordinates in pixels of the picture's own frame."""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from math import ceil, floor, log10
from typing import NamedTuple

from carbonq.reports.markup import Markup, element, join


class Scale(NamedTuple):
    """A straight map from values `[low, high]` to pixels `[first, last]`."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)


class TimeScale(NamedTuple):
    """A straight map from times to pixels; times outside are moved to the nearer edge."""

    start: datetime
    end: datetime
    first: float
    last: float

    def __call__(self, time: datetime) -> float:
        share = (time - self.start) / (self.end - self.start)
        return self.first + min(1.0, max(0.0, share)) * (self.last - self.first)


class Tick(NamedTuple):
    time: datetime
    label: str
    date: str  # under the first tick of each day; empty where the label is the date
    begins_day: bool


def value_scale(values: Sequence[float], first: float, last: float) -> Scale:
    """A scale from 0 (or below, where values are negative) to the next round number."""
    low, high = min(0.0, *values, 0.0), max(0.0, *values, 0.0)
    if low == high:
        high = 1.0
    step = _round_step((high - low) / 5)
    return Scale(floor(low / step) * step, ceil(high / step) * step, first, last)


def value_ticks(scale: Scale) -> list[float]:
    """Round numbers from end to end, about five."""
    step = _round_step((scale.high - scale.low) / 5)
    return [step * k for k in range(round(scale.low / step), round(scale.high / step) + 1)]


def time_ticks(start: datetime, end: datetime, zone: tzinfo, most: int) -> list[Tick]:
    """At most `most` round wall times of `zone` in `[start, end]`."""
    hours = next((h for h in _TICK_HOURS if (end - start) / timedelta(hours=h) <= most), _TICK_HOURS[-1])
    midnight = start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    if hours > 24:  # whole weeks begin on Mondays
        midnight -= timedelta(days=midnight.weekday())
    steps = ceil((end - start) / timedelta(hours=hours)) + ceil(168 / hours) + 1
    walls = (
        midnight + k * timedelta(hours=hours) for k in range(steps)
    )  # wall time: steps over a change of the clocks
    ticks: list[Tick] = []
    for wall in walls:
        if start <= wall <= end:
            date = f"{wall:%a} {wall.day} {wall:%b}"
            shown = "" if ticks and ticks[-1].time.date() == wall.date() else date
            label = date if hours >= 24 else f"{wall:%H:%M}"
            ticks.append(Tick(wall, label, "" if hours >= 24 else shown, not (wall.hour or wall.minute)))
    return ticks


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def label(x: float, y: float, words: str, class_: str = "", anchor: str = "start") -> Markup:
    return element("text", words, x=x, y=y, class_=class_ or None, text_anchor=None if anchor == "start" else anchor)


def box(x: float, y: float, width: float, height: float, class_: str, *inside: Markup, radius: float = 0) -> Markup:
    """A rectangle; `inside` is its tooltip."""
    return element("rect", *inside, x=x, y=y, width=width, height=height, rx=radius or None, class_=class_)


def polyline(points: Sequence[tuple[float, float]], class_: str, *, closed: bool = False) -> Markup:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + ("Z" if closed else "")
    return element("path", d=path, class_=class_)


def stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of a line that keeps each value until the next x."""
    corners = list(points[:1])
    for (_, before), (x, y) in itertools.pairwise(points):
        corners += [(x, before), (x, y)]
    return corners


def time_axis(ticks: Sequence[Tick], scale: TimeScale, top: float, bottom: float) -> Markup:
    """A grid line and a label below for each tick."""
    return join(
        line(x := scale(tick.time), top, x, bottom, "grid strong" if tick.begins_day else "grid")
        + label(x, bottom + 18, tick.label, "tick", "middle")
        + label(x, bottom + 34, tick.date, "tick strong", "middle")
        for tick in ticks
    )


def picture(width: float, height: float, description: str, *parts: str) -> Markup:
    """A picture that scales with the page, and says in words what it shows."""
    return element(
        "svg", join(parts), viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=description, class_="plot"
    )


_TICK_HOURS = (1 / 12, 1 / 6, 1 / 4, 1 / 2, 1.0, 2.0, 3.0, 6.0, 12.0, 24.0, 48.0, 168.0, 336.0, 672.0, 1344.0, 2688.0)


def _round_step(least: float) -> float:
    """The first of 1, 2, 2.5, 5 x a power of ten that is at least `least`."""
    power = 10.0 ** floor(log10(least))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= least * (1 - 1e-9))
