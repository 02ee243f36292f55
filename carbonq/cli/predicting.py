"""`carbonq predict`: what a job will use before it runs, and how well that is foretold, on files of past runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import typer

from carbonq.cli import session
from carbonq.cli.files import check_place, deliver
from carbonq.cli.output import Cell, Column, fields, note, paint, say, table, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carbonq.domain.energy import PowerProfile, Quantity
    from carbonq.domain.quote import Quote
    from carbonq.domain.spec import JobFile
    from carbonq.forecasters.energy.model import Target
    from carbonq.forecasters.energy.scoring import Score


class Band(NamedTuple):
    p50: float
    p05: float
    p95: float


TARGETS = {"energy_j": "energy", "duration_s": "duration"}


def predict(
    ctx: typer.Context,
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="A job file, or `-`. Nothing is submitted.")
    ] = None,
    work: Annotated[
        str | None,
        typer.Option(metavar="N|Nx", help="For another amount of work: 500 in the job's unit, or 10x what it names."),
    ] = None,
    train: Annotated[str | None, typer.Option(metavar="RUNS.csv", help="Score: learn from these runs.")] = None,
    test: Annotated[str | None, typer.Option(metavar="RUNS.csv", help="Score: foretell these.")] = None,
    prequential: Annotated[
        str | None,
        typer.Option(metavar="RUNS.csv", help="Score: foretell each run from those before it, in the file's order."),
    ] = None,
    target: Annotated[str, typer.Option(metavar="COLUMN", help="What is scored: energy_j or duration_s.")] = "energy_j",
    dump: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the runs scored there, with predicted, p05 and p95, as CSV."),
    ] = None,
) -> None:
    """Foretell a job's energy and duration, or score that on files.

    From what past runs taught the service. With --train and --test, or --prequential: how far the same model errs.

    Example: carbonq predict job.yaml --work 10x
    """
    here = session.of(ctx)
    if target not in TARGETS:
        raise typer.BadParameter(f"{target!r} is neither energy_j nor duration_s", param_hint="--target")
    if sum((file is not None, train is not None or test is not None, prequential is not None)) != 1:
        raise typer.BadParameter("give a job file, or --train and --test, or --prequential")
    if file is not None:
        if dump is not None:
            raise typer.BadParameter("goes with --train and --test, or --prequential", param_hint="--dump")
        _foretell(here, file, work)
        return
    if work is not None:
        raise typer.BadParameter("goes with a job file", param_hint="--work")
    if prequential is None and (train is None or test is None):
        raise typer.BadParameter("--train and --test go together")
    _score(here, [name for name in (train, test, prequential) if name is not None], cast("Target", target), dump)


# --- a job


def _foretell(here: session.Session, file: str, work: str | None) -> None:
    from carbonq.cli import jobfiles

    read = jobfiles.load(file)
    asked = read if work is None else _with_work(read, work, file)
    quote = here.client.quote(asked)
    if here.json:
        write_json(_answer(asked, quote))
        return
    _show(here, asked, quote)
    if work is not None and read.spec.duration is not None:
        note("its `duration:` is of another amount of work and was left aside", "dim")


def _with_work(file: JobFile, written: str, name: str) -> JobFile:
    """The job with another amount of work. What it declares of its duration was said of the amount in the file."""
    import math

    from carbonq.domain.errors import InvalidInput

    workload = file.spec.workload
    times = written.endswith("x")
    try:
        amount = float(written.removesuffix("x"))
    except ValueError:
        amount = math.nan
    if not 0 < amount < math.inf:
        raise InvalidInput(f"{written!r} is no amount of work", where="--work", hint="write 500, or 10x")
    if workload is None or (times and workload.work is None):
        raise InvalidInput(
            f"{file.spec.name} does not say how much work it does",
            where=name,
            hint="add `workload: {family: NAME, work: 90, unit: epochs}` to the job file",
        )
    total = amount * (workload.work or 1.0) if times else amount
    spec = file.spec.model_copy(update={"workload": workload.model_copy(update={"work": total}), "duration": None})
    return file._replace(spec=spec)


def _answer(file: JobFile, quote: Quote) -> dict[str, object]:
    profile, workload = quote.profile, file.spec.workload
    now, planned = _emissions(quote)
    return {
        "schema_version": 1,
        "name": quote.name,
        "tasks": quote.tasks,
        "work": workload.work if workload else None,
        "unit": workload.unit if workload else None,
        "energy_j": energy_of(profile),
        "duration_s": profile.duration_s,
        "power_w": profile.power_w,
        "power_method": profile.power_method,
        "duration_method": profile.duration_method,
        "runs": profile.runs,
        "planned_start": quote.planned_start,
        "emissions_now_g": now,
        "emissions_planned_g": planned,
        "quote": quote,
    }


def energy_of(profile: PowerProfile) -> Quantity:
    """Joules of one task: as predicted, else power times duration, low with low and high with high."""
    from carbonq.domain.energy import Quantity

    power, duration = profile.power_w, profile.duration_s
    return profile.energy or Quantity(
        p50=power.p50 * duration.p50, p10=power.p10 * duration.p10, p90=power.p90 * duration.p90
    )


def _emissions(quote: Quote) -> tuple[Band | None, Band | None]:
    """Grams of all tasks, started now and as planned."""
    joules = _outer(energy_of(quote.profile))
    return (
        _grams(quote.emissions_now_g, quote.emissions_now_low_g, quote.emissions_now_high_g, joules),
        _grams(quote.emissions_planned_g, quote.emissions_planned_low_g, quote.emissions_planned_high_g, joules),
    )


def _grams(middle: float | None, low: float | None, high: float | None, joules: Band) -> Band | None:
    """Energy and intensity err apart from each other: their relative reaches are added as squares."""
    if middle is None:
        return None
    if low is None or high is None or not middle or not joules.p50:
        return Band(middle, middle * joules.p05 / joules.p50, middle * joules.p95 / joules.p50) if joules.p50 else None
    return Band(
        middle,
        middle / _apart(joules.p50, joules.p05, middle, low),
        middle * _apart(joules.p95, joules.p50, high, middle),
    )


def _apart(one: float, one_lower: float, other: float, other_lower: float) -> float:
    """By which factor the product of two lies off, where each does so by its own."""
    import math

    if min(one_lower, other_lower) <= 0:
        return math.inf
    return math.exp(math.hypot(math.log(one / one_lower), math.log(other / other_lower)))


def _outer(quantity: Quantity) -> Band:
    """Its 5 % and 95 %, or where they are not known its 10 % and 90 %."""
    return Band(
        quantity.p50,
        quantity.p10 if quantity.p05 is None else quantity.p05,
        quantity.p90 if quantity.p95 is None else quantity.p95,
    )


def _show(here: session.Session, file: JobFile, quote: Quote) -> None:
    from carbonq.cli import views, words
    from carbonq.domain.units import format_duration
    from carbonq.reports.format import co2e, energy, mass

    profile = quote.profile
    each = f", each of {quote.tasks:,} tasks" if quote.tasks > 1 else ""
    now, planned = _emissions(quote)
    start = words.when(quote.planned_start, here.client.now())
    say(paint(f"{quote.name}{_amount(file)}{each}", "bold"))
    say(
        fields(
            [
                ("energy", _text(_outer(energy_of(profile)), energy)),
                ("duration", _text(_outer(profile.duration_s), format_duration)),
                ("power", _text(_outer(profile.power_w), lambda value: f"{value:.3g} W")),
                ("carbon now", _text(now, co2e, mass)),
                ("best time", f"{_text(planned, co2e, mass)}, from {start}"),
                ("known from", _grounds(profile)),
                ("forecast", quote.source),
            ]
        )
    )
    views.warnings(quote.warnings)


def _amount(file: JobFile) -> str:
    workload = file.spec.workload
    return f", {workload.work:,g} {workload.unit or 'units of work'}" if workload and workload.work else ""


def _text(band: Band | None, middle: Callable[[float], str], ends: Callable[[float], str] | None = None) -> str:
    if band is None:
        return "unknown: no forecast of the grid"
    ends = ends or middle
    return f"{middle(band.p50)} ({ends(band.p05)} to {ends(band.p95)})"


def _grounds(profile: PowerProfile) -> str:
    from carbonq.reports.format import count

    if profile.runs:
        rest = count(profile.runs, "past run")
    elif "declared" in (profile.power_method, profile.duration_method):
        rest = "no past run"
    else:
        rest = "no past run of its like: a wide prior, which the first runs narrow"
    return f"{rest} (power: {profile.power_method}, duration: {profile.duration_method})"


# --- files of runs


def _score(here: session.Session, names: Sequence[str], target: Target, dump: str | None) -> None:
    import time
    from pathlib import Path

    from carbonq.cli import historical

    historical.compute_alike()
    from carbonq.forecasters.carbon.tables import read_table
    from carbonq.forecasters.energy import scoring
    from carbonq.forecasters.energy.run_files import dump as dumped
    from carbonq.forecasters.energy.run_files import read_runs

    if dump is not None:
        check_place(dump, names)
    first = read_runs(read_table(Path(names[0])), target=target)
    if len(names) == 2:
        asked = read_runs(read_table(Path(names[1])), target=target, like=first)
        trials = scoring.split(first.records, asked.records, target, timer=time.perf_counter)
    else:
        asked = first
        trials = scoring.prequential(asked.records, target, timer=time.perf_counter)
    scores = [trial.score(asked.actual(target)) for trial in trials]
    if dump is not None:
        deliver(dumped(asked, trials[0].answers), dump)
    scored = sum(value is not None for value in asked.actual(target))
    learnt = sum(value is not None for value in first.actual(target)) if len(names) == 2 else 0
    if here.json:
        document = {"schema_version": 1, "n_train": learnt, "n_test": scored, "target": target}
        write_json({**document, "models": scores})
    else:
        _show_scores(scores, target, learnt, scored)


def _show_scores(scores: Sequence[Score], target: str, learnt: int, scored: int) -> None:
    from carbonq.reports.format import count

    from_ = f"after {count(learnt, 'run')}" if learnt else "each from those before it"
    say(f"{TARGETS[target]} of {count(scored, 'run')}, {from_}")
    say()
    columns = [
        Column("MODEL"),
        *(
            Column(title, right=True)
            for title in ("MEDIAN ERROR", "MEAN", "90 % BELOW", "COVERAGE 5-95 %", "HALF WIDTH", "FIT")
        ),
    ]
    say(table(columns, [_row(one) for one in scores]))


def _row(one: Score) -> list[Cell]:
    errors = (one.median_ape_pct, one.mean_ape_pct, one.p90_ape_pct)
    covered = None if one.coverage_90 is None else 100 * one.coverage_90
    shown = ["-" if value is None else f"{value:.1f} %" for value in (*errors, covered, one.interval_half_width_pct)]
    return [Cell(cell, "bold" if one.model == "carbonq" else "") for cell in (one.model, *shown, f"{one.fit_s:.2f} s")]


COMMANDS: tuple[tuple[str, Any], ...] = (("predict", predict),)
