"""A forecast as a screen: the curve with its band, the cleanest windows, and what it rests on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from carbonq.cli import words
from carbonq.cli.output import Cell, Column, fields, paint, safe, speaks_unicode, table, terminal_columns
from carbonq.cli.views import ORIGINS
from carbonq.domain.carbon import Forecast, IntensitySeries
from carbonq.domain.units import format_duration
from carbonq.reports.format import percent

WINDOWS_S = (3600.0, 4 * 3600.0, 8 * 3600.0)
LABEL = 13
MOST_COLUMNS = 96
"""A curve is no wider than two days of half hours, even where the terminal is."""
BLOCKS, DIGITS = "▁▂▃▄▅▆▇█", "0123456789"
TICKS_H = (1, 2, 3, 6, 12, 24, 48)
NOTHING_SPARED_REL = 0.005


class Window(NamedTuple):
    start: datetime
    end: datetime
    intensity_g_per_kwh: float


class Curve(NamedTuple):
    """Means over equal stretches from `start` on, by quantile."""

    start: datetime
    step: timedelta
    rows: dict[float, tuple[float, ...]]

    @property
    def end(self) -> datetime:
        return self.start + self.step * len(self.rows[0.5])

    @property
    def levels(self) -> list[float]:
        """Outermost above, median, outermost below; the median alone where there is no band."""
        outer = [level for level in (max(self.rows), min(self.rows)) if level != 0.5]
        return [*outer[:1], 0.5, *outer[1:]]


def forecast(found: Forecast, now: datetime, hours: float, window_s: float | None = None) -> str:
    """`window_s`: how long a job runs; by default the cleanest 1, 4 and 8 hours are looked for."""
    windows_s = WINDOWS_S if window_s is None else (window_s,)
    curve = _curve(found, now, hours)
    if curve is None:
        return f"the forecast for {safe(found.zone)} ends before {words.when(now, now)}"
    start, end = max(now, curve.start), min(curve.end, now + timedelta(hours=hours))
    best = [(span_s, cleanest(found.series(), start, end, span_s)) for span_s in windows_s]
    marked = best[len(best) // 2][1]
    title = (
        f"{paint(safe(found.zone), 'bold')}  {found.signal.value} carbon intensity ({found.scope.value}) in gCO2eq/kWh"
    )
    return "\n".join([title, "", *_drawn(curve, marked, now), "", _windows(best, found, now), "", _facts(found, now)])


def cleanest(series: IntensitySeries, start: datetime, end: datetime, window_s: float) -> Window | None:
    """The window of that length with the lowest mean in `[start, end)`: it begins now or where a slot begins or ends."""
    span = timedelta(seconds=window_s)
    edges = {start} | {edge for reading in series.readings for edge in (reading.start, reading.end - span)}
    windows = [
        Window(edge, edge + span, mean)
        for edge in sorted(edges)
        if edge >= start and edge + span <= end and (mean := series.mean(edge, edge + span)) is not None
    ]
    return min(windows, key=lambda window: window.intensity_g_per_kwh, default=None)


# --- the curve


def _curve(found: Forecast, now: datetime, hours: float) -> Curve | None:
    """Slots from now on, several to a column where they are many."""
    first = max(0, found.grid.index(now))
    last = min(found.grid.slots, found.grid.index(now + timedelta(hours=hours) - timedelta(microseconds=1)) + 1)
    if last <= first:
        return None
    room = max(16, min(MOST_COLUMNS, terminal_columns() - LABEL - 1))
    step = -(-(last - first) // room)
    return Curve(
        found.grid.at(first),
        timedelta(seconds=step * found.grid.slot_s),
        {
            float(name): tuple(_mean(values[i : min(i + step, last)]) for i in range(first, last, step))
            for name, values in found.quantiles_g_per_kwh.items()
        },
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _drawn(curve: Curve, marked: Window | None, now: datetime) -> Iterator[str]:
    shown = {level: curve.rows[level] for level in curve.levels}
    low, high = min(map(min, shown.values())), max(map(max, shown.values()))
    first, last = _columns_of(curve, marked)
    for level, values in shown.items():
        marks = "".join(_mark(value, low, high) for value in values)
        expected = level == 0.5
        line = marks[:first] + paint(marks[first:last], "green") + marks[last:] if expected else paint(marks, "dim")
        yield f"{paint(f'{_name_of(level):<{LABEL}}', '' if expected else 'dim')}{line}"
        if expected and marked is not None:
            span = format_duration((marked.end - marked.start).total_seconds())
            under = ("━" if speaks_unicode(sys.stdout) else "=") * (last - first)
            yield f"{'cleanest ' + span:<{LABEL}}"[:LABEL] + " " * first + paint(under, "green")
    yield f"{words.zone_name(now):<{LABEL}}" + _ticks(curve)
    marks = BLOCKS if speaks_unicode(sys.stdout) else DIGITS
    scale = f"{marks[0]} {low:.0f}  {marks[-1]} {high:.0f} g/kWh" if high > low else f"always {low:.0f} g/kWh"
    yield paint(f"{'scale':<{LABEL}}{scale}", "dim")


def _name_of(level: float) -> str:
    return "expected" if level == 0.5 else f"{'high' if level > 0.5 else 'low'} {100 * level:g} %"


def _mark(value: float, low: float, high: float) -> str:
    marks = BLOCKS if speaks_unicode(sys.stdout) else DIGITS
    return marks[round((value - low) / (high - low) * (len(marks) - 1))] if high > low else marks[0]


def _columns_of(curve: Curve, window: Window | None) -> tuple[int, int]:
    """The columns that a window touches."""
    if window is None:
        return 0, 0
    first = int((window.start - curve.start) / curve.step)
    return first, max(first + 1, -int((curve.start - window.end) // curve.step))


def _ticks(curve: Curve) -> str:
    """Times of the day below their columns, as many as have room; days of the week where the columns are long."""
    columns = len(curve.rows[0.5])
    width = next((h for h in TICKS_H if timedelta(hours=h) / curve.step >= 7), TICKS_H[-1])
    line = ""
    for column in range(columns):
        there = words.local(curve.start + column * curve.step)
        before = words.local(curve.start + (column - 1) * curve.step)
        turns = there.date() != before.date() or there.hour // width != before.hour // width
        if (not column or turns) and len(line) <= column and column + 5 <= columns:
            on_the_hour = there if not column else there.replace(minute=0, hour=there.hour // width * width)
            label = f"{there:%a %d}" if on_the_hour.hour == 0 and column else f"{on_the_hour:%H:%M}"
            line = f"{line:<{column}}{label} "
    return line.rstrip()


# --- the words


def _windows(best: Sequence[tuple[float, Window | None]], found: Forecast, now: datetime) -> str:
    series = found.series()
    at_once = {span_s: series.mean(now, now + timedelta(seconds=span_s)) for span_s, _ in best}
    columns = [
        Column("CLEANEST"),
        Column("FROM"),
        Column("", spare=1),
        Column("TO"),
        Column("g/kWh", right=True),
        Column("AGAINST AT ONCE"),
    ]
    return table(columns, [_window(span_s, window, at_once[span_s], now) for span_s, window in best])


def _window(span_s: float, window: Window | None, at_once: float | None, now: datetime) -> list[Cell | str]:
    span = format_duration(span_s)
    if window is None:
        return [span, "the forecast is too short for it", "", "", "", ""]
    return [
        span,
        words.clock_time(window.start, now),
        words.relative(window.start, now),
        words.clock_time(window.end, now),
        f"{window.intensity_g_per_kwh:.0f}",
        _against(window.intensity_g_per_kwh, at_once),
    ]


def _against(there: float, at_once: float | None) -> Cell:
    """What waiting for it spares a job of that length."""
    if at_once is None or at_once <= 0:
        return Cell("")
    share = (at_once - there) / at_once
    return Cell(f"{percent(share)} less", "green") if share > NOTHING_SPARED_REL else Cell("no better")


def _facts(found: Forecast, now: datetime) -> str:
    return fields(
        [
            ("now", "" if found.at(now) is None else f"{found.at(now):.0f} g/kWh"),
            ("source", f"{found.source}: {found.model} ({ORIGINS[found.origin]})"),
            ("beyond", Cell(_beyond(found, now), "yellow")),
            ("age", _age(found, now)),
            ("skill", _skill(found)),
            *(("note", Cell(text, "yellow")) for text in found.notes),
            ("credit", Cell(found.attribution, "dim")),
        ],
        indent="",
    )


def _beyond(found: Forecast, now: datetime) -> str:
    """From when on it is no forecast, where that is shown."""
    since = found.extended_from
    if since is None or since >= found.grid.end:
        return ""
    return f"from {words.clock_time(since, now)} on it is a {found.model.rpartition(', then ')[2]}, at the forecast's level"


def _age(found: Forecast, now: datetime) -> str:
    made = words.age((now - found.issued_at).total_seconds())
    if found.readings_until is None:
        return made
    behind_s = max(0.0, (now - found.readings_until).total_seconds())
    return f"{made}; the last reading ended {format_duration(behind_s)} before now"


def _skill(found: Forecast) -> str:
    """In words: what the number means."""
    if found.skill is None:
        return ""
    better = "smaller" if found.skill >= 0 else "larger"
    return f"{found.skill:.2f}: over the last 14 days its error was {percent(abs(found.skill))} {better} than that of yesterday's curve"
