"""Kafka's clients without Kafka: they answer at once, and cost next to nothing."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import OFFSET_INVALID, Message, TopicPartition

_ANSWER: Any = Message(topic="any", partition=0, offset=0)


class QuickProducer:
    """Acknowledges what it is given; keeps it if it is asked to."""

    def __init__(self, kept: list[dict[str, Any]] | None = None) -> None:
        self._kept = kept

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        headers: Any = None,
        on_delivery: Callable[[Any, Message], None] | None = None,
    ) -> None:
        """Take a record."""
        if self._kept is not None:
            self._kept.append({"topic": topic, "value": value, "key": key, "headers": headers})
        if on_delivery is not None:
            on_delivery(None, _ANSWER)

    def poll(self, timeout: float) -> int:
        """Nothing is left to be told; a thread that waits for it must not take time from others."""
        if timeout > 0:
            time.sleep(timeout)
        return 0

    def flush(self, timeout: float = -1) -> int:
        """Nothing is left to be sent."""
        return 0


class QuickConsumer:
    """Owns one partition, gives the records that it was made with, and commits at once.

    Args:
        topic: Of the partition 0 that it is assigned.
        records: As `QuickProducer` kept them.
        batch: Records that one poll gives at most. None comes before it is in `upto`.
        on_commit: Told in the next poll.
    """

    def __init__(
        self,
        topic: str,
        records: Sequence[dict[str, Any]],
        batch: int,
        on_commit: Callable[[Any, list[TopicPartition]], None],
    ) -> None:
        self._place = TopicPartition(topic, 0)
        self._messages = deque(
            Message(partition=0, offset=offset, timestamp=(1, 1_700_000_000_000), **record)
            for offset, record in enumerate(records)
        )
        self._batch = batch
        self.upto = 0
        """The offset before which records may come."""
        self._on_commit = on_commit
        self._on_assign: Callable[..., None] | None = None
        self._answers: deque[list[TopicPartition]] = deque()

    def subscribe(self, topics: list[str], *, on_assign: Callable[..., None], **_: Any) -> None:
        """Assign in the next poll."""
        self._on_assign = on_assign

    def poll(self, timeout: float) -> Message | None:
        """Give what is due: the assignment, answers to commits, one record."""
        if self._on_assign is not None:
            tell, self._on_assign = self._on_assign, None
            tell(self, [self._place])
            return None
        while self._answers:
            self._on_commit(None, self._answers.popleft())
        return self._messages.popleft() if self._due() else None

    def _due(self) -> int:
        """Count the records that may come."""
        if not self._messages:
            return 0
        return max(0, self.upto - (self._messages[0].offset() or 0))

    def consume(self, most: int, timeout: float) -> list[Message]:
        """Give more records."""
        some = min(most, self._batch - 1, self._due())
        return [self._messages.popleft() for _ in range(some)]

    def commit(self, *, offsets: list[TopicPartition], **_: Any) -> None:
        """Answer in the next poll."""
        self._answers.append(offsets)

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Nothing was committed ever."""
        return [TopicPartition(each.topic, each.partition, OFFSET_INVALID) for each in places]

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        """All records are there already."""
        return 0, len(self._messages)

    def consumer_group_metadata(self) -> object:
        """Nobody looks into it."""
        return self

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        """Nothing to do."""

    def pause(self, places: list[TopicPartition]) -> None:
        """Nothing to do."""

    resume = pause
