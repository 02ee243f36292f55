"""Plot 1: the grid's intensity over the period, and below it when the jobs ran and when they would have run at once."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, Zone, quantile_band
from carbonq.domain.energy import Provenance
from carbonq.domain.job import JobState
from carbonq.domain.receipt import Receipt
from carbonq.reports import format as fmt
from carbonq.reports import svg
from carbonq.reports.figure import LEFT, RIGHT, WIDTH, Figure, Key, table
from carbonq.reports.lanes import Kind, Lane, Mark, lanes, spans
from carbonq.reports.markup import Markup, element, join
from carbonq.reports.provenance import MADE_UP
from carbonq.reports.report import Report
from carbonq.reports.summary import avoided_g
from carbonq.reports.words import job_name

ZONES_DRAWN = 4
PIECES_DRAWN = 400
BARS_DRAWN = 400
_TOP, _CURVE_HEIGHT, _GAP, _LANE_HEIGHT, _BAR_HEIGHT = 34.0, 170.0, 18.0, 17.0, 11.0


_LEDE = (
    "Above, the grid's carbon intensity. Below, each job where it ran, and where it would have run at once;"
    " the stronger the tint behind the bars, the dirtier the grid."
)


class Piece(NamedTuple):
    """The intensity of one stretch of time, and its outer quantiles where it is a forecast."""

    start: datetime
    end: datetime
    value: float
    made_up: bool = False
    low: float = 0.0
    high: float = 0.0


def timelines(report: Report) -> list[Figure]:
    """One figure a zone, those with most jobs first."""
    by_zone: dict[Zone, list[Receipt]] = {}
    for receipt in report.receipts:
        by_zone.setdefault(receipt.zone, []).append(receipt)
    busiest = sorted(by_zone, key=lambda zone: (-len(by_zone[zone]), zone))
    return [
        _timeline(report, zone, by_zone[zone], _LEDE if zone == busiest[0] else "") for zone in busiest[:ZONES_DRAWN]
    ]


def _timeline(report: Report, zone: Zone, receipts: Sequence[Receipt], lede: str) -> Figure:
    start, end = _period(receipts)
    across = svg.TimeScale(start, end, LEFT, WIDTH - RIGHT)
    actual, bundled = _bundled(list(_actual(report.intensity, zone, receipts, start, end)))
    expected, _ = _bundled(list(_expected(report.forecasts, zone, start, end)))
    drawn = sorted(receipts, key=lambda receipt: -(receipt.energy_j or 0.0))[:BARS_DRAWN]
    rows = lanes(drawn, until=end)
    floor = _TOP + _CURVE_HEIGHT
    bottom = floor + _GAP + len(rows) * _LANE_HEIGHT + 4
    peak = [*(piece.value for piece in actual), *(value for piece in expected for value in (piece.low, piece.high))]
    up = svg.value_scale(peak, floor, _TOP)
    picture = svg.picture(
        WIDTH,
        bottom + 44,
        _description(zone, receipts, actual),
        _shade(actual, across, floor + _GAP, bottom),
        svg.time_axis(svg.time_ticks(start, end, report.zone, 8), across, _TOP, bottom),
        _value_axis(up),
        _curve(actual, expected, across, up),
        join(_lane(lane, across, floor + _GAP + i * _LANE_HEIGHT, report) for i, lane in enumerate(rows)),
    )
    return Figure(
        title=f"When the jobs ran: {zone}",
        lede=lede,
        picture=picture,
        keys=list(_keys(actual, expected, rows)),
        tables=[_intensity_table(actual, expected, report), _jobs_table(drawn, report)],
        notes=list(_notes(len(receipts), len(drawn), bundled, report, zone)),
    )


# --- the intensity


def _actual(
    series: Iterable[IntensitySeries], zone: Zone, receipts: Iterable[Receipt], start: datetime, end: datetime
) -> Iterator[Piece]:
    """The zone's readings cut to `[start, end)`; without a series, what the receipts say of the times of their jobs."""
    readings: list[tuple[datetime, datetime, float, Origin | None]] = [
        (reading.start, reading.end, reading.intensity_g_per_kwh, reading.origin)
        for one in series
        if one.zone == zone
        for reading in one.within(start, end)
    ] or [
        (slot.start, slot.end, slot.intensity_g_per_kwh, slot.origin)
        for receipt in receipts
        for slot in receipt.slots
        if slot.intensity_g_per_kwh is not None
    ]
    known_until = start
    for begin, finish, value, origin in sorted(readings, key=lambda reading: reading[0]):
        if min(finish, end) > max(begin, known_until):
            made_up = origin in MADE_UP or origin is Origin.FORECAST
            yield Piece(max(begin, known_until), min(finish, end), value, made_up)
            known_until = min(finish, end)


