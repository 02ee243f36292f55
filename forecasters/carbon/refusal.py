"""What a provider's refusal says: its reason, how to go on, and how long to wait."""

import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

BUSY = frozenset({429, 500, 502, 503, 504})
"""What may pass by itself."""

_HINTS = {
    401: "the provider wants a valid key",
    403: "the key, or this machine's address, is not allowed to ask for this",
    404: "check the source's URL",
    429: "too many requests; asking less often helps",
}
_REASONS = ("error", "message", "reason", "detail", "title")
"""Where providers' JSON has the reason: `{"error": {"message": "..."}}`, `{"error": "..."}`, Open-Meteo's `reason`, FastAPI's
`detail`, and the `title` of RFC 9457."""
_XML_REASON = re.compile(r"<text>(.*?)</text>", re.DOTALL)


def hint_for(status: int) -> str:
    return _HINTS.get(status, "the provider has a problem; try again later" if status >= 500 else "")


def reason_in(body: bytes) -> str:
    """The reason that the answer gives, at most 200 characters of it. Empty where it gives none that is known here."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        found = _XML_REASON.search(body.decode(errors="replace"))
        return _short(found.group(1)) if found else ""
    while isinstance(said, dict):
        reasons = (said.get(name) for name in _REASONS)
        said = next((reason for reason in reasons if reason and isinstance(reason, str | dict)), "")
    return _short(said) if isinstance(said, str) else ""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for (RFC 9110, 10.2.3): a number, or a date seen against the answer's own `Date`."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        return max(0.0, (parsedate_to_datetime(asked) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds())
    except (ValueError, TypeError):
        return None


def _short(text: str) -> str:
    return " ".join(text.split())[:200]
