"""Of a profile: where Kafka is, who connects how, and how topics are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, ValidationError

from headrace.deploy.errors import ProfileError
from headrace.deploy.profile_types import STRICT, KubernetesName, Positive
from headrace.pipeline.durations import PositiveDuration
from headrace.pipeline.settings import TopicSettings


class Security(StrEnum):
    """How our processes prove to Kafka who they are."""

    PLAINTEXT = "plaintext"
    """Not at all: for development."""
    SCRAM = "scram"
    """TLS, and SASL SCRAM-SHA-512: a Secret for each role with the key `password`."""
    MUTUAL_TLS = "mutual-tls"
    """TLS both ways: a Secret for each role with the keys `user.crt` and `user.key`."""


@dataclass(frozen=True, slots=True)
class KafkaProfile:
    """Where Kafka is, and how it is talked to.

    Attributes:
        bootstrap_servers: `host:port,…`, as the pods reach it.
        security: How our processes prove who they are.
        ca_secret: A Secret whose key `ca.crt` holds what brokers are checked against. Needed by
            both kinds of TLS.
        cluster: The name of Strimzi's Kafka resource, for `--target strimzi`.
        namespace: Where Strimzi's resources are, and the brokers' pods, if Kafka runs in the cluster.
        pod_labels: Of the brokers' pods; those of Strimzi's cluster when not given.
        cidrs: Where the brokers are, if they run outside the cluster.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    bootstrap_servers: Annotated[str, Field(min_length=1)]
    security: Security = Security.PLAINTEXT
    ca_secret: KubernetesName | None = None
    cluster: KubernetesName = "kafka"
    namespace: KubernetesName = "kafka"
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    cidrs: tuple[str, ...] = ()

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of the bootstrap addresses, each once; 9092 for one that names none."""
        found = (part.rpartition(":")[2] for part in self.bootstrap_servers.split(","))
        return tuple(sorted({int(port) if port.isdigit() else 9092 for port in found}))

    @property
    def selector(self) -> Mapping[str, str]:
        """The labels by which the brokers' pods are found."""
        return self.pod_labels or {
            "strimzi.io/cluster": self.cluster,
            "strimzi.io/name": f"{self.cluster}-kafka",
        }


@dataclass(frozen=True, slots=True)
class TopicProfile:
    """What the topics are like. As the settings `HEADRACE_TOPIC_…`, which the pods get too."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    partitions: Positive = 12
    replication: int = 3
    min_insync: int | None = 2
    retention: PositiveDuration = timedelta(days=7)
    dlq_retention: PositiveDuration = timedelta(days=30)
    delay_partitions: Positive = 3
    events_partitions: Positive = 6
    max_message_bytes: int = 1_048_576

    def settings(self) -> TopicSettings:
        """Give them as settings: all of them, so that none comes from this machine's environment.

        Raises:
            ProfileError: They contradict each other.
        """
        try:
            return TopicSettings(
                topic_partitions=self.partitions,
                topic_replication=self.replication,
                topic_min_insync=self.min_insync,
                topic_retention=self.retention,
                dlq_retention=self.dlq_retention,
                delay_partitions=self.delay_partitions,
                events_partitions=self.events_partitions,
                topic_max_message_bytes=self.max_message_bytes,
            )
        except ValidationError as error:
            reasons = "\n".join(str(each["msg"]) for each in error.errors())
            raise ProfileError(f"the profile's [topics]: {reasons}") from None
