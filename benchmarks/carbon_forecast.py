"""How good the forecasts are: `python benchmarks/carbon_forecast.py` prints the figures beside those of published rivals.

Rolling origins at 00 UTC, July to December 2021, 96 h ahead, on the reference measurements in `../shared/data/carbon` (or the
folder that CARBONQ_REFERENCE names). Each forecast is made from what was known then. MAPE in % of day 1 and of all four days;
regret and capture in % of a 4 h job; coverage of the 10-90 % and the 5-95 % band. Means weigh every zone alike.

    --quick        every 7th day only
    --zones A,B    only these
    --cases A,B    of past, weather, day-ahead, published
    --models A,B   only these
    --jobs N       so many processes at once (default: the machine's cores)
    --json FILE    the same figures as JSON
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # processes share the cores, not threads

import numpy as np

from carbonq.forecasters.carbon.backtest import Contender, History, Span, fitted, origins_of, run, steps_of
from carbonq.forecasters.carbon.contenders import contenders
from carbonq.forecasters.carbon.feature_files import read_features, read_published
from carbonq.forecasters.carbon.history_files import read_history
from carbonq.forecasters.carbon.metrics import JobScores, Scores, choices, job_scores
from carbonq.forecasters.carbon.models.series import FloatArray

DATA = Path(os.environ.get("CARBONQ_REFERENCE", Path(__file__).parents[2] / "shared" / "data" / "carbon"))
SPAN = Span(datetime(2021, 7, 1, tzinfo=UTC), datetime(2022, 1, 1, tzinfo=UTC))
JOBS_S = {"4h": 14_400.0}
THIRTEEN = ["AUS_QLD", "BPAT", "CISO", "DE", "ERCO", "ES", "FPL", "ISNE", "NL", "NYISO", "PJM", "PL", "SE"]
SIX = ["CISO", "PJM", "ERCO", "ISNE", "SE", "DE"]
FILES = {"FR": "FR_2019_2021"}
CURVES = ("yesterday", "last-week", "mean-7d", "typical")
AT_ONCE = "at once"
WEEK_H = 168
NAN = float("nan")


class Aim(NamedTuple):
    """A bound on one of `figures` (by its heading) of the zones' mean, or of each zone where `group` is empty."""

    model: str
    group: str
    figure: str
    least: float
    most: float


class Case(NamedTuple):
    """Zones under one kind of knowledge, and what rivals reached there."""

    name: str
    title: str
    zones: Sequence[str]
    models: Sequence[str]
    rivals: Sequence[str]
    aims: Sequence[Aim] = ()


class Unit(NamedTuple):
    """What one process does at a time."""

    case: str
    zone: str
    model: str
    stride_days: int


class Result(NamedTuple):
    unit: Unit
    scores: Scores
    took_s: float


CASES = (
    Case(
        "past",
        "Past intensity only",
        [*THIRTEEN, "FR"],
        ["carbonq", *CURVES, AT_ONCE],
        [
            "13 zones: yesterday 9.1-10 / 13, regret 4.6; harmonic ridge autoregression 6.72 / 9.58, 2.17",
            "13 zones: CarbonX (neural) 4-day 9.59; at once 16.3",
            "6 zones: MSTL 8.26 / 12.50, 3.18; recursive LightGBM 7.97 / 11.67, 2.57; harmonic autoregression 7.83 / 10.72, 2.40",
        ],
        [
            Aim("carbonq", "mean of 13", "day 1", 0, 6.5),
            Aim("carbonq", "mean of 13", "4-day", 0, 9.4),
            Aim("carbonq", "mean of 13", "regret", 0, 2.1),
            Aim("carbonq", "mean of 13", "10-90", 0.78, 0.82),
            Aim("carbonq", "mean of 13", "5-95", 0.88, 0.92),
            Aim("carbonq", "", "10-90", 0.75, 0.85),
            Aim("carbonq", "", "5-95", 0.85, 0.95),
            Aim("carbonq", "mean of 6", "day 1", 0, 7.4),
            Aim("carbonq", "mean of 6", "4-day", 0, 10.6),
            Aim("carbonq", "mean of 6", "regret", 0, 2.35),
        ],
    ),
    Case(
        "weather",
        "With GFS weather forecasts",
        SIX,
        ["carbonq"],
        [
            "6 zones: CarbonCast 6.24 / 8.33, 1.78; autoregression + gradient-boosted residual 6.26 / 7.63, 1.70",
        ],
        [
            Aim("carbonq", "mean of 6", "day 1", 0, 6.0),
            Aim("carbonq", "mean of 6", "4-day", 0, 7.5),
            Aim("carbonq", "mean of 6", "regret", 0, 1.65),
        ],
    ),
    Case(
        "day-ahead",
        "With day-ahead wind and solar",
        ["FR", "DE"],
        ["carbonq"],
        ["day 1 is what counts; compare with the same zones under past intensity only"],
    ),
    Case(
        "published",
        "Beside CarbonCast's own published forecasts, and mixed with them",
        ["ES", "NL", "PL"],
        ["carbonq+published", "published"],
        [
            "CarbonCast alone: 4-day 17.56 / 7.23 / 4.24, capture 87.0 / 50.8 / 91.6",
            "half-half with an autoregression: capture 89.5 / 58.9 / 90.0",
        ],
    ),
)


