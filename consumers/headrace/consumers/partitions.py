"""The partitions that a thread owns: taking one over, and what is known of each."""

import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final, Literal, TypeVar

import structlog
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from headrace.consumers import commit_metadata
from headrace.consumers.commit_metadata import Cause, CommitMetadata, State, Unreadable
from headrace.consumers.fencing import Fencing
from headrace.consumers.ledger import PartitionLedger
from headrace.consumers.owned import NARROWEST, OwnedPartition, Place
from headrace.consumers.records import Assignment, Trust
from headrace.consumers.standing import SUSPECT_FROM, Standing, judged
from headrace.consumers.window import Window
from headrace.pipeline.errors import LostOffsetError

_LOG = structlog.get_logger("headrace.partitions")
_TIMEOUT = 10.0
"""Seconds for the broker to answer what was committed, inside the assignment callback."""
_PATIENCE = 60.0
"""Seconds in which a broker that does not answer is asked again: one that restarts takes 15, and a
dead owner's open transaction withholds its offsets for 20. The other partitions of this member
stand still meanwhile; far below `max.poll.interval.ms`."""

_PAUSE = 0.2
_PASSING: Final = frozenset(
    {
        KafkaError._TIMED_OUT,  # noqa: SLF001 - its public name
        KafkaError._TRANSPORT,  # noqa: SLF001 - its public name
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - its public name
        KafkaError._WAIT_COORD,  # noqa: SLF001 - its public name
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        # Of the log's ends, while the partition's leader moves or has just been made.
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
    }
)

Start = Literal["earliest", "latest"]
Peek = Callable[[Sequence[TopicPartition]], list[TopicPartition]]


def committed_offsets(
    consumer: Consumer, positions: Sequence[TopicPartition], timeout: float
) -> list[TopicPartition]:
    """Ask the broker what was committed.

    Raises:
        KafkaException: It did not answer, or could not tell it of one partition: such an answer
            has no offset either, and must not be taken for a group that never committed.
    """
    found = consumer.committed(list(positions), timeout=timeout)
    for position in found:
        if position.error is not None:
            raise KafkaException(position.error)
    return found


_Answer = TypeVar("_Answer")


