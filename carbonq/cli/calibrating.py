"""The command that fits this node's meters to a wall meter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carbonq.cli import session
from carbonq.cli.output import fields, note, paint, paragraph, say, write_json

if TYPE_CHECKING:
    from carbonq.workers.calibration import Calibration

EXAMPLE_S = 3600.0
FEW_PAIRS = 10
LARGE_RESIDUAL_REL = 0.1


def calibrate(
    ctx: typer.Context,
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS.csv", help="What meters and wall meter read.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the fit; write nothing.")] = False,
    reference_error: Annotated[
        float,
        typer.Option(min=0, max=0.5, metavar="REL", help="The wall meter's own relative error, such as 0.01."),
    ] = 0.0,
    data_dir: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="The data folder that this machine's worker uses.")
    ] = None,
) -> None:
    """Fit this node's meters to a wall, PDU or IPMI meter.

    Each row has duration_s with software_j and wall_j, or with software_w and wall_w, both of the whole node over the same
    time: some idle, some at half load, some at full load. The fit is wall = P0 x time + k x software; what it gets wrong
    about a pair that it has not seen is the new uncertainty.

    Example: carbonq calibrate pairs.csv --dry-run
    """
    from datetime import UTC, datetime

    from carbonq.workers import calibration, calibration_file

    here = session.of(ctx)
    here.add_flags(data_dir=data_dir)
    found = calibration.fit(calibration_file.read_pairs(pairs), reference_rel=reference_error)
    found = found.model_copy(update={"node": calibration_file.this_node(), "made_at": datetime.now(UTC)})
    path = here.part("bootstrap").worker_dir(here.settings) / calibration_file.NAME
    if not dry_run:
        calibration_file.save(path, found)
    if here.json:
        shown = found.model_dump(mode="json") | {"uncertainty_rel": found.uncertainty_rel}
        write_json(shown | {"path": None if dry_run else str(path)})
        return
    say(paint(f"{found.node}, from {found.pairs} pairs", "bold"))
    say(fields(_rows(found)))
    say()
    say(paragraph(_what_changes(found)))
    for doubt in _doubts(found):
        note(paragraph(f"note: {doubt}"), "yellow")
    note("dry run: nothing was written" if dry_run else f"written to {path}; a worker takes it up when it starts")


def _rows(found: Calibration) -> list[tuple[str, str]]:
    from carbonq.reports.format import percent

    reference = f", with the wall meter's own {percent(found.reference_rel)}" if found.reference_rel else ""
    return [
        ("P0", f"{found.p0_w:.1f} W, drawn all the time beside what the meters read"),
        ("k", f"{found.gain:.3f}, joules at the wall for each that the meters read"),
        ("residual", f"± {percent(found.residual_rel)}: each pair foretold from the others"),
        ("uncertainty", f"± {percent(found.uncertainty_rel)} of a total{reference}"),
        ("load", f"{found.software_w_min:.0f} to {found.software_w_max:.0f} W as the meters read it"),
    ]


def _what_changes(found: Calibration) -> str:
    """An hour of the whole node at the middle of the loads, before and after."""
    from carbonq.reports.format import energy

    software_j = EXAMPLE_S * (found.software_w_min + found.software_w_max) / 2
    added_j = max(0.0, found.wall_j(EXAMPLE_S, software_j) - software_j)
    return (
        f"A job that has the whole node for an hour at {software_j / EXAMPLE_S:.0f} W was booked with {energy(software_j)}; "
        f"now a part `other` of {energy(added_j)} is added, {energy(software_j + added_j)} in all. "
        "A job that reserves a part of the node gets that part of P0."
    )


def _doubts(found: Calibration) -> list[str]:
    from carbonq.reports.format import percent

    doubts = []
    if found.pairs < FEW_PAIRS:
        doubts.append(f"{found.pairs} pairs say little about their own scatter; {FEW_PAIRS} or more are better")
    if found.residual_rel > LARGE_RESIDUAL_REL:
        doubts.append(
            f"the pairs disagree by {percent(found.residual_rel)}: were both read over the same time, of this node alone?"
        )
    if found.gain < 1:
        doubts.append("k is below 1: the meters read more than the wall; check which of them are of this node")
    return doubts


COMMANDS: tuple[tuple[str, Any], ...] = (("calibrate", calibrate),)
