"""`EnergyPredictor` on the model of past runs: what its author declares of a job, else what was learnt, else a prior.

What was learnt lies on the board: the scheduler's process writes it as receipts are booked, and every client reads it. Its
first line says what is in it, so that a job of which nothing is known costs no more than a look.

Durations are grid time. Power is the energy spread over that time, so that power times duration is the energy also where a
replay runs the grid's time faster than the machines'.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from carbonq.domain.energy import PowerProfile, Quantity
from carbonq.domain.ports import Board, PastRun
from carbonq.domain.spec import JobSpec
from carbonq.forecasters.energy.examples import asked_of, example_of, family_of
from carbonq.forecasters.energy.priors import prior_power_w

if TYPE_CHECKING:
    from carbonq.forecasters.energy.model import EnergyModel, Prediction

DECLARED, PAST_RUNS, PRIOR, ASSUMED = "declared", "past-runs", "prior", "assumed"
DECLARED_POWER_SPREAD_REL, DECLARED_DURATION_SPREAD_REL = 0.2, 0.1
POWER_SPREAD = 0.03
"""Logarithmic standard deviation of power between runs of one setting on one machine (GAISSA, SEAA 2023): no less is claimed."""
_TENTH, _TWENTIETH = 1.2815515655446004, 1.6448536269514722
"""A tenth and a twentieth of a normal distribution lie beyond so many standard deviations."""

VERSION = 1
"""Of the kept state's first line; the model's own state carries its own."""
REMEMBERED = 5000
"""So many of the last runs are known by their id. A job is told again only where its receipt was not booked: within one batch."""


@dataclass
class Learnt:
    """What is kept: the model, the families it has seen and whether the energy of any of their runs was known, and the ids of
    the last runs."""

    model: EnergyModel
    families: dict[str, bool] = field(default_factory=dict[str, bool])
    recent: dict[str, None] = field(default_factory=dict[str, None])

    def take_in(self, run: PastRun) -> bool:
        example = None if run.job_id in self.recent else example_of(run)
        if example is None:
            return False
        self.model.update(example)
        self.families[example.family] = self.families.get(example.family, False) or example.energy_j is not None
        self.recent[run.job_id] = None
        return True

    def dump(self) -> bytes:
        recent = list(self.recent)[-REMEMBERED:]
        head = {"version": VERSION, "families": self.families, "recent": recent}
        return b"\n".join(json.dumps(part, separators=(",", ":")).encode() for part in (head, self.model.to_state()))


class Foretold(NamedTuple):
    """None where no past run tells of it."""

    energy: Prediction | None
    duration: Prediction | None


NOTHING_KNOWN = Foretold(None, None)


class ModelPredictor:
    """`speed`: grid seconds a real second, in a replay."""

    def __init__(self, board: Board, *, default_duration_s: float = 3600.0, speed: float = 1.0) -> None:
        self._board, self._default_duration_s, self._speed = board, default_duration_s, speed
        self._learnt: Learnt | None = None

    # --- before a job runs

    def predict(self, spec: JobSpec) -> PowerProfile:
        declared = spec.energy.power_w is not None and spec.duration is not None
        found = NOTHING_KNOWN if declared else self._foretold(spec)
        power_w, power_method = self._power(spec, found)
        duration_s, duration_method = self._duration(spec, found)
        learnt = power_method == duration_method == PAST_RUNS
        used = [one.runs for one in found if one is not None] if PAST_RUNS in (power_method, duration_method) else []
        return PowerProfile(
            power_w=power_w,
            duration_s=duration_s,
            power_method=power_method,
            duration_method=duration_method,
            energy=_quantity(found.energy) if learnt and found.energy else None,
            runs=max(used, default=0),
        )

    def _power(self, spec: JobSpec, found: Foretold) -> tuple[Quantity, str]:
        if spec.energy.power_w is not None:
            return Quantity.around(spec.energy.power_w / self._speed, DECLARED_POWER_SPREAD_REL), DECLARED
        if found.energy and found.duration:
            return self._drawn(found.energy, found.duration), PAST_RUNS
        return _scaled(prior_power_w(spec.requirement), 1 / self._speed), PRIOR

    def _duration(self, spec: JobSpec, found: Foretold) -> tuple[Quantity, str]:
        if spec.duration is not None:
            return Quantity.around(spec.duration, DECLARED_DURATION_SPREAD_REL), DECLARED
        if found.duration:
            return _quantity(found.duration, self._speed), PAST_RUNS
        guess_s = self._default_duration_s
        return Quantity(p10=guess_s / 4, p50=guess_s, p90=guess_s * 4), ASSUMED

    def _drawn(self, energy: Prediction, duration: Prediction) -> Quantity:
        """Energy over duration. What energy scatters more than duration is power's own scatter."""
        middle = energy.p50 / duration.p50 / self._speed
        variance = _spread(energy) ** 2 - _spread(duration) ** 2
        spread = max(POWER_SPREAD, math.sqrt(max(0.0, variance)))
        return Quantity(
            p50=middle,
            **{
                name: middle * math.exp(sign * reach * spread)
                for name, sign, reach in (
                    ("p05", -1, _TWENTIETH),
                    ("p10", -1, _TENTH),
                    ("p90", 1, _TENTH),
                    ("p95", 1, _TWENTIETH),
                )
            },
        )

    def _foretold(self, spec: JobSpec) -> Foretold:
        """What past runs tell of such a job, in real seconds."""
        if self._learnt is None:
            state = self._board.energy_model()
            self._learnt = _read(state) if _tells_of(state, spec) else None
        if self._learnt is None:
            return NOTHING_KNOWN
        asked = asked_of(spec, self._only_gpu(spec))
        model, metered = self._learnt.model, self._learnt.families.get(asked.family)
        if metered is None:
            return NOTHING_KNOWN
        energy = model.predict(asked, target="energy_j") if metered else None
        return Foretold(energy, model.predict(asked, target="duration_s"))

    def _only_gpu(self, spec: JobSpec) -> str | None:
        """The GPU model that the workers have, where they all have the same."""
        if not spec.resources.gpus or spec.resources.gpu_model:
            return None
        models = {worker.capacity.gpu_model for worker in self._board.workers() if worker.capacity.gpus}
        return models.pop() if len(models) == 1 else None

    # --- after jobs ran

    def learn(self, runs: Sequence[PastRun]) -> int:
        self._learnt = learnt = self._learnt or _read(self._board.energy_model()) or _nothing()
        taken = sum(learnt.take_in(run) for run in runs)
        if taken:
            self._board.put_energy_model(learnt.dump())
        return taken

    def recall(self) -> bool:
        self._learnt = _read(self._board.energy_model())
        return self._learnt is not None


