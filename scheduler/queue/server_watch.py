"""Brings a private server back that was killed while it was in use."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from carbonq.domain.errors import CarbonqError
from carbonq.scheduler.queue.server import EmbeddedServer

log = logging.getLogger("carbonq.server")

LOOK_EVERY_S = 1.0
LONGEST_PAUSE_S = 30.0


@contextmanager
def kept_up(server: EmbeddedServer, *, every_s: float = LOOK_EVERY_S) -> Iterator[None]:
    """Within the block a server that is gone is started again, from what it had on disk."""
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(server, done, every_s), name="carbonq-server-watch", daemon=True)
    watch.start()
    try:
        yield
    finally:
        done.set()
        watch.join()


def _watch(server: EmbeddedServer, done: threading.Event, every_s: float) -> None:
    pause_s = every_s
    while not done.wait(pause_s):
        if server.is_running():
            pause_s = every_s
            continue
        try:
            server.start()
        except (CarbonqError, OSError) as error:
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
            log.error("the private server is gone and does not start: %s; tried again in %.0f s", error, pause_s)  # noqa: TRY400  # an error for a person
        else:
            log.warning("the private server was gone and runs again, with all it had written")
