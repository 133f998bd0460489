"""Which replays of dead letters run now, followed on the letters topic."""

from confluent_kafka import KafkaException, Message

from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.tail import Tail
from headrace.processors.repair.replay_definition import Phase
from headrace.processors.repair.replay_store import is_replay, replays_in


class RunningReplays:
    """Knows them, again and again. One thread owns it."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._records: dict[bytes, bytes] = {}
        self._tail: Tail | None = None

    def names(self, now: int) -> list[str]:
        """Name those that run, and whose processes have not died.

        Args:
            now: Epoch milliseconds.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time.
            RightsError: The letters topic may not be read.
            TopicError: Kafka refused for another reason.
        """
        try:
            self._catch_up()
        except KafkaException as error:
            self.close()
            doing = f"reading {self._topic}"
            raise explain(doing, kafka_error(error), self._kafka, right="READ") from error
        return sorted(
            name
            for name, replay in replays_in(self._records).items()
            if replay.progress.phase is Phase.RUNNING and not replay.is_abandoned(now)
        )

    def close(self) -> None:
        """Let go of Kafka."""
        tail, self._tail = self._tail, None
        self._records.clear()
        if tail is not None:
            tail.close()

    def _catch_up(self) -> None:
        if self._tail is None:
            self._tail = Tail(self._kafka, self._topic, self._take)
            self._tail.start()
        self._tail.catch_up()

    def _take(self, message: Message) -> None:
        key, value = message.key(), message.value()
        if not (isinstance(key, bytes) and is_replay(key.decode(errors="replace"))):
            return
        if value is None:
            self._records.pop(key, None)
        else:
            self._records[key] = value
