"""Where a process says how it is: its port and its log."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from headrace.pipeline.durations import PositiveDuration
from headrace.pipeline.settings.base import Settings


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class HttpSettings(Settings):
    """Each process's own port for health and metrics."""

    http_enabled: bool = Field(
        default=True,
        description="Whether `/health/live`, `/health/ready` and `/metrics` are served.",
    )
    http_host: str = Field(
        default="127.0.0.1", description="The address to listen on; `0.0.0.0` in a container."
    )
    http_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="The port; 0 takes a free one and logs it. With `--processes N` child i takes "
        "port + i.",
    )


class HeartbeatSettings(Settings):
    """How a process says that it lives."""

    heartbeat_interval: PositiveDuration = Field(
        default=timedelta(seconds=5),
        description="How often a worker or scheduler tells what it does, for `headrace workers` and "
        "`headrace lag`. One that was silent for three times as long counts as gone.",
    )


class LogFormat(StrEnum):
    """How a log line looks."""

    JSON = "json"
    TEXT = "text"


class LogSettings(Settings):
    """Where log lines go and how they look."""

    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        Field(default="info", description="The least severe lines to keep.")
    )
    log_format: Annotated[LogFormat, BeforeValidator(_lower)] = Field(
        default=LogFormat.TEXT, description="`json`: an object per line. `text`: for reading."
    )
    log_console_enabled: bool = Field(
        default=True, description="Whether lines go to standard error."
    )
    log_file_enabled: bool = Field(
        default=False,
        description='Whether lines go to a file. Child processes of queues with `pool="process"` log to standard error.',
    )
    log_file_path: Path = Field(
        default=Path(".headrace/log/{role}.log"),
        description="The file. `{role}` (worker, scheduler …) and `{pid}` in it are filled in: "
        "each process needs a file of its own.",
    )
    log_file_max_size_mb: int = Field(
        default=100,
        ge=1,
        description="The size at which the file is rotated, in MB (1,000,000 bytes).",
    )
    log_file_max_backups: int = Field(
        default=5, ge=0, description="Rotated files to keep; 0 empties the file when it is full."
    )
    log_metrics_interval: PositiveDuration = Field(
        default=timedelta(minutes=1), description="How often a worker logs its own figures."
    )
