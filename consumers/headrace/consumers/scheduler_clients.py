"""The Kafka clients of a scheduler: who reads the tiers, who writes to lanes, who hands over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from headrace.consumers.partitions import committed_offsets
from headrace.pipeline.kafka import make_consumer, make_producer, make_transactional_producer
from headrace.pipeline.settings import KafkaSettings, ProducerSettings, Protocol

_PEEK = 10.0
"""Seconds for the broker to answer what was committed."""


@dataclass(frozen=True, slots=True)
class SchedulerClients:
    """Makes the clients of one scheduler, a member of `group`."""

    group: str
    kafka: KafkaSettings
    producing: ProducerSettings
    _lookers: list[Consumer] = field(default_factory=list)
    """The one that peeks: kept, since a new one takes longer to connect than the broker to answer."""

    def consumer(
        self, on_commit: Callable[..., None], on_error: Callable[[KafkaError], None]
    ) -> Consumer:
        """Make the reader of the tiers: what was abandoned there is never seen.

        Each member gets its part of every tier. The assignor that is used else counts partitions
        alone, and may leave all those of `soon`, which have most of the work, to one member.
        """
        # A partition that is new, or read again, waits for the answer to what was asked without it.
        # All tiers are fetched at once by who takes them over, and most of them paused then.
        extra: dict[str, Any] = {"fetch.wait.max.ms": 25, "fetch.max.bytes": 2_097_152}
        if self.kafka.group_protocol is Protocol.CONSUMER:
            extra["group.remote.assignor"] = "range"
        return make_consumer(
            self.kafka,
            self.group,
            on_error=on_error,
            committed_only=True,
            on_commit=on_commit,
            **extra,
        )

    def producer(self) -> Producer:
        """Make the writer to the lanes, which are never written in a transaction."""
        return make_producer(self.kafka, self.producing)

    def transactional(self, transactional_id: str) -> Producer:
        """Make a writer of hand-overs."""
        return make_transactional_producer(self.kafka, self.producing, transactional_id)

    def peek(self, places: Sequence[TopicPartition]) -> list[TopicPartition]:
        """Read what was committed without waiting for the end of a dead scheduler's transaction."""
        if not self._lookers:
            self._lookers.append(make_consumer(self.kafka, self.group))
        try:
            return committed_offsets(self._lookers[0], places, _PEEK)
        except KafkaException:
            self.close()
            raise

    def close(self) -> None:
        """End the one that peeks; the others belong to those who use them."""
        while self._lookers:
            self._lookers.pop().close()
