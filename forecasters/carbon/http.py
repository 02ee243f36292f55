"""Questions over HTTP to a provider that may be down, slow, busy, broken or a captive portal.

Every failure becomes SourceRefused (it says no), SourceUnreachable (it says nothing) or SourceNonsense (an answer that is not
what is documented), with the address and how to go on. Answers are bounded in size and in time; what has not changed is not
sent again. A secret goes to the provider's own host alone, and into no text. `requests` is imported at the first call: who
asks no provider does not pay for it.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

from carbonq.domain.errors import SourceNonsense, SourceRefused, SourceUnreachable
from carbonq.forecasters.carbon.conditional import KeptAnswers
from carbonq.forecasters.carbon.credentials import NO_CREDENTIALS, Credentials, keep_queries_out_of_logs
from carbonq.forecasters.carbon.refusal import BUSY, hint_for, reason_in, retry_after_s

if TYPE_CHECKING:
    import requests

MAX_ANSWER_B = 4 * 2**20
MAX_KEPT_B = 4 * 2**20
MAX_REDIRECTS = 3
USER_AGENT = "carbonq (carbon-aware job scheduler)"

Params = Mapping[str, str | Sequence[str]]
"""A query's parameters; one with several values is repeated."""


class _Question(NamedTuple):
    """An address with its parameters, as it may be shown: secrets are in neither."""

    url: str
    params: Params

    def __str__(self) -> str:
        return f"{self.url}?{urlencode(self.params, doseq=True)}" if self.params else self.url


