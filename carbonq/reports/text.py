"""The report in a terminal: aligned plain text within 100 columns."""

from collections.abc import Callable, Iterator
from textwrap import wrap
from typing import NamedTuple

from carbonq.domain.carbon import Origin
from carbonq.reports import Style
from carbonq.reports import format as fmt
from carbonq.reports.energy_text import energy_by_job, machines, predictions
from carbonq.reports.provenance import different_grams, kinds
from carbonq.reports.report import Report
from carbonq.reports.summary import Tally
from carbonq.reports.words import (
    beside_all,
    deadlines,
    ended,
    energy_knowledge,
    group_name,
    heading_of,
    known_as,
    part_name,
    settled,
    verdict,
)

WIDTH = 100
_NAME_WIDTH = 24
_NOTES_SHOWN = 12


class _Column(NamedTuple):
    heading: str
    width: int
    cell: Callable[[Tally], str]


def render_table(report: Report, style: Style) -> str:
    """Head, one line a group, the total, and what the reader must know; ends with a line break."""
    blocks = [
        _head(report, style),
        _table(report, style),
        _footnotes(report.summary.total),
        energy_by_job(report, style),
        predictions(report, style),
        machines(report, style),
        _knowledge(report, style),
    ]
    return "\n\n".join("\n".join(lines) for lines in map(list, blocks) if lines) + "\n"


def _head(report: Report, style: Style) -> Iterator[str]:
    total = report.summary.total
    issued = f"issued {fmt.moment(report.issued_at, report.zone)} {fmt.zone_name(report.issued_at, report.zone)}"
    yield style(fmt.printable(report.title), "heading") + ", " + issued
    if report.period is None:
        yield "No job has finished in this period."
        return
    start, end = report.period
    yield f"{ended(total)}, {fmt.moment(start, report.zone)} to {fmt.moment(end, report.zone)}"
    yield ""
    yield from (style(line, role_of(total)) for line in wrap(verdict(total), WIDTH))
    if Origin.REPLAYED in report.made_up:
        yield "Replayed: the grid's intensity is made up from a profile with a stated error, not read from a grid."


def role_of(tally: Tally) -> str:
    """How a saving is coloured: one that is unknown or nought is neither good nor bad."""
    return "muted" if not tally.avoided_g else "bad" if tally.avoided_g < 0 else "good"


def _table(report: Report, style: Style) -> Iterator[str]:
    summary = report.summary
    if not summary.groups:
        return
    columns = [
        _Column("jobs", 6, lambda t: f"{t.jobs:,}"),
        _Column(
            "energy", 10, lambda t: fmt.energy(t.energy_j) + _star(t.energy_unknown_jobs + t.energy_partly_unknown_jobs)
        ),
        _Column("emitted", 9, lambda t: fmt.mass(t.emissions_g) + _star(t.emissions_unknown_jobs)),
        _Column("at once", 9, lambda t: fmt.mass(t.baseline_g) + _star(t.jobs - t.compared_jobs)),
        _Column("avoided", 9, lambda t: fmt.mass(t.avoided_g) + _star(t.jobs - t.compared_jobs)),
        _Column("share", 8, lambda t: fmt.percent(t.avoided_rel)),
        _Column("in time", 9, deadlines),
        _Column("delay", 8, lambda t: fmt.span(t.mean_delay_s)),
    ]
    heading = _row(heading_of(summary.by), [_aligned(each.heading, each.width) for each in columns])
    yield style(heading, "heading")
    named = [(group_name(group.name, summary.by), group.tally) for group in summary.groups]
    for name, tally in [*named, ("total", summary.total)] if len(named) > 1 else named:
        if name == "total" and tally is summary.total:
            yield style("-" * len(heading), "muted")
        cells = [_aligned(each.cell(tally), each.width) for each in columns]
        role = role_of(tally)
        yield _row(
            name,
            [
                style(cell, role) if each.heading == "avoided" else cell
                for each, cell in zip(columns, cells, strict=True)
            ],
        )


def _row(name: str, cells: list[str]) -> str:
    shown = fmt.shorten(name, _NAME_WIDTH)
    return (shown + " " * (_NAME_WIDTH - fmt.columns(shown)) + " ".join(["", *cells])).rstrip()


def _aligned(text: str, width: int) -> str:
    """Right-aligned, with the star hanging outside the figures' edge."""
    return f"{text:>{width}}" if text.endswith("*") else f"{text:>{width - 1}} "


def _star(left_out: int) -> str:
    return "*" if left_out else ""


def _footnotes(total: Tally) -> Iterator[str]:
    left_out = [
        (total.energy_unknown_jobs, "energy is unknown"),
        (total.energy_partly_unknown_jobs, "energy is known in part only"),
        (total.emissions_unknown_jobs, "emissions are unknown"),
        (total.jobs - total.compared_jobs, "saving is unknown"),
    ]
    said = [f"{fmt.count(jobs, 'job')} whose {what}" for jobs, what in left_out if jobs]
    if said:
        yield from wrap(f"* left out, not counted as 0: {', '.join(said)}.", WIDTH, subsequent_indent="  ")


def _knowledge(report: Report, style: Style) -> Iterator[str]:
    """How sure the numbers are, where they come from, and what else was noted."""
    if report.period is None:
        return
    yield style("How these numbers came about", "heading")
    for label, text in _facts(report):
        yield from wrap(text, WIDTH, initial_indent=f"{label:<11}", subsequent_indent=" " * 11)
    for remark in report.remarks[:_NOTES_SHOWN]:
        jobs = f" ({fmt.count(remark.jobs, 'job')})" if remark.jobs else ""
        yield from wrap(
            fmt.printable(remark.text) + jobs, WIDTH, initial_indent=f"{'note':<11}", subsequent_indent=" " * 11
        )
    if len(report.remarks) > _NOTES_SHOWN:
        yield f"{'':<11}{len(report.remarks) - _NOTES_SHOWN} more notes in the HTML and JSON reports."


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    total = report.summary.total
    yield "energy", energy_knowledge(total)
    for use in report.summary.methods:
        sure = "" if use.uncertainty_rel is None else f" ± {fmt.percent(use.uncertainty_rel)}"
        yield (
            "",
            f"{part_name(use.component)}: {use.provenance} by {fmt.printable(use.method)}, {fmt.energy(use.energy_j)}{sure}, {fmt.count(use.jobs, 'job')}",
        )
    yield from beside_all(total)
    for source in report.sources:
        credit = f"; {fmt.printable(source.attribution)}" if source.attribution else ""
        yield (
            "intensity",
            f"{fmt.printable(source.zone)} from {fmt.printable(source.source)}, {known_as(source)}, {fmt.count(source.jobs, 'job')}{credit}",
        )
    if len(mixed := kinds(report.sources)) > 1:
        yield "", different_grams(mixed)
    for forecast in report.forecast_sources:
        issued = fmt.moment(forecast.issued_at, report.zone)
        yield (
            "forecast",
            f"{fmt.printable(forecast.zone)} from {fmt.printable(forecast.source)} ({fmt.printable(forecast.model)}), issued {issued}, {fmt.span(forecast.age_s)} before this report",
        )
    if total.forecast_jobs:
        promise, kept = fmt.co2e(total.forecast_avoided_g), fmt.co2e(total.forecast_realised_g)
        yield "promised", f"{promise} avoided by plan, {kept} in fact ({fmt.count(total.forecast_jobs, 'job')})"
    yield "receipts", settled(total)
    yield "baseline", "the same job with the same draw, started at submission or once there was room"
