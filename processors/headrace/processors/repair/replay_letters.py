"""The letters that a replay is about, with what was done about each up to this moment."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import Final, NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.pipeline.errors import KafkaUnavailableError
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.dead_letter import letter_of
from headrace.processors.repair.letter_filter import ANY_LETTER, LetterFilter
from headrace.processors.repair.letter_states import (
    LetterMark,
    LetterState,
    decode_mark,
    is_letter,
    state_of,
)
from headrace.processors.repair.raw_records import raw_record
from headrace.processors.sightings import Sighting, as_bytes, headers_of, sight

_BATCH: Final = 10_000
_PATIENCE: Final = 30.0
"""Seconds in which the marks that are there at the beginning must be read."""


class Chosen(NamedTuple):
    """A letter that a replay is about."""

    sighting: Sighting
    mark: LetterMark | None


class LiveMarks(AbstractContextManager["LiveMarks"]):
    """What was done about letters, by whomever: read at the beginning, and followed from then on.

    So a replay leaves out what was replayed, edited or discarded since it began. Owned by one
    thread.

    Args:
        kafka: Where Kafka is.
        topic: The letters topic.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The topic does not exist or may not be read.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._marks: dict[str, bytes] = {}
        self._consumer: Consumer = make_reader(kafka)

    def __enter__(self) -> Self:
        try:
            self._begin()
        except KafkaException as error:
            doing = f"reading {self._topic}"
            raise explain(doing, kafka_error(error), self._kafka) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()

    def follow(self) -> None:
        """Take in what was written since; does not wait."""
        for message in self._consumer.consume(_BATCH, 0):
            self._take(message)

    def of(self, place: str) -> LetterMark | None:
        """Give what was done about the letter at `<topic>/<partition>/<offset>`."""
        value = self._marks.get(place)
        if value is None:
            return None
        try:
            return decode_mark(value)
        except (ValueError, KeyError, TypeError):  # told of by whoever lists letters
            return None

    def _begin(self) -> None:
        found = self._consumer.list_topics(self._topic, timeout=_PATIENCE).topics[self._topic]
        if found.error is not None:
            raise KafkaException(found.error)
        waiting = set(found.partitions)
        self._consumer.assign([TopicPartition(self._topic, each, 0) for each in waiting])
        deadline = time.monotonic() + _PATIENCE
        while waiting:
            message = self._consumer.poll(1.0)
            for each in [message, *self._consumer.consume(_BATCH, 0)] if message else ():
                waiting -= self._take(each)
            if time.monotonic() > deadline:
                raise KafkaUnavailableError(
                    f"reading {self._topic}: its end was not reached within {_PATIENCE:g} s; try "
                    "again when the broker is less busy"
                )

    def _take(self, message: Message) -> set[int | None]:
        """Take a record in; gives the partition whose end it tells of."""
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                return {message.partition()}
            raise KafkaException(error)
        key, value = as_bytes(message.key()), as_bytes(message.value())
        name = (key or b"").decode(errors="replace")
        if value is None:
            self._marks.pop(name, None)
        elif is_letter(name):
            self._marks[name] = value
        return set()


class LetterSelection:
    """Turns records of dead-letter topics into the letters that are meant.

    Args:
        pipeline: The declaration.
        wanted: The conditions.
        marks: What was done about letters.
    """

    def __init__(self, pipeline: Pipeline, wanted: LetterFilter, marks: LiveMarks) -> None:
        topology = pipeline.topology
        self._queues = {topology.dead_letters(queue): queue for queue in pipeline.queues}
        self._wanted = wanted
        self._admits = wanted.admission()
        self._takes_all = replace(wanted, states=(), queues=()) == ANY_LETTER
        self._marks = marks

    def topics(self) -> tuple[str, ...]:
        """The topics on which such letters lie."""
        queues = self._wanted.queues
        return tuple(
            topic for topic, queue in self._queues.items() if not queues or queue in queues
        )

    def choose(self, message: Message) -> Chosen | None:
        """Give the letter; None when it does not meet the conditions now."""
        if not self._admits(headers_of(message)):
            return None
        mark = self._marks.of(f"{message.topic()}/{message.partition()}/{message.offset()}")
        # Whether a replayed job has succeeded makes no difference here: it is not replayed again.
        state = state_of(mark, _NOTHING_SUCCEEDED)
        if self._wanted.states and state not in self._wanted.states:
            return None
        chosen = Chosen(sight(message, Role.DEAD_LETTERS), mark)
        return chosen if self._takes_all or self._matches(chosen, message, state) else None

    def _matches(self, chosen: Chosen, message: Message, state: LetterState) -> bool:
        queue = self._queues[message.topic() or ""]
        letter = letter_of(chosen.sighting, raw_record(message), queue)
        return self._wanted.matches(replace(letter, state=state, mark=chosen.mark))


_NOTHING_SUCCEEDED: Final[Mapping[str, int]] = {}
