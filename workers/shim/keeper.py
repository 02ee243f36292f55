"""Keeps the lease, over the smallest Redis client there is."""

from __future__ import annotations

import os
import socket
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # the typing module takes milliseconds to load
    from typing import Any

VERDICTS = ("held", "stale", "cancel")


class Keeper(threading.Thread):
    """Renews the lease. What cannot be reached is tried again and never counts against the job."""

    def __init__(self, order: dict[str, Any], wake_fd: int) -> None:
        super().__init__(daemon=True)
        self.order, self.wake_fd, self.verdict = order, wake_fd, "held"

    def run(self) -> None:
        every_s, pause_s, failures = self.order["every_s"], self.order["every_s"], 0
        while self.verdict != "stale":
            time.sleep(pause_s)
            try:
                answer = self.ask()
            except (OSError, ValueError):
                answer = ""
            failures = 0 if answer in VERDICTS else failures + 1
            pause_s = min(every_s, 0.5 * 2**failures) if failures else every_s
            if answer in ("stale", "cancel") and answer != self.verdict:
                self.verdict = answer
                os.write(self.wake_fd, b"k")

    def ask(self) -> str:
        with self._connect() as connection, connection.makefile("rwb") as stream:
            if self.order.get("password"):
                _call(stream, ["AUTH", *filter(None, [self.order.get("username")]), self.order["password"]])
            if self.order.get("database"):
                _call(stream, ["SELECT", str(self.order["database"])])
            return _call(stream, self.order["command"])

    def _connect(self) -> socket.socket:
        timeout_s = min(5.0, self.order["every_s"])
        if self.order.get("unix_socket"):
            return _connect_unix(self.order["unix_socket"], timeout_s)
        connection = socket.create_connection((self.order["host"], self.order["port"]), timeout_s)
        if not self.order.get("tls"):
            return connection
        import ssl

        context = ssl.create_default_context(cafile=self.order.get("tls_ca_file"))
        return context.wrap_socket(connection, server_hostname=self.order["host"])


def _connect_unix(path: str, timeout_s: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout_s)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _call(stream: Any, command: list[str]) -> str:
    """One Redis command (RESP2). The first text of the reply; ValueError for an error reply."""
    parts = [word.encode("utf-8", "surrogateescape") for word in command]
    stream.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    stream.flush()
    return _reply(stream)


def _reply(stream: Any) -> str:
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the server closed the connection")
    kind, rest = line[:1], line[1:-2].decode("utf-8", "replace")
    if kind == b"-":
        raise ValueError(rest)
    if kind == b"$":
        return str(stream.read(int(rest) + 2)[:-2], "utf-8", "replace") if int(rest) >= 0 else ""
    if kind == b"*":
        return next(iter([_reply(stream) for _ in range(int(rest))]), "")
    return str(rest)
