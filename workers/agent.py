"""The worker: leases what is due, runs it, measures it, reports it."""

from collections.abc import Sequence
from enum import StrEnum

from carbonq.domain.ports import Board, JobQueue, LogTail, Meter
from carbonq.domain.time import Clock
from carbonq.workers.settings import KeepaliveFor, WorkerSettings


class StopMode(StrEnum):
    """What becomes of running jobs when the worker stops. Every mode takes no new leases."""

    LEAVE = "leave"  # they run on under their shims; the next worker finds them
    WAIT = "wait"  # the worker stays until they have ended
    STOP = "stop"  # they are stopped and go back to the queue


class Agent:
    def __init__(
        self,
        settings: WorkerSettings,
        *,
        queue: JobQueue,
        board: Board,
        log_tail: LogTail,
        clock: Clock,
        keepalive: KeepaliveFor | None = None,
        meters: Sequence[Meter] | None = None,
    ) -> None:
        """`meters` None: the best that this machine has."""
        raise NotImplementedError

    def run(self) -> None:
        """Work until stopped. Raises InvalidInput where another worker uses the same data folder."""
        raise NotImplementedError

    def stop(self, mode: StopMode = StopMode.LEAVE) -> None:
        """Ask `run` to return; may be called from a signal handler, and again with a firmer mode."""
        raise NotImplementedError