def _expected(forecasts: Iterable[Forecast], zone: Zone, start: datetime, end: datetime) -> Iterator[Piece]:
    """What was foreseen: each forecast from its issue until the next one's."""
    own = sorted((one for one in forecasts if one.zone == zone), key=lambda one: one.issued_at)
    for one, until in zip(
        own, [*(later.issued_at for later in own[1:]), end], strict=False
    ):  # no forecast: only the end
        low, high = quantile_band(one)
        for slot, (begin, finish) in enumerate(one.grid):
            first, last = max(begin, start), min(finish, end, until)
            if last > first:
                yield Piece(first, last, one.median_g_per_kwh[slot], True, low[slot], high[slot])


def _bundled(pieces: Sequence[Piece]) -> tuple[list[Piece], int]:
    """At most `PIECES_DRAWN` pieces, each the time-weighted mean of so many neighbours without a gap between them."""
    size = -(-len(pieces) // PIECES_DRAWN)
    if size <= 1:
        return list(pieces), 1
    return [_mean(part) for run in _unbroken(pieces) for part in _chunks(run, size)], size


def _mean(pieces: Sequence[Piece]) -> Piece:
    weights = [(piece.end - piece.start).total_seconds() for piece in pieces]

    def over(values: Iterable[float]) -> float:
        return sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)

    return Piece(
        pieces[0].start,
        pieces[-1].end,
        over(piece.value for piece in pieces),
        any(piece.made_up for piece in pieces),
        over(piece.low for piece in pieces),
        over(piece.high for piece in pieces),
    )


