"""Reads the node's meters on a thread of its own, closes its ledger step by step, and tells what each attempt used.

GPUs are read every 100 ms or so while one is in use, and in a burst around each attempt's start and end: their counters move
only ten times a second, and where an attempt's edge lies between two of those moves must be known to a millisecond. All else
is read once a second, and seldom while nothing runs.

Its state goes to `node.json` at each start and end and every ten seconds. A successor resumes from there; what happened since
it takes from the journals of the attempts' shims.
"""

import contextlib
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from carbonq.clock import real_now
from carbonq.domain.energy import Component, Provenance
from carbonq.domain.job import ComponentAccount, NodeAccount
from carbonq.domain.ports import Meter
from carbonq.workers import usage
from carbonq.workers.attribution import Curve
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.gpu_energy import GpuPoint, raw_point
from carbonq.workers.journal import BoundedJournal, read_journal
from carbonq.workers.ledger import CARBONQ, NodeLedger, Part, User
from carbonq.workers.readings import CPU, DRAM, Account, CpuModel, NodeReadings, Resumable
from carbonq.workers.runner import Ending, gpu_readings
from carbonq.workers.shim import counters, proc

log = logging.getLogger("carbonq.worker")

FILE = "node.json"
JOURNAL_S = 10.0
BURST_S, BURST_POLL_S = 0.13, 0.0007  # a counter's longest usual update period is 100 ms
LAG_S = 0.3  # a GPU's counter has moved for certain that long after a moment: so late its time is closed
HOLD_S = 2.0  # how long all else waits for a start to be known: on a full disk it may never be written
IDLE_S = 10.0
MOST_STEPS = 500  # of one closing, as after time during which no worker ran
GPU_CLOSE_S, BUSY_CLOSE_S = 5.0, 0.5  # a GPU's curve takes milliseconds to make: it is not made anew for each poll
TRACE_LINES = 1900  # a trace may have 2,000 segments
POINT_LINES, EDGE_POINTS = 4000, 700


@dataclass
class _Watched:
    """An attempt's side of the sampler. `is_placed`: its true start is known, not only when it was asked to start."""

    folder: AttemptFolder
    trace: BoundedJournal
    points: BoundedJournal
    is_placed: bool = False
    is_ended: bool = False

    @classmethod
    def of(cls, folder: AttemptFolder) -> "_Watched":
        return cls(
            folder,
            BoundedJournal(folder.samples, most=TRACE_LINES, ends=1),
            BoundedJournal(folder.gpu_points, most=POINT_LINES, ends=EDGE_POINTS),
        )


