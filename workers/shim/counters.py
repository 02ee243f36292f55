"""Counters of an attempt over time: CPU seconds of its processes and of the node, energy of the packages."""

from __future__ import annotations

import json
import os
import resource

from . import proc
from .files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:  # the typing module takes milliseconds to load
    from collections.abc import Iterator

LONGEST_SAMPLE_S = 30.0  # RAPL counters wrap after minutes under load: they are read at least this often


class Powercap:
    """Energy of the packages and of their memory, in joules since the first reading, from Linux' powercap files.

    None where there are none or they may not be read (since CVE-2020-8694 only root may, unless a rule says otherwise).
    https://docs.kernel.org/power/powercap/powercap.html
    """

    def __init__(self, root: str) -> None:
        self.files: dict[str, list[tuple[str, int]]] = {"cpu": [], "dram": []}
        for component, path in self._domains(root):
            try:
                self.files[component].append((path + "/energy_uj", int(read_text(path + "/max_energy_range_uj"))))
            except (OSError, ValueError):
                continue
        self.last: dict[str, int] = {}
        self.total_j = {component: 0.0 for component, files in self.files.items() if files}

    @staticmethod
    def _domains(root: str) -> Iterator[tuple[str, str]]:
        try:
            names = sorted(os.listdir(root))
        except OSError:
            return
        for name in names:
            path = os.path.join(root, name)
            if not name.startswith("intel-rapl:"):  # `intel-rapl-mmio:` shows the same package a second time
                continue
            try:
                domain = read_text(path + "/name")
            except OSError:
                continue
            if domain.startswith("package"):
                yield "cpu", path
            elif domain == "dram":
                yield "dram", path

    def read(self) -> dict[str, float | None]:
        return {component: self._read(component) for component in self.total_j}

    def _read(self, component: str) -> float | None:
        try:
            raw = {path: int(read_text(path)) for path, _ in self.files[component]}
        except (OSError, ValueError):
            return None
        for path, range_uj in self.files[component]:
            passed_uj = raw[path] - self.last.get(path, raw[path])
            self.total_j[component] += (passed_uj if passed_uj >= 0 else passed_uj + range_uj + 1) / 1e6
        self.last.update(raw)
        return self.total_j[component]


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
