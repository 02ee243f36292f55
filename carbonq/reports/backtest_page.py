"""A backtest as one page: what the forecasts would have saved, how far they erred by lead, how honest their bands are."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import NamedTuple

from carbonq.reports import svg
from carbonq.reports.figure import LEFT, RIGHT, WIDTH, Figure, Key, figure, table
from carbonq.reports.markup import Markup, element, join

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_DASHES = ("1 0", "7 3", "2 3", "10 3 2 3", "4 4", "12 4")
_STYLE = ".line-other { fill: none; stroke: var(--once); stroke-width: 1.5; stroke-linejoin: round; }" + "".join(
    f" .line-other.dash-{number} {{ stroke-dasharray: {dash}; }}" for number, dash in enumerate(_DASHES)
)
_TOP, _HEIGHT, _ROW, _BAR = 30.0, 230.0, 26.0, 16.0


class ScoredModel(NamedTuple):
    """One model. `error_g_per_kwh` is its mean absolute error at each step ahead, `observed` the share of actuals at or
    below each of the page's quantiles, `captured_pct` its share of the possible saving by job (None: nothing was possible)."""

    name: str
    cells: Sequence[str]
    error_g_per_kwh: Sequence[float]
    observed: Sequence[float]
    captured_pct: Mapping[str, float | None]


class Example(NamedTuple):
    """One forecast beside what came, in g/kWh."""

    words: str
    start: datetime
    actual: Sequence[float]
    low: Sequence[float]
    middle: Sequence[float]
    high: Sequence[float]


class BacktestPage(NamedTuple):
    """`headings` name the cells of each model; `shown` is the model whose forecasts are drawn."""

    zone: str
    period: str
    step_s: int
    headings: Sequence[str]
    models: Sequence[ScoredModel]
    shown: str
    quantiles: Sequence[float]
    examples: Sequence[Example]
    notes: Sequence[str]


def render(page: BacktestPage) -> str:
    """A whole document that loads nothing."""
    title = f"Forecasts of {page.zone}, tested"
    style = files("carbonq.reports").joinpath("static/report.css").read_text(encoding="utf-8") + _STYLE
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(style)),
    )
    figures = [_captured(page), _errors(page), _calibration(page), *(_example(page, one) for one in page.examples)]
    rows = [[model.name, *model.cells] for model in page.models]
    scores = element(
        "section",
        element("h2", "All scores"),
        element("div", table(_SCORES, ["model", *page.headings], rows), class_="scroll", tabindex="0", role="region"),
    )
    notes = [element("section", element("h2", "Notes"), element("ul", *(element("li", one) for one in page.notes)))]
    opening = element("header", element("p", page.period, class_="period"), element("h1", title), element("p", _LEDE))
    main = element("main", opening, *map(figure, figures), scores, *(notes if page.notes else []))
    return f"<!doctype html>\n{element('html', head, element('body', main), lang='en')}\n"


_LEDE = (
    "Each forecast was made from what was known at its time, and is scored by what came. A job may start at any step such "
    "that it ends within 24 hours."
)
_SCORES = "MAPE divides by the actual, at least by 1 g/kWh; p50 is the point forecast."


def _captured(page: BacktestPage) -> Figure:
    """A bar for each job and model."""
    jobs = list(page.models[0].captured_pct)
    known = [value for model in page.models for value in model.captured_pct.values() if value is not None]
    across = svg.value_scale([*known, 100.0], LEFT, WIDTH - RIGHT - 70)
    parts: list[Markup] = []
    top = 8.0
    for job in jobs:
        parts.append(svg.label(16, top + 14, f"job of {job}", "axis"))
        top += 4
        for model in page.models:
            parts.append(_bar(model.name, model.captured_pct[job], across, top, shown=model.name == page.shown))
            top += _ROW
        top += 12
    axis = join(
        svg.line(across(value), 0, across(value), top, "grid strong" if value == 0 else "grid")
        + svg.label(across(value), top + 18, f"{value:g} %", "tick", "middle")
        for value in svg.value_ticks(across)
    )
    rows = [[model.name, *(_percent(model.captured_pct[job]) for job in jobs)] for model in page.models]
    return Figure(
        title="Captured share of the possible saving",
        lede="100 % is the best window of every day, known in advance; 0 % is to start at once.",
        picture=svg.picture(WIDTH, top + 30, "Bars: captured share of the possible saving by job and model.", axis, *parts),
        keys=[],
        tables=[table("Captured share", ["model", *jobs], rows)],
    )  # fmt: skip


def _bar(name: str, value_pct: float | None, across: svg.Scale, top: float, *, shown: bool) -> Markup:
    first, last = sorted((across(0.0), across(value_pct or 0.0)))
    return join(
        (
            svg.label(LEFT - 10, top + 13, name, "lane", "end"),
            svg.box(first, top, max(1.0, last - first), _BAR, "run solid" if shown else "at-once solid", radius=2),
            svg.label(across.last + 64, top + 13, _percent(value_pct), "tick strong" if shown else "tick", "end"),
        )
    )


