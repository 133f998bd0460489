"""Taking a partition over: what the broker could not tell is no answer."""

from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from headrace.consumers.partitions import committed_offsets


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
