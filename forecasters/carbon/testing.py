"""A local server that speaks the Carbon Intensity API's documented JSON, its quirks and its failures included."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self

from carbonq.domain.time import floor_to

HALF_HOUR = timedelta(minutes=30)


class Fault(NamedTuple):
    """One answer in place of the documented one. `promised_b` announces a longer body than is sent; `trickle` never ends."""

    status: int = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    promised_b: int = 0
    trickle: bool = False


def solar_day(start: datetime) -> int:
    """A made-up intensity in g/kWh that dips at noon."""
    return 250 - 12 * max(0, 6 - abs(start.hour - 12))


class UkServer:
    """Listens on loopback while in its `with` block. `now` parts past from future; `faults` are answered first, in order."""

    def __init__(self, now: datetime, forecast: Callable[[datetime], int] = solar_day, actual_differs: int = 7) -> None:
        self.now, self._forecast, self._differs = now, forecast, actual_differs
        self.faults: deque[Fault] = deque()
        self.paths: list[str] = []
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str) -> Fault:
        """What the API says at that path."""
        match path.strip("/").split("/"):
            case ["intensity", start, "fw48h"]:
                first = _parse(start)
                return data(self.entries(first, first + timedelta(hours=48)))
            case ["intensity", start, end]:
                first, last = _parse(start), _parse(end)
                if last - first > timedelta(days=14):
                    return error(400, "The maximum date range is limited to 14 days.")
                year_end = datetime(first.year, 12, 31, 23, 30, tzinfo=UTC)
                return data(self.entries(first, min(last, year_end)))
            case _:
                return error(404, "Requested resource not found.")

    def entries(self, start: datetime, end: datetime) -> list[dict[str, object]]:
        """Half-hours from the one that ends at or holds `start`, as the API gives them."""
        return list(self._entries(floor_to(start - timedelta(seconds=1), 1800), end))

    def _entries(self, moment: datetime, end: datetime) -> Iterator[dict[str, object]]:
        while moment < end:
            expected = self._forecast(moment)
            actual = expected + self._differs if moment + HALF_HOUR <= self.now else None
            intensity = {"forecast": expected, "actual": actual, "index": "moderate"}
            yield {"from": _format(moment), "to": _format(moment + HALF_HOUR), "intensity": intensity}
            moment += HALF_HOUR


def error(status: int, message: str, *headers: tuple[str, str]) -> Fault:
    body = json.dumps({"error": {"code": f"{status}", "message": message}}).encode()
    return Fault(status=status, body=body, headers=headers)


def data(entries: object) -> Fault:
    """An answer with these entries, for tests that spoil them."""
    return Fault(body=json.dumps({"data": entries}).encode())


def _parse(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _format(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")


def _handler(server: UkServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.paths.append(self.path)
            answer = server.faults.popleft() if server.faults else server.answer(self.path)
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
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
