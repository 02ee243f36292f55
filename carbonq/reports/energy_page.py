"""The page's sections on energy: job by job, predictions beside what came, and the machines."""

from collections.abc import Iterator, Sequence

from carbonq.domain.receipt import Receipt
from carbonq.reports import format as fmt
from carbonq.reports.energy import HEADINGS, Part, beside, parts
from carbonq.reports.figure import table
from carbonq.reports.foretelling import score_words
from carbonq.reports.machines import machine_rows
from carbonq.reports.markup import Markup, element, join, typeset
from carbonq.reports.report import Report

JOBS_SHOWN = 300


def energy_sections(report: Report) -> Iterator[Markup]:
    """Those of which there is something to say."""
    shown = [receipt for receipt in report.receipts if receipt.readings][-JOBS_SHOWN:]
    if shown:
        yield _section("Energy by job", _jobs_table(shown, len(report.receipts)))
    if report.foretellings:
        yield _section("Predicted beside actual", _predictions_table(report))
    if report.workers:
        yield _section("Energy of the machines", _machines_table(report))


def _section(title: str, content: Markup) -> Markup:
    scroll = element("div", content, class_="scroll", tabindex="0", role="region", aria_label=title)
    return element("section", element("h2", title), scroll)


def _jobs_table(receipts: Sequence[Receipt], of: int) -> Markup:
    caption = "What each job's energy is made of and how it is known; ± is one standard deviation."
    if len(receipts) < of:
        caption += f" The last {len(receipts):,} of {of:,} jobs; the JSON report holds all."
    heads = join(element("th", heading, scope="col") for heading in ("job", *HEADINGS))
    return element(
        "table",
        element("caption", typeset(caption)),
        element("thead", element("tr", heads)),
        join(_job_rows(receipt) for receipt in receipts),
        class_="parts",
    )


def _job_rows(receipt: Receipt) -> Markup:
    """One table body a job: its name once beside all of its parts, below them what stands beside its energy."""
    rows = [join(_cells(line)) for line in parts(receipt.readings)]
    if on_top := "; ".join(f"{label} {text}" for label, text in beside(receipt)):
        rows.append(element("td", "on top") + element("td", typeset(on_top), colspan=len(HEADINGS) - 1))
    name = element("th", receipt.job_id, scope="rowgroup", rowspan=len(rows))
    return element("tbody", *(element("tr", None if i else name, row) for i, row in enumerate(rows)))


def _cells(line: Part) -> Iterator[Markup]:
    yield element("td", line.name)
    yield element("td", element("span", typeset(line.energy)))
    yield element("td", line.known_as)
    yield element("td", line.by)
    yield element("td", *(element("div", typeset(text)) for text in (line.second_way, *line.flags) if text))


def _predictions_table(report: Report) -> Markup:
    rows = [
        [
            one.name,
            one.method,
            *(cell for score in (one.energy, one.duration) for cell in (f"{score.jobs:,}", *score_words(score))),
        ]
        for one in report.foretellings
    ]
    heads = ["job", "predicted by", "jobs", "energy", "within", "jobs", "duration", "within"]
    caption = (
        "How far the median job's prediction was off, and how many jobs came to lie within their interval, in brackets how"
        " many should. Of jobs that succeeded and whose whole energy is known."
    )
    return table(caption, heads, rows, words=2)


def _machines_table(report: Report) -> Markup:
    rows = [[name, *cells] for name, cells in machine_rows(report.workers)]
    heads = ["worker, over", "part", "counted", "jobs", "carbonq itself", "no job's", "by", "known as"]
    caption = "All that the machines' meters counted, and who used it: jobs, carbonq and no job add up to it."
    return table(caption, heads, [[fmt.printable(cell) for cell in row] for row in rows], words=2)
