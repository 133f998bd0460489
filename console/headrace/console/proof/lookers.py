"""What groups have committed, asked through consumers that never join.

Not through an `AdminClient`: its `list_consumer_group_offsets` ends the process with a null pointer
when the group's coordinator has just moved (https://github.com/confluentinc/librdkafka/issues/5040),
and in a run of faults it has, time and again.
"""

import threading
from collections.abc import Iterable
from contextlib import suppress

from confluent_kafka import Consumer, KafkaException, TopicPartition

from headrace.console.proof.records import Committed, Place
from headrace.pipeline.kafka import make_consumer
from headrace.pipeline.settings import KafkaSettings


class Lookers:
    """One consumer for each group that was asked for. Thread-safe.

    Args:
        kafka: Where the groups are.
        timeout: Seconds that an answer may take.
    """

    def __init__(self, kafka: KafkaSettings, timeout: float) -> None:
        self._kafka = kafka
        self._timeout = timeout
        self._lock = threading.Lock()
        self._consumers: dict[str, Consumer] = {}

    def committed(self, group: str, topics: Iterable[str]) -> dict[Place, Committed]:
        """What a group has committed on these topics, metadata included; open transactions not.

        Raises:
            KafkaException: Kafka does not answer.
        """
        with self._lock:
            if group not in self._consumers:
                self._consumers[group] = make_consumer(self._kafka, group)
            looker = self._consumers[group]
            known = looker.list_topics(timeout=self._timeout).topics
            asked = [TopicPartition(name, n) for name in topics for n in known[name].partitions]
            found = looker.committed(asked, timeout=self._timeout)
        return dict(_read(each) for each in found if each.offset >= 0 or each.error is not None)

    def close(self) -> None:
        """Let go of all consumers; after a failure, so that the next ones find Kafka anew."""
        with self._lock:
            consumers, self._consumers = self._consumers, {}
        for consumer in consumers.values():
            with suppress(KafkaException):
                consumer.close()


def _read(found: TopicPartition) -> tuple[Place, Committed]:
    if found.error is not None:
        raise KafkaException(found.error)
    return (found.topic, found.partition), Committed(found.offset, found.metadata or "")
