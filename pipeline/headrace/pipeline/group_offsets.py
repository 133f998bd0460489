"""What groups have committed, asked through consumers that never join.

Not through an `AdminClient`: its `list_consumer_group_offsets` ends the process with a null pointer
when the group's coordinator has just moved (https://github.com/confluentinc/librdkafka/issues/5040).
"""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from headrace.pipeline.kafka import make_consumer
from headrace.pipeline.settings import KafkaSettings

Place = tuple[str, int]
"""A topic and a partition."""
_AT_ONCE: Final = 8
"""Groups that are asked side by side."""
_KEPT: Final = 16
"""Groups whose consumers are kept for the next question; each costs 3 MB and some threads."""


class Committed(NamedTuple):
    """What a group had committed for one partition."""

    offset: int
    """-1 when nothing was."""
    metadata: str = ""


class GroupOffsets:
    """One consumer for each group that was asked for. A group must be asked by one thread at a time.

    Args:
        kafka: Where the groups are.
        timeout: Seconds that an answer may take.
    """

    def __init__(self, kafka: KafkaSettings, timeout: float) -> None:
        self._kafka = kafka
        self._timeout = timeout
        self._consumers: dict[str, Consumer] = {}

    def committed(self, group: str, places: Collection[Place]) -> dict[Place, Committed]:
        """Tell what a group has committed, without what open transactions will commit.

        A partition without a committed offset is left out, and so are all of a group that does
        not exist.

        Raises:
            KafkaException: Kafka does not answer in time, or refuses.
        """
        if not places:
            return {}
        if group not in self._consumers:
            self._consumers[group] = make_consumer(self._kafka, group)
        asked = [TopicPartition(*place) for place in places]
        found = self._consumers[group].committed(asked, timeout=self._timeout)
        return dict(_read(each) for each in found if each.offset >= 0 or each.error is not None)

    def of_all(
        self, wanted: Mapping[str, Collection[Place]]
    ) -> dict[str, dict[Place, Committed] | KafkaException]:
        """Ask several groups, a few at a time.

        Of very many groups no consumers are kept: memory stays bounded.

        Returns:
            For each group what `committed` returns, or the error that it raises.
        """
        ask = partial(self._answer, keep=len(wanted) <= _KEPT)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="headrace-offsets") as pool:
            answers = pool.map(ask, wanted, wanted.values())
            return dict(zip(wanted, answers, strict=True))

    def _answer(
        self, group: str, places: Collection[Place], *, keep: bool
    ) -> dict[Place, Committed] | KafkaException:
        try:
            return self.committed(group, places)
        except KafkaException as error:
            return error
        finally:
            if not keep and group in self._consumers:
                _close(self._consumers.pop(group))

    def close(self) -> None:
        """Let go of all consumers; after a failure, so that the next ones find Kafka anew."""
        consumers, self._consumers = self._consumers, {}
        for consumer in consumers.values():
            _close(consumer)


def _close(consumer: Consumer) -> None:
    with suppress(KafkaException):
        consumer.close()


def _read(found: TopicPartition) -> tuple[Place, Committed]:
    if found.error is not None:
        raise KafkaException(found.error)
    return (found.topic, found.partition), Committed(found.offset, found.metadata or "")
