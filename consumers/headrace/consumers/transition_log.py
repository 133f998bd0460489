"""Publishing transitions in batches, and telling who published them when the broker has them."""

import time
from collections import deque
from collections.abc import Sequence
from itertools import groupby, islice
from typing import Any

import structlog
from confluent_kafka import KafkaError, Producer

from headrace.consumers.seldom import Seldom
from headrace.consumers.settled import Settled
from headrace.schemas.transitions import Transition, encode_batch

_LOG = structlog.get_logger("headrace.transitions")
_PAUSE = 1.0
"""Seconds before refused transitions are sent again."""
MAX_BATCH = 500
"""Transitions in one record of the events topic."""
MAX_BYTES = 512 * 1024
"""Bytes of one record: the events topic takes more than this, however it is configured."""
_MANY = 50
"""Records on their way without an answer that a broker which is well never leaves standing."""
_LONGEST_TEXT = 1_000
"""Characters that stay of each text of a transition that is too large by itself."""


class TransitionLog:
    """One lane thread's way to the events topic.

    A job is done only when its transition is stored: `acknowledged` gives back what may be
    finished in the ledgers. What was refused is published again.

    Args:
        producer: Shared with others of the process.
        topic: The events topic.
        several_lanes: Whether transitions of more than one lane are added: a record is of one.
    """

    def __init__(self, producer: Producer, topic: str, *, several_lanes: bool = False) -> None:
        self._producer = producer
        self._topic = topic
        self._several_lanes = several_lanes
        self._pending: deque[Settled] = deque()
        self._answers: deque[tuple[Sequence[Settled], KafkaError | None]] = deque()
        self.unanswered = 0
        self.published = 0
        self.failures = 0
        self.refused = ""
        """Why the last answer was a refusal; empty when it was none."""
        self._not_before = 0.0
        self._refusals = Seldom(_LOG)

    def add(self, settled: Settled) -> None:
        """Queue one transition."""
        self._pending.append(settled)

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or on its way."""
        return not self._pending and not self.unanswered and not self._answers

    @property
    def congested(self) -> bool:
        """Whether the broker does not keep up: what can wait should not be added now."""
        return bool(self.refused) or self.unanswered > _MANY or len(self._pending) > MAX_BATCH

    def drop_closed(self) -> int:
        """Forget what is queued of closed assignments; tells how many jobs they were the end of."""
        kept = deque(each for each in self._pending if not each.assignment.closed)
        dropped = [each for each in self._pending if each.assignment.closed]
        self._pending = kept
        return sum(not each.announcement for each in dropped)

    def publish(self) -> None:
        """Send what is queued. Never blocks; a full local queue keeps it queued."""
        if self.refused and time.monotonic() < self._not_before:
            return
        most = MAX_BATCH
        while self._pending:
            size = min(len(self._pending), most)
            if self._several_lanes:
                size = self._run_of_one_lane(size)
            batch = [self._pending.popleft() for _ in range(size)]
            lane = next(each.transition.lane for each in batch if each.transition is not None)
            payload = _encode(batch)
            if len(payload) > MAX_BYTES and size > 1:
                self._pending.extendleft(reversed(batch))
                most = size // 2
                continue
            try:
                self._producer.produce(
                    self._topic, payload, lane.encode(), on_delivery=self._answer(batch)
                )
            except BufferError:
                self._pending.extendleft(reversed(batch))
                return
            self.unanswered += 1

    def _run_of_one_lane(self, most: int) -> int:
        """Count the transitions at the head that may go into one record."""
        lanes = (each.transition.lane for each in islice(self._pending, most) if each.transition)
        return len(list(next(groupby(lanes))[1]))

    def acknowledged(self) -> Sequence[Settled]:
        """Give what the broker has stored since the last call."""
        self._producer.poll(0)
        stored: list[Settled] = []
        while self._answers:
            batch, error = self._answers.popleft()
            self.unanswered -= 1
            if error is None:
                self.published += len(batch)
                self.refused = ""
                stored.extend(batch)
            else:
                self._refuse(batch, error)
        return stored

    def _refuse(self, batch: Sequence[Settled], error: KafkaError) -> None:
        self.failures += len(batch)
        self.refused = error.str()
        self._not_before = time.monotonic() + _PAUSE
        self._pending.extend(batch)
        self._refusals.warn(
            "transitions were not stored and are sent again; until they are, their jobs are not "
            "committed: check the topic and this worker's rights",
            topic=self._topic,
            reason=self.refused,
        )

    def _answer(self, batch: Sequence[Settled]) -> Any:
        # Runs in whichever lane's thread polls the shared producer: it may only queue.
        return lambda error, _: self._answers.append((batch, error))


def bounded(transitions: Sequence[Transition]) -> list[bytes]:
    """Encode transitions as records that the events topic takes, whatever they say.

    None of them gives no record; those of several lanes, as a scheduler has them, one for each
    run of one lane, since a record is of one.
    """
    return [payload for _, payload in keyed(transitions)]


def keyed(transitions: Sequence[Transition]) -> list[tuple[bytes, bytes]]:
    """As `bounded`, each record with its key.

    The key is the lane: what is told of a job comes in one partition then, in the order in which it
    was stored, and so do the two transitions of a job whose worker died in between.
    """
    runs = groupby(transitions, key=lambda each: each.lane)
    return [(lane.encode(), payload) for lane, run in runs for payload in _bounded(list(run))]


def _bounded(transitions: Sequence[Transition]) -> list[bytes]:
    payload = encode_batch(transitions)
    if len(payload) <= MAX_BYTES:
        return [payload]
    if len(transitions) == 1:
        return [encode_batch([_cut(transitions[0])])]
    half = len(transitions) // 2
    return [*_bounded(transitions[:half]), *_bounded(transitions[half:])]


def _encode(batch: Sequence[Settled]) -> bytes:
    payload = encode_batch([each.transition for each in batch if each.transition is not None])
    if len(payload) <= MAX_BYTES or len(batch) > 1:
        return payload
    return bounded([each.transition for each in batch if each.transition is not None])[0]


def _cut(transition: Transition) -> Transition:
    """Shorten what no broker takes: sent again for ever, it would hold up its partition."""
    cut = [value[:_LONGEST_TEXT] if isinstance(value, str) else value for value in transition]
    return Transition._make(cut)._replace(result=None)
