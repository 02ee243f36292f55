"""CPU time of attempts that still run, and of carbonq itself, as seen from the worker."""

import resource
from collections.abc import Iterable

from carbonq.workers import leftovers
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.shim import cgroup, proc

REAPED = slice(13, 15)  # cutime and cstime of /proc/<pid>/stat: of the children that were waited for
OWN = slice(11, 13)  # utime and stime


def cpu_s(folder: AttemptFolder) -> float | None:
    """CPU seconds that the attempt's job has used so far; None where that cannot be known.

    The greater of what its control group and its process tree show. Without a group it may once show a little less than
    before, while a process ends between two looks: whoever takes differences keeps the greatest.
    """
    if record := folder.read("exit.json"):
        return record.get("cpu_s")
    identity = folder.read("shim.json")
    if identity is None or "job" not in identity:
        return None
    group_s = group_cpu_s(identity)
    tree_s = _tree_s(identity["shim"]["pid"]) if _is_there(identity) else None
    return max((seen_s for seen_s in (group_s, tree_s) if seen_s is not None), default=None)


def group_cpu_s(identity: dict[str, object]) -> float | None:
    """What the attempt's control group counts, where it has one and the machine was not restarted since."""
    path = identity.get("cgroup")
    return cgroup.usage_s(str(path)) if path and identity.get("boot_id") == proc.boot_id() else None


class OwnTime:
    """What carbonq itself uses: this process, and each shim from the first look at it on."""

    def __init__(self) -> None:
        self._first_s: dict[AttemptFolder, float] = {}
        self._last_s: dict[AttemptFolder, float] = {}
        self._gone_s = 0.0

    def read(self, folders: Iterable[AttemptFolder]) -> float:
        """CPU seconds of this process and of these attempts' shims; never falls, also when a shim has gone."""
        live = {folder: shim_s for folder in folders if (shim_s := _shim_s(folder)) is not None}
        for folder in self._last_s.keys() - live.keys():
            self._gone_s += self._last_s.pop(folder) - self._first_s.pop(folder)
        for folder, shim_s in live.items():
            self._first_s.setdefault(folder, shim_s)
            self._last_s[folder] = shim_s
        used = resource.getrusage(resource.RUSAGE_SELF)
        shims_s = sum(self._last_s.values()) - sum(self._first_s.values())
        return used.ru_utime + used.ru_stime + self._gone_s + shims_s


def _shim_s(folder: AttemptFolder) -> float | None:
    identity = folder.read("shim.json")
    if identity is None or not _is_there(identity):
        return None
    fields = proc.stat(identity["shim"]["pid"])
    return sum(map(int, fields[OWN])) / proc.CLOCK_TICKS if fields else None


def _is_there(identity: dict[str, object]) -> bool:
    shim, boot_id = identity.get("shim"), identity.get("boot_id")
    return isinstance(shim, dict) and isinstance(boot_id, str) and leftovers.is_same(shim, boot_id)


def _tree_s(shim: int) -> float | None:
    fields = proc.stat(
        shim
    )  # before its children: one that is reaped meanwhile is missed for once, never counted twice
    if fields is None:
        return None
    return sum(map(int, fields[REAPED])) / proc.CLOCK_TICKS + proc.live_cpu_s(shim)
