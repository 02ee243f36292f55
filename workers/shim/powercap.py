"""The energy counters of CPU packages and memory that Linux shows as files (RAPL, of Intel and of AMD).

A counter is of 32 bits, in units that the chip chooses; Linux shows it in microjoules, up to `max_energy_range_uj`.
Common ranges are 262 kJ (a unit of 61 uJ), which lasts 14 minutes at 300 W and 8 at 500 W, and 65 kJ (15 uJ), which lasts
2 minutes at 500 W. Whoever reads more often than that misses no wrap.
https://docs.kernel.org/power/powercap/powercap.html
"""

from __future__ import annotations

import os

from . import proc
from .files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:  # the typing module takes milliseconds to load
    from collections.abc import Callable, Iterator, Mapping, Sequence

MOST_W = 2000.0  # no package draws as much: the largest sold are rated 500 W
SLACK_S = 10.0  # granted on top of the time between two readings


def passed_uj(before_uj: int, after_uj: int, range_uj: int, elapsed_s: float) -> int:
    """What a counter has counted between two readings.

    A fall is a wrap, unless that cannot be: where it is larger than the range, or where a wrap would take more than the
    package could have drawn in that time and the new reading would not. Then the counter was set back (by a sleep of the
    machine, by a reloaded driver) and shows what has passed since; what it counted before that is lost.
    """
    if after_uj >= before_uj:
        return after_uj - before_uj
    wrapped_uj = after_uj - before_uj + range_uj + 1
    most_uj = MOST_W * (elapsed_s + SLACK_S) * 1e6
    was_set_back = wrapped_uj <= 0 or wrapped_uj > most_uj >= after_uj
    return after_uj if was_set_back else wrapped_uj


def zones(root: str) -> Iterator[tuple[str, str]]:
    """(component, folder) of every package and its memory. Their parts (core, uncore), the whole platform (psys) and the
    second view of the same packages (`intel-rapl-mmio`) would count energy twice."""
    for folder in _folders(root, set()):
        try:
            name = read_text(folder + "/name")
        except (OSError, ValueError):
            continue
        if name.startswith("package-"):  # also `package-0-die-1`
            yield "cpu", folder
        elif name == "dram":
            yield "dram", folder


def _folders(folder: str, seen: set[str]) -> Iterator[str]:
    """Every zone below, once: `/sys/class/powercap` shows a subzone both beside its package and within it."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        if (name == "intel-rapl" or name.startswith("intel-rapl:")) and name not in seen:
            seen.add(name)
            path = os.path.join(folder, name)
            yield path
            yield from _folders(path, seen)


class Zone:
    """One counter. A reading that fails is made up for by the next one: the counter goes on counting meanwhile."""

    def __init__(self, folder: str) -> None:
        self.path = folder + "/energy_uj"
        self.total_uj = 0  # since the first reading
        self.last: tuple[int, float] | None = None
        try:
            self.range_uj = int(read_text(folder + "/max_energy_range_uj"))
        except (OSError, ValueError):
            self.range_uj = 0  # unknown: every fall counts as set back

    def read(self, at_s: float) -> int | None:
        try:
            now_uj = int(read_text(self.path))
        except (OSError, ValueError):
            return None
        if self.last is not None:
            before_uj, before_s = self.last
            self.total_uj += passed_uj(before_uj, now_uj, self.range_uj, at_s - before_s)
        self.last = now_uj, at_s
        return self.total_uj


class Powercap:
    """Energy of the packages and of their memory, in joules since the first reading.

    A component is left out where there is no counter of it, and None while any of its counters cannot be read: since
    CVE-2020-8694 only root may, unless a rule says otherwise.
    """

    def __init__(self, root: str, clock: Callable[[], float] = proc.now_s) -> None:
        self.clock = clock
        self.zones: dict[str, list[Zone]] = {}
        for component, folder in zones(root):
            self.zones.setdefault(component, []).append(Zone(folder))

    def state(self) -> dict[str, tuple[int, int, float]]:
        """What another process of the same boot goes on from: by counter its total, its last reading, and when that was."""
        every = [zone for counters in self.zones.values() for zone in counters]
        return {zone.path: (zone.total_uj, *zone.last) for zone in every if zone.last is not None}

    def resume(self, state: Mapping[str, Sequence[float]]) -> None:
        """Go on from there: what was counted meanwhile is in the next reading."""
        for zone in (zone for counters in self.zones.values() for zone in counters if zone.path in state):
            total_uj, last_uj, last_s = state[zone.path]
            zone.total_uj, zone.last = int(total_uj), (int(last_uj), last_s)

    def read(self) -> dict[str, float | None]:
        at_s, total_j = self.clock(), dict[str, "float | None"]()
        for component, counters in self.zones.items():
            totals_uj = [zone.read(at_s) for zone in counters]
            known_uj = [total_uj for total_uj in totals_uj if total_uj is not None]
            total_j[component] = sum(known_uj) / 1e6 if len(known_uj) == len(totals_uj) else None
        return total_j
