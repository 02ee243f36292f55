"""Counters of an attempt over time: CPU seconds of its processes and of the node, energy of the packages."""

from __future__ import annotations

import os
import resource

from . import cgroup, proc
from .thinned import Thinned

TYPE_CHECKING = False
if TYPE_CHECKING:  # the typing module takes milliseconds to load
    from .powercap import Powercap
    from .thinned import Row


def node_busy_s() -> float | None:
    """CPU seconds that all cores together have worked since boot: user, nice, system, irq and softirq of /proc/stat."""
    try:
        with open("/proc/stat") as file:
            ticks = list(map(int, file.readline().split()[1:8]))
    except (OSError, ValueError):
        return None
    return (sum(ticks[:3]) + sum(ticks[5:7])) / proc.CLOCK_TICKS


class JobTime:
    """CPU seconds of every process below this one, also of those too short-lived to be seen.

    The greater of two accounts. The tree's misses the children of a process that ignores SIGCHLD, for the kernel keeps no
    account of those; the control group's misses what moved to another one.
    """

    def __init__(self, group: str | None = None) -> None:
        self.group, self.seen_s = group, 0.0

    def read(self) -> float:
        """Never falls."""
        reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
        tree_s = reaped.ru_utime + reaped.ru_stime + proc.live_cpu_s(os.getpid())
        group_s = cgroup.usage_s(self.group) if self.group else None
        self.seen_s = max(self.seen_s, tree_s, group_s or 0.0)
        return self.seen_s


COLUMNS = ("at_s", "cpu_s", "node_busy_s", "package_j", "dram_j")


class Journal:
    """Counters over time, in a file of bounded length."""

    def __init__(
        self, path: str, powercap: Powercap, interval_s: float, points: int, time: JobTime | None = None
    ) -> None:
        self.powercap, self.time = powercap, time or JobTime()
        self.rows = Thinned(path, [*COLUMNS, {"boot_id": proc.boot_id()}], interval_s, points)

    def tick(self, *, keep: bool = False) -> None:
        energy = self.powercap.read()
        point = proc.now_s(), self.time.read(), node_busy_s(), energy.get("cpu"), energy.get("dram")
        self.rows.add(point[0], [point], keep=keep)

    def ends(self) -> list[Row]:
        """The first reading and the last."""
        rows = self.rows.all()
        return [rows[0], rows[-1]]

    def due_s(self) -> float:
        return self.rows.due_s()