class Sampler:
    """Safe to use from several threads. `settled` is called, on the sampler's thread, when time has been closed further."""

    def __init__(
        self,
        meters: Sequence[Meter],
        model: CpuModel,
        *,
        cpus: int,
        folder: Path,
        interval_s: float = 1.0,
        poll_s: float = 0.1,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        self._meters, self._path, self._settled = tuple(meters), folder / FILE, settled
        self._interval_s, self._poll_s, self._idle_s = interval_s, min(poll_s, interval_s), max(IDLE_S, interval_s)
        self._gpu_meters = tuple(meter for meter in meters if any(c.component is Component.GPU for c in meter.read()))
        self._lag_s = LAG_S if self._gpu_meters else 0.0
        self.readings = NodeReadings(model, secrets.token_hex(4))
        self.ledger = NodeLedger(cpus, proc.now_s())
        self.since = real_now()
        self._own_time = usage.OwnTime()
        self._boot_id, self._is_fresh = proc.boot_id(), True
        self._watched: dict[str, _Watched] = {}
        self._lock, self._wake, self._stopping = threading.RLock(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._burst_until_s = self._next_read_s = self._next_journal_s = self._closed_at_s = 0.0
        self._resume()
        self.ledger.users.setdefault(CARBONQ, User(0, start_s=self.ledger.closed_s))

    # what the agent asks for

    def start(self) -> None:
        """Call once every attempt that was found is adopted: whoever a predecessor left in the account besides is gone."""
        with self._lock:
            for name in self.ledger.users.keys() - self._watched.keys() - {CARBONQ}:
                del self.ledger.users[name]
        self._thread.start()

    def stop(self) -> None:
        """Read and write down everything once more, then rest."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def begin(self, key: str, folder: AttemptFolder, *, cpus: int, gpus: tuple[str, ...]) -> None:
        """An attempt is about to start. Until its start is known, or a while has passed, no time is closed beyond this moment."""
        with self._lock:
            self.ledger.users[key] = User(cpus, gpus, start_s=proc.now_s())
            self._watched[key] = _Watched.of(folder)
            self._look_closely()

    def forget(self, key: str) -> None:
        """Its account is written down elsewhere, or it did not start after all."""
        with self._lock:
            self.ledger.users.pop(key, None)
            self._watched.pop(key, None)

    def adopt(self, key: str, folder: AttemptFolder, *, cpus: int, gpus: tuple[str, ...]) -> None:
        """An attempt that another worker started: what its shim has read meanwhile fills the gap. Call before `start`."""
        identity = folder.read("shim.json") or {}
        same_boot = identity.get("boot_id") == self._boot_id
        with self._lock:
            watched = self._watched[key] = _Watched.of(folder)
            if key not in self.ledger.users:
                start_s = identity.get("started_s") if same_boot else None
                self.ledger.users[key] = User(cpus, gpus, start_s=start_s or self.ledger.closed_s)
            watched.is_placed = True
            if same_boot:
                self._take_over(self.ledger.users[key], folder)

    def end(self, key: str, ending: Ending) -> None:
        """It has ended: its last CPU time and its true edges are known now."""
        with self._lock:
            user, watched = self.ledger.users.get(key), self._watched.get(key)
            if user is None or watched is None or watched.is_ended:
                return
            watched.is_ended = True
            self._place(user, watched, ending.started_s)
            watched.is_placed = True  # one that never started has no start to wait for
            user.end_s = max(user.start_s, ending.ended_s if ending.ended_s is not None else proc.now_s())
            if ending.cpu_s is not None:
                user.cpu_readings.append((user.end_s, ending.cpu_s))
            self._look_closely()

    def is_settled(self, key: str) -> bool:
        """Whether all of an ended attempt's time is closed."""
        with self._lock:
            user = self.ledger.users.get(key)
            return user is None or (user.end_s is not None and user.end_s <= self.ledger.closed_s)

    def account(self, key: str) -> Account | None:
        """What it used, as far as time is closed; None for an attempt that was never begun."""
        with self._lock:
            user, watched = self.ledger.users.get(key), self._watched.get(key)
            if user is None or watched is None:
                return None
            trace = [
                (at_s, joules) for at_s, joules in read_journal(watched.trace.path) if at_s <= self.ledger.closed_s
            ]
            points: dict[str, list[GpuPoint]] = {uuid: [] for uuid in user.gpus}
            for uuid, *fields in read_journal(watched.points.path):
                points.setdefault(uuid, []).append(GpuPoint(*fields))
            return Account(dict(user.shares), dict(self.readings.methods), points, trace, tuple(user.flags))

    def node_account(self) -> NodeAccount:
        with self._lock:
            methods = self.readings.methods
            by_component: dict[Component, ComponentAccount] = {}
            for part, total in self.ledger.totals.items():
                method = methods.get(part)
                one = ComponentAccount(
                    component=part.component,
                    method=method.name if method else "none",
                    provenance=method.provenance if method else Provenance.UNKNOWN,
                    **vars(total),
                )
                by_component[part.component] = (
                    _added(by_component[part.component], one) if (part.component in by_component) else one
                )
            return NodeAccount(since=self.since, until=real_now(), components=tuple(by_component.values()))

    # the thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                wait_s = self._round()
            except Exception:  # one round is lost, never the measuring
                log.exception("a defect in carbonq; measuring goes on")
                wait_s = self._interval_s
            self._wake.wait(wait_s)
            self._wake.clear()
        with self._lock:
            self._read()
            self._close()
        self._write_state()

    def _round(self) -> float:
        """One look at whatever is due; how long to rest."""
        with self._lock:
            now_s = proc.now_s()
            if now_s >= self._next_read_s:
                self._read()
                self._next_read_s = now_s + (self._interval_s if self._watched else self._idle_s)
            else:
                self._poll_gpus()
            moved = self._is_close_due(now_s) and self._close()
        if now_s >= self._next_journal_s:
            self._write_state()
        if moved:
            self._settled()
        return max(0.0, self._pause_s(now_s))

    def _pause_s(self, now_s: float) -> float:
        if now_s < self._burst_until_s:
            return BURST_POLL_S
        to_read_s = self._next_read_s - proc.now_s()
        in_use = any(user.gpus for user in self.ledger.users.values())
        waiting = self._is_awaited()
        return min(to_read_s, self._poll_s) if (in_use and self._gpu_meters) or waiting else to_read_s

    def _look_closely(self) -> None:
        """Read all at once, write it down, and locate the GPUs' next move: an attempt's edge is now."""
        self._next_read_s = self._next_journal_s = 0.0
        if self._gpu_meters:
            self._burst_until_s = proc.now_s() + BURST_S
        self._wake.set()

    def _poll_gpus(self) -> None:
        for meter in self._gpu_meters:
            self._keep(self.readings.see(meter.read()))

    def _read(self) -> None:
        """Every meter, and every attempt's CPU time, at one moment."""
        for meter in self._meters:
            self._keep(self.readings.see(meter.read()))
        busy_s = counters.node_busy_s()
        if busy_s is not None:
            self.readings.busy.append((proc.now_s(), busy_s))
        for key, watched in self._watched.items():
            if not watched.is_ended:
                self._look_at(self.ledger.users[key], watched)
        own = self.ledger.users.get(CARBONQ)
        if own is not None:
            own.cpu_readings.append((proc.now_s(), self._own_time.read([w.folder for w in self._watched.values()])))

    def _look_at(self, user: User, watched: _Watched) -> None:
        if not watched.is_placed:
            identity = watched.folder.read("shim.json") or {}
            self._place(user, watched, identity.get("started_s"))
        cpu_s = usage.cpu_s(watched.folder)
        if cpu_s is not None:
            user.cpu_readings.append((proc.now_s(), cpu_s))

    def _place(self, user: User, watched: _Watched, started_s: float | None) -> None:
        if watched.is_placed or started_s is None:
            return
        watched.is_placed = True
        user.start_s = max(started_s, user.start_s)
        user.cpu_readings.insert(0, (user.start_s, 0.0))

    def _keep(self, fresh: dict[str, list[GpuPoint]]) -> None:
        for key, watched in self._watched.items():
            for uuid in self.ledger.users[key].gpus:
                watched.points.add([[uuid, *point] for point in fresh.get(uuid, ())])

    def _close(self) -> bool:
        """Account for the time up to now, or to where everything about it is known."""
        until_s = min([proc.now_s() - self._lag_s, *self._not_placed()])
        until_s = min(until_s, max((at_s for at_s, _ in self.readings.busy), default=until_s))
        before_s = self.ledger.closed_s
        if until_s <= before_s:
            return False
        curves = self.readings.curves()
        step_s = max(self._interval_s, (until_s - before_s) / MOST_STEPS)
        while self.ledger.closed_s < until_s:
            self._step(min(until_s, self.ledger.closed_s + step_s), curves)
        self.readings.forget(until_s, curves)
        self._closed_at_s = proc.now_s()
        return True

    def _is_close_due(self, now_s: float) -> bool:
        """At each look where that is cheap. With GPUs not within a burst, unless bursts follow each other without a pause."""
        if not self._gpu_meters:
            return True
        since_s = now_s - self._closed_at_s
        is_calm = now_s >= self._burst_until_s or since_s >= BUSY_CLOSE_S
        return is_calm and (since_s >= GPU_CLOSE_S or self._is_awaited())

    def _is_awaited(self) -> bool:
        """Whether an attempt has ended whose time is not closed yet."""
        return any(watched.is_ended and not self.is_settled(key) for key, watched in self._watched.items())

    def _step(self, until_s: float, curves: Mapping[Part, Curve]) -> None:
        idle_w = self.readings.idle_w(curves, self.ledger.closed_s, until_s)
        self.ledger.close(until_s, curves, self.readings.busy_s(), idle_w)
        for key, watched in self._watched.items():
            user = self.ledger.users[key]
            moment_s = until_s if user.end_s is None else min(until_s, user.end_s)
            if moment_s >= user.start_s:
                watched.trace.add([[moment_s, sum(user.shares.values())]])

    def _not_placed(self) -> Iterable[float]:
        for key, watched in self._watched.items():
            start_s = self.ledger.users[key].start_s
            if not watched.is_placed and proc.now_s() - start_s < HOLD_S:
                yield start_s

    # what outlives this process

    def _write_state(self) -> None:
        self._next_journal_s = proc.now_s() + JOURNAL_S
        with self._lock:
            state = {
                "boot_id": self._boot_id,
                "meters": {
                    meter.name: {"identity": meter.identity, "state": meter.state()}
                    for meter in self._meters
                    if isinstance(meter, Resumable)
                },
                "since": self.since.isoformat(),
                "ledger": self.ledger.to_state(),
                "readings": self.readings.to_state(),
            }
        with contextlib.suppress(OSError):  # a full disk: the shims' journals still tell all of it
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps(state))
            new.replace(self._path)

    def _resume(self) -> None:
        state = _read_state(self._path)
        if state is None:
            return
        try:
            ledger = NodeLedger.from_state(state["ledger"], self.ledger.cpus)
            if state["boot_id"] == self._boot_id and ledger.closed_s <= self.ledger.closed_s:
                self.readings.resume(state["readings"], self._resume_meters(state["meters"]))
            else:  # another boot's clock means nothing now; what was booked stays true
                ledger.closed_s = self.ledger.closed_s
                for user in ledger.users.values():
                    user.start_s = user.end_s = ledger.closed_s
                    user.cpu_readings = []
                    user.flag("the machine was restarted: what was used after the last record is not known")
            ledger.users.pop(CARBONQ, None)
            self._is_fresh = False
            self.ledger, self.since = ledger, datetime.fromisoformat(state["since"])
        except (KeyError, TypeError, ValueError):
            log.warning("%s cannot be read: the node's account starts anew", self._path)

    def _resume_meters(self, kept: dict[str, Any]) -> set[Component]:
        """The components whose counters go on where they stood."""
        going_on: set[Component] = set()
        for meter in self._meters:
            if isinstance(meter, Resumable) and kept.get(meter.name, {}).get("identity") == meter.identity:
                meter.resume(kept[meter.name]["state"])
                going_on |= {counter.component for counter in meter.read()}
        return going_on

    def _take_over(self, user: User, folder: AttemptFolder) -> None:
        if self._is_fresh:  # nothing is closed yet: its own journal is all there is
            self.ledger.closed_s = min(self.ledger.closed_s, user.start_s)
        closed_s = self.ledger.closed_s
        lines = [line for line in folder.lines("meter.jsonl") if line and isinstance(line[0], float)]
        for part, column in ((CPU, 3), (DRAM, 4)):
            counted_j = [(line[0], line[column]) for line in lines if line[column] is not None]
            if counted_j:
                self.readings.extras.setdefault(part, []).append(counted_j)
        self.readings.busy += [(line[0], line[2]) for line in lines if line[2] is not None and line[0] > closed_s]
        user.cpu_readings += [(line[0], line[1]) for line in lines if line[1] is not None and line[0] > closed_s]
        for at_s, uuid, counter_j in gpu_readings(folder):
            if isinstance(counter_j, float | int):  # neither a failed reading nor the header
                point = raw_point(at_s, counter_j)
                self.readings.gpu_points.setdefault(uuid, []).append(point)
                self._watched[folder.path.name].points.add([[uuid, *point]])
        away_s = proc.now_s() - closed_s
        if away_s > self._interval_s * 2:
            user.flag(f"{away_s:.0f} s were bridged from its shim's journal while no worker ran")


def _read_state(path: Path) -> dict[str, Any] | None:
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) else None


def _added(one: ComponentAccount, other: ComponentAccount) -> ComponentAccount:
    sums = {
        name: getattr(one, name) + getattr(other, name)
        for name in ("counted_j", "jobs_j", "carbonq_j", "unattributed_j")
    }
    return one.model_copy(update=sums)
