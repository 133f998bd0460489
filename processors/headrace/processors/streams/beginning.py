"""Where a stream begins: committed before its first member joins.

So the first start can begin an hour ago instead of a week, and every later one goes on from an offset.
"""

from collections.abc import Iterable
from contextlib import closing
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from headrace.consumers.clock import now_ms
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.settings import KafkaSettings

_LOG = structlog.get_logger("headrace.streams")
_ANSWER: Final = 15.0
_OTHERS_ARE_IN: Final = (
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
)
"""What Kafka answers to a commit from outside while a group has members: one of them has done it."""


def commit_beginning(
    kafka: KafkaSettings, group: str, topics: Iterable[str], back: int | None = None
) -> None:
    """Commit an offset in each partition where a group has none.

    Args:
        kafka: Where Kafka is.
        group: Nobody of it need be there.
        topics: What it reads.
        back: Milliseconds to begin before now; at the earliest record that is kept when None.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: A topic does not exist, or may not be read.
    """
    names = sorted(topics)
    doing = f"looking where {group} begins in {', '.join(names)}"
    with closing(make_reader(kafka, **{"group.id": group})) as consumer:
        try:
            missing = _without_offset(consumer, names)
            if missing:
                _commit(consumer, group, _beginnings(consumer, missing, back))
        except KafkaException as error:
            raise explain(doing, kafka_error(error), kafka) from error


def _without_offset(consumer: Consumer, topics: Iterable[str]) -> list[TopicPartition]:
    places = []
    for topic in topics:
        found = consumer.list_topics(topic, timeout=_ANSWER).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        places += [TopicPartition(topic, partition) for partition in found.partitions]
    return [place for place in consumer.committed(places, timeout=_ANSWER) if place.offset < 0]


def _beginnings(
    consumer: Consumer, places: list[TopicPartition], back: int | None
) -> list[TopicPartition]:
    found: dict[tuple[str, int], int] = {}
    if back is not None:
        asked = [TopicPartition(p.topic, p.partition, max(0, now_ms() - back)) for p in places]
        at = consumer.offsets_for_times(asked, timeout=_ANSWER)
        found = {(each.topic, each.partition): each.offset for each in at}
    beginnings = []
    for place in places:
        span: Any = consumer.get_watermark_offsets(place, timeout=_ANSWER)
        if span is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
        first, end = span
        offset = first if back is None else found[place.topic, place.partition]
        beginnings.append(
            TopicPartition(place.topic, place.partition, offset if offset >= 0 else end)
        )
    return beginnings


def _commit(consumer: Consumer, group: str, beginnings: list[TopicPartition]) -> None:
    try:
        consumer.commit(offsets=beginnings, asynchronous=False)
    except KafkaException as error:
        if kafka_error(error).code() not in _OTHERS_ARE_IN:
            raise
        _LOG.info("the group has members: they have begun already", group=group)