def _insist(ask: Callable[[], _Answer]) -> _Answer:
    """Ask until the broker answers; gives up after `_PATIENCE` with the last error."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return ask()
        except KafkaException as error:
            cause: KafkaError = error.args[0]
            if cause.fatal() or not _passes(cause) or time.monotonic() > deadline:
                raise
            _LOG.warning("the broker does not tell offsets yet: asked again", reason=cause.str())
            time.sleep(_PAUSE)


def _passes(error: KafkaError) -> bool:
    return bool(error.retriable()) or error.code() in _PASSING


class Partitions:
    """What a thread owns. Owned by that thread.

    Args:
        transactional_id: Noted in every commit, so that the next owner can fence this one.
        start: Where to begin when a group has no offset; None refuses to guess.
        read_back: Offsets before the commit point that are read again as history.
        fencing: Fences owners that died.
        peek: Reads committed offsets without waiting for the end of open transactions; None when
            the consumer itself does.
        opened: Whether a partition is open from its assignment on, not from its first job on.
    """

    def __init__(
        self,
        transactional_id: str,
        start: Start | None = None,
        *,
        fencing: Fencing,
        peek: Peek | None = None,
        read_back: int = 0,
        opened: bool = False,
    ) -> None:
        self.owned: dict[Place, OwnedPartition] = {}
        self.lost_records = 0
        self.dead_owners = 0
        """Partitions that were taken over from an owner that died."""
        self.transactional_id = transactional_id
        self.trust = Trust()
        self.before_asking: Callable[[], None] = lambda: None
        """Called before it is asked what was committed; raises KafkaException to be called again."""
        self._fencing = fencing
        self._peek = peek
        self._start = start
        self._read_back = read_back
        self._opened = opened
        self._epochs = count(1)

    def take_over(self, consumer: Consumer, assigned: Sequence[TopicPartition]) -> None:
        """Read what was committed, make ledgers, and start reading there.

        Raises:
            LostOffsetError: A partition has no usable offset and `start` does not say where.
            KafkaException: The broker did not answer in time.
        """
        committed = self._committed(consumer, assigned)
        positions = [self._restore(consumer, found) for found in committed]
        consumer.incremental_assign(positions)
        # The client keeps the application's pause flag across reassignments.
        consumer.resume(positions)

    def close(self, places: Sequence[Place]) -> None:
        """Give partitions up: from here on their results are fenced."""
        for place in places:
            owned = self.owned.pop(place, None)
            if owned is not None:
                owned.assignment.closed = True

    def _committed(
        self, consumer: Consumer, assigned: Sequence[TopicPartition]
    ) -> list[TopicPartition]:
        """Ask what was committed, after the transactions of owners that died have been ended."""

        def ask() -> list[TopicPartition]:
            return committed_offsets(consumer, assigned, _TIMEOUT)

        _insist(self.before_asking)
        peek = self._peek
        found = _insist(ask if peek is None else lambda: peek(assigned))
        dead = _left_open(found) - {self.transactional_id, ""}
        self._fencing.fence(dead)
        return _insist(ask) if dead or peek is not None else found

    def _restore(self, consumer: Consumer, found: TopicPartition) -> TopicPartition:
        place = TopicPartition(found.topic, found.partition)
        low, high = _insist(lambda: consumer.get_watermark_offsets(place, timeout=_TIMEOUT))
        offset = self._checked(found, low, high)
        metadata = self._metadata(found, high) if offset == found.offset else None
        standing = judged(metadata, offset, high, self.transactional_id)
        standing.opened = standing.opened or self._opened
        ledger = PartitionLedger(offset, metadata.finished if metadata else (), standing)
        if offset < low:
            self._report_lost(found, ledger, low)
        _tell_of_deaths(found, standing)
        begins = max(offset, low)
        owned = OwnedPartition(
            Assignment(found.topic, found.partition, next(self._epochs), trust=self.trust),
            ledger,
            standing,
            Window(NARROWEST),
            begins,
        )
        self.owned[owned.place] = owned
        return TopicPartition(found.topic, found.partition, max(begins - self._read_back, low))

    def _checked(self, found: TopicPartition, low: int, high: int) -> int:
        offset: int = found.offset
        if offset != OFFSET_INVALID and offset <= high:
            return offset
        if self._start is not None:
            return low if self._start == "earliest" else high
        what = (
            "has no committed offset"
            if offset == OFFSET_INVALID
            else f"has the committed offset {offset}, beyond its end {high}"
        )
        raise LostOffsetError(
            f"{found.topic}/{found.partition}: its group {what} (offsets expire, and a topic made "
            f"anew starts at 0; the partition holds offsets {low} to {high}). Nothing was run. Say "
            "where to begin: `headrace worker … --from earliest` runs what is there, "
            "`--from latest` skips it"
        )

    def _metadata(self, found: TopicPartition, high: int) -> CommitMetadata | None:
        decoded = commit_metadata.decode(found.metadata, found.offset, high)
        if not isinstance(decoded, Unreadable):
            return decoded
        if decoded.cause is not Cause.MISSING:
            _LOG.warning(
                "commit metadata cannot be used: jobs above the commit point run again",
                topic=found.topic,
                partition=found.partition,
                offset=found.offset,
                cause=decoded.cause.value,
                detail=decoded.detail,
            )
        return None

    def _report_lost(self, found: TopicPartition, ledger: PartitionLedger, low: int) -> None:
        lost = sum(len(gap) for gap in ledger.lost(low))
        self.lost_records += lost
        _LOG.error(
            "retention deleted records before they were run: they are lost",
            topic=found.topic,
            partition=found.partition,
            committed=found.offset,
            first_available=low,
            lost_at_most=lost,
        )


def _tell_of_deaths(found: TopicPartition, standing: Standing) -> None:
    if not standing.streak:
        return
    suspects = standing.streak >= SUSPECT_FROM
    how = "each in a process of its own" if suspects else "once more as usual"
    _LOG.warning(
        f"owners of this partition died while its jobs ran: its unfinished jobs now run {how}",
        topic=found.topic,
        partition=found.partition,
        deaths=standing.streak,
        from_offset=found.offset,
        until_offset=standing.suspects_until,
    )


def _left_open(committed: Sequence[TopicPartition]) -> set[str]:
    """The transactional ids of owners that did not give their partitions up."""
    notes = (commit_metadata.decode(found.metadata, found.offset) for found in committed)
    return {
        note.transactional_id
        for note in notes
        if isinstance(note, CommitMetadata) and note.state is State.OPEN
    }
