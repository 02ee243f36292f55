"""What a shim leaves behind when it is killed: its job's processes, wherever they went."""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any, TypeGuard

from carbonq.workers.shim import cgroup, proc

MARKER = "CARBONQ_ATTEMPT_DIR"
"""An environment variable that every process of an attempt inherits, whatever session or parent it moves to."""

KILL_LIMIT_S = 10.0


def is_same(recorded: dict[str, Any] | None, boot_id: str | None) -> TypeGuard[dict[str, Any]]:
    """Whether a recorded process still runs: its pid, started at the same tick of the same boot."""
    return (
        recorded is not None
        and boot_id == proc.boot_id()
        and recorded["start_ticks"] is not None
        and proc.start_ticks(recorded["pid"]) == recorded["start_ticks"]
    )


def find(folder: Path, identity: dict[str, Any] | None) -> set[int]:
    """The attempt's processes: the recorded ones and those that carry its marker, with everything below them."""
    identity = identity or {}
    roots = {
        recorded["pid"] for name in ("shim", "job") if is_same(recorded := identity.get(name), identity.get("boot_id"))
    }
    if (group := identity.get("cgroup")) and identity.get("boot_id") == proc.boot_id():
        roots.update(cgroup.members(group))  # also those that emptied their environment
    marker = os.fsencode(f"{MARKER}={folder}")
    parents = proc.parents()
    roots |= {pid for pid in parents if _carries(pid, marker)}
    found = set(roots)
    for root in roots:
        found.update(proc.descendants(root))
    return {pid for pid in found if proc.start_ticks(pid) is not None} - {os.getpid()}


def kill(folder: Path, identity: dict[str, Any] | None) -> int:
    """Kill them until none is left; how many there were. What will not die within 10 s is left."""
    killed: set[int] = set()
    until_s, pause_s = time.monotonic() + KILL_LIMIT_S, 0.002
    while (found := find(folder, identity)) and time.monotonic() < until_s:
        killed |= found
        for signum in (signal.SIGSTOP, signal.SIGKILL):
            proc.signal_all(sorted(found), signum)
        time.sleep(pause_s)
        pause_s = min(0.1, pause_s * 2)
    return len(killed)


def _carries(pid: int, marker: bytes) -> bool:
    with contextlib.suppress(OSError):
        return marker in (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
    return False
