"""`carbonq up`: the queue's server, the scheduler and one worker on this machine, until somebody says stop."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from carbonq import bootstrap
from carbonq.settings import Settings, redact_url
from carbonq.supervisor import Supervisor


def run(settings: Settings, *, on_ready: Callable[..., None]) -> None:
    """Run all of it until Ctrl-C or SIGTERM; a private server only where no other is configured.

    Ctrl-C lets running jobs end; a second one, or SIGTERM, leaves them to their shims, for the next `up` to find.
    `on_ready` gets a few lines for a person. Raises QueueUnreachable and QueueRefused.
    """
    private = bootstrap.server(settings) if settings.redis_url is None else None
    where = private.start() if private is not None else bootstrap.url(settings)
    logs = settings.data_dir / "logs"
    services = bootstrap.services(os.environ | _handed_down(settings), logs, _tell)
    stop = _StopRequests()
    try:
        bootstrap.adapters(settings)  # a server that is not fit is told before anything starts
        services.start()
        on_ready(*_facts(settings, where, logs))
        while not stop.asked:
            services.watch()
            stop.wait(0.2)
        if stop.gently:
            _let_jobs_end(services, stop)
    finally:
        services.stop()
        if private is not None:
            private.stop()


class _StopRequests:
    """SIGINT and SIGTERM as they come: the first SIGINT asks gently, anything more asks firmly."""

    def __init__(self) -> None:
        self.asked = self.gently = False
        self._news = threading.Event()
        signal.signal(signal.SIGINT, lambda *_: self._ask(gently=not self.asked))
        signal.signal(signal.SIGTERM, lambda *_: self._ask(gently=False))

    def wait(self, timeout_s: float) -> None:
        """Until something new was asked, at most `timeout_s`."""
        if self._news.wait(timeout_s):
            self._news.clear()

    def _ask(self, *, gently: bool) -> None:
        self.asked, self.gently = True, gently
        self._news.set()


def _let_jobs_end(services: Supervisor, stop: _StopRequests) -> None:
    _tell(
        "stopping: running jobs may end first; Ctrl-C once more leaves them running, for the next `carbonq up` to find"
    )
    services.send("worker", signal.SIGINT)
    while stop.gently and not services.ended("worker"):
        stop.wait(0.2)


def _handed_down(settings: Settings) -> dict[str, str]:
    """What the services have to be told: the settings that flags may have changed."""
    told = {
        "CARBONQ_NAMESPACE": settings.namespace,
        "CARBONQ_ZONE": settings.zone,
        "CARBONQ_DATA_DIR": str(settings.data_dir),
        "CARBONQ_RUNTIME_DIR": str(settings.runtime_dir),
    }
    return told | ({"CARBONQ_REDIS_URL": settings.redis_url} if settings.redis_url else {})


def _facts(settings: Settings, where: str, logs: Path) -> tuple[str, ...]:
    origin = settings.origins.get("zone", "default")
    return (
        f"queue   {redact_url(where)}",
        f"zone    {settings.zone} ({origin}), {settings.signal} intensity from {', '.join(bootstrap.asked_sources(settings))}",
        f"logs    {logs}",
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
