"""A worker that sleeps inside a hand-over, and is fenced by the next owner meanwhile.

What can go wrong: the client raises its fatal error from whatever call comes next, not only from
those that are said to raise. A lane that dies of it takes its worker along, jobs of other lanes too.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from headrace.consumers.handover import End, HandOvers
from headrace.consumers.settled import HandOver
from headrace.pipeline.kafka import make_transactional_producer
from headrace.pipeline.settings import KafkaSettings, ProducerSettings

pytestmark = pytest.mark.kafka


class Interrupted(Sequence[TopicPartition]):
    """No offsets; somebody else fences the producer right when they are asked for."""

    def __init__(self, fence: Any) -> None:
        self._fence = fence

    def __iter__(self) -> Iterator[TopicPartition]:
        self._fence()
        return iter(())

    def __len__(self) -> int:
        return 0

    def __getitem__(self, at: Any) -> Any:
        raise IndexError(at)


def test_a_hand_over_that_is_fenced_while_it_is_stored_did_not_happen_and_the_next_one_does(
    kafka: str, unique_name: str
) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(unique_name, 1, 1)])[unique_name].result(20)
    settings = KafkaSettings(bootstrap_servers=kafka)

    def producer() -> Producer:
        return make_transactional_producer(settings, ProducerSettings(), unique_name)

    handovers = HandOvers(producer)
    records = [HandOver("retry", unique_name, b"k", bytes([n]), []) for n in range(20)]
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": unique_name})
    group = consumer.consumer_group_metadata()
    fenced = handovers.hand_over(
        records, Interrupted(lambda: producer().init_transactions(20)), group
    )
    if fenced.end is End.UNKNOWN:  # the client told of it only when it was asked to commit
        fenced = handovers.resume(lambda: False)
    assert (fenced.end, fenced.reason == "") == (End.ABORTED, False)
    assert handovers.hand_over(records, [], group).end is End.COMMITTED
    consumer.close()
