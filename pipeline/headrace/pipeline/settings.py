"""Every setting: read from `HEADRACE_*` variables, checked in one place before anything connects.

One class per concern. Reading never happens at import: call `load(SomeSettings)`.
"""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from headrace.pipeline.durations import Duration
from headrace.pipeline.errors import SettingsError

PREFIX = "HEADRACE_"

CommaList = Annotated[tuple[str, ...], NoDecode]
"""A tuple that the environment writes as `a,b,c`."""


class Settings(BaseSettings):
    """Base of all settings classes: prefix, immutability, no unknown arguments."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")


class Protocol(StrEnum):
    """How a consumer group agrees on who reads what."""

    CONSUMER = "consumer"
    CLASSIC = "classic"


class KafkaSettings(Settings):
    """Where Kafka is and how to reach it."""

    bootstrap_servers: str = Field(
        "",
        description="Kafka's address, `host:port,…`. Empty: the embedded broker that `headrace kafka start` or `headrace up` started here.",
    )
    security_protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        "plaintext", description="How connections are protected."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="How clients authenticate."
    )
    sasl_username: str | None = Field(None, description="The SASL user.")
    sasl_password: SecretStr | None = Field(None, description="The SASL password; never logged.")
    sasl_password_file: Path | None = Field(
        None, description="A file that holds the SASL password, as mounted secrets do."
    )
    ssl_ca_location: Path | None = Field(
        None,
        description="The CA certificates that brokers are checked against; the system's when empty.",
    )
    ssl_certificate_location: Path | None = Field(
        None, description="The client's certificate, for mutual TLS."
    )
    ssl_key_location: Path | None = Field(
        None, description="The client's private key, for mutual TLS."
    )
    group_protocol: Protocol = Field(
        Protocol.CONSUMER, description="`consumer` (KIP-848, brokers 4.0 and later) or `classic`."
    )
    session_timeout: Duration = Field(
        timedelta(seconds=45),
        description="Classic protocol: how long a silent worker keeps its partitions. Under KIP-848 the broker decides (`group.consumer.session.timeout.ms`).",
    )
    client_id: str = Field(
        "headrace", description="The client id shown in the broker's logs and quotas."
    )
    schema_registry_url: SecretStr | None = Field(
        None,
        description="A Confluent-compatible schema registry: where schemas of records in Confluent framing are looked up.",
    )

    @model_validator(mode="after")
    def _sasl_is_whole(self) -> Self:
        if self.security_protocol.startswith("sasl") and not self.sasl_mechanism:
            raise ValueError(
                f"{PREFIX}SECURITY_PROTOCOL={self.security_protocol} needs {PREFIX}SASL_MECHANISM"
            )
        if self.sasl_mechanism and not (
            self.sasl_username and (self.sasl_password or self.sasl_password_file)
        ):
            raise ValueError(
                f"{PREFIX}SASL_MECHANISM={self.sasl_mechanism} needs {PREFIX}SASL_USERNAME and {PREFIX}SASL_PASSWORD or {PREFIX}SASL_PASSWORD_FILE"
            )
        return self


class TopicSettings(Settings):
    """What `headrace topics apply` makes."""

    topic_partitions: int = Field(
        12, ge=1, description="Partitions of each lane whose queue names no number."
    )
    topic_replication: int = Field(
        -1, ge=-1, description="Replicas of each topic; -1 takes the broker's default."
    )
    topic_min_insync: int | None = Field(
        None,
        ge=1,
        description="`min.insync.replicas`; when empty, 2 for 3 or more replicas, else 1.",
    )
    topic_retention: Duration = Field(
        timedelta(days=7),
        description="How long lanes, delay tiers and events keep records; at least the longest wait of a tier, twice.",
    )
    dlq_retention: Duration = Field(
        timedelta(days=30), description="How long dead letters are kept."
    )
    delay_partitions: int = Field(3, ge=1, description="Partitions of each delay tier.")
    events_partitions: int = Field(6, ge=1, description="Partitions of the events topic.")
    topic_max_message_bytes: int = Field(
        1_048_576,
        ge=65_536,
        description="The largest job record a lane takes. Delay tiers, dead letters and events take 512 KiB more, so that a hand-over never fails for size.",
    )


class ProducerSettings(Settings):
    """How jobs are published."""

    producer_linger: Duration = Field(
        timedelta(milliseconds=2), description="How long a record waits for company in its batch."
    )
    producer_compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "lz4", description="Compression of batches."
    )
    producer_delivery_timeout: Duration = Field(
        timedelta(seconds=120),
        description="After this a record that no broker acknowledged is an error.",
    )
    producer_queue_bytes: int = Field(
        67_108_864, ge=1_048_576, description="Bytes that may wait locally to be sent."
    )
    producer_queue_timeout: Duration = Field(
        timedelta(seconds=10),
        description="How long `submit` waits when the local queue is full, before it raises.",
    )


class WorkerMode(StrEnum):
    """What one `headrace worker` process does."""

    THIN = "thin"
    DEFAULT = "default"
    SPECIALIZED = "specialized"
    JOB_SPECIALIZED = "job-specialized"
    SCHEDULER = "scheduler"


class WorkerSettings(Settings):
    """What a worker serves and how."""

    worker_mode: WorkerMode = Field(
        WorkerMode.DEFAULT,
        description="`thin`: one process with everything, concurrency 2. `default`: every lane. `specialized`: the lanes of WORKER_PRIORITIES. `job-specialized`: the queues of WORKER_JOB_TYPES. `scheduler`: no lanes, only the delay tiers.",
    )
    worker_priorities: CommaList = Field(
        (), description="Specialized mode: the priorities to serve, comma-separated."
    )
    worker_job_types: CommaList = Field(
        (),
        description="Job-specialized mode: the job types to serve, comma-separated; each must have a queue of its own.",
    )
    worker_concurrency: int = Field(
        10, ge=1, le=10_000, description="Jobs that one worker process runs at a time."
    )
    worker_drain_budget: Duration = Field(
        timedelta(seconds=30),
        description="How long a stopping worker waits for its running jobs before it gives them back.",
    )
    worker_lost_threads: int = Field(
        5,
        ge=1,
        description="Threads that may be stuck in timed-out jobs before the worker asks to be restarted.",
    )
    worker_buffer_bytes: int = Field(
        67_108_864,
        ge=1_048_576,
        description="Bytes of records that wait in memory for a slot, per lane.",
    )
    worker_transitions: bool = Field(
        True, description="Whether job transitions are published on the events topic."
    )
    worker_max_result_bytes: int = Field(
        65_536,
        ge=0,
        description="The largest return value kept in a transition; larger ones fail the job.",
    )
    enable_scheduler: bool = Field(
        False,
        description="Whether the worker process also moves due records from the delay tiers. On in thin and scheduler mode.",
    )
    job_timeout: Duration = Field(
        timedelta(minutes=5),
        description="How long one attempt may take when its job type says nothing.",
    )
    max_retries: int = Field(
        3,
        ge=1,
        le=1000,
        description="Counted attempts, the first included, when a job type declares no retry policy.",
    )

    @field_validator("worker_priorities", "worker_job_types", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _mode_has_its_list(self) -> Self:
        needed = {
            WorkerMode.SPECIALIZED: ("WORKER_PRIORITIES", self.worker_priorities),
            WorkerMode.JOB_SPECIALIZED: ("WORKER_JOB_TYPES", self.worker_job_types),
        }
        for mode, (name, value) in needed.items():
            if self.worker_mode is mode and not value:
                raise ValueError(
                    f"{PREFIX}WORKER_MODE={mode} needs {PREFIX}{name}, comma-separated"
                )
            if self.worker_mode is not mode and value:
                raise ValueError(
                    f"{PREFIX}{name} only means something with {PREFIX}WORKER_MODE={mode} (it is {self.worker_mode})"
                )
        return self


class SchedulerSettings(Settings):
    """How the scheduler holds what is not due."""

    scheduler_interval: Duration = Field(
        timedelta(milliseconds=100),
        description="The longest the scheduler sleeps between looks at its clock and Kafka; due times in hand are kept to the millisecond whatever this is.",
    )
    scheduler_memory_bytes: int = Field(
        67_108_864,
        ge=1_048_576,
        description="Bytes of records that may wait in the scheduler's memory.",
    )


class HttpSettings(Settings):
    """Each process's own port for health and metrics."""

    http_enabled: bool = Field(
        True, description="Whether `/health/live`, `/health/ready` and `/metrics` are served."
    )
    http_host: str = Field(
        "127.0.0.1", description="The address to listen on; 0.0.0.0 in a container."
    )
    http_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="The port; 0 takes a free one and logs it. With `--processes N` child i takes port + i.",
    )


