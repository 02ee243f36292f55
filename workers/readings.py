"""What a node's meters have shown since time was last closed: the raw material of its ledger."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from carbonq.domain.energy import Component, Provenance, Rung
from carbonq.domain.ports import Counter
from carbonq.workers import gpu_energy
from carbonq.workers.attribution import Curve, counted, refined, stitched
from carbonq.workers.gpu_energy import GpuPoint, GpuTrack, Sighting
from carbonq.workers.ledger import Part, since

CPU, DRAM = Part(Component.CPU), Part(Component.DRAM)
SHORTEST_IDLE_S = 0.5  # power over less says little: counters tick
MOST_POINTS, KEPT_POINTS = 300, 100  # of each GPU: a curve is made anew from them at each closing

Readings = list[tuple[float, float]]


class Method(NamedTuple):
    """How a counter's energy is obtained."""

    name: str
    provenance: Provenance
    rung: Rung
    uncertainty_rel: float


class CpuModel(NamedTuple):
    """Stands in for the packages' counter: from CPU seconds of the node to joules."""

    method: Method
    idle_w: float
    energy_j: Callable[[Readings], Readings]


class Account(NamedTuple):
    """What is known of one attempt's energy once its time is closed."""

    shares: dict[Part, float]  # joules
    methods: dict[Part, Method]
    gpu_points: dict[str, list[GpuPoint]]
    trace: list[tuple[float, float]]  # moment, joules up to then
    flags: tuple[str, ...] = ()


@runtime_checkable
class Resumable(Protocol):
    """A meter that counts on from where an earlier process of the same identity left it."""

    def state(self) -> Mapping[str, Sequence[float]]: ...

    def resume(self, state: Mapping[str, Sequence[float]]) -> None: ...


