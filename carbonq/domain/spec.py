"""`JobSpec`: what a user writes in job.yaml. The field descriptions are the reference documentation.

Errors that validators raise read `what; how to mend it`.
"""

from datetime import datetime
from enum import StrEnum
from math import prod
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, ConfigDict, Field, Strict, ValidationInfo, field_validator

from carbonq.domain.job import Outcome, Requirement
from carbonq.domain.value import StrictValue
from carbonq.domain.written import Bytes, EnvName, Moment, Name, Span, ZoneCode

MAX_ARRAY = 100_000

Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Scalar = str | Whole | Number | Annotated[bool, Strict()]


def _names_a_program(arguments: tuple[str, ...]) -> tuple[str, ...]:
    if not arguments[0]:
        raise ValueError("the program's name is empty; write it like [python, train.py]")
    return arguments


Command = Annotated[str, Field(pattern=r"\S")]
Arguments = Annotated[
    tuple[str, ...],
    Field(min_length=1, json_schema_extra={"prefixItems": [{"type": "string", "minLength": 1}]}),
    AfterValidator(_names_a_program),
]
JobId = Annotated[str, Field(min_length=1, max_length=128)]
Label = Annotated[str, Field(max_length=256)]


def exactly_one(first: str, second: str, **full: object) -> dict[str, Any]:
    """The part of a JSON Schema that says so; `full` is what the second must be to count as given."""
    given = {"not": {"type": "null"}}
    return {
        "oneOf": [
            {"required": [first], "properties": {first: given}},
            {"required": [second], "properties": {second: given | full}},
        ]
    }


def _or_a_number(schema: dict[str, Any]) -> None:
    schema["anyOf"].insert(0, {"type": "integer", "minimum": 1, "maximum": MAX_ARRAY})


class Section(StrictValue):
    """A part of the job file. Its validator is built at its first use: most commands read no job file."""

    model_config = StrictValue.model_config | ConfigDict(defer_build=True)


class Resources(Section):
    gpus: Whole = Field(default=0, ge=0, le=64, description="whole GPUs")
    gpu_model: str | None = Field(default=None, min_length=1, description="a part of the model's name, such as `A100`")
    gpu_memory: Bytes | None = Field(default=None, description="memory that each GPU must have, such as `40GiB`")
    cpus: Whole = Field(default=1, ge=1, le=4096, description="CPU slots")
    memory: Bytes | None = Field(default=None, description="main memory, such as `16GiB`")


class InterruptMode(StrEnum):
    CHECKPOINT = "checkpoint"
    SUSPEND = "suspend"


class Interruptible(Section):
    mode: InterruptMode = Field(
        description="`checkpoint`: the job saves and exits on a signal; `suspend`: it is stopped in place"
    )
    checkpoint_signal: Literal["SIGUSR1", "SIGUSR2", "SIGTERM", "SIGINT", "SIGHUP"] = Field(
        default="SIGUSR1", description="asks the job to save and exit"
    )
    grace: Span = Field(default=120.0, description="how long saving may take (real time)")
    min_run: Span = Field(default=1800.0, description="shortest run worth starting")


class Workload(Section):
    """What the job does, for predictions from past runs. Further numbers and texts are features of the prediction."""

    model_config = Section.model_config | {"extra": "allow"}
    __pydantic_extra__: dict[str, Scalar] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]  # pydantic's own way to type them

    family: str = Field(
        min_length=1,
        max_length=128,
        description="jobs of one family resemble each other, such as `resnet50-imagenet`",
        examples=["resnet50-imagenet"],
    )
    work: Number | None = Field(default=None, gt=0, description="how much work: epochs, samples, tokens")
    unit: str | None = Field(default=None, max_length=32, description="what `work` counts")


class CarbonPolicy(StrEnum):
    PLANNED = "planned"
    IMMEDIATE = "immediate"


class Carbon(Section):
    zones: tuple[ZoneCode, ...] = Field(
        default=(), max_length=16, description="grid zones where the job may run; empty: any"
    )
    policy: CarbonPolicy = Field(
        default=CarbonPolicy.PLANNED,
        description="`planned`: the cleanest time before the deadline; `immediate`: as soon as there is room",
    )
    max_delay: Span | None = Field(default=None, description="latest planned start after submission")


class EnergyHint(Section):
    power_w: Number | None = Field(
        default=None, gt=0, le=1e6, description="the whole job's average draw in watts, where it is known"
    )


class RetryOn(StrEnum):
    FAILURE = "failure"
    TIMEOUT = "timeout"


class Retry(Section):
    max_attempts: Whole = Field(
        default=1, ge=1, le=100, description="runs in all; attempts lost with their worker are not counted"
    )
    on: tuple[RetryOn, ...] = Field(default=(RetryOn.FAILURE, RetryOn.TIMEOUT), description="what is tried again")

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        return tuple({RetryOn.FAILURE: Outcome.FAILED, RetryOn.TIMEOUT: Outcome.TIMED_OUT}[name] for name in self.on)


class OnMiss(StrEnum):
    RUN = "run"
    DROP = "drop"


