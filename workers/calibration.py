"""What a node draws at the wall, from what its meters read: `wall = P0 * t + k * E`. Pure.

`P0` is what no meter sees and always flows (fans, disks, the board), `k` what grows with the load (the power supply's
losses). They are fitted so that the relative errors' squares are least, since a relative uncertainty is what comes of it.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pydantic import Field

from carbonq.domain.energy import Component, EnergyReading, Provenance, Rung, total_of
from carbonq.domain.errors import InvalidInput
from carbonq.domain.value import UtcTime, Value

METHOD = "node-calibration"
FEWEST_PAIRS = 5
"""Two figures are fitted, and each pair is foretold from the others: with fewer the residual is mere chance."""
LEAST_SPAN = 1.2
"""Highest over lowest software power: below it an offset and a gain explain the same readings equally well."""


class Pair(NamedTuple):
    """What the meters and a reference read over the same stretch of time, of the whole node."""

    duration_s: float
    software_j: float
    wall_j: float
    place: str = ""  # where it was read, for messages

    @property
    def software_w(self) -> float:
        return self.software_j / self.duration_s


class Calibration(Value):
    """A fit and what it rests on. `residual_rel` is by leave-one-out: how wrong it foretold each pair from the others."""

    schema_version: int = 1
    p0_w: float = Field(ge=0, description="drawn all the time beside what the meters read")
    gain: float = Field(gt=0, description="joules at the wall for each that the meters read")
    residual_rel: float = Field(ge=0, description="root mean square, relative to the wall's reading")
    reference_rel: float = Field(default=0.0, ge=0, description="relative uncertainty of the reference meter itself")
    pairs: int = Field(ge=FEWEST_PAIRS)
    software_w_min: float = Field(gt=0, description="the load it was fitted on, from")
    software_w_max: float = Field(gt=0, description="and up to")
    node: str = Field(default="", description="the machine that it holds for")
    made_at: UtcTime | None = Field(default=None, description="real time")

    @property
    def uncertainty_rel(self) -> float:
        """Of an energy at the wall: how well the pairs agree, and how true the reference is."""
        return math.hypot(self.residual_rel, self.reference_rel)

    def wall_j(self, duration_s: float, software_j: float) -> float:
        return self.p0_w * duration_s + self.gain * software_j


def fit(pairs: Sequence[Pair], *, reference_rel: float = 0.0) -> Calibration:
    """Least squares of the relative errors. Raises InvalidInput for pairs that determine no sensible node."""
    _check(pairs)
    rows = [(pair.duration_s / pair.wall_j, pair.software_j / pair.wall_j) for pair in pairs]
    p0_w, gain = _solve(rows)
    _check_sense(p0_w, gain)
    powers_w = [pair.software_w for pair in pairs]
    return Calibration(
        p0_w=p0_w,
        gain=gain,
        residual_rel=_residual(pairs, rows),
        reference_rel=reference_rel,
        pairs=len(pairs),
        software_w_min=min(powers_w),
        software_w_max=max(powers_w),
    )


def other(
    readings: Iterable[EnergyReading], duration_s: float, node_share: float, calibration: Calibration
) -> EnergyReading:
    """What the calibration adds to an attempt's readings: `P0 * t * share + (k - 1) * E`, never below 0.

    `node_share` is the part of the node that the attempt reserved. Its uncertainty is chosen so that the total's is the
    calibration's; the parts' own are the least that is left, since a share is known no better than what it is a share of.
    """
    known = total_of(readings)
    if known.energy_j is None or known.unknown:
        return EnergyReading(
            component=Component.OTHER,
            provenance=Provenance.UNKNOWN,
            method=METHOD,
            flags=("a part of the job's energy is unknown, and the calibration holds for all parts together",),
        )
    lacking_j = calibration.p0_w * duration_s * node_share + (calibration.gain - 1) * known.energy_j
    energy_j = max(0.0, lacking_j)
    return EnergyReading(
        component=Component.OTHER,
        energy_j=energy_j,
        provenance=Provenance.MODELLED,
        method=METHOD,
        rung=Rung.FITTED_MODEL,
        uncertainty_rel=_remainder_rel(energy_j, known.energy_j, known.uncertainty_rel, calibration.uncertainty_rel),
        flags=tuple(_doubts(lacking_j, known.energy_j, duration_s, node_share, calibration)),
    )


def _remainder_rel(energy_j: float, known_j: float, known_rel: float | None, total_rel: float) -> float | None:
    """The relative uncertainty that, in quadrature with what is known, gives the total's."""
    if known_rel is None:
        return None
    if not energy_j:
        return 0.0
    aimed_j, own_j = (energy_j + known_j) * total_rel, known_j * known_rel
    return math.sqrt(max(0.0, aimed_j**2 - own_j**2)) / energy_j