def _errors(page: BacktestPage) -> Figure:
    """A line for each model over the hours ahead."""
    steps = len(page.models[0].error_g_per_kwh)
    hours = [(step + 1) * page.step_s / 3600 for step in range(steps)]
    up = svg.value_scale([value for model in page.models for value in model.error_g_per_kwh], _TOP + _HEIGHT, _TOP)
    across = svg.Scale(0.0, hours[-1], LEFT, WIDTH - RIGHT)
    lines = [
        svg.polyline(
            [(across(hour), up(value)) for hour, value in zip(hours, model.error_g_per_kwh, strict=True)],
            _line_of(page, model),
        )
        for model in _shown_last(page)
    ]
    below = join(
        svg.line(across(hour), _TOP, across(hour), _TOP + _HEIGHT, "grid strong" if hour % 24 == 0 else "grid")
        + svg.label(across(hour), _TOP + _HEIGHT + 18, f"{hour} h", "tick", "middle")
        for hour in range(0, int(hours[-1]) + 1, 12)
    )
    days = range(0, steps, max(1, 86_400 // page.step_s))
    size = max(1, 86_400 // page.step_s)
    rows = [
        [model.name, *(f"{_mean(model.error_g_per_kwh[first : first + size]):.1f}" for first in days)]
        for model in page.models
    ]
    return Figure(
        title="Mean error by hours ahead",
        lede="Mean absolute error of the point forecast, in g/kWh.",
        picture=svg.picture(
            WIDTH, _TOP + _HEIGHT + 30, "Lines: mean absolute error over the hours ahead.", below, _value_axis(up), *lines
        ),
        keys=[Key(_line_of(page, model), model.name) for model in page.models],
        tables=[table("Mean error in g/kWh by day ahead", ["model", *(f"day {n + 1}" for n in range(len(days)))], rows)],
    )  # fmt: skip


def _calibration(page: BacktestPage) -> Figure:
    """How often the actual came below each quantile, beside how often it should."""
    up = svg.Scale(0.0, 1.0, _TOP + _HEIGHT, _TOP)
    across = svg.Scale(0.0, 1.0, LEFT, WIDTH - RIGHT)
    lines = [
        svg.polyline(
            [(across(p), up(share)) for p, share in zip(page.quantiles, model.observed, strict=True)],
            _line_of(page, model),
        )
        for model in _shown_last(page)
    ]
    ticks = join(
        svg.line(across(p), _TOP, across(p), _TOP + _HEIGHT, "grid")
        + svg.label(across(p), _TOP + _HEIGHT + 18, f"{100 * p:g} %", "tick", "middle")
        for p in page.quantiles
    )
    shares = join(_value_line(value, up, f"{100 * value:g} %") for value in (0.0, 0.25, 0.5, 0.75, 1.0))
    rows = [[model.name, *(f"{100 * share:.1f} %" for share in model.observed)] for model in page.models]
    return Figure(
        title="Honesty of the band",
        lede="The share of actuals at or below each quantile. An honest band lies on the thin diagonal.",
        picture=svg.picture(
            WIDTH,
            _TOP + _HEIGHT + 30,
            "Lines: observed share below each quantile.",
            ticks,
            shares,
            svg.line(across(0), up(0), across(1), up(1), "wait"),
            *lines,
        ),
        keys=[Key(_line_of(page, model), model.name) for model in page.models],
        tables=[table("Observed below the quantile", ["model", *(f"{100 * p:g} %" for p in page.quantiles)], rows)],
    )


def _example(page: BacktestPage, one: Example) -> Figure:
    """One forecast with its band, and what came."""
    step = timedelta(seconds=page.step_s)
    across = svg.TimeScale(one.start, one.start + len(one.actual) * step, LEFT, WIDTH - RIGHT)
    up = svg.value_scale([*one.actual, *one.low, *one.high], _TOP + _HEIGHT, _TOP)

    def points(values: Sequence[float]) -> list[tuple[float, float]]:
        return [(across(one.start + step * (index + 0.5)), up(value)) for index, value in enumerate(values)]

    picture = svg.picture(
        WIDTH,
        _TOP + _HEIGHT + 44,
        f"Forecast with band and what came: {one.words}.",
        svg.time_axis(svg.time_ticks(across.start, across.end - step, UTC, 9), across, _TOP, _TOP + _HEIGHT),
        _value_axis(up),
        svg.polyline([*points(one.high), *reversed(points(one.low))], "band", closed=True),
        svg.polyline(points(one.middle), "line-expected"),
        svg.polyline(points(one.actual), "line-actual"),
    )
    rows = [
        [f"{one.start + index * step:%Y-%m-%d %H:%M}", *(f"{value:.1f}" for value in values)]
        for index, values in enumerate(zip(one.actual, one.low, one.middle, one.high, strict=True))
    ]
    return Figure(
        title=one.words,
        lede=f"{page.shown}, made {one.start:%Y-%m-%d %H:%M} UTC, in g/kWh.",
        picture=picture,
        keys=[Key("line-actual", "what came"), Key("line-expected", "forecast"), Key("band", "10-90 % band")],
        tables=[table("In g/kWh; times in UTC", ["from", "actual", "10 %", "50 %", "90 %"], rows)],
    )


def _shown_last(page: BacktestPage) -> list[ScoredModel]:
    """So that its line lies over the others."""
    return sorted(page.models, key=lambda model: model.name == page.shown)


def _line_of(page: BacktestPage, model: ScoredModel) -> str:
    if model.name == page.shown:
        return "line-saved"
    others = [one.name for one in page.models if one.name != page.shown]
    return f"line-other dash-{others.index(model.name) % len(_DASHES)}"


def _value_axis(up: svg.Scale) -> Markup:
    return svg.label(LEFT, _TOP - 14, "g/kWh", "axis") + join(
        _value_line(value, up, f"{value:g}") for value in svg.value_ticks(up)
    )


def _value_line(value: float, up: svg.Scale, words: str) -> Markup:
    kind = "grid strong" if value == 0 else "grid"
    return svg.line(LEFT, up(value), WIDTH - RIGHT, up(value), kind) + svg.label(
        LEFT - 10, up(value) + 4, words, "tick", "end"
    )


def _percent(value_pct: float | None) -> str:
    return "-" if value_pct is None else f"{value_pct:.1f} %"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
