"""Hand-overs: a retry or a dead letter changes hands with its source offset, or not at all.

One Kafka transaction writes the record to its new topic, the transition to the events topic, and
the source partition's commit. Readers of delay tiers and dead letters read committed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from headrace.consumers.bounded_call import CallHungError, within
from headrace.consumers.records import to_client
from headrace.consumers.settled import HandOver

_LOG = structlog.get_logger("headrace.handover")
_TIMEOUT = 5.0
"""Seconds that one step of a transaction may take before the lane goes on and tries again: far
below `max.poll.interval.ms`, so that a slow broker never costs the lane its partitions."""
_LOOK = 1.0
"""Seconds for the broker to say whether a topic is there."""
_RAISED = (KafkaException, SystemError)
"""What calls of a producer raise that was fenced meanwhile: its fatal error, or, if a delivery was
reported after that in the same call, Python's complaint of a result with an exception set."""


class End(StrEnum):
    """How a transaction ended."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    UNKNOWN = "unknown"
    """The commit was sent and not answered: it may have happened. Ask `resume` until it is known."""


@dataclass(frozen=True, slots=True)
class HandOverResult:
    """How it ended and, if not well, why."""

    end: End
    reason: str = ""


class HandOvers:
    """The transactional writer of one lane: used by one thread at a time, the lane's or its hand-over's.

    Args:
        make_producer: Makes a transactional producer; called when first needed, and again after
            a fatal error.
    """

    def __init__(self, make_producer: Callable[[], Producer]) -> None:
        self._make_producer = make_producer
        self._producer: Producer | None = None
        self._refusals: list[str] = []
        self._topics = ""
        """What the last transaction was to write, for messages: the client names none."""
        self._doubtful: set[str] = set()
        """Topics of transactions that failed, until one with them goes through."""

    def hand_over(
        self,
        records: Sequence[HandOver],
        offsets: Sequence[TopicPartition],
        group: Any,
    ) -> HandOverResult:
        """Write the records and commit the offsets, atomically.

        Args:
            records: What changes hands.
            offsets: The commits of the source partitions, with their metadata.
            group: The consumer's group metadata, captured before the poll that last proved its
                ownership: so a member that lost its partitions meanwhile is refused.
        """
        self._refusals.clear()
        topics = {record.topic for record in records}
        self._topics = ", ".join(sorted(topics))
        result = self._write(topics, records, offsets, group)
        if result.end is End.COMMITTED:
            self._doubtful -= topics
        else:
            self._doubtful |= topics
        return result

    def _write(
        self,
        topics: set[str],
        records: Sequence[HandOver],
        offsets: Sequence[TopicPartition],
        group: Any,
    ) -> HandOverResult:
        try:
            producer = self._ready()
            missing = self._missing(producer, topics & self._doubtful)
            if missing:
                return HandOverResult(End.ABORTED, missing)
            producer.begin_transaction()
        except KafkaException as error:
            return self._failed_to_begin(error)
        try:
            for record in records:
                producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    headers=to_client(record.headers),
                    on_delivery=self._answered,
                )
            within(
                _TIMEOUT + _LOOK,
                "headrace-offsets",
                lambda: producer.send_offsets_to_transaction(list(offsets), group, _TIMEOUT),
            )
        except CallHungError as error:
            # Seen when the coordinator was lost just then: librdkafka 2.16 waits for ever. Nobody
            # commits this transaction any more; a new producer with the same id ends it.
            self._producer = None
            return HandOverResult(End.ABORTED, self._reason(str(error)))
        except (KafkaException, BufferError) as error:
            return self._abort(producer, str(error))
        # Before the commit, so that what no broker takes ends as a known abort.
        unstored = self._unstored(producer)
        return self._abort(producer, unstored) if unstored else self._commit(producer)

    def _unstored(self, producer: Producer) -> str:
        """Wait until the broker has what was written; gives why it has not."""
        try:
            left = producer.flush(_TIMEOUT)
        except _RAISED as error:
            return str(error)
        return f"not stored within {_TIMEOUT:g} s" if left or self._refusals else ""

    def resume(self, landed: Callable[[], bool]) -> HandOverResult:
        """Learn how a transaction of unknown end has ended.

        Its producer is not asked again: what it says after a commit without an answer is no
        proof, be it that the transaction is to be aborted (librdkafka's `rdkafka_txnmgr.c` says
        of such an error that the commit may have succeeded), and after some lost answers it waits
        for ever. A new one with the same id ends the transaction one way or the other (KIP-98).

        Args:
            landed: Asks the broker whether the commits of that transaction are there.
        """
        try:
            self._ready()
            end = End.COMMITTED if landed() else End.ABORTED
            return HandOverResult(end, "the broker did not say how a transaction ended")
        except KafkaException as error:
            return HandOverResult(End.UNKNOWN, self._reason(str(error)))

    def end_now(self) -> None:
        """End a transaction of unknown end: from here on it has landed, or never will.

        As the next owner does with a dead one's (KIP-98): a new producer with the same id.

        Raises:
            KafkaException: The coordinator does not answer.
        """
        self._ready()

    def _commit(self, producer: Producer) -> HandOverResult:
        try:
            producer.commit_transaction(_TIMEOUT)
            return HandOverResult(End.COMMITTED)
        except _RAISED as error:
            self._producer = None  # see `resume`
            return HandOverResult(End.UNKNOWN, self._reason(str(error)))

    def _abort(self, producer: Producer, error: str) -> HandOverResult:
        reason = self._reason(error)
        try:
            producer.abort_transaction(_TIMEOUT)
        except _RAISED as failure:
            # Whatever state it is in, a new producer with the same id fences it and aborts.
            _LOG.warning("a transaction could not be aborted", error=str(failure))
            self._producer = None
        if self._refusals:
            # What was refused leaves a gap in the sequence numbers: librdkafka 2.16 lets the next
            # transaction fail for it ("skipped sequence numbers"), whatever that one writes.
            self._producer = None
        return HandOverResult(End.ABORTED, reason)

    def _failed_to_begin(self, error: KafkaException) -> HandOverResult:
        self._producer = None
        return HandOverResult(End.ABORTED, self._reason(str(error)))

    def _ready(self) -> Producer:
        if self._producer is None:
            producer = self._make_producer()
            producer.init_transactions(_TIMEOUT)
            self._producer = producer
        return self._producer

    def _missing(self, producer: Producer, doubtful: set[str]) -> str:
        """Look before trying again: a write to a topic that is gone stalls the lane for seconds."""
        for topic in sorted(doubtful):
            error = producer.list_topics(topic, timeout=_LOOK).topics[topic].error
            if error is not None:
                return f"{topic}: {error.str()}"
        return ""

    def _answered(self, error: KafkaError | None, message: Any) -> None:
        if error is not None and error.code() != KafkaError._PURGE_QUEUE:  # noqa: SLF001
            self._refusals.append(f"{message.topic()}: {error.str()}")

    def _reason(self, error: str) -> str:
        doing = f"writing to {self._topics}" if self._topics else "asking who owns the partitions"
        return "; ".join(self._refusals[:3]) or f"{doing}: {error}"
