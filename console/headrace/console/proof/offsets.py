"""What groups have committed, asked from outside without joining them, and how far they have to go."""

import time
from collections.abc import Iterable, Mapping
from typing import Final

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition

from headrace.console.proof.lookers import Lookers
from headrace.console.proof.records import Committed, Place
from headrace.pipeline.kafka import make_admin
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics.api import LATEST
from headrace.pipeline.topology import TIERS

_ANSWER: Final = 5.0
_PATIENCE: Final = 30.0
"""Seconds that a snapshot waits for a broker that is just coming back."""


class Offsets:
    """The offsets of a run's lanes and tiers. Thread-safe.

    Args:
        kafka: Where they are.
        pipeline: Of the run.
    """

    def __init__(self, kafka: KafkaSettings, pipeline: Pipeline) -> None:
        self._kafka = kafka
        self._admin = make_admin(kafka)
        self._lookers = Lookers(kafka, _ANSWER)
        topology = pipeline.topology
        self._lanes = tuple(lane.topic for lane in topology.lanes())
        self._scheduler = topology.scheduler_group
        self._tiers = tuple(topology.tier(tier) for tier in TIERS)
        self._topics = {lane: (lane,) for lane in self._lanes} | {self._scheduler: self._tiers}

    def close(self) -> None:
        """Let go of all connections, while there is a broker.

        A consumer that is left to the interpreter's end may spin for ever in librdkafka's close
        when its broker is gone.
        """
        self._lookers.close()

    def snapshot(self) -> dict[Place, Committed]:
        """What the lanes' groups have committed, metadata included, transactions under way not.

        Raises:
            KafkaException: Kafka does not answer for half a minute.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._committed(self._lanes)
            except KafkaException:
                # After the broker's death a client may wait for ever for a group's coordinator.
                self._lookers.forget()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def remaining(self) -> dict[Place, int]:
        """How many records each lane's and tier's partition has that are not committed.

        Raises:
            KafkaException: Kafka does not answer.
        """
        try:
            committed = self._committed((*self._lanes, self._scheduler))
            ends = self._ends()
        except KafkaException:
            self._lookers.forget()
            self._admin = make_admin(self._kafka)
            raise
        return {
            place: end - max(committed[place].offset if place in committed else 0, 0)
            for place, end in ends.items()
        }

    def _committed(self, groups: Iterable[str]) -> dict[Place, Committed]:
        found: dict[Place, Committed] = {}
        for group in groups:
            found |= self._lookers.committed(group, self._topics[group])
        return found

    def _ends(self) -> Mapping[Place, int]:
        topics = self._admin.list_topics(timeout=_ANSWER).topics
        wanted = {
            TopicPartition(name, number): LATEST
            for name in (*self._lanes, *self._tiers)
            for number in topics[name].partitions
        }
        answers = self._admin.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=_ANSWER
        )
        return {
            (place.topic, place.partition): answer.result().offset
            for place, answer in answers.items()
        }
