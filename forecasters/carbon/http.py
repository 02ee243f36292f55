"""JSON over HTTP from a provider that may be down, slow, busy, broken or a captive portal.

Every failure becomes SourceUnreachable (no answer, or a refusal) or SourceNonsense (an answer that is not what is
documented), with the address and how to go on. Answers are bounded in size and in time. `requests` is imported at the first
call: who asks no provider does not pay for it.
"""

import json
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NoReturn

from carbonq.domain.errors import SourceNonsense, SourceUnreachable

if TYPE_CHECKING:
    import requests

MAX_ANSWER_B = 4 * 2**20
USER_AGENT = "carbonq (carbon-aware job scheduler)"
_BUSY = frozenset({429, 500, 502, 503, 504})
_HINTS = {
    401: "the provider wants a valid key",
    403: "the key, or this machine's address, is not allowed to ask for this",
    404: "check the source's URL",
    429: "too many requests; asking less often helps",
}


class JsonClient:
    """GET requests below one base URL, with a few patient retries. Not for use by several threads at once."""

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        attempts: int = 3,
        backoff_s: float = 1.0,
        patience_s: float = 30.0,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 10.0,
        answer_timeout_s: float = 20.0,
        max_answer_b: int = MAX_ANSWER_B,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._headers = {"Accept": "application/json", "User-Agent": USER_AGENT, **(headers or {})}
        self._attempts, self._backoff_s, self._patience_s = attempts, backoff_s, patience_s
        self._timeouts_s, self._answer_timeout_s = (connect_timeout_s, read_timeout_s), answer_timeout_s
        self._max_answer_b, self._sleep = max_answer_b, sleep
        self._session: requests.Session | None = None

    def get(self, path: str, params: Mapping[str, str] | None = None) -> object:
        """The decoded JSON at that path. Raises SourceUnreachable and SourceNonsense.

        What may pass is tried again, unless the next attempt would begin more than `patience_s` after the first.
        """
        url = f"{self.base_url}/{path.lstrip('/')}"
        patient_until_s = time.monotonic() + self._patience_s
        for attempt in range(1, self._attempts + 1):
            try:
                return self._get_once(url, params)
            except _Busy as busy:
                wait_s = self._backoff_s * 2 ** (attempt - 1) if busy.wait_s is None else busy.wait_s
                if attempt == self._attempts or time.monotonic() + wait_s > patient_until_s:
                    raise SourceUnreachable(busy.what, where=url, hint=busy.hint) from busy.__cause__
                self._sleep(wait_s)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _get_once(self, url: str, params: Mapping[str, str] | None) -> object:
        import requests
        from urllib3.exceptions import HTTPError

        try:
            with self._opened().get(
                url, params=params, headers=self._headers, timeout=self._timeouts_s, stream=True
            ) as response:
                body = self._body(response, url)
                if response.status_code != 200:
                    _refuse(response, body, url)
                return _decoded(body, url)
        except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
            raise _Busy(f"no answer: {_root(error)}", hint="is the network up, and the address right?") from error
        except requests.RequestException as error:
            raise SourceUnreachable(f"cannot ask: {error}", where=url, hint="check the source's URL") from error

    def _opened(self) -> "requests.Session":
        if self._session is None:
            import requests

            self._session = requests.Session()
            self._session.max_redirects = 3
        return self._session

    def _body(self, response: "requests.Response", url: str) -> bytes:
        """The whole answer, unless it is too large or trickles in too slowly."""
        give_up_at_s = time.monotonic() + self._answer_timeout_s
        body = bytearray()
        # `iter_content` would wait for a whole chunk, which a server that trickles can draw out for hours
        while part := response.raw.read1(65_536, decode_content=True):
            body += part
            if len(body) > self._max_answer_b:
                raise SourceNonsense(f"an answer of more than {self._max_answer_b} bytes", where=url)
            if time.monotonic() > give_up_at_s:
                raise _Busy(f"the answer was not complete after {self._answer_timeout_s:g} s", hint="try again later")
        return bytes(body)


class _Busy(Exception):
    """This attempt failed in a way that the next may not. `wait_s` is what the provider asked for."""

    def __init__(self, what: str, *, hint: str = "", wait_s: float | None = None) -> None:
        super().__init__(what)
        self.what, self.hint, self.wait_s = what, hint, wait_s


def _refuse(response: "requests.Response", body: bytes, url: str) -> NoReturn:
    status = response.status_code
    said = _error_message(body)
    what = f"the provider answers {status}" + (f": {said}" if said else "")
    hint = _HINTS.get(status, "the provider has a problem; try again later" if status >= 500 else "")
    if status in _BUSY:
        raise _Busy(what, hint=hint, wait_s=retry_after_s(response.headers))
    raise SourceUnreachable(what, where=url, hint=hint)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for (RFC 9110, 10.2.3): a number, or a date seen against the answer's own `Date`."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        return max(0.0, (parsedate_to_datetime(asked) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds())
    except (ValueError, TypeError):
        return None


def _error_message(body: bytes) -> str:
    """What providers put beside an error: `{"error": {"message": "..."}}` or `{"error": "..."}`. Empty for anything else."""
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    message = error.get("message", "") if isinstance(error, dict) else error
    return str(message)[:200]


def _decoded(body: bytes, url: str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise SourceNonsense(
            f"the answer is no JSON; it begins with {body[:40]!r}",
            where=url,
            hint="a proxy or a login page may stand between; check the source's URL",
        ) from None


def _root(error: BaseException) -> str:
    """The innermost cause, which is the one that a person can act on."""
    while error.args and isinstance(inner := getattr(error.args[0], "reason", error.args[0]), BaseException):
        error = inner
    return str(error)[:200] or type(error).__name__
