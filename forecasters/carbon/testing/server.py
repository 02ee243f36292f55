"""A local HTTP server that stands in for a provider: what it answers is a function, what went wrong is put in a queue."""

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import parse_qs, urlsplit


class Request(NamedTuple):
    """What was asked. Of a parameter given twice, the values are joined by commas; header names are lower case."""

    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def params(self) -> Mapping[str, str]:
        asked = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: ",".join(values) for name, values in asked.items()}


class Answer(NamedTuple):
    """One answer. `promised_b` announces a longer body than is sent; `trickle` never ends."""

    status: int = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    promised_b: int = 0
    trickle: bool = False


def says(value: object, *headers: tuple[str, str], status: int = 200) -> Answer:
    """An answer with that value as JSON."""
    return Answer(status, json.dumps(value).encode(), headers)


class ProviderServer:
    """Listens on loopback while in its `with` block. `faults` are answered first, in order, then what `answer` says.

    With `validates`, answers carry an `ETag`, and a request that names it is answered with 304.
    """

    def __init__(self, answer: Callable[[Request], Answer], *, validates: bool = False) -> None:
        self._answer, self.validates = answer, validates
        self.faults: deque[Answer] = deque()
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        """What was asked for so far, queries included."""
        return [request.target for request in self.requests]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def respond(self, request: Request) -> Answer:
        self.requests.append(request)
        if self.faults:
            return self.faults.popleft()
        answer = self._answer(request)
        return _validated(answer, request) if self.validates and answer.status == 200 else answer


def _validated(answer: Answer, request: Request) -> Answer:
    tag = f'"{hashlib.sha256(answer.body).hexdigest()[:16]}"'
    headers = (*answer.headers, ("ETag", tag))
    if request.headers.get("if-none-match") == tag:
        return Answer(304, b"", headers)
    return answer._replace(headers=headers)


def _handler(server: ProviderServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = server.respond(Request(self.path, headers))
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            if answer.status != 304:
                self.send_header("Content-Length", str(max(len(answer.body), answer.promised_b)))
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = answer.promised_b > 0
            if answer.trickle:
                self._trickle()

        def _trickle(self) -> None:
            """A byte now and then until the client hangs up or the server stops."""
            try:
                while not server.stopping.wait(0.02):
                    self.wfile.write(b" ")
            except OSError:
                pass

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            pass

    return Handler
