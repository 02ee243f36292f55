"""Domain values as the scripts take and give them: flat text fields, JSON for what no script looks into."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from carbonq.domain.errors import InvalidInput
from carbonq.domain.job import Event, Job, JobState, Measurement, Requirement, WaitReason
from carbonq.domain.time import from_ms, to_ms

MAX_SPEC_B = 1 << 20
MAX_JOB_B = 1 << 20
MAX_MEASUREMENT_B = 1 << 20
MAX_ERROR_CHARS = 2000

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")

_PRIORITY_SPAN = 499  # priority p sorts as 499 - p: the highest first, in three digits


def check_id(job_id: str) -> str:
    """The id itself. Raises InvalidInput for what could not be a key, a file name and an argument alike."""
    if not _ID.fullmatch(job_id):
        raise InvalidInput(
            f"{job_id[:140]!r} is no job id", hint="use 1 to 128 letters, digits, dots, colons, dashes and underscores"
        )
    return job_id


def ms(moment: datetime | None) -> str:
    return "" if moment is None else str(to_ms(moment))


def line_class(need: Requirement) -> str:
    """The text that equal requirements share. The lease script reads it: what is not asked for is 0, "" or []."""
    model = (need.gpu_model or "").lower()
    return _class_text(need.gpus, model, need.gpu_memory_b or 0, need.cpus, need.memory_b or 0, need.zones)


@lru_cache(maxsize=256)
def _class_text(gpus: int, gpu_model: str, gpu_memory_b: int, cpus: int, memory_b: int, zones: tuple[str, ...]) -> str:
    need = {
        "cpus": cpus,
        "gpu_memory_b": gpu_memory_b,
        "gpu_model": gpu_model,
        "gpus": gpus,
        "memory_b": memory_b,
        "zones": zones,
    }
    return json.dumps(need, separators=(",", ":"))


def rank(job: Job) -> str:
    """Sorts ready jobs: highest priority, then nearest latest safe start. The script appends submission and id."""
    priority = max(-_PRIORITY_SPAN, min(_PRIORITY_SPAN, job.priority))
    return f"{_PRIORITY_SPAN - priority:03d}{to_ms(job.latest_start):015d}"


def ask_json(job: Job) -> bytes:
    """The job as submitted. Flat fields override it from then on."""
    text = job.model_dump_json(exclude_none=True).encode()
    if len(text) > MAX_JOB_B:
        raise InvalidInput(
            f"job {job.id}: {len(text)} bytes are too many", hint=f"a job record holds {MAX_JOB_B} bytes"
        )
    return text


def measurement_json(measurement: Measurement) -> bytes:
    text = measurement.model_dump_json(exclude_none=True).encode()
    if len(text) > MAX_MEASUREMENT_B:
        raise InvalidInput(
            f"measurement of {measurement.job_id}: {len(text)} bytes are too many",
            hint=f"a measurement holds {MAX_MEASUREMENT_B} bytes; merge neighbouring segments of its trace",
        )
    return text


def lines(*fields: str | float) -> str:
    """Short fields as one argument, one a line. Raises InvalidInput for a field that is several lines itself."""
    text = "\n".join(map(str, fields))
    if text.count("\n") >= len(fields):
        raise InvalidInput("a name of a job, worker or pool must not contain a line break", where=repr(text))
    return text


def read_job(ask: bytes, standing: bytes) -> tuple[Job, str]:
    """A job from what was asked for and where it stands, and its spec's sha256."""
    *values, sha, lease_expires_ms = json.loads(standing)
    now: dict[str, Any] = {
        name: convert(value) if value else _EMPTY.get(name)
        for (name, convert), value in zip(_STANDING, values, strict=True)
        if value is not False  # Lua's nil: never set
    }
    now["lease_expires_at"] = from_ms(float(lease_expires_ms)) if lease_expires_ms else None
    return Job.model_validate_json(ask).model_copy(update=now), sha  # the converters have checked what is copied


def read_event(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Event:
    """The server's real time is the stream's own id."""
    return Event(
        cursor=entry_id.decode(),
        type=fields[b"type"].decode(),
        job_id=fields[b"job"].decode(),
        state=JobState(fields[b"state"].decode()),
        fence=int(fields[b"fence"]),
        at=_moment(fields[b"at"]),
        real_at=_moment(entry_id.partition(b"-")[0]),
        detail=fields[b"detail"].decode(),
    )


def _moment(text: str | bytes) -> datetime:
    return from_ms(int(text))


_STANDING: tuple[tuple[str, Callable[[str], Any]], ...] = (
    ("state", JobState),
    ("reason", WaitReason),
    ("reason_detail", str),
    ("planned_start", _moment),
    ("planned_end", _moment),
    ("pool", str),
    ("planned_emissions_g", float),
    ("fence", int),
    ("attempts", int),
    ("failed_attempts", int),
    ("lost_attempts", int),
    ("worker_id", str),
    ("cancel_requested", "1".__eq__),
    ("retry_at", _moment),
    ("started_at", _moment),
    ("finished_at", _moment),
    ("exit_code", int),
    ("error", str),
)
"""In the order of `STANDING` in `lua/lib.lua`, which adds the spec's sha256 and the lease's expiry."""

_EMPTY = {"error": "", "reason_detail": ""}  # what else is empty is not known: None
