"""Counters of an attempt over time: CPU seconds of its processes and of the node, energy of the packages."""

from __future__ import annotations

import json
import os
import resource

from . import proc

TYPE_CHECKING = False
if TYPE_CHECKING:  # the typing module takes milliseconds to load
    from .powercap import Powercap

LONGEST_SAMPLE_S = 30.0  # RAPL counters wrap after minutes under load: they are read at least this often


def node_busy_s() -> float | None:
    """CPU seconds that all cores together have worked since boot: user, nice, system, irq and softirq of /proc/stat."""
    try:
        with open("/proc/stat") as file:
            ticks = list(map(int, file.readline().split()[1:8]))
    except (OSError, ValueError):
        return None
    return (sum(ticks[:3]) + sum(ticks[5:7])) / proc.CLOCK_TICKS


class TreeTime:
    """CPU seconds of every process below this one, also of those too short-lived to be seen."""

    def __init__(self) -> None:
        self.seen_s = 0.0

    def read(self) -> float:
        """Never falls. Misses the children of a process that ignores SIGCHLD: the kernel keeps no account of those."""
        reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
        live = sum(
            sum(map(int, fields[11:15]))
            for pid in proc.descendants(os.getpid())
            if (fields := proc.stat(pid)) is not None
        )
        self.seen_s = max(self.seen_s, reaped.ru_utime + reaped.ru_stime + live / proc.CLOCK_TICKS)
        return self.seen_s


Point = tuple[float, float, "float | None", "float | None", "float | None"]
COLUMNS = ("at_s", "cpu_s", "node_busy_s", "package_j", "dram_j")


class Journal:
    """Counters over time, at most `points` of them: when they are full every second one goes and the interval doubles."""

    def __init__(self, path: str, powercap: Powercap, interval_s: float, points: int) -> None:
        self.path, self.powercap, self.interval_s, self.most = path, powercap, interval_s, points
        self.time = TreeTime()
        self.points: list[Point] = []
        self.stale = True  # the file lags behind, or is not there yet

    def sample(self) -> Point:
        energy = self.powercap.read()
        return proc.now_s(), self.time.read(), node_busy_s(), energy.get("cpu"), energy.get("dram")

    def tick(self, *, keep: bool = False) -> None:
        """Take a reading; keep it once the interval has passed since the last one that was kept, or when told to."""
        point = self.sample()
        if not keep and self.points and point[0] - self.points[-1][0] < self.interval_s * 0.9:
            return
        if len(self.points) >= self.most:
            del self.points[1::2]
            self.interval_s *= 2
            self.stale = True
        self.points.append(point)
        self._store(point)

    def due_s(self) -> float:
        return self.points[-1][0] + min(self.interval_s, LONGEST_SAMPLE_S) if self.points else 0.0

    def _store(self, point: Point) -> None:
        try:
            if self.stale:
                with open(self.path + ".new", "w") as file:
                    file.writelines(json.dumps(line) + "\n" for line in [COLUMNS, *self.points])
                os.replace(self.path + ".new", self.path)
                self.stale = False
            else:
                with open(self.path, "a") as file:
                    file.write(json.dumps(point) + "\n")
        except OSError:
            self.stale = True  # a full disk: all of it is written again when there is room