class Array(Section):
    """Many tasks of one spec. Either `size`, or `values`: every combination of the lists becomes one task."""

    model_config = Section.model_config | {"json_schema_extra": exactly_one("size", "values", minProperties=1)}

    size: Whole | None = Field(
        default=None, ge=1, le=MAX_ARRAY, description="number of tasks; each sees CARBONQ_TASK_INDEX from 0"
    )
    values: dict[EnvName, Annotated[tuple[Scalar, ...], Field(min_length=1)]] = Field(
        default={}, validate_default=True, description="environment variables and their values; one task a combination"
    )

    @field_validator("values")
    @classmethod
    def _one_of_both(cls, values: dict[str, tuple[Scalar, ...]], info: ValidationInfo) -> dict[str, tuple[Scalar, ...]]:
        if "size" in info.data and (info.data["size"] is None) == (not values):
            raise ValueError("an array has either `size` or `values`; give one of them")
        tasks = prod(map(len, values.values()))
        if tasks > MAX_ARRAY:
            raise ValueError(f"{tasks} tasks are more than one array may have; split it into arrays of {MAX_ARRAY}")
        return values

    @property
    def count(self) -> int:
        return self.size if self.size is not None else prod(map(len, self.values.values()))

    def task_env(self, index: int) -> dict[str, str]:
        """The environment that task `index` (from 0) sees; the last variable varies fastest."""
        env = {"CARBONQ_TASK_INDEX": str(index), "CARBONQ_TASK_COUNT": str(self.count)}
        for name, options in reversed(self.values.items()):
            index, choice = divmod(index, len(options))
            env[name] = env_text(options[choice])
        return env


class JobSpec(Section):
    """One job file. Only `name`, `deadline` and one of `run` and `script` are required."""

    model_config = Section.model_config | {"json_schema_extra": exactly_one("run", "script")}

    version: Literal[1] = Field(default=1, description="of this format")
    name: Name = Field(description="what it is called: letters, digits, dot, dash and underscore", examples=["train"])
    run: Command | Arguments | None = Field(
        default=None, description="a shell command line, or a list: program and arguments, no shell"
    )
    script: Command | None = Field(
        default=None,
        validate_default=True,
        description="several lines for `sh -eu`, or with a first line `#!interpreter`",
    )
    workdir: str | None = Field(
        default=None,
        min_length=1,
        description="where it runs; relative to the job file's folder; default: that folder",
    )
    env: dict[EnvName, Scalar] = Field(
        default={}, description="environment variables; a plain word or number arrives as it is written"
    )
    secrets: tuple[EnvName, ...] = Field(
        default=(), description="environment variables that the worker fills from its own store"
    )
    resources: Resources = Field(default_factory=Resources, description="what one task holds while it runs")
    duration: Span | None = Field(
        default=None, description="how long it runs; default: predicted from past runs, else an assumption"
    )
    deadline: Moment = Field(
        description="when it must be done: a span from submission, or a time with its zone", examples=["18h"]
    )
    not_before: Moment | None = Field(default=None, description="earliest start: a span from submission, or a time")
    timeout: Span | None = Field(default=None, description="it is stopped after this long (real time)")
    interruptible: Interruptible | None = Field(
        default=None,
        description="whether and how it may be paused; default: never. Kept for later versions: this one pauses nothing",
    )
    workload: Workload | None = Field(default=None, description="what it does, for predictions from past runs")
    carbon: Carbon = Field(default_factory=Carbon, description="where and how it waits for clean power")
    energy: EnergyHint = Field(default_factory=EnergyHint, description="what is known of its power")
    retry: Retry = Field(default_factory=Retry, description="whether it is tried again")
    array: Array | None = Field(
        default=None,
        description="many tasks: a number, or lists of environment values",
        json_schema_extra=_or_a_number,
    )
    needs: tuple[JobId, ...] = Field(default=(), max_length=256, description="ids of jobs that must succeed first")
    priority: Whole = Field(default=0, ge=-100, le=100, description="higher goes first among jobs that are due")
    project: Name = Field(default="default", description="what reports group by")
    labels: dict[Name, Label] = Field(default={}, max_length=32, description="free words for reports")
    on_miss: OnMiss = Field(default=OnMiss.RUN, description="once the deadline cannot be met: `run` anyway, or `drop`")

    @field_validator("version", mode="before")
    @classmethod
    def _is_known(cls, value: object) -> object:
        if type(value) is not int or value != 1:  # True == 1 == 1.0 to Python
            raise ValueError("this carbonq reads version 1; write `version: 1` or leave it out")
        return value

    @field_validator("array", mode="before")
    @classmethod
    def _a_number_is_a_size(cls, value: object) -> object:
        return {"size": value} if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("script")
    @classmethod
    def _says_what_to_run(cls, script: str | None, info: ValidationInfo) -> str | None:
        if "run" in info.data and (info.data["run"] is None) == (script is None):
            raise ValueError("a job has either `run` (a command) or `script` (several lines); give one of them")
        return script

    @field_validator("not_before")
    @classmethod
    def _starts_before_it_ends(cls, start: Moment | None, info: ValidationInfo) -> Moment | None:
        deadline = info.data.get("deadline")
        if isinstance(start, float) and isinstance(deadline, float):
            late = start >= deadline
        else:
            late = isinstance(start, datetime) and isinstance(deadline, datetime) and start >= deadline
        if late:
            raise ValueError("lies at or after the deadline; give an earlier start or a later deadline")
        return start

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


class JobFile(NamedTuple):
    """A job file as read: the spec, its bytes as submitted, and the folder it lies in."""

    spec: JobSpec
    document: bytes
    folder: str


def env_text(value: Scalar) -> str:
    """How a YAML scalar looks as an environment variable: `true`, not Python's `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