# --- the work of one process


def measure(unit: Unit) -> Result:
    started_s = time.perf_counter()
    history = _history(unit.zone)
    origins = origins_of(history.readings, SPAN._replace(stride_days=unit.stride_days))
    if unit.model == AT_ONCE:
        trial = run(history, contenders(["yesterday"], step_s=history.readings.step_s)[0], origins, SPAN.horizon_h)
        return Result(unit, _at_once(trial.scores(JOBS_S), trial.actual), time.perf_counter() - started_s)
    trial = run(history, _contender(unit, history), origins, SPAN.horizon_h, timer=time.perf_counter)
    scores = trial.scores(JOBS_S)
    if scores is None:
        raise ValueError(f"{unit.model} has no forecast for {unit.zone}")
    return Result(unit, scores, time.perf_counter() - started_s)


def _history(zone: str) -> History:
    return read_history(DATA / "carboncast_2020_2021" / f"{FILES.get(zone, zone)}.csv.gz")


def _contender(unit: Unit, history: History) -> Contender:
    features = {"weather": "weather_gfs96", "day-ahead": "day_ahead_wind_solar"}.get(unit.case)
    known = [read_features(DATA / features / f"{unit.zone}.csv.gz", unit.zone).features] if features else []
    file = DATA / "published_forecasts_2021H2" / f"{unit.zone}_carboncast_lifecycle_96h.csv.gz"
    published = read_published(file).features if unit.case == "published" else None
    (found,) = contenders([unit.model], step_s=history.readings.step_s, features=known, published=published)
    return found


def _at_once(scores: Scores | None, actual: FloatArray) -> Scores:
    """What a job meets that does not wait: no forecast, hence no error."""
    if scores is None:
        raise ValueError("no origin")
    found = choices(actual, actual, 4, 24)
    regret = job_scores(found._replace(chosen=found.immediate)).regret_pct
    return scores._replace(
        model=AT_ONCE,
        mape_pct_by_day=(NAN,),
        mape_pct=NAN,
        coverage_p10_p90=NAN,
        coverage_p05_p95=NAN,
        spearman_24h=None,
        jobs={"4h": JobScores(regret, 0.0)},
        fit_s=None,
        predict_s=None,
    )


class Speed(NamedTuple):
    fit_s: float
    week_s: float
    next_s: float


def speed(model: str) -> Speed:
    """One zone: a fit on two years, a 7-day forecast, and the next one after one more reading."""
    history = _history("CISO")
    (contender,) = contenders([model], step_s=history.readings.step_s)
    end = history.readings.end
    fitted_model, fit_s = fitted(history, contender, end, time.perf_counter)
    steps = steps_of(WEEK_H, history.readings.step_s)
    began_s = time.perf_counter()
    fitted_model.predict(history.readings, steps)
    week_s = time.perf_counter() - began_s
    later = history.readings._replace(values=np.append(history.readings.values, history.readings.values[-1]))
    began_s = time.perf_counter()
    fitted_model.predict(later, steps)
    return Speed(fit_s, week_s, time.perf_counter() - began_s)


# --- what is printed

