"""Free units of each pool, slot by slot, while a plan is being made."""

from collections.abc import Iterable, Sequence

from carbonq.domain.plan import PoolSnapshot


class Room:
    """Units free in each slot of each pool. Only ever shrinks: what did not fit once never fits later."""

    def __init__(self, pools: Iterable[PoolSnapshot], slots: int) -> None:
        self.slots = slots
        self._units = {pool.name: pool.gpus for pool in pools}
        self._free = {name: [units] * slots for name, units in self._units.items()}
        self._searched: dict[tuple[tuple[str, ...], int, int, int], int] = {}

    @classmethod
    def left_by(cls, pools: Sequence[PoolSnapshot], slots: int) -> "Room":
        """The room that the pools' `busy` entries leave."""
        room = cls(pools, slots)
        for pool in pools:
            for first, end, units in pool.busy:
                room.take(pool.name, first, end, units)
        return room

    def fits(self, pool: str, first: int, end: int, units: int) -> bool:
        """Whether that many units are free in all slots of `[first, end)`, none of them beyond the horizon."""
        return end <= self.slots and min(self._free[pool][first:end], default=units) >= units

    def take(self, pool: str, first: int, end: int, units: int) -> None:
        """Use units up, also more than there are: machines may leave while jobs run. The part outside is cut off."""
        free = self._free[pool]
        for slot in range(max(0, first), min(end, self.slots)):
            free[slot] -= units

    def first_fit(self, pools: tuple[str, ...], earliest: int, length: int, units: int) -> tuple[int, str] | None:
        """The earliest start from which `units` are free for `length` slots, in the first such pool."""
        question = (pools, earliest, length, units)
        since = self._searched.get(question, earliest)  # nothing before this fitted when last asked
        found = ((start, rank) for rank, pool in enumerate(pools) for start in self._first(pool, since, length, units))
        start, rank = min(found, default=(self.slots, 0))
        self._searched[question] = start
        return (start, pools[rank]) if start < self.slots else None

    def busy(self, pool: str) -> tuple[tuple[int, int, int], ...]:
        """What is taken, as [first slot, end slot, units], runs of equal use joined."""
        runs: list[tuple[int, int, int]] = []
        for slot, free in enumerate(self._free[pool]):
            taken = self._units[pool] - free
            if runs and runs[-1][1] == slot and runs[-1][2] == taken:
                runs[-1] = (runs[-1][0], slot + 1, taken)
            elif taken:
                runs.append((slot, slot + 1, taken))
        return tuple(runs)

    def _first(self, pool: str, earliest: int, length: int, units: int) -> Iterable[int]:
        run = 0
        for slot in range(earliest, self.slots):
            run = run + 1 if self._free[pool][slot] >= units else 0
            if run == length:
                yield slot - length + 1
                return
