"""The report as one page: no script, no request, readable by ear, in the dark and on paper."""

from collections.abc import Iterator
from importlib.resources import files

from carbonq.domain.carbon import Origin
from carbonq.domain.energy import total_of
from carbonq.domain.receipt import Receipt
from carbonq.reports import format as fmt
from carbonq.reports.charts import comparison, saving
from carbonq.reports.energy_page import energy_sections
from carbonq.reports.figure import figure, table
from carbonq.reports.markup import Markup, element, join, typeset
from carbonq.reports.provenance import Remark, kind_of
from carbonq.reports.report import Report
from carbonq.reports.summary import Tally, avoided_g, baseline_g
from carbonq.reports.timeline import ZONES_DRAWN, timelines
from carbonq.reports.words import (
    beside_all,
    deadlines,
    ended,
    energy_knowledge,
    group_name,
    heading_of,
    job_name,
    part_name,
    settled,
    shares,
    verdict,
)

ROWS_SHOWN = 1000
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render_html(report: Report) -> str:
    """A whole document that loads nothing: the policy in its head forbids it, too."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", report.title),
        element("style", Markup(_stylesheet())),
    )
    body = element("body", _PATTERNS, element("main", *_sections(report)))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _stylesheet() -> str:
    return files("carbonq.reports").joinpath("static/report.css").read_text(encoding="utf-8")


def _sections(report: Report) -> Iterator[Markup]:
    yield _header(report)
    if report.period is None:
        yield element("p", "No job has finished in this period.")
        return
    yield from map(figure, timelines(report))
    zones = len({receipt.zone for receipt in report.receipts})
    if zones > ZONES_DRAWN:
        yield element("p", f"{zones - ZONES_DRAWN} more zones are in the tables only.", class_="note")
    yield from (figure(each) for each in (comparison(report), saving(report)) if each)
    yield element("section", element("h2", "In sum"), _groups_table(report))
    yield element("section", element("h2", "Receipts"), _receipts_table(report))
    yield from energy_sections(report)
    yield element("section", element("h2", "How these numbers came about"), *_account(report))


# --- the head


def _header(report: Report) -> Markup:
    total = report.summary.total
    parts: list[Markup] = [element("p", _period(report), class_="period"), element("h1", report.title)]
    if report.period:
        parts.append(element("p", typeset(verdict(total)), class_="verdict"))
    if report.made_up:
        parts.append(element("p", element("strong", _made_up_word(report)), _made_up_warning(report), class_="warning"))
    if report.period:
        parts.append(element("dl", *(_tile(*tile) for tile in _tiles(total)), class_="tiles"))
    return element("header", *parts)


def _period(report: Report) -> str:
    issued = f"issued {fmt.moment(report.issued_at, report.zone)} {fmt.zone_name(report.issued_at, report.zone)}"
    if report.period is None:
        return issued
    first, last = (fmt.day(moment, report.zone) for moment in report.period)
    return f"{first if first == last else f'{first} to {last}'}, {issued}"


def _made_up_word(report: Report) -> str:
    return "Replayed. " if Origin.REPLAYED in report.made_up else "Modelled. "


def _made_up_warning(report: Report) -> str:
    if Origin.REPLAYED in report.made_up:
        return "The grid's intensity is made up from a profile with a stated error; no grid was read. Energy is not scaled."
    return "Some of the grid's intensity is a typical profile, not what the grid did on these days."


def _tiles(total: Tally) -> Iterator[tuple[str, str, str]]:
    """Name, figure, and what to know about it."""
    yield "Energy", fmt.energy(total.energy_j), shares(total) or "nothing is known of it"
    yield "Emissions", fmt.co2e(total.emissions_g), _unknown(total.emissions_unknown_jobs)
    share = "" if total.avoided_rel is None else f"{fmt.percent(total.avoided_rel)} of {fmt.co2e(total.baseline_g)}"
    yield "Avoided", fmt.co2e(total.avoided_g), share or "no job has a baseline to compare with"
    late = fmt.count(total.deadlines_missed, "job") + " late"
    yield "Deadlines met", deadlines(total), late if total.deadlines_missed else "none missed"
    yield "Jobs", f"{total.jobs:,}", ended(total).partition("(")[2].rstrip(")") or "all succeeded"


def _unknown(jobs: int) -> str:
    return f"without {fmt.count(jobs, 'job')} of unknown emissions" if jobs else "of all jobs"


def _tile(name: str, figure_text: str, remark: str) -> Markup:
    return element(
        "div", element("dt", name), element("dd", typeset(figure_text)), element("dd", typeset(remark), class_="remark")
    )


# --- the tables


def _groups_table(report: Report) -> Markup:
    named = [(group_name(group.name, report.summary.by), group.tally) for group in report.summary.groups]
    rows = [
        [
            name,
            f"{tally.jobs:,}",
            _known(fmt.energy(tally.energy_j), tally.energy_unknown_jobs + tally.energy_partly_unknown_jobs),
            _known(fmt.mass(tally.emissions_g), tally.emissions_unknown_jobs),
            _known(fmt.mass(tally.baseline_g), tally.jobs - tally.compared_jobs),
            _known(fmt.mass(tally.avoided_g), tally.jobs - tally.compared_jobs),
            fmt.percent(tally.avoided_rel),
            deadlines(tally),
            fmt.span(tally.mean_delay_s),
        ]
        for name, tally in [*named, ("Total", report.summary.total)]
    ]
    heads = [
        heading_of(report.summary.by),
        "jobs",
        "energy",
        "emitted",
        "at once",
        "avoided",
        "share",
        "in time",
        "delay",
    ]
    caption = "Masses are CO₂e. The small line below a sum says how many unknown ones it leaves out."
    return _scrolling("In sum", table(caption, heads, rows))


def _known(words: str, left_out: int) -> str:
    return _two(words, f"without {left_out:,} unknown") if left_out else words


def _two(words: str, below: str) -> Markup:
    """A cell of two lines, the second one small."""
    return element("span", words) + element("small", below)


def _receipts_table(report: Report) -> Markup:
    shown = report.receipts[-ROWS_SHOWN:]
    heads = ["job", "ran", "energy", "emitted", "at once", "avoided", "delay", "deadline"]
    rows = [_receipt_row(receipt, report) for receipt in shown]
    zone = fmt.zone_name(report.issued_at, report.zone)
    caption = f"One line a job, in order of finish. Times are {zone}; masses are CO₂e."
    if len(shown) < len(report.receipts):
        caption += f" The last {len(shown):,} of {len(report.receipts):,}; the CSV and JSON reports hold all."
    return _scrolling("Receipts", table(caption, heads, rows, words=2))


def _receipt_row(receipt: Receipt, report: Report) -> list[str]:
    sure = total_of(receipt.readings).uncertainty_rel
    met = {True: "met", False: "missed", None: fmt.UNKNOWN}[receipt.deadline_met]
    ended_as = f"{receipt.state}, {receipt.status}"
    where = f"{receipt.project}, {receipt.pool}, {receipt.zone}"
    started, finished = fmt.moment(receipt.started_at, report.zone), fmt.moment(receipt.finished_at, report.zone)
    same_day = started[:10] == finished[:10]
    joules = fmt.energy(receipt.energy_j) + ("" if sure is None else f" ± {fmt.percent(sure)}")
    return [
        _two(job_name(receipt), where),
        _two(f"{started} to {finished[11:] if same_day else finished}", ended_as),
        _two(joules, _energy_is(receipt)),
        *(typeset(fmt.mass(grams)) for grams in (receipt.emissions_g, baseline_g(receipt), avoided_g(receipt))),
        fmt.span(receipt.delay_s),
        met,
    ]


def _energy_is(receipt: Receipt) -> str:
    """`GPU measured, CPU modelled`."""
    said = dict.fromkeys(f"{part_name(reading.component)} {reading.provenance}" for reading in receipt.readings)
    return ", ".join(said) or ("never ran" if receipt.energy_j == 0 else fmt.UNKNOWN)


def _scrolling(name: str, content: Markup) -> Markup:
    return element("div", content, class_="scroll", tabindex="0", role="region", aria_label=name)


# --- the account


def _account(report: Report) -> Iterator[Markup]:
    total = report.summary.total
    facts = [("Energy", energy_knowledge(total)), ("Receipts", settled(total))]
    if total.overhead_energy_j:
        facts.append(("Lost and failed attempts", f"{fmt.energy(total.overhead_energy_j)} of the energy above"))
    facts += [(label.capitalize(), text) for label, text in beside_all(total)]
    if total.forecast_jobs:
        promise, kept = fmt.co2e(total.forecast_avoided_g), fmt.co2e(total.forecast_realised_g)
        jobs = fmt.count(total.forecast_jobs, "job")
        facts.append(("Promised and kept", f"The plans promised {promise} avoided; it came to {kept} ({jobs})."))
    yield element(
        "dl", *(element("div", element("dt", k), element("dd", typeset(v))) for k, v in facts), class_="facts"
    )
    yield element("h3", "Energy, by what it was read with")
    yield _scrolling("Methods", _methods_table(report))
    yield element("h3", "Carbon intensity")
    yield _scrolling("Sources of carbon intensity", _sources_table(report))
    if report.forecast_sources:
        yield _scrolling("Forecasts", _forecasts_table(report))
    if report.remarks:
        yield element("h3", "Noted on the way")
        yield element("ul", join(element("li", _remark(remark)) for remark in report.remarks))
    yield element("h3", "What is assumed")
    yield element("ul", join(element("li", typeset(sentence)) for sentence in report.assumptions))


def _methods_table(report: Report) -> Markup:
    rows = [
        [
            part_name(use.component),
            use.method,
            use.provenance,
            f"{use.jobs:,}",
            fmt.energy(use.energy_j),
            "" if use.energy_j is None else f"± {fmt.percent(use.uncertainty_rel)}",
        ]
        for use in report.summary.methods
    ]
    heads = ["part", "method", "known as", "jobs", "energy", "uncertainty"]
    return table("One standard deviation", heads, rows, words=3)


def _sources_table(report: Report) -> Markup:
    rows = [
        [
            source.zone,
            source.source,
            kind_of(source) or fmt.UNKNOWN,
            " and ".join(source.origins) or fmt.UNKNOWN,
            source.attribution or "none given",
            f"{source.jobs:,}",
        ]
        for source in report.sources
    ]
    heads = ["zone", "source", "signal", "known as", "attribution", "jobs"]
    return table("Actual intensity, as the receipts used it", heads, rows, words=5)


def _forecasts_table(report: Report) -> Markup:
    rows = [
        [
            one.zone,
            one.source,
            one.model,
            f"{one.signal} {one.scope}",
            one.origin,
            fmt.moment(one.issued_at, report.zone),
            fmt.span(one.age_s),
        ]
        for one in report.forecast_sources
    ]
    heads = ["zone", "source", "model", "signal", "known as", "issued", "age at this report"]
    return table("Forecasts that are drawn", heads, rows, words=5)


def _remark(remark: Remark) -> str:
    return remark.text + (f" ({fmt.count(remark.jobs, 'job')})" if remark.jobs else "")


def _hatch(name: str) -> Markup:
    return element(
        "pattern",
        element("rect", width=6, height=6, class_=f"{name}-ground"),
        element("line", x1=0, y1=0, x2=0, y2=6, class_=f"{name}-stroke"),
        id=f"hatch-{name}",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )


_PATTERNS = element(
    "svg",
    element("defs", _hatch("run"), _hatch("under")),
    width=0,
    height=0,
    aria_hidden="true",
    class_="patterns",
)
"""The hatchings that mark modelled and replayed data, shared by all plots."""
