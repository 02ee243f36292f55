"""Intensities made up for tests of the models: a daily and a weekly cycle, with deviations that fade within a day or two."""

from datetime import UTC, datetime

import numpy as np

from carbonq.forecasters.carbon.models.series import FloatArray, Readings

START = datetime(2024, 1, 3, tzinfo=UTC)


def cycle(days: float, step_s: int = 3600) -> FloatArray:
    """Cleanest at 06:00, 130 g/kWh; dirtiest at 18:00, 270."""
    turns = np.arange(int(days * 86_400 // step_s)) * step_s / 86_400
    return 200 - 70 * np.sin(2 * np.pi * turns)


def wandering(steps: int, seed: int = 0, persistence: float = 0.95, size: float = 8.0) -> FloatArray:
    """A first-order autoregression around zero."""
    shocks = np.random.default_rng(seed).normal(0, size, steps)
    values = np.zeros(steps)
    for step in range(1, steps):
        values[step] = persistence * values[step - 1] + shocks[step]
    return values


def grid(days: float, step_s: int = 3600, seed: int = 0) -> FloatArray:
    """Always positive."""
    values = cycle(days, step_s)
    weekday = 1 + 0.1 * np.sin(2 * np.pi * np.arange(len(values)) * step_s / (7 * 86_400))
    return np.maximum(values * weekday + wandering(len(values), seed), 5.0)


def readings(values: FloatArray, step_s: int = 3600, start: datetime = START) -> Readings:
    return Readings(start, step_s, np.asarray(values, dtype=np.float64))
