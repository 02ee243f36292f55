"""A job as the model knows runs: by its family, its machines and the features that its author names. Pure.

A family is the workload's, of one unit of work: epochs and samples are not the same kind of amount. A job without a workload
is of the family of its name, within its project. GPU models go by the part of their name that the table of rated power
knows, so that `A100` in a job file and `NVIDIA A100-SXM4-80GB` on a machine are the same.

Durations are of real time here: what hardware draws and how fast it works do not change with a replay's speed.
"""

import math
from collections.abc import Sequence

from carbonq.domain.job import Measurement, Outcome
from carbonq.domain.ports import PastRun
from carbonq.domain.spec import JobSpec
from carbonq.forecasters.energy.priors import GPU_RATED_W
from carbonq.forecasters.energy.runs import RunRecord

OWN_FIELDS = ("gpu_model", "power_limit_w", "batch_size")
"""Of a workload's further fields, those that are no plain features."""


def asked_of(spec: JobSpec, gpu_model: str | None = None) -> RunRecord:
    """The job before it runs. `gpu_model`: of the GPUs that it will meet, where the job does not say."""
    need, extra = spec.requirement, _extra(spec)
    named = _text(extra.get("gpu_model")) or need.gpu_model or gpu_model
    further = {name: value for name, value in extra.items() if name not in OWN_FIELDS}
    numbers = {name: number for name, value in further.items() if (number := _number(value)) is not None}
    return RunRecord(
        family=family_of(spec),
        gpu_model=gpu_key(named) if need.gpus else "",
        gpus=need.gpus,
        work=spec.workload.work if spec.workload else None,
        power_limit_w=_positive(extra.get("power_limit_w")),
        batch_size=_positive(extra.get("batch_size")),
        numbers=numbers if need.gpus else {**numbers, "cpus": float(need.cpus)},
        labels={name: _text(value) for name, value in further.items() if name not in numbers},
    )


def example_of(run: PastRun) -> RunRecord | None:
    """What a job that succeeded used: its useful attempts together. None where there is nothing to learn from.

    Energy is None where that of any of them is unknown.
    """
    useful = _useful(run.measurements)
    duration_s = math.fsum((m.real_ended_at - m.real_started_at).total_seconds() for m in useful)
    if duration_s <= 0:
        return None
    last = useful[-1]
    asked = asked_of(run.spec, last.gpu_model)
    energies_j = [m.energy_j for m in useful]
    known_j = [energy_j for energy_j in energies_j if energy_j is not None]
    energy_j = math.fsum(known_j) if len(known_j) == len(energies_j) else None
    return asked._replace(
        gpu_model=gpu_key(last.gpu_model) if asked.gpus and last.gpu_model else asked.gpu_model,
        work=_done(asked.work, last.work_done),
        energy_j=energy_j or None,
        duration_s=duration_s,
        power_limit_w=last.gpu_power_limit_w or asked.power_limit_w,
    )


def family_of(spec: JobSpec) -> str:
    if spec.workload is None:
        return f"{spec.project}/{spec.name}"
    work = f" in {spec.workload.unit or 'units'}" if spec.workload.work is not None else ""
    return f"family {spec.workload.family}{work}"


def gpu_key(name: str | None) -> str:
    """The longest part of the name that the table of rated power knows, else the name itself, in lower case."""
    lower = (name or "").lower()
    return max((part for part in GPU_RATED_W if part in lower), key=len, default=lower)


def _useful(measurements: Sequence[Measurement]) -> list[Measurement]:
    """The attempt that succeeded and the checkpointed ones that it went on from, in their order."""
    if not any(m.outcome is Outcome.SUCCEEDED for m in measurements):
        return []
    counted = (Outcome.SUCCEEDED, Outcome.CHECKPOINTED)
    return sorted((m for m in measurements if m.outcome in counted), key=lambda m: m.attempt)


def _done(asked: float | None, told: float | None) -> float | None:
    """Less than was asked for where the job says so, as one that stops early does. More is of another unit."""
    return told if asked is not None and told and told < asked else asked


def _extra(spec: JobSpec) -> dict[str, object]:
    return dict(spec.workload.model_extra or {}) if spec.workload else {}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _positive(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
