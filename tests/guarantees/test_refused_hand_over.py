"""What one refused record does to the hand-overs that come after it.

What can go wrong: a record that the broker never takes leaves a gap in its producer's sequence
numbers. The next transaction of the same producer then fails too, whatever it writes: a retry that has
nothing to do with a full dead-letter topic waits for it, for seconds under load, and runs again if its
partition is given up meanwhile.
"""

import random
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from headrace.consumers.handover import End, HandOvers
from headrace.consumers.settled import HandOver
from headrace.pipeline.kafka import make_transactional_producer
from headrace.pipeline.settings import KafkaSettings, ProducerSettings

pytestmark = pytest.mark.kafka


@pytest.fixture
def group(kafka: str, unique_name: str) -> Iterator[object]:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": unique_name})
    yield consumer.consumer_group_metadata()
    consumer.close()


@pytest.fixture
def handovers(kafka: str, unique_name: str) -> HandOvers:
    """A full dead-letter topic, which takes nothing, beside others."""
    topics = [
        NewTopic(f"{unique_name}.dlq", 1, 1, config={"max.message.bytes": "100"}),
        NewTopic(f"{unique_name}.soon", 1, 1),
        NewTopic(f"{unique_name}.events", 1, 1),
    ]
    admin = AdminClient({"bootstrap.servers": kafka})
    for each in admin.create_topics(topics).values():
        each.result(20)
    settings = KafkaSettings(bootstrap_servers=kafka)

    def producer() -> Producer:
        return make_transactional_producer(settings, ProducerSettings(), unique_name)

    return HandOvers(producer)


def records(name: str, where: str) -> list[HandOver]:
    """One that changes hands, and its transition."""
    return [
        HandOver("dead", f"{name}.{where}", b"k", random.randbytes(1_000), []),
        HandOver("transition", f"{name}.events", b"k", b"x", []),
    ]


@pytest.mark.parametrize("refused", [1, 2, 5])
def test_after_refused_records_the_next_hand_over_goes_through_at_once(
    handovers: HandOvers, group: object, unique_name: str, refused: int
) -> None:
    for _ in range(refused):
        assert handovers.hand_over(records(unique_name, "dlq"), [], group).end is End.ABORTED
        for _ in range(2):
            landed = handovers.hand_over(records(unique_name, "soon"), [], group)
            assert (landed.end, landed.reason) == (End.COMMITTED, "")


def test_what_was_refused_goes_through_as_soon_as_its_topic_takes_it(
    handovers: HandOvers, group: object, unique_name: str, kafka: str
) -> None:
    letters = records(unique_name, "dlq")
    for _ in range(3):
        assert handovers.hand_over(letters, [], group).end is End.ABORTED
    larger = ConfigEntry(
        "max.message.bytes", "1000000", incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource("TOPIC", f"{unique_name}.dlq", incremental_configs=[larger])
    admin = AdminClient({"bootstrap.servers": kafka})
    for each in admin.incremental_alter_configs([resource]).values():
        each.result(20)
    assert handovers.hand_over(letters, [], group).end is End.COMMITTED
