"""What to leave in peace for a while after it failed, and what to say about it: once when it begins, once when it ends."""

import logging
from collections.abc import Callable
from time import monotonic

from carbonq.domain.errors import CarbonqError, SourceRefused
from carbonq.domain.units import format_duration

FIRST_REST_S, LONGEST_REST_S = 300.0, 3600.0
LONGEST_ASKED_S = 86_400.0
"""A provider may ask for more than it gets by itself. More than a day is a mistake of its own."""
ALIKE = 3
"""So many parts that fail in a row, and none that goes well: it is the whole that fails."""

log = logging.getLogger("carbonq.carbon")


class Outages:
    """Names that fail now. Each further failure doubles the rest. Seconds of real time."""

    def __init__(self, timer: Callable[[], float] = monotonic) -> None:
        self._timer = timer
        self._since_s: dict[str, float] = {}
        self._rest_s: dict[str, float] = {}
        self._until_s: dict[str, float] = {}
        self._in_a_row: dict[str, set[str]] = {}

    def rests(self, name: str) -> bool:
        return self._timer() < self._until_s.get(name, 0.0)

    def failing(self, name: str) -> bool:
        return name in self._since_s

    def failed(self, name: str, error: Exception) -> None:
        now_s = self._timer()
        if name not in self._since_s:
            self._since_s[name] = now_s
            unexpected = None if isinstance(error, CarbonqError) else error
            log.warning("%s: %s; it is tried again until it goes well", name, _sentence(error), exc_info=unexpected)
        rest_s = self._rest_s.get(name, FIRST_REST_S / 2) * 2
        self._rest_s[name] = min(rest_s, LONGEST_REST_S)
        self._until_s[name] = now_s + max(self._rest_s[name], _asked_s(error))

    def part_failed(self, whole: str, part: str, error: Exception) -> None:
        """One zone of a source, say. Where others fail alike, hundreds need neither try nor tell it each for itself."""
        alike = self._in_a_row.setdefault(whole, set())
        alike.add(part)
        self.failed(whole if self.failing(whole) or len(alike) >= ALIKE else part, error)

    def answered(self, name: str) -> None:
        self._in_a_row.pop(name, None)
        since_s = self._since_s.pop(name, None)
        self._rest_s.pop(name, None)
        self._until_s.pop(name, None)
        if since_s is not None:
            log.info("%s: well again after %s", name, format_duration(self._timer() - since_s))


def _asked_s(error: Exception) -> float:
    """How long the provider wants to be left in peace, within reason."""
    asked_s = error.retry_after_s if isinstance(error, SourceRefused) else None
    return min(asked_s or 0.0, LONGEST_ASKED_S)


def _sentence(error: Exception) -> str:
    if isinstance(error, CarbonqError):
        return " ".join(part for part in (error.what, f"({error.hint})" if error.hint else "") if part)
    return f"{type(error).__name__}: {error}"
