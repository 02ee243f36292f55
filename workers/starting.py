"""From a grant to a running attempt, or to the reason why it cannot start here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from carbonq import jobfile
from carbonq.clock import real_now
from carbonq.domain.ports import Grant
from carbonq.domain.spec import JobSpec
from carbonq.workers import environment, record
from carbonq.workers.folder import AttemptFolder
from carbonq.workers.inventory import GpuLocks, Holding
from carbonq.workers.record import AttemptRecord
from carbonq.workers.runner import Attempt, Command, Ending, Runner
from carbonq.workers.settings import KeepaliveFor, WorkerSettings

EXIT_NOT_FOUND = 127  # what a POSIX shell exits with where it cannot find a command


@dataclass(frozen=True)
class Starter:
    """Everything that starting an attempt takes. Its errors are InvalidInput, a full disk's OSError."""

    settings: WorkerSettings
    runner: Runner
    locks: GpuLocks
    keepalive: KeepaliveFor | None = None
    worker_env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def record(self, grant: Grant, holding: Holding, power_limit_w: float | None = None) -> AttemptRecord:
        """What is known before the spec is even read: enough to report the attempt, whatever happens to it."""
        return AttemptRecord(
            lease=grant.lease,
            job_name=grant.job.name,
            pool=self.settings.pool,
            zone=self.settings.zone,
            requirement=grant.job.requirement,
            gpu_uuids=holding.gpu_uuids,
            gpu_power_limit_w=power_limit_w,
            leased_real_at=real_now(),
            backoff_s=record.backoff_s(grant.job.failed_attempts, self.settings.retry_backoff_s),
        )

    def start(self, grant: Grant, known: AttemptRecord, folder: AttemptFolder) -> tuple[AttemptRecord, Attempt]:
        """Raises InvalidInput for what makes this job impossible here: its spec, workdir or secrets."""
        spec = jobfile.parse(grant.spec, grant.job.name)
        command = self._command(spec, grant, known, folder)
        known = known.model_copy(
            update={
                "timeout_s": spec.timeout,
                "first_word": environment.first_word(spec),
                "search_path": command.env["PATH"],
                "workdir": command.workdir,
                "work": spec.workload.work if spec.workload else None,
                "work_unit": spec.workload.unit if spec.workload else None,
            }
        )
        folder.write(record.FILE, known.model_dump(mode="json"))
        lease_s = self.settings.lease_s
        keepalive = self.keepalive(grant.lease, lease_s) if self.keepalive else None
        locks = self.locks.fds(known.gpu_uuids)
        return known, self.runner.start(folder, command, keepalive, every_s=lease_s / 3, locks=locks)

    def _command(self, spec: JobSpec, grant: Grant, known: AttemptRecord, folder: AttemptFolder) -> Command:
        settings = self.settings
        return Command(
            argv=environment.command(spec, folder),
            env=environment.compose(
                spec,
                grant.job,
                attempt=grant.lease.attempt,
                folder=folder.path,
                worker_env=self.worker_env,
                secrets=environment.read_secrets(spec.secrets, settings.secrets_dir, self.worker_env),
                gpu_uuids=known.gpu_uuids,
            ),
            workdir=environment.workdir(spec, grant.job),
            timeout_s=spec.timeout,
            grace_s=settings.grace_s,
            linger_s=settings.linger_s,
            log_limit_b=settings.log_limit_b,
            sample_interval_s=settings.sample_interval_s,
            powercap_dir=str(settings.powercap_dir),
            gpu_uuids=known.gpu_uuids,
        )


def read_record(folder: AttemptFolder) -> AttemptRecord | None:
    """None for a folder whose order was never written whole: nothing ran, and nothing can be said about it."""
    written = folder.read(record.FILE)
    return None if written is None else AttemptRecord.model_validate(written)


def diagnose(known: AttemptRecord, ending: Ending) -> Ending:
    """A shell says only 127 for a missing command; where the command is indeed not there, call it by its name.

    The kernel says "no such file" of a script whose interpreter is missing: name the interpreter.
    """
    workdir = known.workdir or str(Path.home())
    if ending.could_not_start == "command" and (named := environment.interpreter_of(ending.subject, workdir)):
        return replace(ending, error=f"{ending.error}: its first line names {named}, which may not be on this worker")
    word = known.first_word
    if ending.exit_code != EXIT_NOT_FOUND or ending.reason or word is None:
        return ending
    if not environment.is_missing(word, known.search_path, workdir):
        return ending
    return replace(ending, could_not_start="command", subject=word, error="not found on this worker")
