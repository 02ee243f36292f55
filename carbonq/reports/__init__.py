"""Receipts as a table, JSON, CSV or HTML: pure renderers, from receipts to text."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from enum import StrEnum

from carbonq.domain.carbon import Forecast, IntensitySeries
from carbonq.domain.job import WorkerInfo
from carbonq.domain.receipt import Receipt
from carbonq.reports.summary import GROUPINGS, Summary, summarise

__all__ = ["GROUPINGS", "Format", "Style", "Summary", "plain", "render", "summarise"]


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    HTML = "html"


Style = Callable[[str, str], str]
"""Colours a piece of text by its role: `heading`, `good`, `bad` or `muted`. Called after the text is aligned."""


def plain(text: str, role: str) -> str:  # noqa: ARG001  # a style that has no colours
    return text


def render(
    receipts: Sequence[Receipt],
    fmt: Format | str = Format.TABLE,
    *,
    by: str = "project",
    intensity: Sequence[IntensitySeries] = (),
    forecasts: Sequence[Forecast] = (),
    workers: Sequence[WorkerInfo] = (),
    issued_at: datetime,
    title: str = "Carbon report",
    notes: Sequence[str] = (),
    zone: tzinfo = UTC,
    style: Style = plain,
) -> str:
    """The report on `receipts`, in their order of finish.

    `intensity` and `forecasts` are what the plots and the section on sources show, `workers` what the
    section on machines does; `notes` go before those of the
    receipts; `zone` is the clock that times and months are given in, except in JSON and CSV, which keep UTC.
    Raises InvalidInput for an unknown `by`, ValueError for an unknown `fmt`.
    """
    from carbonq.reports.report import Report

    report = Report.of(
        receipts,
        by=by,
        intensity=intensity,
        forecasts=forecasts,
        workers=workers,
        issued_at=issued_at,
        title=title,
        notes=notes,
        zone=zone,
    )
    match Format(fmt):
        case Format.TABLE:
            from carbonq.reports.text import render_table

            return render_table(report, style)
        case Format.JSON:
            from carbonq.reports.machine import render_json

            return render_json(report)
        case Format.CSV:
            from carbonq.reports.machine import render_csv

            return render_csv(report)
        case Format.HTML:
            from carbonq.reports.html import render_html

            return render_html(report)
