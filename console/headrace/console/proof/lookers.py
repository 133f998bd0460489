"""What groups have committed on whole topics, asked time and again. Thread-safe."""

import threading
from collections.abc import Iterable

from headrace.console.proof.records import Committed, Place
from headrace.pipeline.group_offsets import GroupOffsets
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.settings import KafkaSettings


class Lookers:
    """Asks for the partitions of topics, and then for their offsets.

    Args:
        kafka: Where the groups are.
        timeout: Seconds that an answer may take.
    """

    def __init__(self, kafka: KafkaSettings, timeout: float) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._topics = make_reader(kafka)
        self._offsets = GroupOffsets(kafka, timeout)

    def committed(self, group: str, topics: Iterable[str]) -> dict[Place, Committed]:
        """What a group has committed on these topics, metadata included; open transactions not.

        Raises:
            KafkaException: Kafka does not answer.
        """
        with self._lock:
            known = self._topics.list_topics(timeout=self._timeout).topics
            places = [(name, number) for name in topics for number in known[name].partitions]
            found = self._offsets.committed(group, places)
        return {place: Committed(*commit) for place, commit in found.items()}

    def forget(self) -> None:
        """Let go of connections after a failure, so that the next ones find Kafka anew."""
        with self._lock:
            self._offsets.close()

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._offsets.close()
            self._topics.close()