class JsonClient:
    """GET requests below one base URL, with a few patient retries. Several threads may ask at once.

    `renew` fetches credentials that run out: it is called before the first request where none are given, and once more for
    a request that is answered with 401.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        credentials: Credentials = NO_CREDENTIALS,
        renew: Callable[[], Credentials] | None = None,
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
        self._credentials, self._renew = credentials, renew
        self._attempts, self._backoff_s, self._patience_s = attempts, backoff_s, patience_s
        self._timeouts_s, self._answer_timeout_s = (connect_timeout_s, read_timeout_s), answer_timeout_s
        self._max_answer_b, self._sleep = max_answer_b, sleep
        self._kept = KeptAnswers(MAX_KEPT_B)
        self._session: requests.Session | None = None

    def get(self, path: str, params: Params | None = None) -> object:
        """The decoded JSON at that path. Raises as `get_bytes`."""
        return _decoded(self.get_bytes(path, params), str(self._question(path, params)))

    def get_bytes(self, path: str, params: Params | None = None) -> bytes:
        """The answer at that path as it came, but for secrets that it echoes: they read `***`.

        What may pass is tried again, unless the next attempt would begin more than `patience_s` after the first.
        Raises SourceRefused, SourceUnreachable and SourceNonsense.
        """
        question = self._question(path, params)
        patient_until_s = time.monotonic() + self._patience_s
        for attempt in range(1, self._attempts + 1):
            try:
                return self._get_with_fresh_key(question)
            except _Busy as busy:
                wait_s = self._backoff_s * 2 ** (attempt - 1) if busy.wait_s is None else busy.wait_s
                problem = busy.problem
            if attempt == self._attempts or time.monotonic() + wait_s > patient_until_s:
                raise problem  # out here it has no cause: requests' errors quote the address with the key in it
            self._sleep(wait_s)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _question(self, path: str, params: Params | None) -> _Question:
        below = path.lstrip("/")
        return _Question(f"{self.base_url}/{below}" if below else self.base_url, dict(params or {}))

    def _get_with_fresh_key(self, question: _Question) -> bytes:
        if self._renew is None:
            return self._get_once(question)
        if not self._credentials:
            self._credentials = self._renew()
        try:
            return self._get_once(question)
        except SourceRefused as refused:
            if refused.status != 401:
                raise
        self._credentials = self._renew()
        return self._get_once(question)

    def _get_once(self, question: _Question) -> bytes:
        import requests
        from urllib3.exceptions import HTTPError

        problem: Exception
        try:
            return self._follow(question)
        except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
            why = self._credentials.redact(_root(error))[:200]
            problem = _silent(f"no answer: {why}", question, "is the network up, and the address right?")
        except (requests.RequestException, ValueError) as error:  # ValueError: an address that is none
            why = self._credentials.redact(str(error))[:200]
            problem = SourceUnreachable(f"cannot ask: {why}", where=str(question), hint="check the source's URL")
        raise problem

    def _follow(self, question: _Question) -> bytes:
        kept = self._kept.find(str(question))
        with self._redirected(question, kept.asking if kept else {}) as response:
            if response.status_code == 304 and kept is not None:
                return kept.body
            body = self._body(response, question)
        if response.status_code != 200:
            raise _refusal(response, body, question)
        self._kept.keep(str(question), body, response.headers)
        return body

    def _redirected(self, question: _Question, asking: Mapping[str, str]) -> "requests.Response":
        """The answer after redirects. Followed here: requests would hand a key in a header of its own to any host."""
        url, params = question.url, {**question.params, **self._credentials.params}
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(url, params, asking)
            if not response.is_redirect:
                return response
            response.close()
            url, params = urljoin(url, response.headers["Location"]), {}
            if not self._is_home(url) and self._credentials.redact(url) != url:
                raise SourceUnreachable("it redirects elsewhere with the key in the address", where=str(question))
        raise SourceUnreachable(
            f"more than {MAX_REDIRECTS} redirects", where=str(question), hint="check the source's URL"
        )

    def _send(self, url: str, params: Params, asking: Mapping[str, str]) -> "requests.Response":
        secret = self._credentials.headers if self._is_home(url) else {}
        return self._opened().get(
            url,
            params=params,
            headers={**self._headers, **asking, **secret},
            auth=lambda request: request,  # or requests puts what a .netrc knows in place of our key
            timeout=self._timeouts_s,
            allow_redirects=False,
            stream=True,
        )

    def _is_home(self, url: str) -> bool:
        """Whether an address is the provider's own: where its secrets may go."""
        home, there = _origin(self.base_url), _origin(url)
        return there == home or (home == ("http", there[1], 80) and there == ("https", there[1], 443))

    def _opened(self) -> "requests.Session":
        if self._session is None:
            import requests

            keep_queries_out_of_logs()
            self._session = requests.Session()  # it and its pool of connections serve several threads
        return self._session

    def _body(self, response: "requests.Response", question: _Question) -> bytes:
        """The whole answer, unless it is too large or trickles in too slowly."""
        give_up_at_s = time.monotonic() + self._answer_timeout_s
        body = bytearray()
        # `iter_content` would wait for a whole chunk, which a server that trickles can draw out for hours
        while part := response.raw.read1(65_536, decode_content=True):
            body += part
            if len(body) > self._max_answer_b:
                raise SourceNonsense(f"an answer of more than {self._max_answer_b} bytes", where=str(question))
            if time.monotonic() > give_up_at_s:
                raise _silent(
                    f"the answer was not complete after {self._answer_timeout_s:g} s", question, "try again later"
                )
        return self._credentials.redacted(bytes(body))


class _Busy(Exception):
    """This attempt failed in a way that the next may not. `wait_s` is what the provider asked for."""

    def __init__(self, problem: SourceUnreachable, wait_s: float | None = None) -> None:
        super().__init__(problem.what)
        self.problem, self.wait_s = problem, wait_s


def _silent(what: str, question: _Question, hint: str) -> _Busy:
    return _Busy(SourceUnreachable(what, where=str(question), hint=hint))


def _refusal(response: "requests.Response", body: bytes, question: _Question) -> Exception:
    status = response.status_code
    said = reason_in(body)
    what = f"the provider answers {status}" + (f": {said}" if said else "")
    wait_s = retry_after_s(response.headers)
    refused = SourceRefused(what, status=status, where=str(question), hint=hint_for(status), retry_after_s=wait_s)
    return _Busy(refused, wait_s) if status in BUSY else refused


def _decoded(body: bytes, where: str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise SourceNonsense(
            f"the answer is no JSON; it begins with {body[:40]!r}",
            where=where,
            hint="a proxy or a login page may stand between; check the source's URL",
        ) from None


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)


def _root(error: BaseException) -> str:
    """The innermost cause, which is the one that a person can act on."""
    while error.args and isinstance(inner := getattr(error.args[0], "reason", error.args[0]), BaseException):
        error = inner
    return str(error) or type(error).__name__
