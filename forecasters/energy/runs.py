"""Past runs as the model keeps them: bounded in number, and still telling of every setting that was tried.

Of one setting only the latest runs are kept: more of them would tell little. Where a kind of run has too many, the oldest run
of its commonest setting goes; where all kinds together have too many, one of the commonest kind.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import NamedTuple

MAX_RUNS, MAX_OF_KIND, MAX_OF_SETTING = 4000, 256, 16
NEIGHBOURS = 208
"""So many runs tell of one kind: as many as can be weighed within an answer's time."""
_REACH = (0.6, 0.85, 0.95, 1.0)
"""The share of them that is taken once the same kind, the same family, the same GPU model and all others are in."""


class RunRecord(NamedTuple):
    """One run, or one asked about: then what it took is None. Energy in joules and duration in seconds of the whole run."""

    family: str
    gpu_model: str = ""  # empty: no GPU
    gpus: int = 0
    work: float | None = None  # units done, above 0
    energy_j: float | None = None
    duration_s: float | None = None
    power_limit_w: float | None = None  # of each GPU
    batch_size: float | None = None
    numbers: Mapping[str, float] = {}  # further features
    labels: Mapping[str, str] = {}  # variants of the family


class Kind(NamedTuple):
    """What is told apart first of all. Runs of known work tell of a unit of it, those of unknown work of whole runs."""

    family: str
    gpu_model: str


def kind_of(run: RunRecord) -> Kind:
    return Kind(run.family, run.gpu_model)


_Setting = tuple[object, ...]
_Settings = dict[_Setting, deque[RunRecord]]


class RunStore:
    """Runs by kind and setting, the latest last."""

    def __init__(self) -> None:
        self._kinds: dict[Kind, _Settings] = {}
        self._counts: dict[Kind, int] = {}
        self._kept: dict[Kind, int] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, run: RunRecord) -> None:
        kind = kind_of(run)
        settings = self._kinds.setdefault(kind, {})
        setting = _setting(run)
        runs = settings.pop(setting, deque())
        settings[setting] = runs
        runs.append(run)
        self._size += 1
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._kept[kind] = self._kept.get(kind, 0) + 1
        if len(runs) > MAX_OF_SETTING:
            self._forget(kind, setting)
        elif self._kept[kind] > MAX_OF_KIND:
            self._forget_of(kind)
        elif self._size > MAX_RUNS:
            self._forget_of(max(self._kept, key=self._kept.__getitem__))

    def __iter__(self) -> Iterator[RunRecord]:
        """Every run that is kept, those of one setting in their order."""
        return chain.from_iterable(chain.from_iterable(settings.values()) for settings in self._kinds.values())

    def counts(self) -> Iterator[tuple[Kind, int]]:
        return iter(self._counts.items())

    def recall(self, kind: Kind, count: int) -> None:
        """How many runs of the kind there were, kept or not."""
        self._counts[kind] = max(count, self._counts.get(kind, 0))

    def count(self, kind: Kind) -> int:
        """Runs ever added of this kind; of the family on any GPU where there is none of it on this one."""
        own = self._counts.get(kind, 0)
        return own or sum(count for other, count in self._counts.items() if other.family == kind.family)

    def near(self, kind: Kind, wanted: Mapping[str, bool]) -> list[RunRecord]:
        """The runs that tell of this kind, the closest kin first.

        `wanted`: whether a field must be known; `{"work": True, "energy_j": True}`.
        """
        tiers: tuple[list[_Settings], ...] = ([], [], [], [])
        for other, settings in self._kinds.items():
            tiers[_distance(kind, other)].append(settings)
        found: list[RunRecord] = []
        for tier, reach in zip(tiers, _REACH, strict=True):
            room = max(0, round(reach * NEIGHBOURS) - len(found))
            found += islice(_in_turn([_latest_first(settings, wanted, room) for settings in tier[-room:]]), room)
        return found

    def _forget_of(self, kind: Kind) -> None:
        settings = self._kinds[kind]
        self._forget(kind, max(settings, key=lambda setting: len(settings[setting])))

    def _forget(self, kind: Kind, setting: _Setting) -> None:
        """The oldest run of the setting."""
        settings = self._kinds[kind]
        settings[setting].popleft()
        self._size -= 1
        self._kept[kind] -= 1
        if not settings[setting]:
            del settings[setting]
        if not settings:
            del self._kinds[kind], self._counts[kind], self._kept[kind]


def _setting(run: RunRecord) -> _Setting:
    """Runs whose work differs by less than a doubling, give or take, are of one setting."""
    work = None if run.work is None else round(math.log2(run.work))
    given = (run.gpus, run.power_limit_w, run.batch_size)
    return (work, *given, tuple(sorted(run.numbers.items())), tuple(sorted(run.labels.items())))


def _distance(kind: Kind, other: Kind) -> int:
    return 2 * (kind.family != other.family) + (kind.gpu_model != other.gpu_model)


def _latest_first(settings: _Settings, wanted: Mapping[str, bool], most: int) -> Iterator[RunRecord]:
    """The latest run of each of the latest settings, then the second latest of each, and so on."""
    latest = islice(reversed(settings.values()), most)
    return _in_turn(
        (run for run in reversed(runs) if all(getattr(run, name) is not None for name, must in wanted.items() if must))
        for runs in latest
    )


def _in_turn(streams: Iterable[Iterator[RunRecord]]) -> Iterator[RunRecord]:
    """Of each stream one, then of each another, until all are at their end."""
    left = list(streams)
    while left:
        going = []
        for stream in left:
            for run in islice(stream, 1):
                going.append(stream)
                yield run
        left = going
