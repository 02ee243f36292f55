"""A GPU's points -> its energy over time: as much as its counter counted, in the shape of its power. Pure.

The counter is pinned where its ticks were well located. Between two pins the power's integral says when the energy was
used; before the first and after the last it goes on by the integral, times what the counter counted for each of the
integral's joules. A tick that is known to have been between two moments bends the curve only where this would pass it
outside of them: power that is sampled for 25 of each 100 ms may miss a change. Where the counter fell, or jumped further than any GPU can draw, it was set anew, and the integral
stands in. Where nothing polled, but a counter was read before and after (the shim does, every 10 s), the difference is
spread evenly; where there is no counter either, the mean power known is taken to have stood.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from carbonq.workers.attribution import Curve
from carbonq.workers.gpu_polls import TICK_S, GpuPoint

MOST_POWER_W = 5000.0
"""More than any GPU draws (a B300's module is rated at 1,400 W): a counter that counts faster was set anew."""
SHARP_S = 0.001
"""A tick located as well as this is always a pin."""
PIN_ERROR_REL = 0.01
"""Others pin no closer to one another than this asks (50 ms: 5 s): their error would bend the power's scale between them."""
LONGEST_REACH_S = 0.2
"""The first and the last known power are taken to have stood for so long before and after."""


class Stretch(NamedTuple):
    """From one pin to the next: energy goes as gain * integral + bridge_w * time not polled + even_w * time."""

    begin_s: float
    end_s: float
    is_counted: bool  # a pin at either end, of the same count
    is_anew: bool  # the counter was set anew in between
    gain: float
    bridge_w: float
    even_w: float = 0.0


class History(NamedTuple):
    """All that a GPU's points say. `bridged` counts the seconds in which nothing polled."""

    first_s: float
    last_s: float
    integral: Curve
    bridged: Curve
    pins: tuple[GpuPoint, ...]
    stretches: tuple[Stretch, ...]
    energy: Curve


def history(points: Iterable[GpuPoint]) -> History | None:
    """None where neither a counter nor the power is known."""
    ordered = sorted(set(points), key=lambda point: point.at_s)
    if len(ordered) < 2 or ordered[-1].at_s <= ordered[0].at_s:
        return None
    integral, bridged = _shape(ordered)
    seen = _counts(ordered)
    counts = [_pinned(count, bridged) for count in seen]
    if not any(len(count) > 1 for count in counts) and integral.energy_j[-1] <= integral.energy_j[0]:
        return None
    gain = _gain(counts, integral, bridged)
    counts = [_bent(pins, count, integral, bridged, gain) for pins, count in zip(counts, seen, strict=True)]
    stretches = _stretches(counts, integral, bridged, gain)
    pins = tuple(pin for count in counts for pin in count)
    energy = _energy(stretches, integral, bridged)
    return History(ordered[0].at_s, ordered[-1].at_s, integral, bridged, pins, stretches, energy)


def _shape(points: Sequence[GpuPoint]) -> tuple[Curve, Curve]:
    """The integral of all tracks in one, and the seconds in which none of them polled."""
    tracks: dict[str, list[GpuPoint]] = {}
    for point in points:
        tracks.setdefault(point.track, []).append(point)
    powered = [track for track in tracks.values() if track[-1].integral_j > track[0].integral_j]
    pairs = sorted((pair for track in powered for pair in pairwise(track)), key=lambda pair: pair[0].at_s)
    pieces: list[tuple[float, float, float | None]] = []
    now_s = points[0].at_s
    for a, b in pairs:
        begin_s = max(a.at_s, now_s)
        if b.at_s <= begin_s:
            continue
        if begin_s > now_s:
            pieces.append((now_s, begin_s, None))
        pieces.append((begin_s, b.at_s, max(0.0, b.integral_j - a.integral_j) / (b.at_s - a.at_s)))
        now_s = b.at_s
    if now_s < points[-1].at_s:
        pieces.append((now_s, points[-1].at_s, None))
    before = (pieces[0][0] - LONGEST_REACH_S, pieces[0][0], pieces[0][2])
    after = (pieces[-1][1], pieces[-1][1] + LONGEST_REACH_S, pieces[-1][2])
    at_s, integral_j, bridged_s = [before[0]], [0.0], [0.0]
    for begin_s, end_s, power_w in [before, *pieces, after]:
        at_s.append(end_s)
        integral_j.append(integral_j[-1] + (power_w or 0.0) * (end_s - begin_s))
        bridged_s.append(bridged_s[-1] + (end_s - begin_s if power_w is None else 0.0))
    return Curve(tuple(at_s), tuple(integral_j)), Curve(tuple(at_s), tuple(bridged_s))


def _counts(points: Sequence[GpuPoint]) -> list[list[GpuPoint]]:
    """The counter's points, apart wherever it was set anew. A counter that never moves is none."""
    counts: list[list[GpuPoint]] = []
    for point in points:
        if point.counter_j is not None:
            _add(counts, point)
    is_still = len(counts) == 1 and counts[0][0].counter_j == counts[0][-1].counter_j
    return [] if is_still and len(counts[0]) > 1 else counts


def _add(counts: list[list[GpuPoint]], point: GpuPoint) -> None:
    last = counts[-1][-1] if counts else None
    if last is None or _is_apart(last, point):
        counts.append([point])
    elif last.at_s < point.at_s and _goes_on(last, point):
        counts[-1].append(point)
    elif point.error_s < last.error_s:  # two tracks saw a tick, the one less sharply than the other
        counts[-1].pop()
        if not counts[-1]:
            counts.pop()
        _add(counts, point)


def _is_apart(last: GpuPoint, point: GpuPoint) -> bool:
    """Set anew in between: what falls is not explained by how blurred two tracks saw the same ticks."""
    is_blur = last.track != point.track and point.at_s - last.at_s <= last.error_s + point.error_s
    return last.at_s < point.at_s and not is_blur and not _goes_on(last, point)


def _goes_on(last: GpuPoint, point: GpuPoint) -> bool:
    longest_s = point.at_s - last.at_s + last.error_s + point.error_s + TICK_S
    return 0 <= _counted_j(last, point) <= MOST_POWER_W * longest_s


def _pinned(count: Sequence[GpuPoint], bridged: Curve) -> list[GpuPoint]:
    """Every sharp tick; blurred ones where nothing polled, and elsewhere as far apart as their error asks."""
    pins = [p for p in count if p.error_s <= SHARP_S or _is_bridged(p.at_s, bridged)]
    at_s = [pin.at_s for pin in pins]
    for point in count:
        i = bisect_left(at_s, point.at_s)
        near_s = [abs(point.at_s - other_s) for other_s in at_s[max(0, i - 1) : i + 1]]
        if min(near_s, default=float("inf")) * PIN_ERROR_REL >= point.error_s:
            pins.insert(i, point)
            at_s.insert(i, point.at_s)
    return pins


def _bent(
    pins: list[GpuPoint], count: Sequence[GpuPoint], integral: Curve, bridged: Curve, gain: float
) -> list[GpuPoint]:
    """A pin more for each blurred tick that the curve would pass too early or too late, at the nearest moment it may have had."""
    pins, pinned = list(pins), set(pins)
    for point in sorted(count, key=lambda point: point.error_s):
        if point in pinned or point.counter_j is None:
            continue
        for moment_s, side in ((point.at_s - point.error_s, 1), (point.at_s + point.error_s, -1)):
            i = bisect_left(pins, moment_s, key=lambda pin: pin.at_s)
            before, after = pins[i - 1] if i else None, pins[i] if i < len(pins) else None
            counted_j = _counter_at(moment_s, before, after, integral, bridged, gain)
            is_between = (before is None or before.at_s < moment_s) and (after is None or moment_s < after.at_s)
            is_in_order = (before is None or _counted_j(before, point) >= 0) and (
                after is None or _counted_j(point, after) >= 0
            )
            if is_between and is_in_order and side * (counted_j - point.counter_j) > 0:
                pins.insert(i, point._replace(at_s=moment_s))
                break
    return pins


def _counter_at(
    moment_s: float, before: GpuPoint | None, after: GpuPoint | None, integral: Curve, bridged: Curve, gain: float
) -> float:
    """What the counter would have shown at this moment, were it one of its ticks'."""
    if before and after:
        stretch = _counted(before, after, integral, bridged, gain)
        return (before.counter_j or 0.0) + _used_j(stretch, before.at_s, moment_s, integral, bridged)
    if before:
        return (before.counter_j or 0.0) + gain * integral.between(before.at_s, moment_s)
    return ((after.counter_j or 0.0) - gain * integral.between(moment_s, after.at_s)) if after else 0.0


def _is_bridged(moment_s: float, bridged: Curve) -> bool:
    return bridged.between(moment_s - SHARP_S, moment_s + SHARP_S) > 0


def _counted_j(a: GpuPoint, b: GpuPoint) -> float:
    return (b.counter_j or 0.0) - (a.counter_j or 0.0)


def _stretches(
    counts: Sequence[Sequence[GpuPoint]], integral: Curve, bridged: Curve, gain: float
) -> tuple[Stretch, ...]:
    first_s, last_s = integral.at_s[0], integral.at_s[-1]
    bridge_w = _mean_w(counts, integral, bridged, gain)
    if not counts:
        return (Stretch(first_s, last_s, False, False, gain, bridge_w),)
    stretches = [Stretch(first_s, counts[0][0].at_s, False, False, gain, bridge_w)]
    for i, count in enumerate(counts):
        if i:
            stretches.append(Stretch(counts[i - 1][-1].at_s, count[0].at_s, False, True, gain, bridge_w))
        stretches += [_counted(a, b, integral, bridged, gain) for a, b in pairwise(count)]
    stretches.append(Stretch(counts[-1][-1].at_s, last_s, False, False, gain, bridge_w))
    return tuple(stretches)


def _gain(counts: Sequence[Sequence[GpuPoint]], integral: Curve, bridged: Curve) -> float:
    """Joules counted for each one integrated: as near to 1 as the ticks' errors in time allow."""
    counted_j = integrated_j = polled_s = error_s = 0.0
    for count in counts:
        pairs = [(a, b) for a, b in pairwise(count) if bridged.between(a.at_s, b.at_s) <= 0]
        counted_j += sum(_counted_j(a, b) for a, b in pairs)
        integrated_j += sum(integral.between(a.at_s, b.at_s) for a, b in pairs)
        polled_s += sum(b.at_s - a.at_s for a, b in pairs)
        error_s += pairs[0][0].error_s + pairs[-1][1].error_s if pairs else 0.0
    if integrated_j <= 0 or counted_j <= 0:
        return 1.0
    gain, error_rel = counted_j / integrated_j, error_s / polled_s
    return min(max(1.0, gain * (1 - error_rel)), gain * (1 + error_rel))


def _mean_w(counts: Sequence[Sequence[GpuPoint]], integral: Curve, bridged: Curve, gain: float) -> float:
    polled_s = integral.at_s[-1] - integral.at_s[0] - bridged.energy_j[-1]
    if integral.energy_j[-1] > 0 and polled_s > 0:
        return gain * integral.energy_j[-1] / polled_s
    counted_s = sum(count[-1].at_s - count[0].at_s for count in counts)
    return sum(_counted_j(count[0], count[-1]) for count in counts) / counted_s if counted_s > 0 else 0.0


def _counted(a: GpuPoint, b: GpuPoint, integral: Curve, bridged: Curve, gain: float) -> Stretch:
    counted_j, duration_s = _counted_j(a, b), b.at_s - a.at_s
    polled_j, bridged_s = integral.between(a.at_s, b.at_s), bridged.between(a.at_s, b.at_s)
    if bridged_s > 0:
        known_j = min(counted_j, gain * polled_j)
        gain, bridge_w = known_j / polled_j if polled_j > 0 else 0.0, (counted_j - known_j) / bridged_s
        return Stretch(a.at_s, b.at_s, True, False, gain, bridge_w)
    if polled_j > 0:
        return Stretch(a.at_s, b.at_s, True, False, counted_j / polled_j, 0.0)
    return Stretch(a.at_s, b.at_s, True, False, 0.0, 0.0, counted_j / duration_s)


def _energy(stretches: Sequence[Stretch], integral: Curve, bridged: Curve) -> Curve:
    at_s, energy_j = [stretches[0].begin_s], [0.0]
    for stretch in stretches:
        begin_s, base_j = stretch.begin_s, energy_j[-1]
        inside = slice(bisect_right(integral.at_s, begin_s), bisect_left(integral.at_s, stretch.end_s))
        for moment_s in (*integral.at_s[inside], stretch.end_s):
            if moment_s > at_s[-1]:
                at_s.append(moment_s)
                energy_j.append(max(energy_j[-1], base_j + _used_j(stretch, begin_s, moment_s, integral, bridged)))
    return Curve(tuple(at_s), tuple(energy_j))


def _used_j(stretch: Stretch, begin_s: float, end_s: float, integral: Curve, bridged: Curve) -> float:
    return (
        stretch.gain * integral.between(begin_s, end_s)
        + stretch.bridge_w * bridged.between(begin_s, end_s)
        + stretch.even_w * (end_s - begin_s)
    )