HEADS = ("zone", "model", "day 1", "4-day", "regret", "capture", "10-90", "5-95", "rank", "fit s", "predict s")
NAMES = (
    "mape_day_1_pct",
    "mape_pct",
    "regret_4h_pct",
    "capture_4h_pct",
    "coverage_p10_p90",
    "coverage_p05_p95",
    "spearman_24h",
    "fit_s",
    "predict_s",
)
"""The same figures in JSON, from the third heading on."""


def figures(scores: Scores) -> list[float]:
    job = scores.jobs["4h"]
    found = [
        scores.mape_pct_by_day[0],
        scores.mape_pct,
        job.regret_pct,
        job.capture_pct,
        scores.coverage_p10_p90,
        scores.coverage_p05_p95,
        scores.spearman_24h,
        scores.fit_s,
        scores.predict_s,
    ]
    return [NAN if value is None else value for value in found]


def show(case: Case, results: Sequence[Result]) -> list[dict[str, object]]:
    """The case's table; returns its rows for JSON."""
    by_unit = {(one.unit.zone, one.unit.model): figures(one.scores) for one in results if one.unit.case == case.name}
    print(f"\n## {case.title}")
    print(f"{HEADS[0]:<12}{HEADS[1]:<19}" + "".join(f"{head:>10}" for head in HEADS[2:]))
    rows: list[dict[str, object]] = []
    for model in case.models:
        for name, zones in _groups(case.zones):
            means = np.mean([by_unit[zone, model] for zone in zones], axis=0).tolist()
            print(f"{name:<12}{model:<19}" + "".join(_cell(value) for value in means))
            rows.append({"case": case.name, "zone": name, "model": model, **_named(means)})
    for words in (*_against_past(case, results), *_against_published(by_unit), *case.rivals):
        print(f"  {words}")
    found = {(str(row["zone"]), str(row["model"])): row for row in rows}
    for aim in case.aims:
        if judged := _judged(aim, found):
            print(f"  aim: {judged}")
    return rows


def _groups(zones: Sequence[str]) -> Sequence[tuple[str, Sequence[str]]]:
    """Each zone, and the sets of zones whose mean is compared."""
    sets = [known for known in (THIRTEEN, SIX) if set(known) <= set(zones)]
    if len(zones) > 1 and set(zones) not in (set(THIRTEEN) | {"FR"}, set(THIRTEEN), set(SIX)):
        sets.append(list(zones))
    return [(zone, [zone]) for zone in zones] + [(f"mean of {len(known)}", known) for known in sets]


def _judged(aim: Aim, rows: Mapping[tuple[str, str], Mapping[str, object]]) -> str:
    """Whether it was met, and by what; nothing where the zones were not all measured."""
    key = NAMES[HEADS.index(aim.figure) - 2]
    bounds = f"at most {aim.most:g}" if aim.least == 0 else f"{aim.least:g} to {aim.most:g}"
    values = {
        zone: value
        for (zone, model), row in rows.items()
        if model == aim.model and (zone == aim.group or not (aim.group or zone.startswith("mean of")))
        if isinstance(value := row[key], float)
    }
    missed = [
        f"{'' if aim.group else zone + ' '}{value:.3f}"
        for zone, value in values.items()
        if not aim.least <= value <= aim.most
    ]
    told = (
        ", ".join(missed) if missed else ", ".join(f"{value:.3f}" for value in values.values()) if aim.group else "all"
    )
    words = f"{aim.group or 'each zone'}, {aim.figure} {bounds}: {'MISSED by' if missed else 'met:'} {told}"
    return words if values else ""


def _against_published(by_unit: Mapping[tuple[str, str], list[float]]) -> Iterator[str]:
    """The mix beside what was published: it should capture as much, and err at most 3 % more."""
    for (zone, model), published in by_unit.items():
        if model == "published" and (zone, "carbonq+published") in by_unit:
            mixed = by_unit[zone, "carbonq+published"]
            met = mixed[3] >= published[3] and mixed[1] <= 1.03 * published[1]
            yield (
                f"aim: {zone}, mixed capture {mixed[3]:.2f} of at least {published[3]:.2f}, "
                f"4-day x {mixed[1] / published[1]:.3f} of at most 1.03: {'met' if met else 'MISSED'}"
            )


