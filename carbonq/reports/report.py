"""All that a renderer needs, put together once."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple, Self

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin
from carbonq.domain.job import WorkerInfo
from carbonq.domain.receipt import Receipt
from carbonq.reports.foretelling import Foretelling, foretellings
from carbonq.reports.machines import MachineUse, machine_uses
from carbonq.reports.provenance import (
    ForecastUse,
    IntensityUse,
    Remark,
    assumptions,
    forecast_uses,
    intensity_uses,
    made_up,
    remarks,
)
from carbonq.reports.summary import Summary, summarise


class Report(NamedTuple):
    receipts: Sequence[Receipt]  # by finish
    summary: Summary
    intensity: Sequence[IntensitySeries]
    forecasts: Sequence[Forecast]
    issued_at: datetime
    title: str
    zone: tzinfo
    sources: tuple[IntensityUse, ...]
    forecast_sources: tuple[ForecastUse, ...]
    remarks: tuple[Remark, ...]
    assumptions: tuple[str, ...]
    made_up: frozenset[Origin]
    foretellings: tuple[Foretelling, ...]
    workers: tuple[MachineUse, ...]

    @classmethod
    def of(
        cls,
        receipts: Sequence[Receipt],
        *,
        by: str,
        intensity: Sequence[IntensitySeries],
        forecasts: Sequence[Forecast],
        workers: Sequence[WorkerInfo],
        issued_at: datetime,
        title: str,
        notes: Sequence[str],
        zone: tzinfo,
    ) -> Self:
        summary = summarise(receipts, by, zone)
        sources = intensity_uses(receipts, intensity)
        return cls(
            receipts=sorted(receipts, key=lambda receipt: (receipt.finished_at, receipt.job_id)),
            summary=summary,
            intensity=intensity,
            forecasts=forecasts,
            issued_at=issued_at,
            title=title,
            zone=zone,
            sources=sources,
            forecast_sources=forecast_uses(forecasts, issued_at),
            remarks=remarks(notes, receipts),
            assumptions=assumptions(summary.total, sources),
            made_up=made_up(receipts),
            foretellings=foretellings(receipts),
            workers=machine_uses(workers),
        )

    @property
    def period(self) -> tuple[datetime, datetime] | None:
        """From the first submission to the last finish; None without receipts."""
        start, end = self.summary.start, self.summary.end
        return (start, end) if start and end else None
