"""Power and duration of a job before it runs: what its author declares, else what past runs of its like took, else a prior.

Runs are alike when they share the workload's family (or the job's name, where it names none) and ask for the same machines.
Where an amount of `work` is named, duration grows in proportion to it. Each number says which way it was got.

Durations are grid time. Power is the energy measured, spread over that time, so that power times duration is the energy also
where a replay runs the grid's time faster than the machines'.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from carbonq.domain.energy import PowerProfile, Quantity
from carbonq.domain.job import Measurement, Outcome, Requirement
from carbonq.domain.spec import JobSpec
from carbonq.forecasters.energy.priors import prior_power_w

DECLARED, PAST_RUNS, PRIOR, ASSUMED = "declared", "past-runs", "prior", "assumed"

MAX_RUNS = 200
"""Kept of each kind of job; the oldest go first."""
DECLARED_POWER_SPREAD_REL, DECLARED_DURATION_SPREAD_REL = 0.2, 0.1

POWER_SPREAD, DURATION_SPREAD, WORK_RATE_SPREAD = 0.1, 0.3, 0.1
"""Logarithmic standard deviation between runs of one kind, until there are enough runs to tell. Over 309 training runs (ten
settings, some 30 runs each; GAISSA, SEAA 2023) the root mean square of the relative deviation is 0.03 for power on one
machine, 0.29 for duration and 0.09 for duration per epoch; power is taken wider, because machines of one model differ."""
_SPREAD_WEIGHT = 2.0  # how many runs that expectation counts for
_TENTH = 1.2815515655446004  # a tenth of a normal distribution lies beyond so many standard deviations


class Kind(NamedTuple):
    """What makes two jobs alike."""

    family: str
    requirement: Requirement


class _Attempt(NamedTuple):
    outcome: Outcome
    duration_s: float
    energy_j: float | None


@dataclass
class _Run:
    """One job's attempts by fence, so that learning the same twice changes nothing."""

    work: float | None
    unit: str | None
    attempts: dict[int, _Attempt] = field(default_factory=dict)

    def productive(self) -> list[_Attempt]:
        """The attempt that succeeded and the checkpointed ones that it went on from; empty until one has succeeded."""
        done = any(attempt.outcome is Outcome.SUCCEEDED for attempt in self.attempts.values())
        counted = (Outcome.SUCCEEDED, Outcome.CHECKPOINTED)
        return [attempt for attempt in self.attempts.values() if attempt.outcome in counted] if done else []

    def duration_s(self) -> float:
        return math.fsum(attempt.duration_s for attempt in self.productive())

    def power_w(self) -> float | None:
        """None where an attempt's energy is unknown."""
        energies_j = [attempt.energy_j for attempt in self.productive()]
        known_j = [energy_j for energy_j in energies_j if energy_j is not None]
        duration_s = self.duration_s()
        return math.fsum(known_j) / duration_s if known_j and len(known_j) == len(energies_j) and duration_s else None


class RunHistoryPredictor:
    """Learns from measurements as they come. Holds no state that feeding it the measurements again would not restore."""

    def __init__(self, *, default_duration_s: float = 3600.0, speed: float = 1.0) -> None:
        """`speed`: grid seconds a real second, in a replay. Watts of real time are that much less on the grid's time."""
        self._default_duration_s = default_duration_s
        self._speed = speed
        self._runs: dict[Kind, dict[str, _Run]] = {}

    def predict(self, spec: JobSpec) -> PowerProfile:
        runs = [run for run in self._runs.get(kind_of(spec), {}).values() if run.productive()]
        power_w, power_method = self._power(spec, runs)
        duration_s, duration_method = self._duration(spec, runs)
        return PowerProfile(
            power_w=power_w, duration_s=duration_s, power_method=power_method, duration_method=duration_method
        )

    def learn(self, spec: JobSpec, measurements: Iterable[Measurement]) -> None:
        """Take in attempts of jobs with this spec. The same attempt (job and fence) counts once however often it is told."""
        runs = self._runs.setdefault(kind_of(spec), {})
        work, unit = (spec.workload.work, spec.workload.unit) if spec.workload else (None, None)
        for seen in measurements:
            run = runs.setdefault(seen.job_id, _Run(work, unit))
            duration_s = (seen.ended_at - seen.started_at).total_seconds()
            run.attempts[seen.fence] = _Attempt(seen.outcome, duration_s, seen.energy_j)
        for oldest in list(runs)[: max(0, len(runs) - MAX_RUNS)]:
            del runs[oldest]

    def _power(self, spec: JobSpec, runs: Sequence[_Run]) -> tuple[Quantity, str]:
        if spec.energy.power_w is not None:
            return Quantity.around(spec.energy.power_w / self._speed, DECLARED_POWER_SPREAD_REL), DECLARED
        seen_w = [power_w for run in runs if (power_w := run.power_w())]
        if seen_w:
            return expected(seen_w, POWER_SPREAD), PAST_RUNS
        prior_w = prior_power_w(spec.requirement)
        scaled = Quantity(p10=prior_w.p10 / self._speed, p50=prior_w.p50 / self._speed, p90=prior_w.p90 / self._speed)
        return scaled, PRIOR

    def _duration(self, spec: JobSpec, runs: Sequence[_Run]) -> tuple[Quantity, str]:
        if spec.duration is not None:
            return Quantity.around(spec.duration, DECLARED_DURATION_SPREAD_REL), DECLARED
        seen_s = _durations_s(spec, runs)
        if seen_s:
            scaled = spec.workload is not None and spec.workload.work is not None
            return expected(seen_s, WORK_RATE_SPREAD if scaled else DURATION_SPREAD), PAST_RUNS
        guess_s = self._default_duration_s
        return Quantity(p10=guess_s / 4, p50=guess_s, p90=guess_s * 4), ASSUMED


def kind_of(spec: JobSpec) -> Kind:
    need = spec.requirement
    return Kind(
        family=f"family {spec.workload.family}" if spec.workload else f"name {spec.name}",
        requirement=Requirement(gpus=need.gpus, gpu_model=(need.gpu_model or "").lower() or None, cpus=need.cpus),
    )


def expected(values: Sequence[float], spread: float) -> Quantity:
    """The next value after these positive ones: their median, and a band from their scatter in logarithms.

    `spread` stands in for the scatter while there are few; it also covers that the median itself is uncertain.
    """
    middle = median(values)
    scatter = math.fsum(math.log(value / middle) ** 2 for value in values)
    variance = (_SPREAD_WEIGHT * spread**2 + scatter) / (_SPREAD_WEIGHT + len(values) - 1)
    reach = _TENTH * math.sqrt(variance * (1 + 1 / len(values)))
    return Quantity(p10=middle * math.exp(-reach), p50=middle, p90=middle * math.exp(reach))


def _durations_s(spec: JobSpec, runs: Sequence[_Run]) -> list[float]:
    """What each run took, or would have taken for this job's amount of work. Runs of unknown amount say nothing of a known one."""
    workload = spec.workload
    if workload is None or workload.work is None:
        return [duration_s for run in runs if (duration_s := run.duration_s()) > 0]
    return [
        duration_s / run.work * workload.work
        for run in runs
        if run.work is not None and run.unit == workload.unit and (duration_s := run.duration_s()) > 0
    ]
