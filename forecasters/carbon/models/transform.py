"""The scales on which models are linear: as it is, or as a logarithm where every reading is positive."""

from typing import NamedTuple, Self

import numpy as np

from carbonq.forecasters.carbon.models.series import FloatArray

_OFFSET = 0.05
"""Of the level, added before the logarithm is taken: near zero a factor means little."""
_OVERSHOOT = 0.5
"""Of the range seen so far: no forecast leaves it by more."""


class Transform(NamedTuple):
    """Level: `v / level`. Logarithm: `log(v + offset)`. Going back, a value stays near the range that was ever seen."""

    level: float
    lowest: float
    highest: float
    logarithmic: bool = False

    @classmethod
    def of(cls, values: FloatArray) -> Self:
        """Of all known values; there must be one."""
        known = values[np.isfinite(values)]
        level = float(np.median(np.abs(known))) or float(np.abs(known).mean()) or 1.0
        low, high = float(known.min()), float(known.max())
        room = _OVERSHOOT * (high - low)
        floor = 0.0 if low >= 0 else low - room
        return cls(level, max(floor, low - room), high + room)

    @property
    def allows_logarithm(self) -> bool:
        return self.lowest >= 0 and self.highest > 0

    def as_logarithm(self) -> Self:
        return self._replace(logarithmic=True)

    def forward(self, values: FloatArray) -> FloatArray:
        if not self.logarithmic:
            return values / self.level
        logarithm: FloatArray = np.log(np.maximum(values, 0.0) / self.level + _OFFSET)
        return logarithm

    def back(self, values: FloatArray) -> FloatArray:
        plain = np.exp(np.minimum(values, 50.0)) - _OFFSET if self.logarithmic else values
        clipped: FloatArray = np.clip(plain * self.level, self.lowest, self.highest)
        return clipped
