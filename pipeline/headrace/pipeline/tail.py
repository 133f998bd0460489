"""Following a topic without a group: from a moment on, and at any time up to its present end."""

import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from headrace.pipeline.kafka import make_reader
from headrace.pipeline.settings import KafkaSettings

_PATIENCE: Final = 15.0
"""Seconds for the broker to answer, and to catch up without a sign of it."""
_BATCH: Final = 1_000
_WAIT: Final = 0.1


class Tail:
    """Reads one topic. Owned by one thread.

    Args:
        kafka: Where Kafka is.
        topic: Its name.
        take: Given every record, in order within each partition.
    """

    def __init__(self, kafka: KafkaSettings, topic: str, take: Callable[[Message], object]) -> None:
        self._topic = topic
        self._take = take
        # The broker answers as soon as there is something, so the wait costs no time.
        self._reader = make_reader(kafka, **{"fetch.wait.max.ms": 500})
        self._next: dict[int, int] = {}

    def start(self, since: int | None = None) -> bool:
        """Read from a moment on.

        Args:
            since: Epoch milliseconds by the broker's clock; None for the beginning.

        Returns:
            Whether the topic still keeps everything from that moment on.

        Raises:
            KafkaException: The broker does not answer, or refuses.
        """
        places = [TopicPartition(self._topic, number) for number in self._partitions()]
        spans = {place.partition: self._span(place) for place in places}
        self._next = {number: low for number, (low, _) in spans.items()}
        if since is not None:
            for place in places:
                place.offset = since
            for found in self._reader.offsets_for_times(places, timeout=_PATIENCE):
                known = found.offset >= 0
                self._next[found.partition] = found.offset if known else spans[found.partition][1]
        self._reader.assign(
            [TopicPartition(self._topic, number, at) for number, at in self._next.items()]
        )
        return all(low in (0, None) or self._next[n] > low for n, (low, _) in spans.items())

    def stop(self) -> None:
        """Read nothing more until it is started again."""
        self._next = {}
        self._reader.unassign()

    def poll(self, seconds: float) -> None:
        """Take in what has come, waiting up to so many seconds for the first of it.

        Raises:
            KafkaException: The client cannot go on.
        """
        first = self._reader.poll(seconds)
        if first is None:
            return
        for message in (first, *self._reader.consume(_BATCH, 0)):
            self._one(message)

    def catch_up(self) -> None:
        """Take in everything that the topic holds at this moment.

        Raises:
            KafkaException: The broker does not answer, or nothing comes for 15 s.
        """
        ends = {n: self._span(TopicPartition(self._topic, n))[1] for n in self._next}
        deadline, seen = time.monotonic() + _PATIENCE, dict(self._next)
        while any(self._next[number] < end for number, end in ends.items()):
            self.poll(_WAIT)
            if self._next != seen:
                deadline, seen = time.monotonic() + _PATIENCE, dict(self._next)
            elif time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001

    def close(self) -> None:
        """Leave Kafka."""
        self._reader.close()

    def _one(self, message: Message) -> None:
        error, number = message.error(), message.partition()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
            raise KafkaException(error)
        offset = message.offset()
        if number not in self._next or offset is None:
            return
        if error is None:
            self._take(message)
            offset += 1
        self._next[number] = max(self._next[number], offset)

    def _partitions(self) -> list[int]:
        found = self._reader.list_topics(self._topic, timeout=_PATIENCE).topics[self._topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return list(found.partitions)

    def _span(self, place: TopicPartition) -> tuple[int, int]:
        found = self._reader.get_watermark_offsets(place, timeout=_PATIENCE)
        if found is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
        return found
