"""Where Kafka is, what its topics are like, how jobs are published."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from headrace.pipeline.durations import Duration, PositiveDuration, format_duration
from headrace.pipeline.settings.base import Settings, variable


class Protocol(StrEnum):
    """How a consumer group agrees on who reads what."""

    CONSUMER = "consumer"
    CLASSIC = "classic"


class KafkaSettings(Settings):
    """Where Kafka is and how to reach it."""

    RULES: ClassVar = (
        (
            "`HEADRACE_SECURITY_PROTOCOL` with SASL needs `HEADRACE_SASL_MECHANISM`, and the other way "
            "round."
        ),
        (
            "`HEADRACE_SASL_MECHANISM` needs `HEADRACE_SASL_USERNAME` and one of "
            "`HEADRACE_SASL_PASSWORD` and `HEADRACE_SASL_PASSWORD_FILE`, not both."
        ),
        "`HEADRACE_SSL_CERTIFICATE_LOCATION` and `HEADRACE_SSL_KEY_LOCATION` come together.",
        "The `HEADRACE_SSL_…` files need a `HEADRACE_SECURITY_PROTOCOL` with SSL.",
    )

    bootstrap_servers: str = Field(
        default="",
        description="Kafka's address, `host:port,…`. Empty: the embedded broker that "
        "`headrace kafka start` or `headrace up` started here.",
    )
    security_protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        default="plaintext", description="How connections are protected."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        default=None, description="How clients authenticate."
    )
    sasl_username: str | None = Field(default=None, description="The SASL user.")
    sasl_password: SecretStr | None = Field(
        default=None, description="The SASL password; never logged."
    )
    sasl_password_file: Path | None = Field(
        default=None, description="A file that holds the SASL password, as mounted secrets do."
    )
    ssl_ca_location: Path | None = Field(
        default=None,
        description="The CA certificates that brokers are checked against; the system's when "
        "empty.",
    )
    ssl_certificate_location: Path | None = Field(
        default=None, description="The client's certificate, for mutual TLS."
    )
    ssl_key_location: Path | None = Field(
        default=None, description="The client's private key, for mutual TLS."
    )
    group_protocol: Protocol = Field(
        default=Protocol.CONSUMER,
        description="`consumer` (KIP-848, brokers 4.0 and later) or `classic`.",
    )
    session_timeout: PositiveDuration = Field(
        default=timedelta(seconds=45),
        description="Classic protocol: how long a silent worker keeps its partitions. Under "
        "KIP-848 the broker decides (`group.consumer.session.timeout.ms`).",
    )
    client_id: str = Field(
        default="headrace", description="The client id shown in the broker's logs and quotas."
    )
    schema_registry_url: SecretStr | None = Field(
        default=None,
        description="A Confluent-compatible schema registry: where schemas of records in "
        "Confluent framing are looked up. Never logged: it may hold a password.",
    )

    @model_validator(mode="after")
    def _sasl_is_whole(self) -> Self:
        with_sasl = self.security_protocol.startswith("sasl")
        if with_sasl and not self.sasl_mechanism:
            raise ValueError(
                f"HEADRACE_SECURITY_PROTOCOL={self.security_protocol} needs HEADRACE_SASL_MECHANISM"
            )
        if not self.sasl_mechanism:
            return self
        if not with_sasl:
            raise ValueError(
                f"HEADRACE_SASL_MECHANISM={self.sasl_mechanism} only works with "
                "HEADRACE_SECURITY_PROTOCOL=sasl_ssl (or sasl_plaintext); it is "
                f"{self.security_protocol}"
            )
        if not self.sasl_username or not (self.sasl_password or self.sasl_password_file):
            raise ValueError(
                f"HEADRACE_SASL_MECHANISM={self.sasl_mechanism} needs HEADRACE_SASL_USERNAME and "
                "HEADRACE_SASL_PASSWORD or HEADRACE_SASL_PASSWORD_FILE"
            )
        if self.sasl_password and self.sasl_password_file:
            raise ValueError(
                "HEADRACE_SASL_PASSWORD and HEADRACE_SASL_PASSWORD_FILE="
                f"{self.sasl_password_file} are both set: unset one of them"
            )
        return self

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        pair = ("ssl_certificate_location", "ssl_key_location")
        missing = [name for name in pair if getattr(self, name) is None]
        if len(missing) == 1:
            (present,) = set(pair) - set(missing)
            raise ValueError(
                f"{variable(present)}={getattr(self, present)} needs {variable(missing[0])} too"
            )
        if self.security_protocol.endswith("ssl"):
            return self
        for name in ("ssl_ca_location", *pair):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{variable(name)}={getattr(self, name)} only works with "
                    "HEADRACE_SECURITY_PROTOCOL=ssl (or sasl_ssl); it is "
                    f"{self.security_protocol}"
                )
        return self


class TopicSettings(Settings):
    """What `headrace topics apply` makes."""

    RULES: ClassVar = (
        "`HEADRACE_TOPIC_MIN_INSYNC` is at most `HEADRACE_TOPIC_REPLICATION`, where that is given.",
    )

    topic_partitions: int = Field(
        default=12, ge=1, description="Partitions of each lane whose queue names no number."
    )
    topic_replication: int = Field(
        default=-1, ge=-1, description="Replicas of each topic; -1 takes the broker's default."
    )
    topic_min_insync: int | None = Field(
        default=None,
        ge=1,
        description="`min.insync.replicas`; when empty, 2 for 3 or more replicas, else 1.",
    )
    topic_retention: PositiveDuration = Field(
        default=timedelta(days=7),
        description="How long lanes, delay tiers and events keep records; at least twice the "
        "longest wait of a tier (48 h).",
    )
    dlq_retention: PositiveDuration = Field(
        default=timedelta(days=30), description="How long dead letters are kept."
    )
    delay_partitions: int = Field(default=3, ge=1, description="Partitions of each delay tier.")
    events_partitions: int = Field(default=6, ge=1, description="Partitions of the events topic.")
    topic_max_message_bytes: int = Field(
        default=1_048_576,
        ge=1_048_576,
        description="The largest job record a lane takes, in bytes; not below 1 MiB, since brokers "
        "check whole batches. Delay tiers, dead letters and events take 512 KiB more, so that a "
        "hand-over never fails for size.",
    )

    @model_validator(mode="after")
    def _replicas_add_up(self) -> Self:
        if self.topic_replication == 0:
            raise ValueError(
                "HEADRACE_TOPIC_REPLICATION=0: a topic needs 1 replica or more; -1 takes the "
                "broker's default"
            )
        if 0 < self.topic_replication < (self.topic_min_insync or 0):
            raise ValueError(
                f"HEADRACE_TOPIC_MIN_INSYNC={self.topic_min_insync} is more than "
                f"HEADRACE_TOPIC_REPLICATION={self.topic_replication}: nothing could be written; "
                "lower it, or raise the replication"
            )
        return self


class ProducerSettings(Settings):
    """How jobs are published."""

    RULES: ClassVar = (
        "`HEADRACE_PRODUCER_LINGER` is shorter than `HEADRACE_PRODUCER_DELIVERY_TIMEOUT`.",
    )

    producer_linger: Duration = Field(
        default=timedelta(0),
        description="How long a record waits for company in its batch. While a request is on its "
        "way to a broker records wait for the next one anyway, so batches grow with the load.",
    )
    producer_compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        default="lz4", description="Compression of batches."
    )
    producer_delivery_timeout: PositiveDuration = Field(
        default=timedelta(seconds=120),
        description="After this a record that no broker acknowledged is an error.",
    )
    producer_queue_bytes: int = Field(
        default=67_108_864, ge=1_048_576, description="Bytes that may wait locally to be sent."
    )
    producer_queue_timeout: Duration = Field(
        default=timedelta(seconds=10),
        description="How long `submit` waits when the local queue is full, before it raises.",
    )

    @model_validator(mode="after")
    def _delivery_outlasts_linger(self) -> Self:
        if self.producer_linger >= self.producer_delivery_timeout:
            raise ValueError(
                f"HEADRACE_PRODUCER_LINGER={format_duration(self.producer_linger)} must be shorter "
                "than HEADRACE_PRODUCER_DELIVERY_TIMEOUT="
                f"{format_duration(self.producer_delivery_timeout)}"
            )
        return self
