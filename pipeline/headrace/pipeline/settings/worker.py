"""What a worker and a scheduler do."""

from datetime import timedelta
from enum import StrEnum
from typing import ClassVar, Final, Self

from pydantic import Field, model_validator

from headrace.pipeline.durations import Duration, PositiveDuration
from headrace.pipeline.settings.base import CommaList, Settings

_THIN_CONCURRENCY: Final = 2


class WorkerMode(StrEnum):
    """What one `headrace worker` process does."""

    THIN = "thin"
    DEFAULT = "default"
    SPECIALIZED = "specialized"
    JOB_SPECIALIZED = "job-specialized"
    SCHEDULER = "scheduler"


class EventLoop(StrEnum):
    """What coroutine functions run on."""

    AUTO = "auto"
    ASYNCIO = "asyncio"
    UVLOOP = "uvloop"


class WorkerSettings(Settings):
    """What a worker serves and how."""

    RULES: ClassVar = (
        (
            "`HEADRACE_WORKER_MODE=specialized` needs `HEADRACE_WORKER_PRIORITIES`, which no other "
            "mode takes."
        ),
        (
            "`HEADRACE_WORKER_MODE=job-specialized` needs `HEADRACE_WORKER_JOB_TYPES`, which no other "
            "mode takes."
        ),
        "`HEADRACE_WORKER_MODE=scheduler` refuses `HEADRACE_ENABLE_SCHEDULER=false`.",
        "`HEADRACE_WORKER_CONCURRENCY` is 2 in thin mode when it is not set.",
        "`HEADRACE_WORKER_EVENT_LOOP=uvloop` needs uvloop: `pip install 'headrace[speed]'`.",
    )

    worker_mode: WorkerMode = Field(
        default=WorkerMode.DEFAULT,
        description="`thin`: one process with everything, concurrency 2. `default`: every lane. "
        "`specialized`: the lanes of `HEADRACE_WORKER_PRIORITIES`. `job-specialized`: the queues "
        "of `HEADRACE_WORKER_JOB_TYPES`. `scheduler`: no lanes, only the delay tiers.",
    )
    worker_priorities: CommaList = Field(
        default=(), description="Specialized mode: the priorities to serve, such as `high,normal`."
    )
    worker_job_types: CommaList = Field(
        default=(),
        description="Job-specialized mode: the job types to serve, such as `email.send,image.crop`;"
        " each must have a queue of its own.",
    )
    worker_concurrency: int = Field(
        default=10, ge=1, le=10_000, description="Jobs that one worker process runs at a time."
    )
    worker_drain_budget: Duration = Field(
        default=timedelta(seconds=30),
        description="How long a stopping worker waits for its running jobs before it gives them "
        "back.",
    )
    worker_lost_threads: int = Field(
        default=5,
        ge=1,
        description="Threads that may be stuck in timed-out jobs before the worker asks to be "
        "restarted.",
    )
    worker_buffer_bytes: int = Field(
        default=67_108_864,
        ge=1_048_576,
        description="Bytes of records in memory per lane that wait for a slot, in place, or to be "
        "handed over.",
    )
    worker_dedup_bytes: int = Field(
        default=67_108_864,
        ge=1_048_576,
        description="Bytes of notes of `dedup_key`s remembered per lane, some 450 for each job "
        "within the window; beyond it the oldest are forgotten, and their jobs run again when "
        "they are submitted again.",
    )
    worker_event_loop: EventLoop = Field(
        default=EventLoop.AUTO,
        description="What coroutine functions run on: `uvloop`, which `headrace[speed]` installs, "
        "`asyncio`, the one of the standard library, or `auto`: the first if it is there.",
    )
    worker_transitions: bool = Field(
        default=True, description="Whether job transitions are published on the events topic."
    )
    worker_max_result_bytes: int = Field(
        default=65_536,
        ge=0,
        description="The largest return value kept in a transition, in bytes; larger ones are "
        "stored where HEADRACE_CLAIMS_URL says, and fail the attempt when that is not set.",
    )
    enable_scheduler: bool = Field(
        default=False,
        description="Whether the worker process also moves due records from the delay tiers. On in "
        "thin and scheduler mode when it is not set.",
    )
    job_timeout: PositiveDuration = Field(
        default=timedelta(minutes=5),
        description="How long one attempt may take when its job type says nothing.",
    )
    max_retries: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="Counted attempts, the first included, when a job type declares no retry "
        "policy.",
    )

    @property
    def slots(self) -> int:
        """Jobs that one process runs at a time: 2 in thin mode unless set, none as scheduler."""
        if self.worker_mode is WorkerMode.SCHEDULER:
            return 0
        if self.worker_mode is WorkerMode.THIN and "worker_concurrency" not in self._given:
            return _THIN_CONCURRENCY
        return self.worker_concurrency

    @property
    def schedules(self) -> bool:
        """Whether the process also moves due records from the delay tiers."""
        if "enable_scheduler" in self._given:
            return self.enable_scheduler
        return self.worker_mode in (WorkerMode.THIN, WorkerMode.SCHEDULER)

    @property
    def _given(self) -> set[str]:
        return self.model_fields_set

    @model_validator(mode="after")
    def _mode_has_its_list(self) -> Self:
        needed = {
            WorkerMode.SPECIALIZED: ("HEADRACE_WORKER_PRIORITIES", self.worker_priorities),
            WorkerMode.JOB_SPECIALIZED: ("HEADRACE_WORKER_JOB_TYPES", self.worker_job_types),
        }
        for mode, (name, value) in needed.items():
            if self.worker_mode is mode and not value:
                raise ValueError(f"HEADRACE_WORKER_MODE={mode} needs {name}, comma-separated")
            if self.worker_mode is not mode and value:
                raise ValueError(
                    f"{name}={','.join(value)} only means something with "
                    f"HEADRACE_WORKER_MODE={mode}; it is {self.worker_mode}"
                )
        return self

    @model_validator(mode="after")
    def _scheduler_schedules(self) -> Self:
        if self.worker_mode is WorkerMode.SCHEDULER and not self.schedules:
            raise ValueError(
                "HEADRACE_WORKER_MODE=scheduler with HEADRACE_ENABLE_SCHEDULER=false leaves "
                "nothing to do: unset one of them"
            )
        return self


class SchedulerSettings(Settings):
    """How the scheduler holds what is not due."""

    scheduler_interval: PositiveDuration = Field(
        default=timedelta(milliseconds=100),
        description="The longest the scheduler sleeps between looks at its clock and Kafka; due "
        "times in hand are kept to the millisecond whatever this is.",
    )
    scheduler_memory_bytes: int = Field(
        default=67_108_864,
        ge=1_048_576,
        description="Bytes of records that may wait in the scheduler's memory.",
    )
