"""`carbonq backtest`: how good forecasts would have been, on a zone's own past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from carbonq.cli import historical, session
from carbonq.cli.files import check_place, deliver
from carbonq.cli.output import Cell, Column, note, say, table, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from carbonq.cli.historical import Given
    from carbonq.forecasters.carbon.backtest import Span, Trial
    from carbonq.forecasters.carbon.metrics import Scores

DEFAULT_JOBS = "4h,8h"


def backtest(
    ctx: typer.Context,
    history: Annotated[
        str, typer.Option("--history", metavar="FILE", help="ZONE.csv or ZONE.csv.gz: the zone's past intensity.")
    ],
    test_from: Annotated[str, typer.Option(metavar="T", help="The first day tested, such as 2021-07-01 (UTC).")],
    test_to: Annotated[str, typer.Option(metavar="T", help="The last day tested, itself included.")],
    train_from: Annotated[
        str | None, typer.Option(metavar="T", help="Use no reading before; default: the first row.")
    ] = None,
    horizon: Annotated[int, typer.Option(min=24, max=168, metavar="HOURS", help="How far each forecast goes.")] = 96,
    origin_hours: Annotated[
        str, typer.Option(metavar="LIST", help="UTC hours at which forecasts are made, such as 0,6,12,18.")
    ] = "0",
    published: Annotated[
        str | None, typer.Option(metavar="FILE", help="A published forecast to compare with, and to mix in.")
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="What was known in advance, such as weather forecasts. May be repeated."),
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="[FILE]...", help="More files for --features.")] = None,
    models: Annotated[str | None, typer.Option(metavar="LIST", help="Only these models; default: all.")] = None,
    jobs: Annotated[
        str, typer.Option(metavar="LIST", help="Lengths of the jobs whose saving is scored.")
    ] = DEFAULT_JOBS,
    processes: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Use so many processes; default: one a core.")
    ] = None,
    dump: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the forecasts of carbonq there, one hour a row, as CSV.")
    ] = None,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Write a page with plots there.")] = None,
) -> None:
    """Score forecasts on a zone's past, each from what was known then.

    Regret: how much more the window emits that the forecast prefers than the best one within a day. Capture: the share of the
    possible saving.

    Example: carbonq backtest --history DE.csv.gz --test-from 2021-07-01 --test-to 2021-12-31
    """
    historical.compute_alike()
    from carbonq.domain.errors import InvalidInput
    from carbonq.forecasters.carbon.backtest import Span

    here = session.of(ctx)
    if more and not features:
        raise typer.BadParameter(f"{more[0]!r}: files stand behind --history, --features or --published")
    read = [name for name in (history, published, *(features or ()), *(more or ())) if name]
    for name, others in ((dump, read), (html, [*read, *([dump] if dump else [])])):
        if name:
            check_place(name, others)
    first = historical.moment(test_from, "--test-from")
    last = historical.moment(test_to, "--test-to", end_of_day=True)
    if last <= first:
        raise InvalidInput("the test ends before it begins", where="--test-to", hint="name a day after --test-from")
    span = Span(first, last, horizon, _hours(origin_hours))
    given = historical.read(
        here, history, train_from=train_from, features=[*(features or ()), *(more or ())], published=published
    )
    jobs_s = _lengths(jobs, given.history.readings.step_s)
    trials = _run(given, span, _words(models), processes)
    scored = {trial.name: found for trial in trials if (found := trial.scores(jobs_s))}
    notes = [*given.notes, *_left_out(trials, scored)]
    if dump:
        shown = _shown(trials)
        deliver(_dump(shown), dump)
        notes += [f"the dump holds {shown.name}, for carbonq was not tested"] * (shown.name != "carbonq")
    if html:
        deliver(_page(given, trials, scored, notes, jobs_s), html)
    if here.json:
        write_json(_document(given, span, trials, scored, notes))
    else:
        _show(given, trials, list(scored.values()), notes, jobs_s)


def _run(given: Given, span: Span, names: Sequence[str], processes: int | None) -> list[Trial]:
    import time

    from carbonq.cli.progress import Progress
    from carbonq.forecasters.carbon.backtest import origins_of
    from carbonq.forecasters.carbon.parallel import cores, run_on

    contenders = given.contenders(names)
    origins = origins_of(given.history.readings, span)
    trials: list[Trial] = []
    with Progress(f"Testing {given.history.zone}", len(contenders) * len(origins)) as progress:
        for contender in contenders:

            def tell(origin: datetime, name: str = contender.name) -> None:
                progress.advance(f"{name}, {origin:%d %b %Y}")

            trials.append(
                run_on(
                    processes or cores(),
                    given.history,
                    contender,
                    origins,
                    span.horizon_h,
                    timer=time.perf_counter,
                    on_origin=tell,
                )
            )
    return trials


# --- what was asked


def _words(text: str | None) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in (text or "").split(",") if word.strip()))


def _hours(text: str) -> tuple[int, ...]:
    from carbonq.domain.errors import InvalidInput

    try:
        hours = tuple(int(word) for word in _words(text))
    except ValueError:
        hours = ()
    if not hours or not all(0 <= hour < 24 for hour in hours):
        raise InvalidInput(f"{text!r} are no hours of a day", where="--origin-hours", hint="write 0 or 0,6,12,18")
    return hours


def _lengths(text: str, step_s: int) -> dict[str, float]:
    """Seconds by the word given."""
    from carbonq.cli.listing import span
    from carbonq.domain.errors import InvalidInput

    lengths = {word: span(word, "--jobs") for word in _words(text)}
    for word, length_s in lengths.items():
        if length_s % step_s or length_s > 86_400:
            hint = f"give whole multiples of the readings' {step_s // 60} minutes, at most 24h"
            raise InvalidInput(f"a job of {word} cannot be scored", where="--jobs", hint=hint)
    return lengths


# --- what came of it


def _shown(trials: Sequence[Trial]) -> Trial:
    """The model that is dumped and drawn: carbonq, or the first one where it was left out."""
    return next((trial for trial in trials if trial.name == "carbonq"), trials[0])


def _left_out(trials: Sequence[Trial], scored: Mapping[str, Scores]) -> list[str]:
    """Models that had no forecast for some origins."""
    total = len(trials[0].origins)
    return [
        f"{trial.name}: scored on {scored[trial.name].origins if trial.name in scored else 0} of {total} origins, "
        "for it has no forecast for the others"
        for trial in trials
        if trial.name not in scored or scored[trial.name].origins < total
    ]


def _document(
    given: Given, span: Span, trials: Sequence[Trial], scored: Mapping[str, Scores], notes: Sequence[str]
) -> dict[str, object]:
    from carbonq.domain.time import iso

    origins = trials[0].origins
    return {
        "schema_version": 1,
        "zone": given.history.zone,
        "origins": len(origins),
        "horizon_h": span.horizon_h,
        "step_s": given.history.readings.step_s,
        "first_origin": iso(origins[0]),
        "last_origin": iso(origins[-1]),
        "notes": list(notes),
        "models": list(scored.values()),
    }


def _show(
    given: Given,
    trials: Sequence[Trial],
    scores: Sequence[Scores],
    notes: Sequence[str],
    jobs_s: Mapping[str, float],
) -> None:
    from carbonq.reports.format import count

    origins = trials[0].origins
    head = f"{count(len(origins), 'forecast')} from {origins[0]:%d %b %Y} to {origins[-1]:%d %b %Y}"
    say(f"{given.history.zone}  {head}, each {trials[0].actual.shape[1] * trials[0].step_s // 3600} h ahead")
    say()
    say(table(_columns(jobs_s), [_row(one, jobs_s) for one in scores]))
    for words in notes:
        note(f"note: {words}", "dim")


def _columns(jobs_s: Mapping[str, float]) -> list[Column]:
    return [
        Column("MODEL"),
        Column("MAPE DAY 1", right=True),
        Column("ALL", right=True),
        Column("MAE g/kWh", right=True, spare=3),
        Column("PINBALL", right=True, spare=4),
        Column("10-90 %", right=True, spare=2),
        Column("RANK", right=True, spare=5),
        *(
            Column(f"{title} {job}", right=True, spare=int(place > 0))
            for place, job in enumerate(jobs_s)
            for title in ("REGRET", "CAPTURE")
        ),
    ]


def _row(one: Scores, jobs_s: Mapping[str, float]) -> list[Cell]:
    cells = [
        one.model,
        f"{one.mape_pct_by_day[0]:.2f} %",
        f"{one.mape_pct:.2f} %",
        f"{one.mae_g_per_kwh:.1f}",
        f"{one.pinball_g_per_kwh:.2f}",
        f"{100 * one.coverage_p10_p90:.0f} %",
        "-" if one.spearman_24h is None else f"{one.spearman_24h:.2f}",
    ]
    for job in jobs_s:
        found = one.jobs[job]
        cells += ["-" if value is None else f"{value:.2f} %" for value in (found.regret_pct, found.capture_pct)]
    return [Cell(cell, "bold" if one.model == "carbonq" else "") for cell in cells]


def _dump(trial: Trial) -> str:
    """Every number as it is, so that whoever recomputes a figure finds it."""
    from datetime import timedelta

    import numpy as np

    from carbonq.domain.time import iso
    from carbonq.forecasters.carbon.models.series import QUANTILES

    wanted = [QUANTILES.index(p) for p in (0.05, 0.1, 0.5, 0.9, 0.95)]
    lines = ["origin,timestamp,horizon_h,actual_g_per_kwh,p05,p10,p50,p90,p95"]
    for origin, actual, quantiles in zip(trial.origins, trial.actual, trial.quantiles[:, wanted], strict=True):
        if np.isnan(quantiles).any():  # a published forecast that is missing
            continue
        for step, (value, *band) in enumerate(zip(actual.tolist(), *quantiles.tolist(), strict=True)):
            ahead_s = step * trial.step_s
            at = iso(origin + timedelta(seconds=ahead_s))
            numbers = ",".join(map(repr, (value, *band)))
            lines.append(f"{iso(origin)},{at},{(ahead_s + trial.step_s) / 3600:g},{numbers}")
    return "\n".join(lines) + "\n"


def _page(
    given: Given,
    trials: Sequence[Trial],
    scored: Mapping[str, Scores],
    notes: Sequence[str],
    jobs_s: Mapping[str, float],
) -> str:
    from carbonq.cli.backtest_plots import page
    from carbonq.reports.backtest_page import render

    cells = {name: [cell.text for cell in _row(one, jobs_s)[1:]] for name, one in scored.items()}
    headings = [column.title for column in _columns(jobs_s)[1:]]
    shown = _shown([trial for trial in trials if trial.name in scored])
    return render(page(given.history.zone, trials, scored, shown, headings=headings, cells=cells, notes=notes))


COMMANDS: tuple[tuple[str, Any], ...] = (("backtest", backtest),)