def _read(state: bytes | None) -> Learnt | None:
    """None where there is nothing, or what another version wrote."""
    head = _head(state)
    if state is None or head is None:
        return None
    from carbonq.forecasters.energy.model import EnergyModel

    try:
        model = EnergyModel.from_state(json.loads(state.partition(b"\n")[2]))
    except (ValueError, KeyError, TypeError):
        return None
    return Learnt(model, dict(head["families"]), dict.fromkeys(head["recent"]))


def _nothing() -> Learnt:
    from carbonq.forecasters.energy.model import EnergyModel

    return Learnt(EnergyModel())


def _head(state: bytes | None) -> dict[str, Any] | None:
    """The first line; None where another version of carbonq wrote it."""
    try:
        head = json.loads((state or b"").partition(b"\n")[0])
    except ValueError:
        return None
    return head if isinstance(head, dict) and head.get("version") == VERSION else None


def _tells_of(state: bytes | None, spec: JobSpec) -> bool:
    """Whether it is worth loading the model: jobs of the family have run."""
    head = _head(state)
    return head is not None and family_of(spec) in head["families"]


def _quantity(found: Prediction, factor: float = 1.0) -> Quantity:
    return Quantity(
        p05=found.p05 * factor,
        p10=found.p10 * factor,
        p50=found.p50 * factor,
        p90=found.p90 * factor,
        p95=found.p95 * factor,
    )


def _scaled(quantity: Quantity, factor: float) -> Quantity:
    return Quantity(p10=quantity.p10 * factor, p50=quantity.p50 * factor, p90=quantity.p90 * factor)


def _spread(found: Prediction) -> float:
    """As a logarithmic standard deviation, from its 10 % and 90 %."""
    return math.log(found.p90 / found.p10) / (2 * _TENTH)
