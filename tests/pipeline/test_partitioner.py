"""A worker that computes another partition than producers do would call every key misplaced."""

import random

import pytest
from confluent_kafka import Message

from headrace.pipeline.kafka import make_producer
from headrace.pipeline.partitioner import murmur2, partition_of
from headrace.pipeline.settings import KafkaSettings, ProducerSettings, load
from headrace.pipeline.topics.api import NewTopic
from headrace.pipeline.topics.writing import ClusterWriter

PARTITIONS = 37
"""A prime: a wrong bit anywhere in the hash moves the key."""


@pytest.mark.parametrize(
    ("key", "as_java_prints_it"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_that_of_kafkas_own_test_vectors(key: bytes, as_java_prints_it: int) -> None:
    assert murmur2(key) == as_java_prints_it % 2**32


def keys(count: int) -> list[bytes]:
    """Every length from 1 up, bytes of any value, and what users write."""
    rng = random.Random(4)
    odd = [rng.randbytes(1 + at % 67) for at in range(count // 2)]
    return [*odd, *(f"customer-{at}".encode() for at in range(count - len(odd)))]


@pytest.mark.kafka
def test_every_key_belongs_to_the_partition_where_our_producer_puts_it(
    kafka: str, unique_name: str
) -> None:
    settings = load(KafkaSettings, bootstrap_servers=kafka)
    cluster = ClusterWriter(settings)
    cluster.create([NewTopic(unique_name, PARTITIONS, -1)])
    cluster.await_leaders({unique_name: PARTITIONS})
    landed: dict[bytes, int | None] = {}

    def note(error: object, message: Message) -> None:
        assert error is None
        landed[message.key() or b""] = message.partition()

    producer = make_producer(settings, load(ProducerSettings))
    wanted = keys(300)
    for key in wanted:
        producer.produce(unique_name, b"", key, on_delivery=note)
    assert producer.flush(30) == 0

    assert landed == {key: partition_of(key, PARTITIONS) for key in wanted}
    assert len(set(landed.values())) > PARTITIONS // 2


def test_a_key_is_found_again_and_one_too_long_to_be_remembered_too() -> None:
    for key in (b"", b"customer-42", b"x" * 1_000):
        first = partition_of(key, 12)
        assert 0 <= first < 12
        assert partition_of(key, 12) == first == (murmur2(key) & 0x7FFFFFFF) % 12


@pytest.mark.parametrize("partitions", [0, -1])
def test_a_topic_without_partitions_is_refused(partitions: int) -> None:
    with pytest.raises(ValueError, match=f"with {partitions} partitions"):
        partition_of(b"customer-42", partitions)
