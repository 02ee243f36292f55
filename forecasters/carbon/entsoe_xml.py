"""The XML of the ENTSO-E Transparency Platform (IEC 62325, GL_MarketDocument): curves of MW over time. Strict.

A document holds time series, each with periods of one resolution, each with points counted from 1. In a curve of type A03 a
point that repeats the one before it is left out; in one of type A01 a missing point is a gap
(EDI Library, "Introduction of different Timeseries possibilities"). Times are UTC, so that a day may have 23 or 25 hours.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from xml.etree import ElementTree as ET

from carbonq.domain.errors import SourceNonsense, SourceUnreachable
from carbonq.forecasters.carbon.readings import moment_in

NO_DATA = "No matching data found"
CONSUMES = "outBiddingZone_Domain.mRID"
REPEATS = "A03"
_STEPS = {"PT15M": timedelta(minutes=15), "PT30M": timedelta(minutes=30), "PT60M": timedelta(hours=1)}
_MAX_POINTS = 100_000
_DECLARES = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


class Curve(NamedTuple):
    """One time series: `psr_type` is its kind of plant (`B16`), empty for load. `values` are MW by the start of their step."""

    psr_type: str
    outward: bool  # out of the zone's grid: load, or what plants themselves consume
    step: timedelta
    values: dict[datetime, float]


def curves_in(document: bytes, where: str) -> list[Curve]:
    """All curves of a document, one for each resolution that a series has; none where the platform has no data.

    Raises SourceNonsense for what is no such document, and SourceUnreachable where it is a refusal.
    """
    root = _root(document, where)
    kind = _local(root)
    if kind == "Acknowledgement_MarketDocument":
        reason = " ".join((_find(root, "Reason/text") or "without a reason").split())
        if NO_DATA in reason:
            return []
        raise SourceUnreachable(f"the platform refuses: {reason:.200}", where=where)
    if kind != "GL_MarketDocument":
        raise SourceNonsense(f"a {kind:.60} is no document about generation or load", where=where)
    return [curve for series in root if _local(series) == "TimeSeries" for curve in _curves(series, where)]


def on_one_grid(curves: Sequence[Curve]) -> tuple[timedelta, Mapping[datetime, Mapping[str, float]]]:
    """The finest step, and at each of its moments MW by kind of plant: coarser curves are held, the last of two counts."""
    step = min((curve.step for curve in curves), default=timedelta(hours=1))
    by_moment: dict[datetime, dict[str, float]] = {}
    for curve in sorted(curves, key=lambda curve: curve.step, reverse=True):
        for start, value in curve.values.items():
            for part in range(curve.step // step):
                by_moment.setdefault(start + part * step, {})[curve.psr_type] = value
    return step, by_moment


def _curves(series: ET.Element, where: str) -> Iterator[Curve]:
    unit = _text(series, "quantity_Measure_Unit.name", where)
    if unit != "MAW":
        raise SourceNonsense(f"quantities in {unit!r:.40}, not in megawatts (MAW)", where=where)
    repeats = _text(series, "curveType", where) == REPEATS
    psr_type = _find(series, "MktPSRType/psrType") or ""
    outward = any(_local(child) == CONSUMES for child in series)
    by_step: dict[timedelta, dict[datetime, float]] = {}
    for period in series:
        if _local(period) == "Period":
            step, values = _period(period, repeats, where)
            by_step.setdefault(step, {}).update(values)
    return (Curve(psr_type, outward, step, values) for step, values in by_step.items())


def _period(period: ET.Element, repeats: bool, where: str) -> tuple[timedelta, dict[datetime, float]]:
    start, end = (moment_in(_text(period, f"timeInterval/{edge}", where), where) for edge in ("start", "end"))
    resolution = _text(period, "resolution", where)
    if resolution not in _STEPS:
        raise SourceNonsense(f"a resolution of {resolution!r:.40}", where=where)
    step = _STEPS[resolution]
    count = (end - start) // step
    if not 0 < count <= _MAX_POINTS:
        raise SourceNonsense(f"a period from {start} to {end}", where=where)
    points = dict(_points(period, count, where))
    values: dict[datetime, float] = {}
    value: float | None = None
    for position in range(1, count + 1):
        if position in points:
            value = points[position]
        elif not repeats:
            value = None
        if value is not None:
            values[start + (position - 1) * step] = value
    return step, values


def _points(period: ET.Element, count: int, where: str) -> Iterator[tuple[int, float]]:
    for point in period:
        if _local(point) != "Point":
            continue
        said = {_local(child): child.text for child in point}
        try:
            position, quantity = int(said["position"] or ""), float(said["quantity"] or "")
        except (KeyError, ValueError):
            position, quantity = 0, 0.0
        if not 1 <= position <= count:
            raise SourceNonsense(f"a point of {count} that reads {said!r:.120}", where=where)
        yield position, quantity


def _root(document: bytes, where: str) -> ET.Element:
    """Documents of the platform declare nothing: what does is an HTML page, or wants to blow up the parser."""
    if not _DECLARES.search(document):
        try:
            return ET.fromstring(document)  # noqa: S314  # bounded in size, and without declarations it is harmless
        except (ET.ParseError, ValueError, RecursionError):
            pass
    raise SourceNonsense(
        f"the answer is no whole XML document; it begins with {document[:40]!r}",
        where=where,
        hint="a proxy or a login page may stand between; check the source's URL",
    )


def _text(element: ET.Element, path: str, where: str) -> str:
    found = _find(element, path)
    if found is None:
        raise SourceNonsense(f"a {_local(element)} without {path}", where=where)
    return found


def _find(element: ET.Element, path: str) -> str | None:
    found = element.find("/".join(f"{{*}}{name}" for name in path.split("/")))
    return None if found is None or found.text is None else found.text.strip()


def _local(element: ET.Element) -> str:
    """A tag without its namespace, which carries the version of the schema."""
    return element.tag.rpartition("}")[2]
