"""Processes, as /proc shows them, and the clock that they are timed by."""

from __future__ import annotations

import os
import time

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def now_s() -> float:
    """Seconds on the clock that never jumps and also counts a machine's sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the third (state) on, or None for a process that is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode("ascii").split()
    except (OSError, ValueError):
        return None


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None once it is gone or a zombie."""
    fields = stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def parents() -> dict[int, int]:
    """The parent of every process on the machine."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := stat(int(name))):
            found[int(name)] = int(fields[1])
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            found += map(int, file.read().split())
    return found


def descendants(root: int) -> list[int]:
    """Every process below `root`, zombies too, parents first."""
    if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):  # a kernel without CONFIG_PROC_CHILDREN
        return _descendants_by_scan(root)
    found, left = [], [root]
    while left:
        try:
            children = _children(left.pop())
        except OSError:
            continue
        found += children
        left += children
    return found


def _descendants_by_scan(root: int) -> list[int]:
    below: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        below.setdefault(parent, []).append(pid)
    found, left = [], [root]
    while left:
        children = below.get(left.pop(), [])
        found += children
        left += children
    return found


def live_cpu_s(root: int) -> float:
    """CPU seconds of every process below `root` that still runs, with those of its children that it has waited for."""
    known = (fields for pid in descendants(root) if (fields := stat(pid)) is not None)
    return sum(sum(map(int, fields[11:15])) for fields in known) / CLOCK_TICKS


def signal_all(pids: list[int], signum: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, signum)
        except (ProcessLookupError, PermissionError):
            continue
