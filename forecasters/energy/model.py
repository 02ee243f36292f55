"""The energy and duration of a run before it runs, as distributions, learnt run by run.

Log-linear in the work: energy and duration grow in proportion to it, up to a power that the runs may bend. What a unit of it
takes is a sum of effects with normal priors (`kinship.py`), weighed in closed form on the runs that tell of the kind asked for
(`local.py`), with intervals from runs left out one at a time (`conformal.py`). A run of unknown work is told by whole runs.
Pure: no clock, no I/O, no chance.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from carbonq.forecasters.carbon.models.series import FloatArray
from carbonq.forecasters.energy.local import Ground, Local, Told
from carbonq.forecasters.energy.priors import CPU_SLOT_W, GPU_SHARE, drawable_w, gpu_rated_w
from carbonq.forecasters.energy.runs import Kind, RunRecord, RunStore, kind_of

__all__ = ["EnergyModel", "Prediction", "RunRecord"]

Target = Literal["energy_j", "duration_s"]
LEARNED, PRIOR = "learned", "prior"
VERSION = 1

_USUAL_S = {True: 60.0, False: 3600.0}
"""Of a unit of work, and of a whole run: where nothing is known. The model holds a factor of 20 to either side for usual."""
_USUAL_W = 190.0  # of a GPU, or of a machine without
_GPUS_SPEED = 0.9
"""Time falls with this power of the number of GPUs, for the same work, unless runs tell otherwise."""
_USUAL_NOISE = {True: 0.05, False: 0.2}
"""Between runs of one setting: of a unit of work, and of whole runs whose work is unknown, which may stop early (0.29 in the GAISSA runs)."""
_MOST_LOG = 60.0  # beyond what any run takes; keeps exponentials finite


class Prediction(NamedTuple):
    """In joules or seconds. `runs`: how many of this family on this GPU model it rests on, or on other GPUs if on none."""

    p05: float
    p10: float
    p50: float
    p90: float
    p95: float
    method: str
    runs: int


class EnergyModel:
    """Learns runs that succeeded; the same runs in the same order give the same answers."""

    def __init__(self) -> None:
        self._runs = RunStore()
        self._locals: dict[tuple[Kind, Target, bool], Local | None] = {}
        self._grounds: dict[tuple[Kind, bool], Ground] = {}

    def fit(self, runs: Iterable[RunRecord]) -> None:
        """Forget everything and learn these."""
        self._runs = RunStore()
        for run in runs:
            self.update(run)

    def update(self, run: RunRecord) -> None:
        self._runs.add(run)
        self._locals.clear()
        self._grounds.clear()

    def predict(self, run: RunRecord, *, target: Target = "energy_j") -> Prediction:
        return self.predict_many([run], target=target)[0]

    def predict_many(self, runs: Sequence[RunRecord], *, target: Target = "energy_j") -> list[Prediction]:
        asked: defaultdict[tuple[Kind, bool], list[int]] = defaultdict(list)
        for at, run in enumerate(runs):
            asked[kind_of(run), run.work is not None].append(at)
        answers: dict[int, Prediction] = {}
        for (kind, has_work), places in asked.items():
            alike = [runs[at] for at in places]
            answers.update(zip(places, self._of_kind(kind, has_work, alike, target), strict=True))
        return [answers[at] for at in range(len(runs))]

    def _of_kind(self, kind: Kind, has_work: bool, runs: Sequence[RunRecord], target: Target) -> list[Prediction]:
        told = self._tell(kind, has_work, runs, target)
        middle = told.middle
        if target == "energy_j":
            middle = _drawn(middle, self._tell(kind, has_work, runs, "duration_s").middle, runs)
        count = self._runs.count(kind)
        method = LEARNED if count else PRIOR
        steps = np.stack([-told.reach_90, -told.reach_80, np.zeros_like(middle), told.reach_80, told.reach_90])
        values = np.exp(np.clip(middle + steps, -_MOST_LOG, _MOST_LOG))
        return [Prediction(p05, p10, p50, p90, p95, method, count) for p05, p10, p50, p90, p95 in values.T.tolist()]

    def _tell(self, kind: Kind, has_work: bool, runs: Sequence[RunRecord], target: Target) -> Told:
        local, prior = self._local(kind, target, has_work), _prior_logs(runs, target, has_work)
        told = _untold(runs, target) if local is None else local.tell(runs)
        return told._replace(middle=told.middle + prior)

    def _local(self, kind: Kind, target: Target, has_work: bool) -> Local | None:
        key = kind, target, has_work
        if key not in self._locals:
            self._locals[key] = self._learn(kind, target, has_work)
        return self._locals[key]

    def _learn(self, kind: Kind, target: Target, has_work: bool) -> Local | None:
        runs = self._runs.near(kind, {"work": has_work, target: True})
        if not has_work:
            runs = [run._replace(work=None) for run in runs]
        if not runs:
            return None
        beyond = np.log([getattr(run, target) for run in runs]) - _prior_logs(runs, target, has_work)
        return Local(self._ground(kind, has_work, runs), beyond, _USUAL_NOISE[has_work])

    def _ground(self, kind: Kind, has_work: bool, runs: Sequence[RunRecord]) -> Ground:
        """Energy and duration mostly rest on the same runs: then their covariance is taken apart once."""
        known = self._grounds.get((kind, has_work))
        if known is None or known.runs != runs:
            known = self._grounds[kind, has_work] = Ground(runs, kind)
        return known

    def to_state(self) -> dict[str, Any]:
        """For JSON. As large as some thousand runs at most, however many there were."""
        return {
            "version": VERSION,
            "runs": [[*run[:-2], dict(run.numbers), dict(run.labels)] for run in self._runs],
            "counts": [[*kind, count] for kind, count in self._runs.counts()],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "EnergyModel":
        """Raises ValueError where another version of the model wrote it."""
        if state.get("version") != VERSION:
            raise ValueError(f"The state of the energy model is of version {state.get('version')}, not {VERSION}.")
        model = cls()
        model.fit(RunRecord(*row) for row in state["runs"])
        for family, gpu_model, count in state["counts"]:
            model._runs.recall(Kind(family, gpu_model), count)
        return model


def _prior_logs(runs: Sequence[RunRecord], target: Target, has_work: bool) -> FloatArray:
    """(runs,): what is expected before any run has told, in logarithms."""
    return np.array([_prior_log(run, target, has_work) for run in runs], dtype=float)


def _prior_log(run: RunRecord, target: Target, has_work: bool) -> float:
    work, gpus = run.work if has_work and run.work else 1.0, max(run.gpus, 1)
    duration = math.log(_USUAL_S[has_work] * work) - _GPUS_SPEED * math.log(gpus)
    return duration if target == "duration_s" else duration + math.log(_USUAL_W * gpus)


def _untold(runs: Sequence[RunRecord], target: Target) -> Told:
    """Where no run at all has told: the GPUs' limits, and a factor of 20 to either side for 80 %, one of 50 for 90 %."""
    shift = np.log([_prior_w(run) / (_USUAL_W * max(run.gpus, 1)) for run in runs]) if target == "energy_j" else 0.0
    count = len(runs)
    return Told(np.zeros(count) + shift, np.full(count, math.log(20.0)), np.full(count, math.log(50.0)))


def _prior_w(run: RunRecord) -> float:
    if not run.gpus:
        return CPU_SLOT_W.p50 * max(1.0, run.numbers.get("cpus", 1.0))
    return run.gpus * GPU_SHARE.p50 * (run.power_limit_w or gpu_rated_w(run.gpu_model))


def _drawn(energy: FloatArray, duration: FloatArray, runs: Sequence[RunRecord]) -> FloatArray:
    """The energy (logarithm of J) that lasts so long (logarithm of s) within what the machines can draw."""
    bounds = np.log([drawable_w(run.gpus, run.gpu_model, run.power_limit_w) for run in runs])
    power: FloatArray = np.clip(energy - duration, bounds[:, 0], bounds[:, 1])
    return duration + power
