"""CPU power by a model, for machines without a readable counter: `idle + (max - idle) * u ** exponent`.

`u` is the busy share of the hardware threads. The constants are fitted on this very node (`fit`), or else the prior's: what
share of its rated power a package draws idle and at full load. All pure but the meter and the two that touch the disk.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from carbonq.domain.energy import Component, Provenance, Rung
from carbonq.domain.ports import Counter
from carbonq.workers.meters.cpu_table import look_up
from carbonq.workers.shim import counters, proc

METHOD = "cpu-model"

IDLE_OF_RATED = 0.12
"""Packages idle at 12 % of their rated power: RAPL on bare-metal cloud servers (B. Davy, "Estimating AWS EC2 Instances Power
Consumption", Teads Engineering 2021). Of the newest server packages some idle at twice that."""

EXPONENT = 1.0
"""Linear, as X. Fan et al. found servers to be within a few per cent ("Power Provisioning for a Warehouse-sized Computer", ISCA
2007). A node's own fit finds its own; over four CPUs they lie between 0.5 and 2.5."""

MAX_OF_RATED = 0.66
PRIOR_UNCERTAINTY_REL = 0.43
"""Fitted on four CPUs' power by load, and the error on each of them when it was left out: `benchmarks/cpu_model.py`."""

RATED_W_PER_THREAD = 4.1
UNKNOWN_UNCERTAINTY_REL = 0.66
"""For a processor that the table does not know, as virtual machines hide theirs: the table's median, and the error with it of
the same benchmark, widened by how far apart the table's rows are."""


EXPONENTS = tuple(step / 50 for step in range(10, 126))
FEWEST_PAIRS = 5
LEAST_SPREAD = 0.3

Pair = tuple[float, float]  # utilisation 0 to 1, watts
Line = tuple[float, float, float]  # idle watts, watts above idle at full load, exponent


@dataclass(frozen=True)
class CpuConstants:
    """What a node's packages draw together; `uncertainty_rel` is the relative standard error of the modelled power."""

    idle_w: float
    max_w: float
    exponent: float
    uncertainty_rel: float
    rung: Rung
    source: str

    def power_w(self, utilisation: float) -> float:
        return _power_w((self.idle_w, self.max_w - self.idle_w, self.exponent), min(1.0, max(0.0, utilisation)))


def prior(model_name: str, threads: int) -> CpuConstants:
    """Constants of a node with so many hardware threads, before anything was measured on it.

    Several packages, and a virtual machine that has a part of one, count by their threads.
    """
    cpu = look_up(model_name)
    rated_w = threads * (cpu.rated_w_per_thread if cpu else RATED_W_PER_THREAD)
    return CpuConstants(
        rated_w * IDLE_OF_RATED,
        rated_w * MAX_OF_RATED,
        EXPONENT,
        PRIOR_UNCERTAINTY_REL if cpu else UNKNOWN_UNCERTAINTY_REL,
        Rung.PRIOR,
        f"{cpu.name}, {cpu.rated_w:g} W rated ({cpu.source})"
        if cpu
        else f"{threads} threads of a processor not in the table ({model_name or 'unnamed'})",
    )


def energy_curve(
    at_s: Sequence[float], busy_s: Sequence[float], threads: int, constants: CpuConstants
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Modelled joules of the node since the first moment, from the CPU seconds that all its threads have worked by then.

    Returns the moments and the energies, one each; moments that do not come after the one before are left out.
    """
    moments, energies_j, last_busy_s = list(at_s[:1]), [0.0] * len(at_s[:1]), busy_s[0] if busy_s else 0.0
    for now_s, now_busy_s in zip(at_s, busy_s, strict=True):
        if now_s > moments[-1]:
            duration_s = now_s - moments[-1]
            power_w = constants.power_w((now_busy_s - last_busy_s) / (threads * duration_s))
            energies_j.append(energies_j[-1] + power_w * duration_s)
            moments.append(now_s)
            last_busy_s = now_busy_s
    return tuple(moments), tuple(energies_j)


def fit(pairs: Sequence[Pair], *, idle_w: float | None = None, source: str = "fitted on this node") -> CpuConstants:
    """Constants from pairs of utilisation and measured watts, by least squares of the relative error.

    The idle power is held where it is given, else fitted. The uncertainty is the error on each pair when it was left out;
    that of the reference comes on top. Raises ValueError for pairs that cannot carry a fit.
    """
    loads = [utilisation for utilisation, _ in pairs]
    if len(pairs) < FEWEST_PAIRS or max(loads) - min(loads) < LEAST_SPREAD:
        raise ValueError(
            f"a fit needs {FEWEST_PAIRS} pairs or more, at loads that are {LEAST_SPREAD:.0%} or more apart"
        )
    if min(loads) < 0 or max(loads) > 1 or min(watts for _, watts in pairs) <= 0:
        raise ValueError("a fit needs loads between 0 and 1, and watts above 0")
    best_idle_w, span_w, exponent = _best(pairs, idle_w)
    error = rms(left_out_errors(pairs, idle_w))
    return CpuConstants(best_idle_w, best_idle_w + span_w, exponent, error, Rung.FITTED_MODEL, source)


def left_out_errors(pairs: Sequence[Pair], idle_w: float | None = None) -> list[float]:
    """The relative error on each pair of the fit to all the others."""
    return [
        _power_w(_best([*pairs[:i], *pairs[i + 1 :]], idle_w), utilisation) / watts - 1
        for i, (utilisation, watts) in enumerate(pairs)
    ]


def rms(errors: Sequence[float]) -> float:
    return math.sqrt(fmean(error**2 for error in errors))


def _power_w(line: Line, utilisation: float) -> float:
    idle_w, span_w, exponent = line
    return idle_w + span_w * math.pow(utilisation, exponent)


def _best(pairs: Sequence[Pair], idle_w: float | None) -> Line:
    """For one exponent the best line has a closed form; the exponents are tried one by one."""
    lines = [_line(pairs, exponent, idle_w) for exponent in EXPONENTS]
    return min(lines, key=lambda line: rms([_power_w(line, u) / watts - 1 for u, watts in pairs]))


def _line(pairs: Sequence[Pair], exponent: float, idle_w: float | None) -> Line:
    """Minimises the sum of ((idle + span * u ** exponent) / watts - 1) squared, with neither of them below 0."""
    ones = [1 / watts for _, watts in pairs]
    rises = [math.pow(utilisation, exponent) / watts for utilisation, watts in pairs]
    held_w = max(0.0, _intercept(ones, rises)) if idle_w is None else idle_w
    span_w = _along(rises, [1 - held_w * one for one in ones])
    if span_w >= 0:
        return held_w, span_w, exponent
    return (_along(ones, [1.0] * len(ones)) if idle_w is None else idle_w), 0.0, exponent


def _intercept(ones: Sequence[float], rises: Sequence[float]) -> float:
    aa, ab, bb = _dot(ones, ones), _dot(ones, rises), _dot(rises, rises)
    determinant = aa * bb - ab * ab
    return (sum(ones) * bb - sum(rises) * ab) / determinant if determinant > 0 else 0.0


def _along(values: Sequence[float], targets: Sequence[float]) -> float:
    """By what the values are best multiplied to reach the targets."""
    squared = _dot(values, values)
    return _dot(values, targets) / squared if squared > 0 else 0.0


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


# --- this node

FILE = "cpu-model.json"


def save_constants(folder: Path, constants: CpuConstants) -> None:
    """Keep them in the worker's data folder, replacing earlier ones in one step."""
    new = folder / f"{FILE}.new"
    new.write_text(json.dumps(asdict(constants)) + "\n")
    new.replace(folder / FILE)


def load_constants(folder: Path) -> CpuConstants | None:
    """What `save_constants` kept; None where there is nothing, or nothing that makes sense."""
    try:
        kept = json.loads((folder / FILE).read_text())
        constants = CpuConstants(**kept | {"rung": Rung(kept["rung"])})
        sound = 0 <= constants.idle_w <= constants.max_w and constants.exponent > 0 and constants.uncertainty_rel >= 0
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return constants if sound else None


def node_constants(data_dir: Path | None = None) -> CpuConstants:
    """This node's: fitted where that was done, else the prior's."""
    fitted = load_constants(data_dir) if data_dir else None
    return fitted or prior(model_name(), node_threads())


def model_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """As Linux names the processor; empty where it does not (many ARM machines)."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def node_threads(stat: Path = Path("/proc/stat")) -> int:
    """Hardware threads whose work `node_busy_s` adds up: all that are online, also where a process may not use them all."""
    try:
        return max(1, sum(line.startswith("cpu") for line in stat.read_text().splitlines()) - 1)
    except OSError:
        return 1


class CpuModelMeter:
    """The modelled energy of all packages, as RAPL would count it, since the machine was started.

    What was before the first reading is taken as one even load: with an exponent of 1, another process counts on exactly.
    """

    name = METHOD

    def __init__(self, constants: CpuConstants | None = None, threads: int | None = None) -> None:
        self.identity = proc.boot_id()
        self.threads = threads or node_threads()
        self.constants = constants or node_constants()
        self._energy_j = 0.0
        self._last = 0.0, 0.0

    def read(self) -> Sequence[Counter]:
        at_s, busy_s = proc.now_s(), counters.node_busy_s()
        if busy_s is not None:
            self._advance(at_s, busy_s)
        return (
            Counter(
                Component.CPU,
                at_s,
                None if busy_s is None else self._energy_j,
                method=METHOD,
                provenance=Provenance.MODELLED,
                uncertainty_rel=self.constants.uncertainty_rel,
            ),
        )

    def _advance(self, at_s: float, busy_s: float) -> None:
        before_s, before_busy_s = self._last
        _, energies_j = energy_curve((before_s, at_s), (before_busy_s, busy_s), self.threads, self.constants)
        self._energy_j += energies_j[-1]
        self._last = at_s, busy_s
