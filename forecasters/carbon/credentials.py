"""What opens a provider's door, and how it stays out of every text that a person or a log sees."""

import base64
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, quote_plus

HIDDEN = "***"
SHORTEST_SECRET = 6
"""Shorter ones are not hidden where a provider echoes them: they would tear holes into its numbers."""


@dataclass(frozen=True)
class Credentials:
    """Headers and query parameters that only the provider may see; `repr` shows none of them."""

    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    params: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    others: tuple[str, ...] = field(default=(), repr=False)  # what they were made of, such as a password

    @classmethod
    def basic(cls, user: str, password: str) -> Self:
        """HTTP Basic (RFC 7617)."""
        both = base64.b64encode(f"{user}:{password}".encode()).decode()
        return cls(headers={"Authorization": f"Basic {both}"}, others=(user, password))

    @classmethod
    def bearer(cls, token: str) -> Self:
        """A bearer token (RFC 6750)."""
        return cls(headers={"Authorization": f"Bearer {token}"})

    def __bool__(self) -> bool:
        return bool(self.headers or self.params)

    def redacted(self, body: bytes) -> bytes:
        """The bytes with `***` wherever one of the secrets stood, as it is or as a URL or JSON writes it."""
        for secret in self._as_written():
            body = body.replace(secret.encode(), HIDDEN.encode())
        return body

    def redact(self, text: str) -> str:
        return self.redacted(text.encode(errors="replace")).decode() if self else text

    def _as_written(self) -> list[str]:
        """The longest first, so that none is left half hidden."""
        forms = {form for secret in self._secrets() for form in _forms(secret) if len(secret) >= SHORTEST_SECRET}
        return sorted(forms, key=len, reverse=True)

    def _secrets(self) -> Iterator[str]:
        yield from self.params.values()
        yield from self.others
        for value in self.headers.values():
            yield value
            yield value.partition(" ")[2]  # of `Bearer TOKEN`, the token may be echoed alone


NO_CREDENTIALS = Credentials()


def _forms(secret: str) -> tuple[str, ...]:
    return secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]


class _WithoutQuery(logging.Filter):
    """Cuts the query from the addresses in a record: keys travel in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
        return True


_without_query = _WithoutQuery()


def keep_queries_out_of_logs() -> None:
    """urllib3 logs whole addresses at the level DEBUG. Doing this twice does no more than once."""
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_without_query)
