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
from carbonq.forecasters.energy.runs import RunRecord

BoolArray = npt.NDArray[np.bool_]

_NOISES = (0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
_NOISE_SPREAD = 0.7  # how unsure the usual noise is, as a logarithmic standard deviation
_OUTLIER = 3.0
"""A run further than so many standard deviations from what the others tell is taken for one just there."""


class Told(NamedTuple):
    """Natural logarithms: the middle, and how far 80 % and 90 % reach to either side. Each of shape (runs,)."""

    middle: FloatArray
    reach_80: FloatArray
    reach_90: FloatArray


class Local:
    """The regression on at most a few hundred runs; `logs` (runs,): the logarithm of what each took beyond the prior's.

    `usual_noise`: how runs of one setting scatter in it, as a standard deviation, until enough runs tell.
    """

    def __init__(self, runs: Sequence[RunRecord], logs: FloatArray, family: str, usual_noise: float) -> None:
        self._space = Space(runs, family)
        self._points = self._space.points(runs)
        own = np.array([run.family == family for run in runs], dtype=bool)
        values, self._vectors = np.linalg.eigh(covariance(self._points.down(), self._points.across()))
        self._own_values = np.maximum(values, 0.0)
        self._noise = self._told_noise(logs, usual_noise, own if own.sum() >= 3 else np.ones_like(own))
        self._weights, z = self._robust(logs)
        count = int(own.sum())
        self._reaches = reaches(np.abs(z[own] if count >= FEW else z), count)

    def tell(self, runs: Sequence[RunRecord]) -> Told:
        points = self._space.points(runs)
        across = covariance(points.down(), self._points.across())
        turned = across @ self._vectors
        variance = covariance(points, points) - (turned**2 / self._spectrum(self._noise)).sum(axis=1)
        spread = np.sqrt(np.maximum(variance, 0.0) + self._noise**2)
        return Told(across @ self._weights, self._reaches.of_80 * spread, self._reaches.of_90 * spread)

    def _spectrum(self, noise: float) -> FloatArray:
        spectrum: FloatArray = self._own_values + noise**2
        return spectrum

    def _left_out(self, logs: FloatArray, noise: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The weights; each run's error when told by the others, and its standard deviation."""
        spectrum = self._spectrum(noise)
        weights = self._vectors @ ((self._vectors.T @ logs) / spectrum)
        precision = (self._vectors**2) @ (1.0 / spectrum)
        return weights, weights / precision, 1.0 / np.sqrt(precision)

    def _told_noise(self, logs: FloatArray, usual: float, of: BoolArray) -> float:
        """The mean over noises of how well the runs bear each out, left out one at a time."""

        def likelihood(noise: float) -> float:
            _, error, spread = self._left_out(logs, noise)
            z = np.minimum(np.abs(error / spread), _OUTLIER)[of]
            doubt = math.log(noise / usual) / _NOISE_SPREAD
            return float(-(np.log(spread[of]) + 0.5 * z**2).sum() - 0.5 * doubt**2)

        likelihoods = np.array([likelihood(noise) for noise in _NOISES])
        shares = np.exp(likelihoods - likelihoods.max())
        return float(math.sqrt(np.average(np.square(_NOISES), weights=shares)))

    def _robust(self, logs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The weights once outliers are drawn in, and the errors, in standard deviations, of the runs as they were."""
        drawn = logs
        for _ in range(3):
            _, error, spread = self._left_out(drawn, self._noise)
            told = drawn - error
            drawn = told + np.clip(logs - told, -_OUTLIER * spread, _OUTLIER * spread)
        weights, error, spread = self._left_out(drawn, self._noise)
        return weights, (logs - (drawn - error)) / spread
