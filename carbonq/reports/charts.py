"""Plots 2 and 3: emissions at once beside those as run, and the saving as it grew."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from carbonq.reports import format as fmt
from carbonq.reports import svg
from carbonq.reports.figure import LEFT, RIGHT, WIDTH, Figure, Key, table
from carbonq.reports.markup import MINUS, Markup, element, join
from carbonq.reports.report import Report
from carbonq.reports.summary import Group, avoided_g, summarise
from carbonq.reports.words import group_name, heading_of

GROUPS_DRAWN = 20
STEPS_DRAWN = 500
_ROW, _BAR, _TOP = 44.0, 14.0, 12.0
_PLOT_HEIGHT = 230.0


def comparison(report: Report) -> Figure | None:
    """Each group's compared jobs: two bars on one scale. By job where there is but one group. None without a baseline."""
    summary = report.summary if len(report.summary.groups) > 1 else summarise(report.receipts, "job", report.zone)
    groups = [group for group in summary.groups if group.tally.avoided_g is not None]
    if not groups:
        return None
    groups.sort(key=lambda group: -(group.tally.baseline_g or 0.0)) if summary.by != "month" else None
    drawn = groups[:GROUPS_DRAWN]
    values = [value for one in drawn for value in (one.tally.baseline_g or 0.0, one.tally.compared_emissions_g or 0.0)]
    unit = fmt.unit_for(max(map(abs, values)), fmt.MASS)
    across = svg.value_scale([value / unit.size for value in values], LEFT, WIDTH - RIGHT - 190)
    bottom = _TOP + len(drawn) * _ROW
    parts = [_comparison_row(one, summary.by, unit, across, _TOP + i * _ROW) for i, one in enumerate(drawn)]
    axis = join(
        svg.line(across(value), _TOP - 6, across(value), bottom, "grid strong" if value == 0 else "grid")
        + svg.label(across(value), bottom + 18, f"{value:g}", "tick", "middle")
        for value in svg.value_ticks(across)
    )
    heading = heading_of(summary.by)
    more = len(groups) - len(drawn)
    return Figure(
        title=f"Emissions by {heading}: at once and as run",
        lede="Only jobs whose emissions and baseline are both known are in these bars.",
        picture=svg.picture(
            WIDTH,
            bottom + 44,
            f"Pairs of bars: emissions at once and as run of {fmt.count(len(drawn), heading)}.",
            axis,
            svg.label((LEFT + across.last) / 2, bottom + 38, f"{unit.name} CO₂e", "axis", "middle"),
            *parts,
        ),
        keys=[Key("at-once solid", "had they started at once"), Key("run measured", "as run")],
        tables=[_comparison_table(groups, summary.by)],
        notes=[f"{more:,} smaller groups are in the table only."] if more else [],
    )


def _comparison_row(group: Group, by: str, unit: fmt.Unit, across: svg.Scale, top: float) -> Markup:
    tally, name = group.tally, group_name(group.name, by)
    once, ran = (tally.baseline_g or 0.0) / unit.size, (tally.compared_emissions_g or 0.0) / unit.size
    saved = tally.avoided_g or 0.0
    words = f"{_signed_share(tally.avoided_rel)}{fmt.mass(abs(saved))} {'less' if saved >= 0 else 'more'}"
    named = element(
        "text",
        fmt.shorten(name, 23),
        element("title", name),
        x=LEFT - 10,
        y=top + 21,
        text_anchor="end",
        class_="lane large",
    )
    return join(
        [
            named,
            _from_zero(once, across, top + 2, "at-once solid", f"at once: {fmt.co2e(tally.baseline_g)}"),
            _from_zero(ran, across, top + 4 + _BAR, "run measured", f"as run: {fmt.co2e(tally.compared_emissions_g)}"),
            svg.label(WIDTH - RIGHT, top + 21, words, "value less" if saved >= 0 else "value more", "end"),
        ]
    )


def _from_zero(value: float, across: svg.Scale, top: float, class_: str, told: str) -> Markup:
    first, last = sorted((across(0.0), across(value)))
    return svg.box(first, top, max(1.0, last - first), _BAR, class_, element("title", told), radius=2)


def _signed_share(avoided_rel: float | None) -> str:
    """How emissions changed: `-31 %, ` where that much was avoided."""
    return "" if avoided_rel is None else f"{MINUS if avoided_rel > 0 else '+'}{fmt.percent(abs(avoided_rel))}, "


