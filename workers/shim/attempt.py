"""One attempt, from the order to the exit record."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import time

from . import cgroup
from .counters import JobTime, Journal
from .files import ExitRecord, Log, read_text, write_json
from .gpus import GpuJournal
from .keeper import Keeper
from .powercap import Powercap
from .proc import boot_id, descendants, now_s, signal_all, start_ticks

TYPE_CHECKING = False
if TYPE_CHECKING:  # the typing module takes milliseconds to load
    from typing import Any

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
KILL_LIMIT_S = 30.0  # a process in uninterruptible sleep does not die: after this long it is named and left


class Attempt:
    """One run of one job, from the order to the exit record."""

    def __init__(self, order: dict[str, Any], control: socket.socket) -> None:
        self.order, self.control, self.folder = order, control, order["folder"]
        self.record = ExitRecord(self.folder)
        self.log = Log(self.path("log"), order["log_limit_b"])
        self.identity: dict[str, Any] = {
            "boot_id": boot_id(),
            "shim": {"pid": os.getpid(), "start_ticks": start_ticks(os.getpid())},
        }
        self.group = self.make_group()
        journal = order["journal"]
        self.journal = Journal(
            self.path("meter.jsonl"),
            Powercap(journal["powercap"]),
            journal["interval_s"],
            journal["points"],
            JobTime(self.group),
        )
        self.pid, self.reason = 0, ""
        self.status: int | None = None  # of the job's main process, as wait(2) gives it
        self.kill_at_s: float | None = None
        self.poll = select.poll()
        self.wake_r, self.wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.output_r = -1
        self.keeper: Keeper | None = None
        self.gpus: GpuJournal | None = None

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def run(self) -> None:
        for signum in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(signum, lambda *_: None)
        signal.set_wakeup_fd(self.wake_w, warn_on_full_buffer=False)
        self.poll.register(self.wake_r, select.POLLIN)
        self.journal.tick()
        started = {"started_real_s": time.time(), "started_s": now_s()}
        error = self.launch()
        if error:
            self.finish(started | error)
            return
        started = {"started_real_s": time.time(), "started_s": now_s()}
        job = {"pid": self.pid, "start_ticks": start_ticks(self.pid)}
        with contextlib.suppress(OSError):  # the disk is full: the job's marker is left to find it by
            write_json(self.path("shim.json"), self.identity | {"job": job} | started)
        if self.order.get("keepalive"):
            self.keeper = Keeper(self.order["keepalive"], self.wake_w)
            self.keeper.start()
        if self.order.get("gpus") and self.order.get("pynvml"):
            points = self.order["journal"]["points"]
            self.gpus = GpuJournal(self.path("gpus.jsonl"), self.order["pynvml"], self.order["gpus"], points)
            self.gpus.start()
        self.watch(started["started_s"])
        self.kill_tree()
        self.pump(to_the_end=True)
        self.finish(started)

    # starting

    def make_group(self) -> str | None:
        """A control group for the job; whoever cleans up after a killed shim finds its path in shim.json."""
        shim = self.identity["shim"]
        group = cgroup.make(f"{cgroup.OURS}{shim['pid']}-{shim['start_ticks']}")
        if group:
            self.identity["cgroup"] = group
            with contextlib.suppress(OSError):  # the disk is full: an empty group is all that may be left
                write_json(self.path("shim.json"), self.identity)
        return group

    def launch(self) -> dict[str, Any]:
        """Start the job; what went wrong, or an empty dict once its command runs."""
        self.output_r, output_w = os.pipe2(os.O_CLOEXEC)
        report_r, report_w = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            self.become_the_job(output_w, report_w)
        os.close(output_w)
        os.close(report_w)
        with open(report_r, "rb") as report:
            failure = report.read()  # empty when exec closed it
        if failure:
            os.waitpid(self.pid, 0)
            self.pid = 0
            return dict(json.loads(failure))
        os.set_blocking(self.output_r, False)
        self.poll.register(self.output_r, select.POLLIN)
        return {}

    def become_the_job(self, output_w: int, report_w: int) -> None:
        stage, subject = "workdir", self.order["workdir"]
        try:
            os.setsid()
            if self.group:
                with contextlib.suppress(OSError):  # its processes' own times have to do
                    cgroup.enter(self.group)
            signal.set_wakeup_fd(-1)
            for signum in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
                signal.signal(signum, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output_w, 1)
            os.dup2(output_w, 2)
            _volunteer_for_oom()
            os.chdir(self.order["workdir"])
            stage, subject = "command", self.order["argv"][0]
            os.execvpe(self.order["argv"][0], self.order["argv"], self.order["env"])  # noqa: S606  # what it is for
        except OSError as error:
            failure = {"could_not_start": stage, "subject": subject, "error": error.strerror}
            os.write(report_w, json.dumps(failure).encode())
        finally:
            os._exit(127)

    # watching

    def watch(self, started_s: float) -> None:
        """Until the job's main process has ended."""
        timeout_s = self.order.get("timeout_s")
        timeout_at_s = started_s + timeout_s if timeout_s else None
        while self.status is None:
            moments = [self.journal.due_s(), timeout_at_s, self.kill_at_s]
            wait_s = min(moment for moment in moments if moment is not None) - now_s()
            for fd, _ in self.poll.poll(max(0, int(wait_s * 1000) + 1)):
                if fd == self.output_r:
                    self.pump()
                else:
                    self.heed()
            now = now_s()
            if now >= self.journal.due_s():
                self.journal.tick()
            if timeout_at_s and now >= timeout_at_s:
                timeout_at_s = None
                self.stop("timeout")
            if self.kill_at_s and now >= self.kill_at_s:
                self.kill_tree()

    def heed(self) -> None:
        """Signals and the keeper's verdict come as bytes on one pipe."""
        for byte in os.read(self.wake_r, 4096):
            if byte == signal.SIGCHLD:
                self.reap()
            elif byte == signal.SIGTERM:
                self.stop(self.stop_reason())
            elif self.keeper and self.keeper.verdict != "held":
                self.stop(self.keeper.verdict)

    def stop_reason(self) -> str:
        try:
            reason = read_text(self.path("stop"))
        except OSError:
            reason = ""
        return reason or "terminated"  # not by the worker: the machine shuts down, or a person did it

    def stop(self, reason: str) -> None:
        if self.reason or self.status is not None:
            return
        self.reason, self.kill_at_s = reason, now_s() + self.order["grace_s"]
        tree = descendants(os.getpid())
        signal_all(tree, signal.SIGTERM)
        signal_all(tree, signal.SIGCONT)

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.status = status

    def pump(self, *, to_the_end: bool = False) -> None:
        while True:
            try:
                data = os.read(self.output_r, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                if not to_the_end:
                    self.poll.unregister(self.output_r)
                return
            self.log.write(data)
            if not to_the_end:
                return

    # ending

    def kill_tree(self) -> list[int]:
        """Kill every descendant until none is left: they are frozen first, so that none forks away. Those that stay."""
        self.journal.tick(keep=True)
        pause_s, until_s = 0.001, now_s() + KILL_LIMIT_S
        while (tree := descendants(os.getpid())) and now_s() < until_s:
            signal_all(tree, signal.SIGSTOP)
            signal_all(descendants(os.getpid()), signal.SIGKILL)
            time.sleep(pause_s)
            pause_s = min(0.1, pause_s * 2)
            self.reap()
        self.reap()
        return tree

    def finish(self, record: dict[str, Any]) -> None:
        ended_s = now_s()
        self.journal.tick(keep=True)
        code = None if self.status is None else os.waitstatus_to_exitcode(self.status)
        self.record.write(
            record
            | {
                "reason": self.reason,
                "exit_code": code if code is not None and code >= 0 else None,
                "signal": -code if code is not None and code < 0 else None,
                "ended_s": ended_s,
                "cpu_s": self.journal.time.read(),
                "max_rss_b": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
                "log_b": self.log.written_b,
                "log_lost_b": self.log.lost_b,
                "survivors": descendants(os.getpid())[:100],
                "points": self.journal.ends(),
                "gpus": self.gpus.finish() if self.gpus else [],
            }
        )
        self.leave_group()
        self.linger()
        self.leave_group()  # one that had to be left may have gone meanwhile

    def leave_group(self) -> None:
        if self.group:
            cgroup.remove(self.group)

    def linger(self) -> None:
        """Tell the worker; hold the lease until it has reported the end."""
        with contextlib.suppress(OSError):  # the worker may be away: its successor finds exit.json
            self.control.send(b"ended\n", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        until_s = now_s() + self.order["linger_s"]
        while (left_s := until_s - now_s()) > 0:
            waker = select.poll()
            waker.register(self.wake_r, select.POLLIN)
            waker.poll(int(left_s * 1000) + 1)
            try:
                heard = os.read(self.wake_r, 4096)
            except BlockingIOError:
                continue
            if signal.SIGTERM in heard or (self.keeper and self.keeper.verdict == "stale"):
                return


def _volunteer_for_oom() -> None:
    """When memory runs out the kernel takes the job, not the shim that has to report it."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/oom_score_adj", "r+") as file:
        score = int(file.read())
        file.seek(0)
        file.write(str(min(1000, score + 200)))


def receive_order(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The order, and the file descriptors that came with it (locks, held until this process ends)."""
    text, held = b"", []
    while not text.endswith(b"\n"):
        data, fds, _, _ = socket.recv_fds(control, 1 << 20, 64)
        if not data:
            return None
        text += data
        held += fds
    for fd in held:
        os.set_inheritable(fd, False)
    return json.loads(text), held


def main() -> None:
    os.chdir("/")
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    control = socket.socket(fileno=0)
    os.set_inheritable(0, False)
    received = receive_order(control)
    if received is None:
        return
    order, _locks = received
    os.dup2(os.open(os.path.join(order["folder"], "shim.err"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    Attempt(order, control).run()
    sys.stderr.flush()
    os._exit(0)  # the keeper may sit in a system call; nothing is left to do
