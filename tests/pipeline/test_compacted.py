"""Reading compacted topics when the client is behind the cluster."""

import time
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from headrace.pipeline import compacted


class Behind:
    """A client that learns of a partition at the third time of asking."""

    def __init__(self, code: int) -> None:
        self._code = code
        self._asked = 0

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        self._asked += 1
        if self._asked < 3:
            raise KafkaException(KafkaError(self._code))
        return 3, 7


def span(code: int, seconds: float) -> tuple[int, int]:
    client: Any = Behind(code)
    return compacted._span(client, TopicPartition("shop.control", 0), time.monotonic() + seconds)


def test_a_partition_that_the_client_does_not_know_yet_is_asked_for_again() -> None:
    assert span(KafkaError._UNKNOWN_PARTITION, 30) == (3, 7)


@pytest.mark.parametrize(
    ("code", "seconds"),
    [(KafkaError._UNKNOWN_PARTITION, -1), (KafkaError.TOPIC_AUTHORIZATION_FAILED, 30)],
)
def test_other_errors_and_the_end_of_patience_are_told(code: int, seconds: float) -> None:
    with pytest.raises(KafkaException):
        span(code, seconds)
