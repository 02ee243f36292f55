"""`replay`: what a day might have turned out to be, for demonstrations and trials. Never a measurement.

The wrapped source's expectation becomes the forecast; the "actual" is that expectation times 1 + error. The error is drawn
once and for all from the seed: smooth (neighbouring slots err alike), with the stated relative standard deviation. Asked twice,
in whatever portions, it answers the same.
"""

import math
import random
from collections.abc import Sequence
from datetime import datetime

from carbonq.domain.carbon import Forecast, IntensitySeries, Origin, SourceInfo, Zone
from carbonq.domain.ports import IntensitySource
from carbonq.domain.time import DEFAULT_SLOT_S, SlotGrid, to_ms
from carbonq.forecasters.carbon.readings import Row, overlapping, series_of

DEFAULT_ERROR_REL = 0.1
HISTORY_S = 60 * 86_400
"""How far back it is asked: enough for a model to learn from, and made up in a moment."""
PERSISTENCE = 0.9
"""Of the error from one half-hour to the next: half of it is forgotten after some three hours."""
_MEMORY_SLOTS = 44  # 0.9 ** 44 < 1 %: what lies further back no longer shows
_MOST_REL = 0.9  # an "actual" stays above a tenth of what was expected


class ReplaySource:
    """A source whose past is made up from another one's expectation."""

    def __init__(self, inner: IntensitySource, *, error_rel: float = DEFAULT_ERROR_REL, seed: int = 1) -> None:
        self._inner, self._error_rel, self._seed = inner, error_rel, seed
        self.name = f"replay:{inner.name}"
        self.label = f"made up: {inner.name} with a seeded error of {error_rel:.0%}, seed {seed}"

    @property
    def info(self) -> SourceInfo:
        inner = self._inner.info
        credit = "; ".join(filter(None, (inner.attribution, self.label)))
        made_up = {"name": self.name, "title": self.label, "attribution": credit, "history_s": HISTORY_S}
        return inner.model_copy(update=made_up)

    def zones(self) -> Sequence[Zone]:
        return self._inner.zones()

    def history(self, zone: Zone, start: datetime, end: datetime) -> IntensitySeries:
        grid = SlotGrid.covering(start, end, DEFAULT_SLOT_S)
        expected = self._inner.history(zone, grid.start, grid.end)
        errors = seeded_errors(f"{self._seed}:{zone}", to_ms(grid.start) // (DEFAULT_SLOT_S * 1000), grid.slots)
        rows = [
            Row(first, last, value * (1 + max(-_MOST_REL, min(_MOST_REL, self._error_rel * error))))
            for (first, last), value, error in zip(grid, expected.on(grid), errors, strict=True)
            if value is not None
        ]
        info = self.info.model_copy(update={"signal": expected.signal})
        return series_of(zone, overlapping(rows, start, end), Origin.REPLAYED, info)

    def forecast(self, zone: Zone, now: datetime, end: datetime) -> Forecast:
        forecast = self._inner.forecast(zone, now, end)
        return forecast.model_copy(update={"source": self.name})


def seeded_errors(seed: str, first: int, count: int) -> list[float]:
    """Standard normal errors of slots `first` to `first + count - 1`, correlated as a first-order autoregression.

    Each is a weighted sum of the noise of its own slot and of those before it, so that no walk from a beginning is needed.
    """
    scale = math.sqrt((1 - PERSISTENCE**2) / (1 - PERSISTENCE ** (2 * _MEMORY_SLOTS)))
    weights = [scale * PERSISTENCE**age for age in range(_MEMORY_SLOTS)]
    noise = [_normal(f"{seed}:{slot}") for slot in range(first - _MEMORY_SLOTS + 1, first + count)]
    return [
        math.fsum(weight * noise[index + _MEMORY_SLOTS - 1 - age] for age, weight in enumerate(weights))
        for index in range(count)
    ]


def _normal(seed: str) -> float:
    """One standard normal number (Box-Muller on `random()`, the one method whose sequence Python guarantees)."""
    draw = random.Random(seed)  # noqa: S311  # a reproducible error, no secret
    return math.sqrt(-2 * math.log(1 - draw.random())) * math.cos(2 * math.pi * draw.random())
