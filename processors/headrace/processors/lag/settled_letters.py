"""What was done about the dead letters that are kept, followed on the letters topic."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from confluent_kafka import Message

from headrace.pipeline.group_offsets import Place
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.followed_topic import FollowedTopic
from headrace.processors.repair.letter_states import LetterState, decode_mark, is_letter
from headrace.processors.snapshot import Snapshot

Settled = Mapping[str, Mapping[LetterState, int]]
"""How many letters of each dead-letter topic somebody did something about."""


class SettledLetters:
    """Counts them, again and again. One thread owns it."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._states: dict[tuple[str, int, int], LetterState] = {}
        self._letters = FollowedTopic(kafka, topic, self._take, self._states.clear)

    def count(self, snapshot: Snapshot) -> Settled:
        """Count what was done about letters that their topics keep.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time.
            RightsError: The letters topic may not be read.
            TopicError: Kafka refused for another reason.
        """
        self._letters.catch_up()
        starts: dict[Place, int] = {
            span.place: span.start for span in snapshot.of((Role.DEAD_LETTERS,))
        }
        gone = [letter for letter in self._states if letter[2] < starts.get(letter[:2], 0)]
        for letter in gone:
            del self._states[letter]
        counted: dict[str, Counter[LetterState]] = {topic: Counter() for topic, _ in starts}
        for (topic, _, _), state in self._states.items():
            if topic in counted:
                counted[topic][state] += 1
        return counted

    def close(self) -> None:
        """Let go of Kafka."""
        self._letters.close()

    def _take(self, message: Message) -> None:
        key, value = message.key(), message.value()
        name = key.decode(errors="replace") if isinstance(key, bytes) else ""
        if not is_letter(name):
            return
        topic, partition, offset = name.rsplit("/", 2)
        letter = (topic, int(partition), int(offset))
        self._states.pop(letter, None)
        if isinstance(value, bytes):  # not taken back
            with suppress(ValueError, KeyError, TypeError):  # told of by whoever lists letters
                self._states[letter] = decode_mark(value).state
