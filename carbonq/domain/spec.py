"""`JobSpec`: what a user writes in job.yaml. The field descriptions are the reference documentation."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from carbonq.domain.job import Outcome, Requirement
from carbonq.domain.units import parse_duration, parse_size
from carbonq.domain.value import StrictValue, UtcTime

MAX_ARRAY = 100_000
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
ENV_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
RESERVED_ENV_PREFIX = "CARBONQ_"


def _read(parse: Callable[[str], float], example: str) -> Callable[[object], object]:
    """A validator that reads text with its unit, lets already read numbers of Python callers pass and refuses bare ones."""

    def validate(value: object) -> object:
        if isinstance(value, str):
            return parse(value)
        if isinstance(value, bool) or not isinstance(value, float):
            raise ValueError(f"needs a unit; write it like {example}")  # noqa: TRY004  # pydantic turns only ValueError into an error with its place
        return value

    return validate


Duration = Annotated[
    float,
    BeforeValidator(_read(parse_duration, "2h30m")),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^(\d+(\.\d+)?w)?(\d+(\.\d+)?d)?(\d+(\.\d+)?h)?(\d+(\.\d+)?m)?(\d+(\.\d+)?s)?$",
            "minLength": 2,
            "examples": ["2h30m"],
        }
    ),
]
"""Seconds; written like `2h30m`."""

Size = Annotated[
    int,
    BeforeValidator(lambda value: parse_size(value) if isinstance(value, str) else value),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*([kKMGTP]i?)?B?$", "examples": ["16GiB"]}),
]
"""Bytes; written like `16GiB`."""


def _read_deadline(value: object) -> object:
    """A span in seconds, or a moment. Text that starts with a date is a moment and needs its zone."""
    if not isinstance(value, str):
        return value
    if len(value) > 4 and value[4:5] == "-":
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(f"{value!r} has no zone; write {value}Z for UTC or add an offset such as +02:00")
        return moment
    return parse_duration(value)


Moment = Annotated[
    float | UtcTime,
    BeforeValidator(_read_deadline),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 2,
            "description": "a span from submission such as `18h`, or RFC 3339 with a zone",
            "examples": ["18h", "2026-01-05T18:00:00Z"],
        }
    ),
]
"""A span from submission in seconds, or a moment."""


class Resources(StrictValue):
    gpus: int = Field(default=0, ge=0, le=64, description="whole GPUs")
    gpu_model: str | None = Field(default=None, min_length=1, description="a part of the model's name, such as `A100`")
    gpu_memory: Size | None = Field(default=None, description="memory that each GPU must have, such as `40GiB`")
    cpus: int = Field(default=1, ge=1, le=4096, description="CPU slots")
    memory: Size | None = Field(default=None, description="main memory, such as `16GiB`")


class InterruptMode(StrEnum):
    CHECKPOINT = "checkpoint"
    SUSPEND = "suspend"


class Interruptible(StrictValue):
    mode: InterruptMode = Field(
        description="`checkpoint`: the job saves and exits on a signal; `suspend`: it is stopped in place"
    )
    checkpoint_signal: Literal["SIGUSR1", "SIGUSR2", "SIGTERM", "SIGINT", "SIGHUP"] = Field(
        default="SIGUSR1", description="asks the job to save and exit"
    )
    grace: Duration = Field(default=120.0, description="how long saving may take (real time)")
    min_run: Duration = Field(default=1800.0, description="shortest run worth starting")


class Workload(StrictValue):
    """What the job does, for predictions from past runs. Further numbers and texts are features of the prediction."""

    model_config = StrictValue.model_config | {"extra": "allow"}

    family: str = Field(
        min_length=1, max_length=128, description="jobs of one family resemble each other, such as `resnet50-imagenet`"
    )
    work: float | None = Field(default=None, gt=0, description="how much work: epochs, samples, tokens")
    unit: str | None = Field(default=None, max_length=32, description="what `work` counts")

    @model_validator(mode="after")
    def _features_are_plain(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if not isinstance(value, str | int | float | bool):
                raise ValueError(f"workload.{name} must be a number or a text")  # noqa: TRY004  # see _read
        return self


class CarbonPolicy(StrEnum):
    PLANNED = "planned"
    IMMEDIATE = "immediate"


class Carbon(StrictValue):
    zones: tuple[str, ...] = Field(
        default=(), max_length=16, description="grid zones where the job may run; empty: any"
    )
    policy: CarbonPolicy = Field(
        default=CarbonPolicy.PLANNED,
        description="`planned`: the cleanest time before the deadline; `immediate`: as soon as there is room",
    )
    max_delay: Duration | None = Field(default=None, description="latest planned start after submission")


class EnergyHint(StrictValue):
    power_w: float | None = Field(
        default=None, gt=0, le=1e6, description="the whole job's average draw in watts, where it is known"
    )


class RetryOn(StrEnum):
    FAILURE = "failure"
    TIMEOUT = "timeout"


class Retry(StrictValue):
    max_attempts: int = Field(
        default=1, ge=1, le=100, description="runs in all; attempts lost with their worker are not counted"
    )
    on: tuple[RetryOn, ...] = Field(default=(RetryOn.FAILURE, RetryOn.TIMEOUT), description="what is tried again")

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        return tuple({RetryOn.FAILURE: Outcome.FAILED, RetryOn.TIMEOUT: Outcome.TIMED_OUT}[name] for name in self.on)


class OnMiss(StrEnum):
    RUN = "run"
    DROP = "drop"


EnvName = Annotated[str, Field(pattern=ENV_NAME_PATTERN)]
Scalar = str | int | float | bool


class Array(StrictValue):
    """Many tasks of one spec. Either `size`, or `values`: every combination of the lists becomes one task."""

    size: int | None = Field(
        default=None, ge=1, le=MAX_ARRAY, description="number of tasks; each sees CARBONQ_TASK_INDEX from 0"
    )
    values: dict[EnvName, Annotated[tuple[Scalar, ...], Field(min_length=1)]] = Field(
        default_factory=dict, description="environment variables and their values; one task a combination"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.size is None) == (not self.values):
            raise ValueError("an array has either `size` or `values`")
        if self.count > MAX_ARRAY:
            raise ValueError(f"{self.count} tasks are more than the {MAX_ARRAY} that one array may have")
        return self

    @property
    def count(self) -> int:
        if self.size is not None:
            return self.size
        total = 1
        for options in self.values.values():
            total *= len(options)
        return total

    def task_env(self, index: int) -> dict[str, str]:
        """The environment that task `index` (from 0) sees; the last variable varies fastest."""
        env = {"CARBONQ_TASK_INDEX": str(index), "CARBONQ_TASK_COUNT": str(self.count)}
        for name, options in reversed(self.values.items()):
            index, choice = divmod(index, len(options))
            env[name] = _env_text(options[choice])
        return env


class JobSpec(StrictValue):
    """One job file. Only `name`, `deadline` and one of `run` and `script` are required."""

    version: Literal[1] = Field(default=1, description="of this format")
    name: str = Field(pattern=NAME_PATTERN, description="letters, digits, dot, dash and underscore; at most 63")
    run: str | tuple[str, ...] | None = Field(
        default=None, description="a shell command line, or a list: program and arguments, no shell"
    )
    script: str | None = Field(
        default=None, min_length=1, description="several lines for `sh -eu`, or with a first line `#!interpreter`"
    )
    workdir: str | None = Field(
        default=None, description="where it runs; relative to the job file's folder; default: that folder"
    )
    env: dict[EnvName, Scalar] = Field(default_factory=dict, description="environment variables")
    secrets: tuple[EnvName, ...] = Field(
        default=(), description="environment variables that the worker fills from its own store"
    )
    resources: Resources = Resources()
    duration: Duration | None = Field(
        default=None, description="how long it runs; default: predicted from past runs, else an assumption"
    )
    deadline: Moment = Field(description="when it must be done")
    not_before: Moment | None = Field(default=None, description="earliest start")
    timeout: Duration | None = Field(default=None, description="it is stopped after this long (real time)")
    interruptible: Interruptible | None = Field(
        default=None, description="whether and how it may be paused; default: never"
    )
    workload: Workload | None = None
    carbon: Carbon = Carbon()
    energy: EnergyHint = EnergyHint()
    retry: Retry = Retry()
    array: Array | None = Field(default=None, description="many tasks: a number, or lists of environment values")
    needs: tuple[str, ...] = Field(default=(), max_length=256, description="ids of jobs that must succeed first")
    priority: int = Field(default=0, ge=-100, le=100, description="higher goes first among jobs that are due")
    project: str = Field(default="default", pattern=NAME_PATTERN, description="what reports group by")
    labels: dict[Annotated[str, Field(pattern=NAME_PATTERN)], str] = Field(
        default_factory=dict, max_length=32, description="free words for reports"
    )
    on_miss: OnMiss = Field(default=OnMiss.RUN, description="once the deadline cannot be met: `run` anyway, or `drop`")

    @field_validator("array", mode="before")
    @classmethod
    def _a_number_is_a_size(cls, value: Any) -> Any:
        return {"size": value} if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("env")
    @classmethod
    def _env_leaves_ours_alone(cls, env: dict[str, Scalar]) -> dict[str, Scalar]:
        for name in env:
            if name.startswith(RESERVED_ENV_PREFIX):
                raise ValueError(f"{name}: names that begin with {RESERVED_ENV_PREFIX} are carbonq's own")
        return env

    @model_validator(mode="after")
    def _says_what_to_run(self) -> Self:
        if (self.run is None) == (self.script is None):
            raise ValueError("give either `run` (a command) or `script` (several lines)")
        if self.run is not None and not (self.run.strip() if isinstance(self.run, str) else self.run and self.run[0]):
            raise ValueError("`run` is empty; write the command to run")
        return self

    @property
    def requirement(self) -> Requirement:
        need = self.resources
        return Requirement(
            gpus=need.gpus,
            gpu_model=need.gpu_model,
            gpu_memory_b=need.gpu_memory,
            cpus=need.cpus,
            memory_b=need.memory,
            zones=self.carbon.zones,
        )

    @property
    def tasks(self) -> int:
        return self.array.count if self.array else 1


def _env_text(value: Scalar) -> str:
    """How a YAML scalar looks as an environment variable: `true`, not Python's `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
