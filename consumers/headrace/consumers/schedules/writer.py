"""Writing to compacted topics with a client that is kept."""

from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from headrace.pipeline.compacted import CompactedRecord
from headrace.pipeline.kafka import make_producer
from headrace.pipeline.settings import KafkaSettings, ProducerSettings

_PATIENCE: Final = 15.0
"""Seconds for the broker to acknowledge."""


class CompactedWriter:
    """Writes records and waits until Kafka has them. Owned by one thread; connects when it must."""

    def __init__(self, kafka: KafkaSettings, producing: ProducerSettings) -> None:
        self._kafka = kafka
        self._producing = producing
        self._made: Producer | None = None

    def write(self, records: Iterable[CompactedRecord]) -> None:
        """Write records, in order.

        Raises:
            KafkaException: Not all were acknowledged within 15 s.
        """
        wanted = list(records)
        if not wanted:
            return
        if self._made is None:
            self._made = make_producer(self._kafka, self._producing)
        failed: list[KafkaError] = []

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failed.append(error)

        for each in wanted:
            self._made.produce(each.topic, each.value, each.key, on_delivery=on_delivery)
        unsent = self._made.flush(_PATIENCE)
        if failed or unsent:
            raise KafkaException(failed[0] if failed else KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
