"""The journal of a replay: marks, progress and the group's commit, in one transaction for a batch.

So they never disagree. The transactional id is the replay's own: whoever opens the journal ends
what a dead process left open, and fences one that is only asleep (KIP-98). From then on the older
one can record nothing, and stops at its next batch.
"""

import time
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from headrace.pipeline.compacted import CompactedRecord
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.kafka import make_consumer, make_transactional_producer
from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.settings import KafkaSettings, ProducerSettings, load
from headrace.processors.repair.replay_errors import TakenOverError

_UNHURRIED: Final[Mapping[str, Any]] = {
    "transaction.timeout.ms": 30_000,
    "delivery.timeout.ms": 29_000,
}
"""Nobody waits for these transactions, so a busy machine may take its time with one."""
_STEP: Final = 30.0
"""Seconds for one step of a transaction, as long as the broker keeps it open."""
_PATIENCE: Final = 60.0
"""Seconds in which a transaction is tried again: a broker that restarts takes 15."""
_PAUSE: Final = 0.2
_RAISED: Final = (KafkaException, SystemError)
"""What calls of a producer raise that was fenced meanwhile: its fatal error, or, if a delivery was
reported after that in the same call, Python's complaint of a result with an exception set."""


class ReplayJournal:
    """Records what a replay did. Owned by one thread; for the length of a `with` block.

    Args:
        kafka: Where Kafka is.
        group: The replay's consumer group, whose commits every Kafka tool can show. It is the
            transactional id, too.
        name: The replay's name, for errors.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: Kafka refused.
    """

    def __init__(self, kafka: KafkaSettings, group: str, name: str) -> None:
        self._kafka = kafka
        self._group = group
        self._name = name
        self._refused: list[KafkaError] = []
        self._producer: Producer = make_transactional_producer(
            kafka, load(ProducerSettings), group, **_UNHURRIED
        )
        # Belongs to no member: nobody else reads this group, and the fence is the transaction's.
        with closing(make_consumer(kafka, group)) as consumer:
            self._metadata: Any = consumer.consumer_group_metadata()

    def __enter__(self) -> Self:
        self._patiently("opening the journal", lambda: self._producer.init_transactions(_STEP))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(*_RAISED):  # whatever is left of it, the next one ends it
            self._producer.purge()
            self._producer.flush(1)

    def record(self, records: Iterable[CompactedRecord], positions: Mapping[Place, int]) -> None:
        """Store records and the group's commit, all or nothing; stored on return.

        Args:
            records: What to write.
            positions: The next offset of each partition of the dead letters.

        Raises:
            TakenOverError: Another process has opened this journal since.
            KafkaUnavailableError: Kafka gave no answer in time: it may be stored or not, and
                whoever opens the journal next learns which.
            TopicError: Kafka refused.
        """
        wanted = list(records)
        offsets = [TopicPartition(*place, offset) for place, offset in positions.items()]
        self._patiently("recording", lambda: self._transaction(wanted, offsets))

    def _transaction(
        self, records: Iterable[CompactedRecord], offsets: list[TopicPartition]
    ) -> None:
        producer = self._producer
        self._refused.clear()
        producer.begin_transaction()
        for record in records:
            producer.produce(record.topic, record.value, record.key, on_delivery=self._answered)
        if offsets:
            producer.send_offsets_to_transaction(offsets, self._metadata, _STEP)
        producer.flush(_STEP)
        if self._refused:
            raise KafkaException(self._refused[0])
        self._commit()

    def _commit(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._producer.commit_transaction(_STEP)
            except KafkaException as error:
                # Sent and not answered: the same call learns how it ended.
                if not kafka_error(error).retriable() or time.monotonic() > deadline:
                    raise
            else:
                return

    def _patiently(self, doing: str, act: Any) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                act()
            except SystemError as error:
                raise self._taken_over("fenced") from error
            except KafkaException as error:
                cause = kafka_error(error)
                self._give_up_if(doing, cause, error, late=time.monotonic() > deadline)
                self._abort(cause)
                time.sleep(_PAUSE)
            else:
                return

    def _give_up_if(
        self, doing: str, cause: KafkaError, error: KafkaException, *, late: bool
    ) -> None:
        if cause.fatal() or cause.code() in _FENCED:
            raise self._taken_over(cause.str()) from error
        if late or not (cause.retriable() or cause.txn_requires_abort()):
            raise explain(f"{doing} of replay {self._name!r}", cause, self._kafka) from error

    def _taken_over(self, reason: str) -> TakenOverError:
        return TakenOverError(
            f"replay {self._name!r} goes on in another process, or this one slept for too long "
            f"({reason}): look with `headrace dlq replay status {self._name}`, and go on with "
            f"`headrace dlq replay --resume {self._name}` if nobody else does"
        )

    def _abort(self, cause: KafkaError) -> None:
        if cause.txn_requires_abort():
            self._producer.abort_transaction(_STEP)

    def _answered(self, error: KafkaError | None, message: object) -> None:
        if error is not None and error.code() != KafkaError._PURGE_QUEUE:  # noqa: SLF001
            self._refused.append(error)


_FENCED: Final = frozenset(
    {
        KafkaError._FENCED,  # noqa: SLF001 - librdkafka's own code
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
    }
)