def _unbroken(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Runs of pieces that touch and are of one kind."""
    run: list[Piece] = []
    for piece in pieces:
        if run and (piece.start != run[-1].end or piece.made_up != run[-1].made_up):
            yield run
            run = []
        run.append(piece)
    if run:
        yield run


def _chunks(run: Sequence[Piece], size: int) -> Iterator[Sequence[Piece]]:
    return (run[i : i + size] for i in range(0, len(run), size))


def _curve(actual: Sequence[Piece], expected: Sequence[Piece], across: svg.TimeScale, up: svg.Scale) -> Markup:
    zero = up(0.0)
    parts: list[Markup] = []
    for run in _unbroken(actual):
        steps = _steps(((piece.start, piece.end, piece.value) for piece in run), across, up)
        ground = [(steps[0][0], zero), *steps, (steps[-1][0], zero)]
        parts.append(svg.polyline(ground, "under made-up" if run[0].made_up else "under", closed=True))
    for run in _unbroken(expected):
        lower = _steps(((piece.start, piece.end, piece.low) for piece in run), across, up)
        upper = _steps(((piece.start, piece.end, piece.high) for piece in run), across, up)
        parts.append(svg.polyline([*lower, *reversed(upper)], "band", closed=True))
        parts.append(svg.polyline(_steps(((p.start, p.end, p.value) for p in run), across, up), "line-expected"))
    parts += [
        svg.polyline(_steps(((p.start, p.end, p.value) for p in run), across, up), "line-actual")
        for run in _unbroken(actual)
    ]
    return join(parts)


def _steps(
    values: Iterable[tuple[datetime, datetime, float]], across: svg.TimeScale, up: svg.Scale
) -> list[tuple[float, float]]:
    """Each value held over its stretch of time."""
    return [(across(time), up(value)) for start, end, value in values for time in (start, end)]


def _shade(actual: Sequence[Piece], across: svg.TimeScale, top: float, bottom: float) -> Markup:
    """The ground of the lanes: ten depths from the period's cleanest to its dirtiest."""
    values = [piece.value for piece in actual]
    if not values or min(values) == max(values):
        return Markup()
    low, spread = min(values), max(values) - min(values)
    return join(
        element(
            "rect",
            x=across(piece.start),
            y=top,
            width=across(piece.end) - across(piece.start),
            height=bottom - top,
            class_="ground",
            fill_opacity=round((piece.value - low) / spread, 1) * 0.3,
        )
        for piece in actual
    )


def _value_axis(up: svg.Scale) -> Markup:
    ticks = join(
        svg.line(LEFT, up(value), WIDTH - RIGHT, up(value), "grid")
        + svg.label(LEFT - 10, up(value) + 4, f"{value:g}", "tick", "end")
        for value in svg.value_ticks(up)
    )
    return join([svg.label(LEFT, _TOP - 14, "g CO₂e per kWh", "axis"), ticks])


# --- the jobs


def _lane(lane: Lane, across: svg.TimeScale, top: float, report: Report) -> Markup:
    heading = lane.label and element(
        "text",
        fmt.shorten(lane.label, 23),
        element("title", lane.label),
        x=LEFT - 10,
        y=top + _LANE_HEIGHT - 4,
        class_="pool" if not lane.marks else "lane",
        text_anchor="end",
    )
    return join([heading or "", *(_mark(mark, across, top + 3, report) for mark in lane.marks)])


def _mark(mark: Mark, across: svg.TimeScale, top: float, report: Report) -> Markup:
    x, width = across(mark.start), max(2.5, across(mark.end) - across(mark.start))
    middle = top + _BAR_HEIGHT / 2
    match mark.kind:
        case Kind.WAIT:
            return svg.line(x, middle, x + width, middle, "wait")
        case Kind.DEADLINE:
            late = mark.receipt.deadline_met is False
            return svg.line(x, top - 2, x, top + _BAR_HEIGHT + 2, "deadline late" if late else "deadline")
        case Kind.AT_ONCE:
            told = element("title", f"{job_name(mark.receipt)}, had it started at once: {_times(mark, report)}")
            return svg.box(x, top, width, _BAR_HEIGHT, "at-once", told, radius=2)
        case Kind.RUN:
            told = element("title", _told(mark, report))
            bar = svg.box(x, top, width, _BAR_HEIGHT, f"run {knowledge(mark.receipt)}", told, radius=2)
            return bar + _ended_badly(mark, x, x + width, top + _BAR_HEIGHT - 1)


def _ended_badly(mark: Mark, first: float, last: float, base: float) -> Markup:
    """The word beside the last bar of a job that did not succeed."""
    receipt = mark.receipt
    if receipt.state is JobState.SUCCEEDED or mark.end < spans(receipt)[-1][1]:
        return Markup()
    if last > WIDTH - RIGHT - 60:
        return svg.label(first - 4, base, receipt.state, "bad", "end")
    return svg.label(last + 4, base, receipt.state, "bad")


def _told(mark: Mark, report: Report) -> str:
    receipt = mark.receipt
    return (
        f"{job_name(receipt)} ({receipt.state}) ran {_times(mark, report)}: {fmt.energy(receipt.energy_j)},"
        f" {fmt.co2e(receipt.emissions_g)}, avoided {fmt.mass(avoided_g(receipt))}"
    )


def _times(mark: Mark, report: Report) -> str:
    return f"{fmt.moment(mark.start, report.zone)} to {fmt.moment(mark.end, report.zone)}"


def knowledge(receipt: Receipt) -> str:
    """How most of its energy is known: `measured`, `modelled` or `unknown`."""
    if receipt.energy_j is None:
        return "unknown"
    modelled_j = sum(r.energy_j or 0.0 for r in receipt.readings if r.provenance is Provenance.MODELLED)
    return "modelled" if modelled_j * 2 > receipt.energy_j else "measured"


# --- words


def _period(receipts: Iterable[Receipt]) -> tuple[datetime, datetime]:
    moments = [moment for receipt in receipts for moment in (receipt.submitted_at, receipt.finished_at)]
    moments += [moment for receipt in receipts if (b := receipt.baseline) for moment in (b.start, b.end)]
    first, last = min(moments), max(moments)
    margin = max((last - first) * 0.015, timedelta(minutes=1))
    return first - margin, last + margin


def _description(zone: Zone, receipts: Sequence[Receipt], actual: Sequence[Piece]) -> str:
    values = [piece.value for piece in actual]
    curve = f" between {min(values):.0f} and {max(values):.0f} g CO2e per kWh" if values else " unknown"
    return f"Carbon intensity of {zone},{curve}, and {fmt.count(len(receipts), 'job')} on the same time axis."


def _keys(actual: Sequence[Piece], expected: Sequence[Piece], rows: Sequence[Lane]) -> Iterator[Key]:
    if any(not piece.made_up for piece in actual):
        yield Key("under", "intensity, published by the grid")
    if any(piece.made_up for piece in actual):
        yield Key("under made-up", "intensity, replayed or modelled")
    if expected:
        yield Key("line-expected", "as it was forecast")
        if any(piece.high > piece.low for piece in expected):
            yield Key("band", "likely range of the forecast (10 % to 90 %)")
    marks = [mark for lane in rows for mark in lane.marks]
    known = {knowledge(mark.receipt) for mark in marks if mark.kind is Kind.RUN}
    for name in ("measured", "modelled", "unknown"):
        if name in known:
            yield Key(f"run {name}", f"job, its energy {'' if name == 'unknown' else 'mostly '}{name}")
    if any(mark.kind is Kind.AT_ONCE for mark in marks):
        yield Key("at-once", "the same job, had it started at once")
    if any(mark.kind is Kind.DEADLINE for mark in marks):
        yield Key("deadline", "its deadline, where it falls in this period")


def _notes(jobs: int, drawn: int, bundled: int, report: Report, zone: Zone) -> Iterator[str]:
    if drawn < jobs:
        yield f"{drawn:,} of {jobs:,} jobs are drawn: those that used most energy. Every total counts all of them."
    if bundled > 1:
        yield f"Each step of the curve is the mean of {bundled} readings."
    if not any(one.zone == zone for one in report.intensity):
        yield "The intensity is known here only for the times at which jobs ran."


def _intensity_table(actual: Sequence[Piece], expected: Sequence[Piece], report: Report) -> Markup:
    foreseen = {piece.start: piece for piece in expected}
    rows = []
    for piece in actual:
        was = foreseen.get(piece.start)
        span = [f"{was.value:.0f}", f"{was.low:.0f} to {was.high:.0f}"] if was else [fmt.UNKNOWN, fmt.UNKNOWN]
        rows.append([fmt.moment(piece.start, report.zone), f"{piece.value:.0f}", *span])
    heads = ["from", "intensity", "forecast", "its likely range"]
    return table("Carbon intensity in g CO₂e per kWh", heads, rows)


def _jobs_table(drawn: Iterable[Receipt], report: Report) -> Markup:
    rows = [
        [
            job_name(receipt),
            receipt.pool,
            fmt.moment(receipt.baseline.start if receipt.baseline else None, report.zone),
            fmt.moment(receipt.started_at, report.zone),
            fmt.moment(receipt.finished_at, report.zone),
            fmt.moment(receipt.deadline, report.zone),
        ]
        for receipt in sorted(drawn, key=lambda receipt: receipt.finished_at)
    ]
    heads = ["job", "pool", "would have started", "started", "finished", "deadline"]
    return table("When each job ran", heads, rows, words=2)
