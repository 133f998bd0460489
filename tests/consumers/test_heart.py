"""The heart beats whatever Kafka answers, tells a change at once, and says goodbye."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from headrace.consumers import heart as heart_module
from headrace.consumers.heart import Heart
from headrace.schemas.heartbeats import Heartbeat, decode_heartbeat

HOURLY, OFTEN = timedelta(hours=1), timedelta(milliseconds=5)
BEAT = Heartbeat("w", "worker", "1", "host", 1, 0, 0, 0)


class FakeProducer:
    """Takes records, or refuses them."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.beats: list[Heartbeat] = []
        self.tried = 0
        self.changed = threading.Condition()

    def produce(self, topic: str, value: bytes, key: str, on_delivery: Callable[..., None]) -> None:
        with self.changed:
            self.tried += 1
            self.changed.notify_all()
            if self.refusal is not None:
                raise self.refusal
            assert (topic, key) == ("shop.workers", "w")
            self.beats.append(decode_heartbeat(value))
        on_delivery(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), None)

    def poll(self, seconds: float) -> int:
        return 0

    def flush(self, seconds: float) -> int:
        return 0

    def await_tries(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.tried >= count, 30)


def beating(producer: Any, interval: timedelta, changes: Callable[[], int] = lambda: 0) -> Heart:
    made = Heart(lambda: producer, "shop.workers", lambda: BEAT, changes, interval)
    made.start()
    return made


def test_it_beats_at_once_and_says_goodbye_when_it_is_stopped() -> None:
    producer = FakeProducer()
    heart = beating(producer, HOURLY)
    producer.await_tries(1)
    heart.stop()
    assert [(beat.interval, beat.stopped) for beat in producer.beats] == [
        (3_600_000, False),
        (3_600_000, True),
    ]


def test_a_change_of_what_is_owned_is_told_long_before_the_next_beat_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heart_module, "_LOOK", 0.005)
    producer, owned = FakeProducer(), [0]
    heart = beating(producer, HOURLY, lambda: owned[0])
    producer.await_tries(1)
    owned[0] += 1
    producer.await_tries(2)
    heart.stop()


@pytest.mark.parametrize(
    "refusal",
    [
        BufferError("full"),
        KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)),
        ValueError("a defect"),
    ],
)
def test_whatever_refuses_a_beat_does_not_end_the_next_ones(refusal: Exception) -> None:
    producer = FakeProducer(refusal)
    heart = beating(producer, OFTEN)
    producer.await_tries(3)
    producer.refusal = None
    producer.await_tries(producer.tried + 2)
    heart.stop()
    assert producer.beats[-1].stopped


def test_a_heart_that_never_began_can_be_stopped() -> None:
    Heart(FakeProducer, "shop.workers", lambda: BEAT, lambda: 0, HOURLY).stop()  # type: ignore[arg-type]
