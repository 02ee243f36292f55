"""Answers kept so that a provider need not send them again: conditional requests (RFC 9110, 13.1)."""

import threading
from collections.abc import Mapping
from typing import NamedTuple

_ASKS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}


class Kept(NamedTuple):
    """An answer, and the headers that ask whether it still holds."""

    body: bytes
    asking: Mapping[str, str]


class KeptAnswers:
    """The answers used last, in memory, `max_b` bytes of bodies together. By question: an address with its parameters.

    Several threads may use it at once.
    """

    def __init__(self, max_b: int) -> None:
        self._max_b = max_b
        self._kept: dict[str, Kept] = {}
        self._lock = threading.Lock()

    def find(self, question: str) -> Kept | None:
        """Counts as a use."""
        with self._lock:
            kept = self._kept.pop(question, None)
            if kept is not None:
                self._kept[question] = kept
            return kept

    def keep(self, question: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Only what the provider can be asked about, and lets be stored."""
        asking = {_ASKS[name]: headers[name] for name in _ASKS if headers.get(name)}
        with self._lock:
            self._kept.pop(question, None)
            if asking and len(body) <= self._max_b and "no-store" not in headers.get("Cache-Control", ""):
                self._kept[question] = Kept(body, asking)
            while sum(len(kept.body) for kept in self._kept.values()) > self._max_b:
                del self._kept[next(iter(self._kept))]