@dataclass
class NodeReadings:
    """Counters of the node, moments in seconds of the boot clock. `extras`: what attempts' shims read while no worker did."""

    model: CpuModel
    track: str
    counters: dict[Part, Readings] = field(default_factory=dict)
    busy: Readings = field(default_factory=list)
    gpu_points: dict[str, list[GpuPoint]] = field(default_factory=dict)
    methods: dict[Part, Method] = field(default_factory=dict)
    least_w: dict[Part, float] = field(default_factory=dict)
    extras: dict[Part, list[Readings]] = field(default_factory=dict)
    resumed: set[Part] = field(default_factory=set)  # counters that go on from a predecessor's: the gap is in them
    booked_j: dict[str, tuple[float, float]] = field(
        default_factory=dict
    )  # of each GPU: moment closed, joules since its first point
    _tracks: dict[str, GpuTrack] = field(default_factory=dict)

    def see(self, counters: Sequence[Counter]) -> dict[str, list[GpuPoint]]:
        """Take in what meters read. The new points of each GPU that are worth keeping."""
        fresh: dict[str, list[GpuPoint]] = {}
        for counter in counters:
            part = Part(counter.component, counter.device)
            self._learn_method(part, counter)
            if counter.component is Component.GPU:
                track = self._tracks.setdefault(counter.device, GpuTrack(self.track))
                points = track.see(Sighting(counter.monotonic_s, counter.energy_j, counter.power_w))
                fresh[counter.device] = points
                self.gpu_points.setdefault(counter.device, []).extend(points)
            elif counter.energy_j is not None:
                self.counters.setdefault(part, []).append((counter.monotonic_s, counter.energy_j))
        return fresh

    def _learn_method(self, part: Part, counter: Counter) -> None:
        if counter.method:
            is_model = counter.provenance is Provenance.MODELLED
            rung = Rung.PRIOR if is_model else Rung.POWER_INTEGRAL if counter.energy_j is None else Rung.COUNTER
            error = counter.uncertainty_rel or 0.0
            self.methods[part] = Method(counter.method, counter.provenance, rung, error)

    def curves(self) -> dict[Part, Curve]:
        """The energy of each counter that can be known."""
        found = {part: self._curve(part) for part in {*self.counters, *self.extras}}
        if found.get(CPU) is None:
            self.methods[CPU] = self.model.method
            found[CPU] = counted(self.model.energy_j(sorted(self.busy)))
        for uuid in self.gpu_points:
            found[Part(Component.GPU, uuid)] = self._gpu_curve(uuid)
        return {part: curve for part, curve in found.items() if curve is not None and len(curve.at_s) > 1}

    def _curve(self, part: Part) -> Curve | None:
        own = counted(self.counters.get(part, []))
        extras = [curve for one in self.extras.get(part, []) if (curve := counted(one)) is not None]
        if not extras:
            return own
        is_gapless = own is not None and part in self.resumed
        return refined(own, extras) if own is not None and is_gapless else stitched([*filter(None, [own]), *extras])

    def _gpu_curve(self, uuid: str) -> Curve | None:
        """What later points have changed of time already closed is caught up with right after it."""
        curve, booked = gpu_energy.curve(self.gpu_points[uuid]), self.booked_j.get(uuid)
        if curve is None or booked is None:
            return curve
        closed_s, base_j = booked
        after = bisect_right(curve.at_s, closed_s)
        rest_j = (max(base_j, energy_j) for energy_j in curve.energy_j[after:])
        return Curve((closed_s, *curve.at_s[after:]), (base_j, *rest_j))

    def busy_s(self) -> Curve | None:
        return counted(self.busy)

    def idle_w(self, curves: Mapping[Part, Curve], start_s: float, end_s: float) -> dict[Part, float]:
        """Of node-wide counters: the least that was ever seen; of the modelled packages what their model says."""
        idle = {part: power_w for part, power_w in self.least_w.items() if part in curves}
        for part, curve in curves.items():
            if part.component is Component.GPU:
                continue
            if self.methods.get(part) is self.model.method:
                idle[part] = self.model.idle_w
            elif end_s - start_s >= SHORTEST_IDLE_S:
                power_w = curve.between(start_s, end_s) / (end_s - start_s)
                idle[part] = self.least_w[part] = min(power_w, self.least_w.get(part, power_w))
        return idle

    def forget(self, before_s: float, curves: Mapping[Part, Curve]) -> None:
        """Drop what is not needed any more, now that time is closed up to then by these curves."""
        self.busy = since(self.busy, before_s)
        for part, readings in self.counters.items():
            self.counters[part] = since(readings, before_s)
        self.extras = {
            part: kept
            for part, several in self.extras.items()
            if (kept := [readings for readings in several if readings[-1][0] > before_s])
        }
        for uuid, points in self.gpu_points.items():
            curve = curves.get(Part(Component.GPU, uuid))
            if curve is not None:
                self.booked_j[uuid] = before_s, curve.at(before_s)
            if len(points) > MOST_POINTS and points[-KEPT_POINTS].at_s < before_s:
                self._rebase(uuid, points[-KEPT_POINTS:])

    def _rebase(self, uuid: str, points: list[GpuPoint]) -> None:
        """Keep these points alone; what is booked counts from the first of them."""
        before, after = gpu_energy.curve(self.gpu_points[uuid]), gpu_energy.curve(points)
        booked = self.booked_j.get(uuid)
        if before is not None and after is not None and booked is not None:
            start_s = points[0].at_s
            self.booked_j[uuid] = booked[0], max(0.0, booked[1] - before.at(start_s) + after.at(start_s))
        self.gpu_points[uuid] = points

    def to_state(self) -> dict[str, Any]:
        return {
            "counters": {str(part): readings for part, readings in self.counters.items()},
            "busy": self.busy,
            "gpu_points": {uuid: [list(point) for point in points] for uuid, points in self.gpu_points.items()},
            "booked_j": self.booked_j,
            "least_w": {str(part): power_w for part, power_w in self.least_w.items()},
        }

    def resume(self, state: Mapping[str, Any], components: Collection[Component]) -> None:
        """Go on from what a predecessor left. The counters of these components count on where they stood; others start anew."""
        for text, readings in state["counters"].items():
            part, before = Part.parse(text), [(float(at_s), float(value)) for at_s, value in readings]
            if part.component in components:
                self.counters[part] = before
                self.resumed.add(part)
            elif before:
                self.extras.setdefault(part, []).append(before)
        self.busy = [(at_s, value) for at_s, value in state["busy"]]
        self.gpu_points = {uuid: [GpuPoint(*point) for point in points] for uuid, points in state["gpu_points"].items()}
        self.booked_j = {uuid: (closed_s, energy_j) for uuid, (closed_s, energy_j) in state["booked_j"].items()}
        self.least_w = {Part.parse(text): power_w for text, power_w in state["least_w"].items()}
