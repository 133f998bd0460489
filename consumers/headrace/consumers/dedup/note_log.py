"""Storing notes, and keeping back what became of their jobs until the broker has them.

A commit that covers a job must not land before its note: the next owner would start behind the job
and know nothing of it. So an outcome whose note is not stored yet is not recorded yet.
"""

import time
from collections import deque
from typing import Any, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from headrace.consumers.records import Assignment
from headrace.consumers.seldom import Seldom
from headrace.consumers.settled import Settled

_LOG = structlog.get_logger("headrace.dedup")
_PAUSE = 1.0
"""Seconds before refused notes are sent again."""


class _Written(NamedTuple):
    """A note on its way, and the record whose outcome waits for it."""

    assignment: Assignment
    offset: int
    key: bytes
    value: bytes | None


class NoteLog:
    """One lane thread's way to the dedup topic.

    Args:
        producer: Waits for all in-sync replicas.
        topic: Has as many partitions as the lane.
    """

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._pending: deque[_Written] = deque()
        self._answers: deque[tuple[_Written, KafkaError | None]] = deque()
        self._unstored: dict[tuple[Assignment, int], int] = {}
        """How many notes of a record are not stored."""
        self._kept_back: dict[tuple[Assignment, int], list[Settled]] = {}
        self._unanswered = 0
        self._not_before = 0.0
        self._refusals = Seldom(_LOG)
        self.refused = ""
        """Why the last answer was a refusal; empty when it was none."""

    @property
    def idle(self) -> bool:
        """Whether no note is on its way."""
        return not self._unstored

    def write(self, assignment: Assignment, offset: int, key: bytes, value: bytes | None) -> None:
        """Queue the note of a record; None for its value takes a note back."""
        self._pending.append(_Written(assignment, offset, key, value))
        where = (assignment, offset)
        self._unstored[where] = self._unstored.get(where, 0) + 1

    def keep_back(self, settled: Settled) -> bool:
        """Keep what became of a record until its notes are stored; False if they are."""
        where = (settled.assignment, settled.offset)
        if where not in self._unstored:
            return False
        self._kept_back.setdefault(where, []).append(settled)
        return True

    def publish(self) -> None:
        """Send what is queued. Never blocks; a full local queue keeps it queued."""
        if self.refused and time.monotonic() < self._not_before:
            return
        while self._pending:
            note = self._pending[0]
            try:
                self._producer.produce(
                    self._topic,
                    note.value,
                    note.key,
                    partition=note.assignment.partition,
                    on_delivery=self._answer(note),
                )
            except BufferError:
                return
            except KafkaException as error:
                self._answers.append((note, error.args[0]))
            self._pending.popleft()
            self._unanswered += 1

    def stored(self) -> list[Settled]:
        """Give what became of the records whose notes the broker has stored since the last call."""
        if self._unanswered:
            self._producer.poll(0)
        free: list[Settled] = []
        for _ in range(len(self._answers)):
            note, error = self._answers.popleft()
            self._unanswered -= 1
            if error is None:
                self.refused = ""
                free += self._done(note)
            elif note.assignment.closed:
                self._done(note)
            else:
                self._refuse(note, error)
        return free

    def drop_closed(self) -> int:
        """Forget what belongs to closed assignments; tells how many outcomes were kept back."""
        self._pending = deque(each for each in self._pending if not each.assignment.closed)
        dropped = [where for where in self._kept_back if where[0].closed]
        for where in [where for where in self._unstored if where[0].closed]:
            del self._unstored[where]
        return sum(len(self._kept_back.pop(where)) for where in dropped)

    def _done(self, note: _Written) -> list[Settled]:
        where = (note.assignment, note.offset)
        left = self._unstored.get(where, 0) - 1
        if left > 0:
            self._unstored[where] = left
            return []
        self._unstored.pop(where, None)
        return self._kept_back.pop(where, [])

    def _refuse(self, note: _Written, error: KafkaError) -> None:
        self.refused = error.str()
        self._not_before = time.monotonic() + _PAUSE
        self._pending.append(note)
        self._refusals.warn(
            "notes of dedup_keys were not stored and are sent again; until they are, their jobs "
            "are not committed: check the topic and this worker's rights",
            topic=self._topic,
            reason=self.refused,
        )

    def _answer(self, note: _Written) -> Any:
        # Runs in whichever lane's thread polls the shared producer: it may only queue.
        return lambda error, _: self._answers.append((note, error))
