"""A GPU used by several: what each of them drew, by a model. Pure.

The power above idle goes by the share of the streaming multiprocessors' (SM) time, the idle power evenly to those that
are resident; shares never add up to more than the whole. MIG slices, which no sensor reads apart, share the whole GPU's
energy by the SMs that each of them has, however busy they are.

Seen against a stand-in of NVIDIA's library alone, not on a GPU in MIG mode nor on a shared one. NVML's SM time says that
a kernel ran, not how much of the GPU it filled, and clocks are common to all slices: hence the wide uncertainty.
"""

from collections.abc import Iterable, Mapping

UNCERTAINTY_REL = 0.3
"""Of a share by SM time or by SMs: our own estimate, as nothing measures it."""


def mean_percent(samples: Iterable[tuple[int, int, float]]) -> dict[int, float]:
    """From (process, sampled when, percent of SM time); a process absent from a sample did nothing in it."""
    moments: set[int] = set()
    total: dict[int, float] = {}
    for pid, sampled_us, percent in samples:
        moments.add(sampled_us)
        total[pid] = total.get(pid, 0.0) + max(0.0, percent)
    return {pid: percent / len(moments) for pid, percent in total.items()}


def shares_j(energy_j: float, idle_j: float, sm_percent: Mapping[int, float]) -> dict[int, float]:
    """`energy_j`, of which the GPU would have used `idle_j` without any work, over its resident processes.

    Where none of them worked, what lies above idle is the idle power's own drift, and split like it.
    """
    if not sm_percent:
        return {}
    busy = sum(sm_percent.values())
    idle_j = min(max(0.0, idle_j), energy_j) if busy > 0 else energy_j
    return {
        pid: idle_j / len(sm_percent) + ((energy_j - idle_j) * percent / busy if busy > 0 else 0.0)
        for pid, percent in sm_percent.items()
    }


def slice_share(slice_sms: int, all_slices_sms: int) -> float:
    """A slice's part of its GPU's energy. The slices take all of it, also what their GPU's unsliced SMs idle away."""
    return min(1.0, slice_sms / all_slices_sms) if all_slices_sms > 0 else 1.0
