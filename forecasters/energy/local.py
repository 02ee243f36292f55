"""What the runs that tell of one kind say of further ones: the closed form of the regression, and its intervals.

With K the runs' covariance and s the noise of a run, the weights are (K + s² I)⁻¹ y. What any run would have been told without
itself follows from the same matrix, so that noise, outliers and intervals all rest on runs left out one at a time.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from carbonq.forecasters.carbon.models.series import FloatArray
from carbonq.forecasters.energy.conformal import FEW, reaches
from carbonq.forecasters.energy.kinship import Space, covariance
from carbonq.forecasters.energy.runs import Kind, RunRecord, kind_of

BoolArray = npt.NDArray[np.bool_]

_NOISES = (0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
_NOISE_SPREAD = 0.7  # how unsure the usual noise is, as a logarithmic standard deviation
_FREEDOM = 5.0  # of Student's distribution, which errors are taken to follow: some are large
_ROUNDS = 4
_OUTLIER = 3.0
"""A run further than so many standard deviations from what the others tell is taken for one just there."""
_FARTHEST = 2 * _OUTLIER  # an error counts for no more in the intervals: one wrong reading must not make them boundless


class Told(NamedTuple):
    """Natural logarithms: the middle, and how far 80 % and 90 % reach to either side. Each of shape (runs,)."""

    middle: FloatArray
    reach_80: FloatArray
    reach_90: FloatArray


class Ground:
    """The runs that tell of one kind, and how alike they are; the same for whatever is told."""

    def __init__(self, runs: Sequence[RunRecord], kind: Kind) -> None:
        self.runs = runs
        self.space = Space(runs, kind.family)
        self.points = self.space.points(runs)
        self.own = np.array([run.family == kind.family for run in runs], dtype=bool)
        self.count = sum(kind_of(run) == kind for run in runs)
        values, self.vectors = np.linalg.eigh(covariance(self.points.down(), self.points.across()))
        self.values: FloatArray = np.maximum(values, 0.0)


class Local:
    """The regression on at most a few hundred runs; `logs` (runs,): the logarithm of what each took beyond the prior's.

    `usual_noise`: how runs of one setting scatter in it, as a standard deviation, until enough runs tell.
    """

    def __init__(self, ground: Ground, logs: FloatArray, usual_noise: float) -> None:
        self._ground, own = ground, ground.own
        enough = own if own.sum() >= 3 else np.ones_like(own)
        self._noise, self._weights, z = self._robust(logs, usual_noise, enough)
        errors = np.minimum(np.abs(z[own] if own.sum() >= FEW else z), _FARTHEST)
        self._reaches = reaches(errors, ground.count)

    def tell(self, runs: Sequence[RunRecord]) -> Told:
        points = self._ground.space.points(runs)
        across = covariance(points.down(), self._ground.points.across())
        turned = across @ self._ground.vectors
        variance = covariance(points, points) - (turned**2 / self._spectrum(self._noise)).sum(axis=1)
        spread = np.sqrt(np.maximum(variance, 0.0) + self._noise**2)
        return Told(across @ self._weights, self._reaches.of_80 * spread, self._reaches.of_90 * spread)

    def _spectrum(self, noise: float) -> FloatArray:
        spectrum: FloatArray = self._ground.values + noise**2
        return spectrum

    def _left_out(self, logs: FloatArray, noise: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The weights; each run's error when told by the others, and its standard deviation."""
        spectrum, vectors = self._spectrum(noise), self._ground.vectors
        weights = vectors @ ((vectors.T @ logs) / spectrum)
        precision = (vectors**2) @ (1.0 / spectrum)
        return weights, weights / precision, 1.0 / np.sqrt(precision)

    def _told_noise(self, logs: FloatArray, usual: float, of: BoolArray) -> float:
        """The mean over noises of how well the runs bear each out, left out one at a time."""

        def likelihood(noise: float) -> float:
            _, error, spread = self._left_out(logs, noise)
            tail = 0.5 * (_FREEDOM + 1) * np.log1p((error / spread) ** 2 / _FREEDOM)
            doubt = math.log(noise / usual) / _NOISE_SPREAD
            return float(-(np.log(spread) + tail)[of].sum() - 0.5 * doubt**2)

        likelihoods = np.array([likelihood(noise) for noise in _NOISES])
        shares = np.exp(likelihoods - likelihoods.max())
        return float(math.sqrt(np.average(np.square(_NOISES), weights=shares)))

    def _robust(self, logs: FloatArray, usual_noise: float, of: BoolArray) -> tuple[float, FloatArray, FloatArray]:
        """The noise and the weights once outliers are drawn in; the errors, in standard deviations, of the runs as they were.

        The first round's noise and errors still have the outliers in them: the next ones see less of them.
        """
        drawn, noise = logs, usual_noise
        for _ in range(_ROUNDS):
            noise = self._told_noise(drawn, usual_noise, of)
            _, error, spread = self._left_out(drawn, noise)
            told = drawn - error
            drawn = told + np.clip(logs - told, -_OUTLIER * spread, _OUTLIER * spread)
        weights, error, spread = self._left_out(drawn, noise)
        return noise, weights, (logs - drawn + error) / spread
