"""Counting submissions: a thread that reads the headers of lanes and delay tiers.

One record for each job is more than Faust can take, so this reads with librdkafka. It holds
nothing but the last hour in memory and counts it anew whenever it starts: what it says depends on
nothing but the topics.
"""

import threading
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.consumers.clock import now_ms
from headrace.consumers.records import header_list
from headrace.consumers.seldom import Seldom
from headrace.pipeline.errors import SettingsError
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import TIERS, Topology
from headrace.processors.statistics.figures import Cell, Figures
from headrace.processors.statistics.rows import COARSE, FINE, Rows
from headrace.schemas import headers

_LOG = structlog.get_logger("headrace.statistics")
_BATCH: Final = 5_000
_POLL: Final = 0.2
_ANSWER: Final = 10.0
_PAUSE: Final = 1.0
_GROWTH: Final = 30.0
"""Seconds between looks for new partitions."""
_SMALL: Final[dict[str, Any]] = {
    "queued.max.messages.kbytes": 2_048,
    "fetch.message.max.bytes": 262_144,
    "fetch.wait.max.ms": 500,
}
Place = tuple[str, int]
_Found = dict[tuple[Cell, int], Figures]


class Submissions:
    """The submissions of some lanes in the last hour.

    Args:
        kafka: Where Kafka is.
        topology: Of the pipeline.
        lanes: Topics of the lanes to count, each with the partition of the events topic that
            its transitions come to.
        tenants: Those that are counted by themselves.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topology: Topology,
        lanes: Mapping[str, int],
        tenants: Collection[str],
    ) -> None:
        self.lanes = lanes
        self.lock = threading.Lock()
        """Held while `rows` changes or is looked at."""
        self.rows: dict[int, Rows] = {}
        """By the partition that `lanes` tells."""
        self._kafka = kafka
        self._topics = [*sorted(self.lanes), *(topology.tier(tier) for tier in TIERS)]
        self._tenants = {tenant.encode() for tenant in tenants}
        self._stop = threading.Event()
        self._behind: set[Place] = set()
        self._assigned: set[Place] = set()
        self._turns = 0
        self._caught_up = False
        self._troubles = Seldom(_LOG)
        self._thread = threading.Thread(target=self._main, name="headrace-lanes", daemon=True)

    @property
    def caught_up(self) -> bool:
        """Whether the last hour is counted whole."""
        return self._caught_up or not self.lanes

    def start(self) -> None:
        """Begin to count."""
        if self.lanes:
            self._thread.start()

    def stop(self) -> None:
        """End within a second or so; what was counted is forgotten."""
        self._stop.set()

    def _main(self) -> None:
        while not self._stop.is_set():
            try:
                with closing(make_reader(self._kafka, **_SMALL)) as consumer:
                    self._follow(consumer)
            except KafkaException as error:
                why = explain("reading the lanes", kafka_error(error), self._kafka)
                self._tell(str(why))
            except SettingsError as error:  # the embedded broker is down at the moment
                self._tell(str(error))
            self._stop.wait(_PAUSE)

    def _tell(self, reason: str) -> None:
        self._caught_up = False
        if not self._stop.is_set():
            self._troubles.warn("submissions cannot be counted now", reason=reason)

    def _follow(self, consumer: Consumer) -> None:
        with self.lock:
            self.rows = {partition: Rows() for partition in self.lanes.values()}
        self._assigned, self._behind, look_at = set(), set(), 0.0
        while not self._stop.is_set():
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + _GROWTH
                self._assign(consumer)
            first = consumer.poll(_POLL)
            if first is not None:
                self._take([first, *consumer.consume(_BATCH, 0)])
            self._caught_up = not self._behind

    def _assign(self, consumer: Consumer) -> None:
        """Begin an hour ago in each partition that is not read yet."""
        found = consumer.list_topics(timeout=_ANSWER).topics
        new = [
            (topic, partition)
            for topic in self._topics
            if topic in found
            for partition in found[topic].partitions
            if (topic, partition) not in self._assigned
        ]
        if not new:
            return
        since = now_ms() - COARSE.reach
        asked = [TopicPartition(*place, since) for place in new]
        self._assigned.update(new)
        self._behind.update(new)
        consumer.incremental_assign(consumer.offsets_for_times(asked, timeout=_ANSWER))

    def _take(self, messages: Iterable[Message]) -> None:
        found: dict[int, _Found] = {partition: {} for partition in self.rows}
        for message in messages:
            error = message.error()
            if error is None:
                self._count(message, found)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                self._behind.discard((message.topic() or "", message.partition() or 0))
            else:
                raise KafkaException(error)
        self._turns += 1
        with self.lock:
            for partition, rows in self.rows.items():
                rows.add(self._turns, found[partition])
                rows.changed.clear()

    def forget(self, now: int) -> None:
        """Drop what is past its time (epoch ms)."""
        with self.lock:
            for rows in self.rows.values():
                rows.forget(now)

    def _count(self, message: Message, found: dict[int, _Found]) -> None:
        said = dict(header_list(message))
        if said.get(headers.STEP) not in _FIRST or headers.GENERATION in said:
            return
        topic = message.topic() or ""
        lane = topic if topic in self.lanes else _text(said.get(headers.LANE))
        if lane not in self.lanes:
            return
        tenant = said.get(headers.TENANT)
        known = _text(tenant) if tenant in self._tenants else ""
        cell = Cell(lane, _text(said.get(headers.TYPE)), known)
        bucket = (cell, FINE.start(message.timestamp()[1]))
        figures = found[self.lanes[lane]].setdefault(bucket, Figures())
        figures.count("submitted")


_FIRST: Final = (b"0", None)
"""The step of a record that a producer wrote; others than ours need not say it."""


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
