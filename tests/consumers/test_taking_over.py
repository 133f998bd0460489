"""Taking a partition over: what the broker could not tell is no answer."""

from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from headrace.consumers.fencing import Fencing
from headrace.consumers.partitions import Partitions, committed_offsets


class Refusing:
    """A client whose answer says of the second partition that it is not known."""

    def committed(self, positions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        class Refused(TopicPartition):
            error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)

        first, second = positions
        return [first, Refused(second.topic, second.partition)]


def test_an_offset_that_the_broker_could_not_tell_is_no_missing_offset() -> None:
    positions = [TopicPartition("a", 0), TopicPartition("a", 1)]

    with pytest.raises(KafkaException) as raised:
        committed_offsets(cast(Consumer, Refusing()), positions, 1)

    assert raised.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


class Moving:
    """A client that is told of another leader, so many times, before it learns the log's ends."""

    def __init__(self, code: int, times: int) -> None:
        self._error = KafkaException(KafkaError(code))
        self._left = times
        self.assigned: list[tuple[str, int, int]] = []

    def committed(self, positions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(each.topic, each.partition, 3) for each in positions]

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        self._left -= 1
        if self._left >= 0:
            raise self._error
        return 0, 7

    def incremental_assign(self, positions: list[TopicPartition]) -> None:
        self.assigned += [(each.topic, each.partition, each.offset) for each in positions]

    def resume(self, positions: Any) -> None:
        pass


class NobodyDied:
    def fence(self, transactional_ids: set[str]) -> None:
        assert transactional_ids == set()


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
    ],
)
def test_a_partition_whose_leader_moves_is_taken_over_when_it_has_one_again(code: int) -> None:
    moving = Moving(code, times=2)
    partitions = Partitions("id", fencing=cast(Fencing, NobodyDied()))
    partitions.take_over(cast(Consumer, moving), [TopicPartition("a", 0)])
    assert moving.assigned == [("a", 0, 3)]


def test_what_the_broker_forbids_is_not_asked_again() -> None:
    moving = Moving(KafkaError.TOPIC_AUTHORIZATION_FAILED, times=1)
    partitions = Partitions("id", fencing=cast(Fencing, NobodyDied()))
    with pytest.raises(KafkaException) as raised:
        partitions.take_over(cast(Consumer, moving), [TopicPartition("a", 0)])
    assert raised.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
