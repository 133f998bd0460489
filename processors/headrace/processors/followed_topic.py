"""A topic that is read up to its end again and again, by one who keeps what it says in memory."""

from collections.abc import Callable

from confluent_kafka import KafkaException, Message

from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.tail import Tail


class FollowedTopic:
    """Begins anew after a fault. One thread owns it.

    Args:
        kafka: Where Kafka is.
        topic: What is read.
        take: Told of each record.
        forget: Called before the topic is read from its beginning again.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        take: Callable[[Message], None],
        forget: Callable[[], None],
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._take = take
        self._forget = forget
        self._tail: Tail | None = None

    def catch_up(self) -> None:
        """Read up to the end.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time.
            RightsError: The topic may not be read.
            TopicError: Kafka refused for another reason.
        """
        try:
            if self._tail is None:
                self._tail = Tail(self._kafka, self._topic, self._take)
                self._tail.start()
            self._tail.catch_up()
        except KafkaException as error:
            self.close()
            doing = f"reading {self._topic}"
            raise explain(doing, kafka_error(error), self._kafka, right="READ") from error

    def close(self) -> None:
        """Let go of Kafka."""
        tail, self._tail = self._tail, None
        self._forget()
        if tail is not None:
            tail.close()
