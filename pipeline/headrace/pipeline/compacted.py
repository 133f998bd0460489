"""Reading and writing the small compacted topics: control, schemas, and the like."""

import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from headrace.pipeline.durations import format_duration
from headrace.pipeline.errors import KafkaUnavailableError
from headrace.pipeline.kafka import make_producer, make_reader
from headrace.pipeline.kafka_faults import explain, is_passing, kafka_error
from headrace.pipeline.settings import KafkaSettings, ProducerSettings, load

TIMEOUT: Final = timedelta(seconds=15)
"""How long reading or writing may take before Kafka counts as unavailable."""
_BATCH: Final = 1_000
_POLL_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class CompactedRecord:
    """A record of a compacted topic. A value of None removes the key."""

    topic: str
    key: bytes
    value: bytes | None


def read_latest(
    kafka: KafkaSettings, topics: Iterable[str], timeout: timedelta = TIMEOUT
) -> Mapping[str, Mapping[bytes, bytes]]:
    """Read topics from their beginnings to the ends they have now.

    Args:
        kafka: Where Kafka is.
        topics: Topics that exist.
        timeout: For all of it together.

    Returns:
        For each topic the last value of each key; in each partition the key written last stands
        last. Removed keys are left out.

    Raises:
        KafkaUnavailableError: Kafka gave no answer, or the ends were not reached in time.
        TopicError: A topic does not exist, or may not be read.
    """
    latest: dict[str, dict[bytes, bytes]] = {topic: {} for topic in topics}
    if not latest:
        return latest
    deadline = time.monotonic() + timeout.total_seconds()
    doing = f"reading {', '.join(latest)}"
    with closing(make_reader(kafka)) as reader:
        try:
            waiting = _assign(reader, latest, deadline)
            while waiting:
                for message in _some(reader):
                    _take(message, latest, waiting)
                if waiting and time.monotonic() > deadline:
                    raise KafkaUnavailableError(
                        f"{doing}: the ends were not reached within {format_duration(timeout)}; "
                        "try again when the broker is less busy"
                    )
        except KafkaException as error:
            raise explain(doing, kafka_error(error), kafka) from error
    return latest


def _assign(reader: Consumer, topics: Iterable[str], deadline: float) -> set[tuple[str, int]]:
    """Assign every partition from its beginning, and give those that hold anything."""
    positions: list[TopicPartition] = []
    for topic in topics:
        for partition in _partitions(reader, topic, _left(deadline)):
            # Asked for first: to assign a partition whose broker is not known costs half a second
            span = _span(reader, TopicPartition(topic, partition), deadline)
            if span[0] < span[1]:
                positions.append(TopicPartition(topic, partition, span[0]))
    if positions:
        reader.assign(positions)
    return {(position.topic, position.partition) for position in positions}


def _span(reader: Consumer, place: TopicPartition, deadline: float) -> tuple[int, int]:
    """Ask where a partition begins and ends.

    It was listed a moment ago: that the client does not know it, or that the broker does not lead it
    yet (both seen on a busy machine), passes.
    """
    while True:
        try:
            found = reader.get_watermark_offsets(place, timeout=_left(deadline))
        except KafkaException as error:
            reason = kafka_error(error)
            unknown = reason.code() == KafkaError._UNKNOWN_PARTITION  # noqa: SLF001
            if not (unknown or is_passing(reason)) or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
            continue
        if found is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
        return found


def _partitions(client: Consumer | Producer, topic: str, seconds: float) -> list[int]:
    found = client.list_topics(topic, timeout=seconds).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return list(found.partitions)


def _left(deadline: float) -> float:
    return max(0.01, deadline - time.monotonic())


def _some(reader: Consumer) -> list[Message]:
    first = reader.poll(_POLL_SECONDS)
    return [] if first is None else [first, *reader.consume(_BATCH, 0)]


def _take(
    message: Message, latest: dict[str, dict[bytes, bytes]], waiting: set[tuple[str, int]]
) -> None:
    topic, partition, error = message.topic(), message.partition(), message.error()
    if error is not None:
        if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
            raise KafkaException(error)
        waiting.discard((str(topic), partition if partition is not None else -1))
        return
    key, value = message.key(), message.value()
    if topic is None or key is None:
        return  # a foreign record: without a key it says nothing here
    values = latest[topic]
    values.pop(_bytes(key), None)
    if value is not None:
        values[_bytes(key)] = _bytes(value)


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def write_all(
    kafka: KafkaSettings, records: Iterable[CompactedRecord], timeout: timedelta = TIMEOUT
) -> None:
    """Write records and wait until the in-sync replicas have each of them.

    Raises:
        KafkaUnavailableError: Not all were acknowledged in time.
        TopicError: A topic does not exist, may not be written, or refused a record.
    """
    wanted = list(records)
    if not wanted:
        return
    doing = f"writing to {', '.join(sorted({record.topic for record in wanted}))}"
    failed: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(error)

    producer = make_producer(kafka, load(ProducerSettings, producer_delivery_timeout=timeout))
    try:
        for topic in {record.topic for record in wanted}:
            # Asked for first: a record for a topic unknown to the client waits half a second
            _partitions(producer, topic, timeout.total_seconds())
    except KafkaException as error:
        raise explain(doing, kafka_error(error), kafka) from error
    for record in wanted:
        producer.produce(record.topic, record.value, record.key, on_delivery=on_delivery)
    # The delivery timeout ends every record; a second more for the report of it
    unsent = producer.flush(timeout.total_seconds() + 1)
    if failed or unsent:
        first = failed[0] if failed else KafkaError(KafkaError._TIMED_OUT)  # noqa: SLF001
        raise explain(doing, first, kafka)
