"""A node's account of its energy, closed step by step: what was counted, and which attempt used how much of it.

Time is closed once and never reopened; at each moment `counted = attempts + carbonq + unattributed` holds for every counter.
Pure but for the dictionary that it can be written to and made from, so that a worker's successor goes on where it stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from carbonq.domain.energy import Component
from carbonq.workers.attribution import Curve, Node, Shares, Usage, counted, share_gpu, share_node

VERSION = 1
CARBONQ = "carbonq"
"""The user of the ledger that stands for the worker itself and its shims."""


class Part(NamedTuple):
    """One counter of the node: a GPU by its UUID, or the packages or memory as a whole."""

    component: Component
    device: str = ""

    def __str__(self) -> str:
        return f"{self.component}:{self.device}"

    @classmethod
    def parse(cls, text: str) -> "Part":
        component, _, device = text.partition(":")
        return cls(Component(component), device)


@dataclass
class User:
    """One attempt, or carbonq itself: what it holds, and the joules booked to it so far, counter by counter."""

    cpus: int
    gpus: tuple[str, ...] = ()
    start_s: float = 0.0
    end_s: float | None = None
    cpu_readings: list[tuple[float, float]] = field(default_factory=list)  # at_s, CPU seconds: those not yet closed
    shares: dict[Part, float] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)

    def usage(self) -> Usage:
        return Usage(self.cpus, self.start_s, self.end_s, counted(self.cpu_readings), self.gpus)

    def book(self, part: Part, energy_j: float) -> None:
        self.shares[part] = self.shares.get(part, 0.0) + energy_j

    def joules(self, component: Component) -> float | None:
        """None where no counter of the component was ever booked."""
        known = [energy_j for part, energy_j in self.shares.items() if part.component is component]
        return sum(known) if known else None

    def flag(self, text: str) -> None:
        if text not in self.flags:
            self.flags.append(text)


@dataclass
class Total:
    """One counter's energy since the account was opened, in joules."""

    counted_j: float = 0.0
    jobs_j: float = 0.0
    carbonq_j: float = 0.0
    unattributed_j: float = 0.0

    def add(self, shares: Shares) -> None:
        ours_j = shares.by_user.get(CARBONQ, 0.0)
        jobs_j = sum(energy_j for user, energy_j in shares.by_user.items() if user != CARBONQ)
        self.counted_j += shares.counted_j
        self.jobs_j += jobs_j
        self.carbonq_j += ours_j
        self.unattributed_j += max(0.0, shares.counted_j - jobs_j - ours_j)


@dataclass
class NodeLedger:
    """`closed_s`: up to where time is accounted for. `cpus`: the node's hardware threads."""

    cpus: int
    closed_s: float
    users: dict[str, User] = field(default_factory=dict)
    totals: dict[Part, Total] = field(default_factory=dict)

    def close(
        self, until_s: float, energy: Mapping[Part, Curve], busy_s: Curve | None, idle_w: Mapping[Part, float]
    ) -> None:
        """Account for the time up to then. `idle_w` is what a node-wide counter counts a second when nothing runs."""
        if until_s <= self.closed_s:
            return
        usages = {name: user.usage() for name, user in self.users.items()}
        for part, curve in energy.items():
            shares = self._shares(part, curve, until_s, Node(self.cpus, busy_s, idle_w.get(part, 0.0)), usages)
            for name, energy_j in shares.by_user.items():
                self.users[name].book(part, energy_j)
            self.totals.setdefault(part, Total()).add(shares)
        self.closed_s = until_s
        for user in self.users.values():
            user.cpu_readings = since(user.cpu_readings, until_s)

    def _shares(self, part: Part, curve: Curve, until_s: float, node: Node, usages: Mapping[str, Usage]) -> Shares:
        if part.component is Component.GPU:
            return share_gpu(curve, part.device, self.closed_s, until_s, usages)
        return share_node(curve, self.closed_s, until_s, node, usages)

    def to_state(self) -> dict[str, Any]:
        """What `from_state` needs, as JSON can hold it."""
        return {
            "version": VERSION,
            "closed_s": self.closed_s,
            "totals": {str(part): vars(total) for part, total in self.totals.items()},
            "users": {
                name: vars(user) | {"shares": {str(part): energy_j for part, energy_j in user.shares.items()}}
                for name, user in self.users.items()
            },
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], cpus: int) -> "NodeLedger":
        """Raises KeyError, TypeError or ValueError for what `to_state` did not write."""
        if state["version"] != VERSION:
            raise ValueError(f"a node's account of version {state['version']}")
        ledger = cls(cpus, float(state["closed_s"]))
        ledger.totals = {Part.parse(text): Total(**total) for text, total in state["totals"].items()}
        for name, fields in state["users"].items():
            shares = {Part.parse(text): float(energy_j) for text, energy_j in fields["shares"].items()}
            readings = [(float(at_s), float(cpu_s)) for at_s, cpu_s in fields["cpu_readings"]]
            ledger.users[name] = User(
                **(fields | {"gpus": tuple(fields["gpus"]), "shares": shares, "cpu_readings": readings})
            )
        return ledger


def since(readings: list[tuple[float, float]], moment_s: float) -> list[tuple[float, float]]:
    """The readings from that moment on, and the last one before it: what is needed to interpolate from there."""
    ordered = sorted(readings)
    before = sum(at_s <= moment_s for at_s, _ in ordered)
    return ordered[max(0, before - 1) :]
