"""Reports for programs: JSON with everything in it, and CSV with one receipt a row. Base units, UTC."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

from carbonq.domain.energy import Component, Provenance, total_of
from carbonq.domain.receipt import Receipt
from carbonq.domain.time import iso
from carbonq.reports.format import printable
from carbonq.reports.report import Report
from carbonq.reports.summary import avoided_g, baseline_g

SCHEMA_VERSION = 1


def render_json(report: Report) -> str:
    """`{schema_version, title, issued_at, by, period, total, groups, methods, sources, …, receipts}`; unknown is null."""
    summary = report.summary.model_dump(mode="json")
    document = {
        "schema_version": SCHEMA_VERSION,
        "title": report.title,
        "issued_at": iso(report.issued_at),
        **summary,
        "sources": _dumped(report.sources),
        "forecasts": _dumped(report.forecast_sources),
        "predictions": _dumped(report.foretellings),
        "machines": _dumped(report.workers),
        "notes": _dumped(report.remarks),
        "assumptions": report.assumptions,
        "receipts": _dumped(report.receipts),
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _dumped(values: Any) -> list[Any]:
    return [value.model_dump(mode="json") for value in values]


def render_csv(report: Report) -> str:
    """A header and one row a receipt. An empty cell is unknown; text that a spreadsheet would run as a formula is not."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value(receipt)) for value in COLUMNS.values()] for receipt in report.receipts)
    return out.getvalue()


def _component_j(component: Component) -> Callable[[Receipt], float | None]:
    def energy_j(receipt: Receipt) -> float | None:
        known = [r.energy_j for r in receipt.readings if r.component is component and r.energy_j is not None]
        return sum(known) if known else None

    return energy_j


def _provenance(receipt: Receipt) -> str:
    """`measured`, `modelled+unknown`, …: how the parts of its energy are known, surest first."""
    found = {reading.provenance for reading in receipt.readings} or {Provenance.UNKNOWN}
    return "+".join(each for each in Provenance if each in found)


COLUMNS: dict[str, Callable[[Receipt], object]] = {
    "job_id": lambda r: r.job_id,
    "name": lambda r: r.name,
    "project": lambda r: r.project,
    "labels": lambda r: json.dumps(r.labels) if r.labels else "",
    "state": lambda r: r.state.value,
    "zone": lambda r: r.zone,
    "pool": lambda r: r.pool,
    "submitted_at": lambda r: iso(r.submitted_at),
    "started_at": lambda r: r.started_at and iso(r.started_at),
    "finished_at": lambda r: iso(r.finished_at),
    "deadline": lambda r: iso(r.deadline),
    "deadline_met": lambda r: r.deadline_met,
    "delay_s": lambda r: r.delay_s,
    "duration_s": lambda r: r.duration_s,
    "attempts": lambda r: r.attempts,
    "energy_j": lambda r: r.energy_j,
    "energy_uncertainty_rel": lambda r: total_of(r.readings).uncertainty_rel,
    "energy_provenance": _provenance,
    "gpu_energy_j": _component_j(Component.GPU),
    "cpu_energy_j": _component_j(Component.CPU),
    "dram_energy_j": _component_j(Component.DRAM),
    "other_energy_j": _component_j(Component.OTHER),
    "overhead_energy_j": lambda r: r.overhead_energy_j,
    "emissions_g": lambda r: r.emissions_g,
    "baseline_start": lambda r: r.baseline and iso(r.baseline.start),
    "baseline_g": baseline_g,
    "avoided_g": avoided_g,
    "forecast_avoided_g": lambda r: r.forecast_avoided_g,
    "pue": lambda r: r.pue,
    "facility_energy_j": lambda r: r.facility_energy_j,
    "facility_g": lambda r: r.facility_g,
    "embodied_g": lambda r: r.embodied_g,
    "predicted_energy_j": lambda r: r.predicted_energy_j and r.predicted_energy_j.p50,
    "predicted_duration_s": lambda r: r.predicted_duration_s and r.predicted_duration_s.p50,
    "prediction_method": lambda r: r.prediction_method,
    "intensity_source": lambda r: r.intensity_source,
    "signal": lambda r: r.signal and r.signal.value,
    "scope": lambda r: r.scope and r.scope.value,
    "intensity_origins": lambda r: "+".join(r.intensity_origins),
    "attribution": lambda r: r.attribution,
    "status": lambda r: r.status.value,
    "revision": lambda r: r.revision,
    "issued_at": lambda r: iso(r.issued_at),
    "actuals_changed_at": lambda r: r.actuals_changed_at and iso(r.actuals_changed_at),
    "notes": lambda r: "; ".join(r.notes),
}
"""What each column of the CSV holds: the names carry the units."""

_RUNS_AS_FORMULA = ("=", "+", "-", "@")


def _cell(value: object) -> object:
    """The value as CSV holds it: text in one printable line, and with an apostrophe before it where a spreadsheet would
    take it for a formula (OWASP, CSV injection). JSON keeps every letter."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = printable(value)
        return "'" + text if text.lstrip(" \N{REPLACEMENT CHARACTER}").startswith(_RUNS_AS_FORMULA) else text
    return value
