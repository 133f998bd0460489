"""Reading the notes of partitions that were taken over, beside the thread that polls.

A thread is there only while there is something to read: a worker without `dedup_key`s has none.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.consumers.clock import now_ms
from headrace.consumers.dedup.notes import Notes, Span, decode
from headrace.consumers.records import Assignment

_TIMEOUT = 10.0
"""Seconds for the broker to answer where a partition begins and ends."""
_PATIENCE = 30.0
"""Seconds without a record after which the topic counts as unreadable, and is asked again."""
_POLL = 0.2
_BATCH = 1_000


class Answer(NamedTuple):
    """What reading one partition came to."""

    assignment: Assignment
    notes: Notes | None
    """Those that hold, the latest last; None when they could not be read."""
    reason: str = ""


class NoteReader:
    """Reads partitions of one queue's dedup topic, for one of its lanes.

    Args:
        make_reader: Makes a consumer without a group.
        topic: The dedup topic.
        priority: Of the lane: notes of other lanes are passed over.
        span: How long notes hold.
        most: Notes of one partition that are kept at a time, the latest.
    """

    def __init__(
        self,
        make_reader: Callable[[], Consumer],
        topic: str,
        priority: str,
        span: Span,
        most: int,
    ) -> None:
        self._make_reader = make_reader
        self._topic = topic
        self._prefix = f"{priority}/".encode()
        self._span = span
        self._most = most
        self._lock = threading.Lock()
        self._wanted: list[Assignment] = []
        self._thread: threading.Thread | None = None
        self._answers: deque[Answer] = deque()

    def ask(self, assignment: Assignment) -> None:
        """Read the notes of a partition up to where they end now; the answer comes later."""
        with self._lock:
            self._wanted.append(assignment)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=f"headrace-notes-{self._topic}", daemon=True
                )
                self._thread.start()

    def answers(self) -> list[Answer]:
        """Give what has been read since the last call."""
        return [self._answers.popleft() for _ in range(len(self._answers))]

    def _run(self) -> None:
        while True:
            with self._lock:
                wanted, self._wanted = self._wanted, []
                if not wanted:
                    self._thread = None
                    return
            try:
                with closing(self._make_reader()) as reader:
                    self._read(reader, {each.partition: each for each in wanted})
            except KafkaException as error:
                reason = str(error.args[0].str())
                self._answers.extend(Answer(each, None, reason) for each in wanted)

    def _read(self, reader: Consumer, wanted: dict[int, Assignment]) -> None:
        found: dict[int, Notes] = {partition: OrderedDict() for partition in wanted}
        reading = self._assign(reader, found)
        for partition in wanted.keys() - reading:
            self._answers.append(Answer(wanted[partition], OrderedDict()))
        heard = time.monotonic()
        while reading and not all(wanted[each].closed for each in reading):
            messages = _some(reader)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > _PATIENCE:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
            for message in messages:
                partition = message.partition() or 0
                if not _is_end(message):
                    self._take(message, found[partition])
                elif partition in reading:
                    reading.discard(partition)
                    self._answers.append(Answer(wanted[partition], found.pop(partition)))
                    found[partition] = OrderedDict()

    def _assign(self, reader: Consumer, partitions: Iterable[int]) -> set[int]:
        """Assign those that hold anything from their beginnings."""
        places: list[TopicPartition] = []
        for partition in partitions:
            place = TopicPartition(self._topic, partition)
            low, high = reader.get_watermark_offsets(place, timeout=_TIMEOUT)
            if low < high:
                places.append(TopicPartition(self._topic, partition, low))
        if places:
            reader.assign(places)
        return {place.partition for place in places}

    def _take(self, message: Message, notes: Notes) -> None:
        key, value = message.key(), message.value()
        if not isinstance(key, bytes) or not key.startswith(self._prefix):
            return
        name = key[len(self._prefix) :].decode(errors="replace")
        before = notes.pop(name, None)
        if not isinstance(value, bytes):
            return
        note = decode(value) or before
        if (
            before is not None
            and note is not None
            and self._span.end(before) > self._span.end(note)
        ):
            note = before  # this one was late: its writer had lost the partition, or was refused
        if note is None or self._span.end(note) <= now_ms():
            return
        notes[name] = note
        if len(notes) > self._most:
            notes.popitem(last=False)


def _some(reader: Consumer) -> list[Message]:
    first = reader.poll(_POLL)
    return [] if first is None else [first, *reader.consume(_BATCH, 0)]


def _is_end(message: Message) -> bool:
    error = message.error()
    if error is None:
        return False
    if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
        raise KafkaException(error)
    return True