def _comparison_table(groups: Sequence[Group], by: str) -> Markup:
    rows = [
        [
            group_name(group.name, by),
            f"{group.tally.compared_jobs:,}",
            fmt.mass(group.tally.baseline_g),
            fmt.mass(group.tally.compared_emissions_g),
            fmt.mass(group.tally.avoided_g),
            fmt.percent(group.tally.avoided_rel),
        ]
        for group in groups
    ]
    return table("Emissions in CO₂e", [heading_of(by), "jobs", "at once", "as run", "avoided", "share"], rows)


# --- the saving as it grew


class _Step(NamedTuple):
    time: datetime
    avoided_g: float
    promised_g: float | None  # None until every job so far came with a promise


def saving(report: Report) -> Figure | None:
    """What was avoided up to each moment, and what the plans had promised. None where no saving is known."""
    steps = _thinned(list(_steps(report)))
    if not steps:
        return None
    start, end = min(receipt.submitted_at for receipt in report.receipts), steps[-1].time
    margin = max((end - start) * 0.015, timedelta(minutes=1))
    across = svg.TimeScale(start - margin, end + margin, LEFT, WIDTH - RIGHT)
    promised = [(step.time, step.promised_g) for step in steps if step.promised_g is not None]
    complete = len(promised) == len(steps)
    values = [step.avoided_g for step in steps] + [grams for _, grams in promised if complete]
    unit = fmt.unit_for(max(map(abs, values)), fmt.MASS)
    floor = _TOP + 22 + _PLOT_HEIGHT
    up = svg.value_scale([value / unit.size for value in values], floor, _TOP + 22)

    def corners(points: Sequence[tuple[datetime, float]]) -> list[tuple[float, float]]:
        known = [(across(start), up(0.0)), *((across(time), up(grams / unit.size)) for time, grams in points)]
        return [*svg.stairs(known), (across.last, known[-1][1])]

    realised = corners([(step.time, step.avoided_g) for step in steps])
    ground = [(realised[0][0], up(0.0)), *realised, (realised[-1][0], up(0.0))]
    final = steps[-1].avoided_g
    picture = svg.picture(
        WIDTH,
        floor + 44,
        f"The saving grows to {fmt.co2e(final)} by {fmt.moment(end, report.zone)}.",
        svg.time_axis(svg.time_ticks(across.start, across.end, report.zone, 8), across, _TOP + 22, floor),
        svg.label(LEFT, _TOP + 8, f"{unit.name} CO₂e avoided", "axis"),
        join(_value_line(value, up) for value in svg.value_ticks(up)),
        svg.polyline(ground, "saved" if final >= 0 else "saved lost", closed=True),
        svg.polyline(corners([(time, grams) for time, grams in promised]), "line-expected") if complete else "",
        svg.polyline(realised, "line-saved" if final >= 0 else "line-saved lost"),
        element("circle", cx=realised[-1][0], cy=realised[-1][1], r=4.0, class_="end"),
    )
    keys = [Key("line-saved", "avoided, by the time each job finished")]
    if complete:
        keys.append(Key("line-expected", "what the plans promised"))
    return Figure(
        title="The saving as it grew",
        lede="Jobs that emitted more than at once bring the line down.",
        picture=picture,
        keys=keys,
        tables=[_saving_table(steps, report)],
        notes=[] if complete else ["What the plans promised is not drawn: some jobs came without a promise."],
    )


def _value_line(value: float, up: svg.Scale) -> Markup:
    rule = svg.line(LEFT, up(value), WIDTH - RIGHT, up(value), "grid strong" if value == 0 else "grid")
    return join([rule, svg.label(LEFT - 10, up(value) + 4, f"{value:g}", "tick", "end")])


def _steps(report: Report) -> Iterator[_Step]:
    total, promised = 0.0, 0.0
    complete = True
    for receipt in report.receipts:
        saved = avoided_g(receipt)
        if saved is None:
            continue
        total += saved
        complete = complete and receipt.forecast_avoided_g is not None
        promised += receipt.forecast_avoided_g or 0.0
        yield _Step(receipt.finished_at, total, promised if complete else None)


def _thinned(steps: Sequence[_Step]) -> Sequence[_Step]:
    """At most about `STEPS_DRAWN` steps, the last one among them: sums lose nothing by it."""
    stride = -(-len(steps) // STEPS_DRAWN) or 1
    return steps[::-1][::stride][::-1]


def _saving_table(steps: Sequence[_Step], report: Report) -> Markup:
    rows = [[fmt.moment(step.time, report.zone), fmt.mass(step.avoided_g), fmt.mass(step.promised_g)] for step in steps]
    return table("Avoided CO₂e so far", ["by", "avoided", "promised"], rows)