class LogFormat(StrEnum):
    """How a log line looks."""

    JSON = "json"
    TEXT = "text"


class LogSettings(Settings):
    """Where log lines go and how they look."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe lines to keep."
    )
    log_format: LogFormat = Field(LogFormat.TEXT, description="`json` or `text`.")
    log_console_enabled: bool = Field(True, description="Whether lines go to standard error.")
    log_file_enabled: bool = Field(False, description="Whether lines go to a file.")
    log_file_path: Path = Field(Path(".headrace/headrace.log"), description="The file.")
    log_file_max_size_mb: int = Field(
        100, ge=1, description="The size at which the file is rotated, in MB."
    )
    log_file_max_backups: int = Field(5, ge=0, description="Rotated files to keep.")
    log_metrics_interval: Duration = Field(
        timedelta(minutes=1), description="How often a worker logs its own figures."
    )

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value


ALL_SETTINGS: tuple[type[Settings], ...] = (
    KafkaSettings,
    TopicSettings,
    ProducerSettings,
    WorkerSettings,
    SchedulerSettings,
    HttpSettings,
    LogSettings,
)

_S = TypeVar("_S", bound=Settings)


def load(kind: type[_S], **overrides: Any) -> _S:
    """Read one class of settings from the environment; overrides win over it.

    Raises:
        SettingsError: A value is wrong: names each variable, its value and what it should be.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return kind(**given)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(problem) for problem in error.errors())) from None


def _explain(problem: Any) -> str:
    if not problem["loc"]:
        return str(problem["msg"]).removeprefix("Value error, ")
    name = str(problem["loc"][0])
    variable = f"{PREFIX}{name.upper()}"
    secret = any(word in name for word in ("password", "registry"))
    shown = "(hidden)" if secret else repr(problem["input"])
    reason = str(problem["msg"]).removeprefix("Value error, ")
    return f"{variable}={shown}: {reason}; see docs/reference/settings.md"
