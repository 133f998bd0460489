"""Which replays of dead letters run now, followed on the letters topic."""

from confluent_kafka import Message

from headrace.pipeline.settings import KafkaSettings
from headrace.processors.followed_topic import FollowedTopic
from headrace.processors.repair.replay_definition import Phase
from headrace.processors.repair.replay_store import is_replay, replays_in


class RunningReplays:
    """Knows them, again and again. One thread owns it."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._records: dict[bytes, bytes] = {}
        self._letters = FollowedTopic(kafka, topic, self._take, self._records.clear)

    def names(self, now: int) -> list[str]:
        """Name those that run, and whose processes have not died.

        Args:
            now: Epoch milliseconds.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time.
            RightsError: The letters topic may not be read.
            TopicError: Kafka refused for another reason.
        """
        self._letters.catch_up()
        return sorted(
            name
            for name, replay in replays_in(self._records).items()
            if replay.progress.phase is Phase.RUNNING and not replay.is_abandoned(now)
        )

    def close(self) -> None:
        """Let go of Kafka."""
        self._letters.close()

    def _take(self, message: Message) -> None:
        key, value = message.key(), message.value()
        if not (isinstance(key, bytes) and is_replay(key.decode(errors="replace"))):
            return
        if value is None:
            self._records.pop(key, None)
        else:
            self._records[key] = value
