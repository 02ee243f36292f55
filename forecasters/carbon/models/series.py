"""What models read and give: readings on a regular grid, features that were known in advance, and quantiles ahead."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
MEDIAN = QUANTILES.index(0.5)


class Readings(NamedTuple):
    """Past intensity: `values[i]` is the mean over `[start + i * step_s, start + (i + 1) * step_s)`; NaN for a gap."""

    start: datetime
    step_s: int
    values: FloatArray  # (steps,)

    @property
    def end(self) -> datetime:
        return self.at(len(self.values))

    def at(self, index: int) -> datetime:
        return self.start + timedelta(seconds=index * self.step_s)

    def step_of(self, moment: datetime) -> int:
        """The step that holds `moment`; may lie outside."""
        return int((moment - self.start).total_seconds() // self.step_s)

    @property
    def step_of_day(self) -> int:
        """Where in its UTC day the first step lies, in steps."""
        return int(self.start.timestamp() % 86_400 // self.step_s)

    def before(self, moment: datetime) -> Self:
        """The steps that have ended by `moment`."""
        return self._replace(values=self.values[: max(0, self.step_of(moment))])

    def since(self, moment: datetime) -> Self:
        """The steps that begin at `moment` or later."""
        first = min(max(0, -((self.start - moment) // timedelta(seconds=self.step_s))), len(self.values))
        return self._replace(start=self.at(first), values=self.values[first:])


class Issue(NamedTuple):
    """Feature values known at `issued_at`: `values[i]` holds for `[start + i * step_s, …)`; NaN where not given."""

    issued_at: datetime
    start: datetime
    values: FloatArray  # (steps, features)


class Features(NamedTuple):
    """Values of the future known in advance, such as a weather forecast: one provider's issues, oldest first."""

    names: tuple[str, ...]
    step_s: int
    issues: tuple[Issue, ...]

    def before(self, moment: datetime) -> Self:
        """What was known at `moment`: the issues up to and including it."""
        return self._replace(issues=tuple(issue for issue in self.issues if issue.issued_at <= moment))


class CarbonModel(Protocol):
    """A probabilistic forecaster of one zone's signal. Deterministic: the same calls give the same numbers."""

    name: str

    def fit(self, readings: Readings, features: Sequence[Features] = ()) -> None:
        """Learn from everything known at `readings.end`, as if for the first time. Any length of history, gaps and constant
        series are allowed."""
        ...

    def predict(self, readings: Readings, horizon: int, features: Sequence[Features] = ()) -> FloatArray:
        """Quantiles for the `horizon` steps from `readings.end` on, shape (len(QUANTILES), horizon), finite and ascending.

        `readings` go on where those of `fit` ended (at most a day or so later).
        """
        ...