def _against_past(case: Case, results: Sequence[Result]) -> Iterator[str]:
    """What knowing more was worth, zone by zone, where both were measured."""
    found = {(one.unit.case, one.unit.zone): one.scores for one in results if one.unit.model == "carbonq"}
    for zone in case.zones if case.name != "past" else ():
        if (case.name, zone) in found and ("past", zone) in found:
            with_it, without = figures(found[case.name, zone]), figures(found["past", zone])
            factors = [one / other for one, other in zip(with_it[:3], without[:3], strict=True)]
            yield f"{zone}: day 1 x {factors[0]:.2f}, 4-day x {factors[1]:.2f}, regret x {factors[2]:.2f} of past only"


def _cell(value: float) -> str:
    return f"{'-' if np.isnan(value) else format(value, '.3f' if abs(value) < 1 else '.2f'):>10}"


def _named(values: Sequence[float]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in zip(NAMES, values, strict=True)}


def machine() -> str:
    names = [line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name")]
    return (
        f"{names[0] if names else platform.processor() or 'unknown processor'}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}; Python {platform.python_version()}, NumPy {np.__version__}"
    )


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


# --- the command


def words(text: str | None) -> list[str]:
    return [word for word in (text or "").split(",") if word]


def chosen(options: argparse.Namespace) -> list[Case]:
    zones, models, cases = words(options.zones), words(options.models), words(options.cases)
    kept = [
        case._replace(
            zones=[zone for zone in case.zones if not zones or zone in zones],
            models=[model for model in case.models if not models or model in models],
        )
        for case in CASES
        if not cases or case.name in cases
    ]
    return [case for case in kept if case.zones and case.models]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    for name in ("--zones", "--cases", "--models", "--json"):
        parser.add_argument(name)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if not DATA.is_dir():
        print(f"skipped: there are no reference measurements in {DATA}", file=sys.stderr)
        return 0
    cases = chosen(options)
    stride_days = 7 if options.quick else 1
    units = [
        Unit(case.name, zone, model, stride_days) for case in cases for zone in case.zones for model in case.models
    ]
    print(f"{machine()}; {options.jobs} processes{', every 7th day' if options.quick else ''}", flush=True)
    started_s = time.perf_counter()
    results = work(units, options.jobs)
    rows = [row for case in cases for row in show(case, results)]
    own = [unit.model for unit in units if unit.model == "carbonq"]
    timings = speed("carbonq") if own else None
    if timings:
        told = f"fit {timings.fit_s:.2f} s, 7-day forecast {timings.week_s:.3f} s, after one more reading {timings.next_s:.4f} s"
        print(f"\nOne zone, two years: {told}")
        print(f"At this rate 200 zones are fitted on 2 cores in {200 * timings.fit_s / 2 / 60:.1f} min (computed)")
    print(f"\nAll of it took {time.perf_counter() - started_s:.0f} s; a zone and model {_typical_s(results)}")
    if options.json:
        document = {
            "machine": machine(),
            "stride_days": stride_days,
            "rows": rows,
            "speed": timings and timings._asdict(),
        }
        Path(options.json).write_text(json.dumps(document, indent=2))
    return 0


def _typical_s(results: Sequence[Result]) -> str:
    by_model: dict[str, list[float]] = {}
    for one in results:
        by_model.setdefault(one.unit.model, []).append(one.took_s)
    return ", ".join(f"{model} {float(np.mean(took_s)):.1f} s" for model, took_s in by_model.items())


def work(units: Sequence[Unit], jobs: int) -> list[Result]:
    """The results in the order of the units; each is told as it comes."""
    found: dict[Unit, Result] = {}
    pool = ProcessPoolExecutor(max(1, min(jobs, len(units))), mp_context=multiprocessing.get_context("spawn"))
    try:
        for future in as_completed([pool.submit(measure, unit) for unit in units]):
            result = future.result()
            found[result.unit] = result
            told = f"{len(found)}/{len(units)}  {result.unit.case}  {result.unit.zone}  {result.unit.model}"
            print(f"{told}  {result.took_s:.1f} s", file=sys.stderr, flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
    return [found[unit] for unit in units]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
