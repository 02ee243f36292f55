"""The report's sections on energy in a terminal: job by job, predictions beside what came, and the machines."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from carbonq.domain.receipt import Receipt
from carbonq.reports import Style
from carbonq.reports import format as fmt
from carbonq.reports.energy import Part, beside, parts
from carbonq.reports.foretelling import score_words
from carbonq.reports.machines import machine_rows
from carbonq.reports.report import Report

WIDTH = 100
JOBS_SHOWN, LINES_SHOWN = 5, 10
_NAME_WIDTH = 24
_INDENT = " " * (_NAME_WIDTH + 2)


def energy_by_job(report: Report, style: Style) -> Iterator[str]:
    """The last jobs, each part of their energy with how it is known."""
    shown = [receipt for receipt in report.receipts if receipt.readings][-JOBS_SHOWN:]
    if not shown:
        return
    rest = len(report.receipts) - len(shown)
    of = f" (the last {len(shown)} of {len(report.receipts):,}; `carbonq show JOB` shows any)" if rest else ""
    yield style("Energy by job", "heading") + of
    jobs = [(receipt, parts(receipt.readings)) for receipt in shown]
    heads = ("part", "energy", "known by")
    widths = _widths([heads, *(_cells(part) for _, lines in jobs for part in lines)])
    yield style(_line("job", heads, widths), "muted")
    for receipt, lines in jobs:
        for i, part in enumerate(lines):
            yield _line("" if i else fmt.printable(receipt.job_id), _cells(part), widths)
        for text in _said(receipt, lines):
            yield from wrap(fmt.printable(text), WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT + "  ")


def _cells(part: Part) -> tuple[str, str, str]:
    return part.name, part.energy, ", ".join(filter(None, (part.known_as, part.by)))


def _said(receipt: Receipt, lines: Sequence[Part]) -> Iterator[str]:
    for part in lines:
        if part.second_way:
            yield f"{part.name} a second way: {part.second_way}"
        for flag in part.flags:
            yield f"{part.name}: {flag}"
    if on_top := "; ".join(f"{label} {text}" for label, text in beside(receipt)):
        yield f"on top: {on_top}"


def predictions(report: Report, style: Style) -> Iterator[str]:
    """One line a name and method: how far off, and how many within their interval."""
    if not report.foretellings:
        return
    yield (
        style("Predicted beside actual", "heading")
        + ": how far the median prediction was off, how many jobs lay within"
    )
    heads = ("energy", "within", "duration", "within", "predicted by")
    rows = [
        (one.name, (*score_words(one.energy), *score_words(one.duration), one.method)) for one in report.foretellings
    ]
    yield from _grid("job", heads, rows, LINES_SHOWN, style)


def machines(report: Report, style: Style) -> Iterator[str]:
    """Where each machine's energy went: a row's parts add up to what was counted."""
    rows = machine_rows(report.workers)
    if not rows:
        return
    yield style("Energy of the machines", "heading") + ": all that was counted, and who used it"
    heads = ("part", "counted", "jobs", "carbonq", "no job's", "by")
    yield from _grid("worker", heads, [(name, cells[: len(heads)]) for name, cells in rows], LINES_SHOWN, style)


def _grid(
    title: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], most: int, style: Style
) -> Iterator[str]:
    widths = _widths([heads, *(cells for _, cells in rows[:most])])
    yield style(_line(title, heads, widths), "muted")
    last = ""
    for name, cells in rows[:most]:
        yield _line("" if name == last else fmt.printable(name), cells, widths)
        last = name
    if len(rows) > most:
        yield f"{len(rows) - most:,} more lines in the HTML and JSON reports."


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(fmt.columns, cells)) for cells in zip(*rows, strict=True)]


def _line(name: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    shown = [(fmt.shorten(name, _NAME_WIDTH), _NAME_WIDTH), *zip(cells, widths, strict=True)]
    return fmt.shorten("  ".join(text + " " * (width - fmt.columns(text)) for text, width in shown).rstrip(), WIDTH)