def _doubts(lacking_j: float, known_j: float, duration_s: float, share: float, on: Calibration) -> Iterable[str]:
    if lacking_j < 0:
        yield "the calibration says that the meters read too much: their energy is left as it is"
    power_w = known_j / duration_s / share if duration_s > 0 and share > 0 else 0.0
    if power_w > LEAST_SPAN * on.software_w_max:
        yield f"the calibration was made up to {on.software_w_max:.0f} W, and is carried on beyond"


def _solve(rows: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """P0 and k of `P0 * a + k * b = 1` in least squares, by the normal equations of columns scaled to length 1."""
    length_a, length_b = (math.sqrt(math.fsum(row[i] ** 2 for row in rows)) for i in (0, 1))
    cosine = math.fsum(a * b for a, b in rows) / (length_a * length_b)
    sum_a, sum_b = math.fsum(a for a, _ in rows) / length_a, math.fsum(b for _, b in rows) / length_b
    determinant = 1 - cosine**2
    if determinant < 1e-9:  # the loads lie on one line: see LEAST_SPAN, which speaks first of all the pairs
        raise _one_load()
    return (sum_a - cosine * sum_b) / determinant / length_a, (sum_b - cosine * sum_a) / determinant / length_b


def _residual(pairs: Sequence[Pair], rows: Sequence[tuple[float, float]]) -> float:
    """Each pair foretold by a fit of all others; the root mean square of the relative errors."""
    squares = []
    for i, (a, b) in enumerate(rows):
        others = [*pairs[:i], *pairs[i + 1 :]]
        if _span(others) < LEAST_SPAN:
            raise InvalidInput(
                "all pairs but one were read at the same load, so nothing confirms that one",
                where=pairs[i].place,
                hint="read more of them idle, at half load and at full load",
            )
        p0_w, gain = _solve([*rows[:i], *rows[i + 1 :]])
        squares.append((p0_w * a + gain * b - 1) ** 2)
    return math.sqrt(math.fsum(squares) / len(squares))


def _check(pairs: Sequence[Pair]) -> None:
    for pair in pairs:
        for name, value in zip(("duration_s", "software_j", "wall_j"), pair[:3], strict=True):
            if not math.isfinite(value) or value <= 0:
                raise InvalidInput(
                    f"`{name}` is {value:g}, and has to be a number above 0",
                    where=pair.place,
                    hint="leave the row out, or read it again",
                )
    if len(pairs) < FEWEST_PAIRS:
        raise InvalidInput(
            f"{len(pairs)} pairs are too few to fit two figures and to tell how well they fit",
            hint=f"read at least {FEWEST_PAIRS}, better 10: idle, at half load and at full load, a minute or longer each",
        )
    if _span(pairs) < LEAST_SPAN:
        raise _one_load()


def _check_sense(p0_w: float, gain: float) -> None:
    hint = "check that both were read of the same node over the same time, in the same units, and that clocks agree"
    if gain <= 0:
        raise InvalidInput(f"the fit says that the wall reads less when the node draws more: k = {gain:.3g}", hint=hint)
    if p0_w < 0:
        raise InvalidInput(f"the fit says that the node draws {p0_w:.3g} W beside what its meters read", hint=hint)


def _span(pairs: Sequence[Pair]) -> float:
    powers_w = [pair.software_w for pair in pairs]
    return max(powers_w) / min(powers_w)


def _one_load() -> InvalidInput:
    return InvalidInput(
        "the pairs were read at one and the same load: what always flows cannot be told from what grows with it",
        where=f"the highest software power has to be {LEAST_SPAN:g} times the lowest, or more",
        hint="read some pairs idle, some at half load and some at full load",
    )
