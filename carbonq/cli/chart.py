"""A forecast as bars: one line a slot (or a few slots), the cleanest window marked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from carbonq.cli import words
from carbonq.cli.output import paint, paragraph, safe, speaks_unicode, terminal_columns
from carbonq.cli.views import ORIGINS
from carbonq.domain.carbon import Forecast, IntensitySeries, quantile_band
from carbonq.domain.units import format_duration
from carbonq.reports.format import percent

MAX_LINES = 26
BAR_COLUMNS = 40
EIGHTHS = " ▏▎▍▌▋▊▉█"


class Window(NamedTuple):
    start: datetime
    end: datetime
    intensity_g_per_kwh: float


class Line(NamedTuple):
    """The mean over `[start, end)`, with the band's outermost quantiles."""

    start: datetime
    end: datetime
    median: float
    low: float
    high: float


def forecast(found: Forecast, now: datetime, hours: float, window_s: float) -> str:
    lines = _lines(found, now, hours)
    if not lines:
        return f"the forecast for {safe(found.zone)} ends before {words.when(now, now)}"
    best = cleanest(found.series(), max(now, lines[0].start), lines[-1].end, window_s)
    return "\n".join(
        [*_head(found, now), "", *_bars(lines, best, now, _band_name(found)), "", paragraph(_verdict(found, best, now))]
    )


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


def _lines(found: Forecast, now: datetime, hours: float) -> list[Line]:
    """Slots from now on, several to a line where they are many."""
    low, high = quantile_band(found)
    first = max(0, found.grid.index(now))
    last = min(found.grid.slots, found.grid.index(now + timedelta(hours=hours) - timedelta(microseconds=1)) + 1)
    step = max(1, -(-(last - first) // MAX_LINES), 3600 // found.grid.slot_s)
    return [
        Line(
            found.grid.at(i), found.grid.at(j), *(_mean(values[i:j]) for values in (found.median_g_per_kwh, low, high))
        )
        for i in range(first, last, step)
        if (j := min(i + step, last)) > i
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _head(found: Forecast, now: datetime) -> list[str]:
    issued = words.age((now - found.issued_at).total_seconds())
    about = f"source {found.source}, model {found.model}, {issued} ({ORIGINS[found.origin]})"
    head = [
        f"{paint(safe(found.zone), 'bold')}  {found.signal.value} carbon intensity in gCO2eq/kWh",
        paragraph(about, "dim"),
    ]
    return [*head, paragraph(found.attribution, "dim")] if found.attribution else head


def _band_name(found: Forecast) -> str:
    """`10-90 %`: the outermost quantiles, which the band is of."""
    levels = sorted(map(float, found.quantiles_g_per_kwh))
    return f"{100 * levels[0]:g}-{100 * levels[-1]:g} %"


def _bars(lines: Sequence[Line], best: Window | None, now: datetime, band: str) -> list[str]:
    top = max(line.median for line in lines)
    room = max(8, min(BAR_COLUMNS, terminal_columns() - 36))
    banded = any(line.low != line.high for line in lines)
    title = f"{'TIME (' + words.zone_name(now) + ')':<14}{'g/kWh':>6}{'  ' + band if banded else '':<12}"
    return [paint(title.rstrip(), "bold"), *(_bar_line(line, best, now, top, room, banded) for line in lines)]


def _bar_line(line: Line, best: Window | None, now: datetime, top: float, room: int, banded: bool) -> str:
    inside = best is not None and line.start < best.end and best.start < line.end
    band = f"  {line.low:.0f}-{line.high:.0f}" if banded else ""
    mark = f" {'◂' if speaks_unicode(sys.stdout) else '<'}" if inside else ""
    bar = _bar(line.median / top if top > 0 else 0.0, room)
    text = f"{words.clock_time(line.start, now):<14}{line.median:>6.0f}{band:<12}"
    return f"{text}{paint(bar + mark, 'green' if inside else '')}".rstrip()


def _bar(share: float, room: int) -> str:
    """A bar with eighths of a column where the terminal has them; negative intensity has none."""
    eighths = max(0, round(share * room * 8))
    if not speaks_unicode(sys.stdout):
        return "#" * round(eighths / 8)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def _verdict(found: Forecast, best: Window | None, now: datetime) -> str:
    if best is None:
        return "The forecast is too short for a window of that length."
    span = format_duration((best.end - best.start).total_seconds())
    here = found.at(now)
    against = ""
    if here is not None and here > 0:
        share = (here - best.intensity_g_per_kwh) / here
        against = f", {percent(share)} below the present {here:.0f}" if share > 0.005 else ", as clean as now"
    start = words.when(best.start, now)
    return f"Cleanest {span}: from {start}, {best.intensity_g_per_kwh:.0f} g/kWh on average{against}."
