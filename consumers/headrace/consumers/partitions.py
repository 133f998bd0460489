"""The partitions that a thread owns: taking one over, and what is known of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

import structlog
from confluent_kafka import OFFSET_INVALID, Consumer, TopicPartition

from headrace.consumers import commit_metadata
from headrace.consumers.commit import Commit
from headrace.consumers.commit_metadata import Cause, CommitMetadata, State, Unreadable
from headrace.consumers.ledger import PartitionLedger
from headrace.consumers.records import Assignment
from headrace.pipeline.errors import LostOffsetError

_LOG = structlog.get_logger("headrace.partitions")
_TIMEOUT = 10.0
"""Seconds for the broker to answer what was committed, inside the assignment callback."""

Start = Literal["earliest", "latest"]
Place = tuple[str, int]
"""A partition: its topic and its number."""


@dataclass(slots=True, eq=False)
class OwnedPartition:
    """One partition from assignment to revocation."""

    assignment: Assignment
    ledger: PartitionLedger
    paused: bool = False

    @property
    def place(self) -> Place:
        """Its topic and number."""
        return (self.assignment.topic, self.assignment.partition)

    def position(self, commit: Commit | None = None) -> TopicPartition:
        """Name it for the client, with a commit if one is to be sent."""
        if commit is None:
            return TopicPartition(*self.place)
        return TopicPartition(*self.place, commit.offset, commit.metadata)


class Partitions:
    """What a thread owns. Owned by that thread.

    Args:
        transactional_id: Noted in every commit, so that the next owner can fence this one.
        start: Where to begin when a group has no offset; None refuses to guess.
    """

    def __init__(self, transactional_id: str, start: Start | None = None) -> None:
        self.owned: dict[Place, OwnedPartition] = {}
        self.lost_records = 0
        self._note = CommitMetadata(state=State.CLEAN, transactional_id=transactional_id)
        self._start = start
        self._epochs = count(1)

    def take_over(self, consumer: Consumer, assigned: Sequence[TopicPartition]) -> None:
        """Read what was committed, make ledgers, and start reading there.

        Raises:
            LostOffsetError: A partition has no usable offset and `start` does not say where.
            KafkaException: The broker did not answer in time.
        """
        committed = consumer.committed(list(assigned), timeout=_TIMEOUT)
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

    def _restore(self, consumer: Consumer, found: TopicPartition) -> TopicPartition:
        low, high = consumer.get_watermark_offsets(
            TopicPartition(found.topic, found.partition), timeout=_TIMEOUT
        )
        offset = self._checked(found, low, high)
        metadata = self._metadata(found, high)
        ledger = PartitionLedger(offset, metadata.finished if metadata else (), self._note)
        if offset < low:
            self._report_lost(found, ledger, low)
        assignment = Assignment(found.topic, found.partition, next(self._epochs))
        owned = OwnedPartition(assignment, ledger)
        self.owned[owned.place] = owned
        return TopicPartition(found.topic, found.partition, max(offset, low))

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
