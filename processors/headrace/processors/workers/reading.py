"""Reading the heartbeats, again and again over the same connections."""

import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, NamedTuple, Self

from confluent_kafka import Message

from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.errors import TopicError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.published_decoder import PublishedDecoder
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import GONE_KEPT, Role
from headrace.processors.reader import TopicReader
from headrace.processors.snapshot import Cluster, LogSpan, roles_of
from headrace.processors.workers.view import SeenProcess, WorkerView, standing_of
from headrace.schemas.errors import UndecodableError, UnknownSchemaError
from headrace.schemas.heartbeats import Heartbeat, decode_heartbeat

_LOG = logging.getLogger("headrace.workers")
_SERVED: Final = (Role.LANE, Role.TIER)


class _Last(NamedTuple):
    """The last heartbeat of a process, and when Kafka got it; None when it cannot be read."""

    beat: Heartbeat | None
    seen: int


class WorkerReader(AbstractContextManager["WorkerReader"]):
    """Reads who works. The first reading takes the whole topic, further ones what came since.

    Whoever counts as gone is judged by this machine's clock against the broker's: they should be
    set alike, to some seconds. One thread owns it.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._pipeline = pipeline
        self._topic = pipeline.topology.workers
        self._lanes = tuple(lane.topic for lane in pipeline.topology.lanes())
        self._cluster = Cluster(kafka)
        self._reader = TopicReader(kafka)
        self._decoder = PublishedDecoder(kafka, pipeline.topology, decode_heartbeat)
        self._last: dict[str, _Last] = {}
        self._read_to: dict[int, int] = {}
        self._partitions: Mapping[str, int] = {}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        """Close the connections."""
        self._reader.__exit__(None, None, None)

    def read(self) -> WorkerView:
        """Learn who works now.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time.
            TopicError: The workers topic does not exist, or may not be read.
        """
        topics = (*roles_of(self._pipeline.topology, _SERVED), self._topic)
        found = self._cluster.descriptions(topics)
        counts = {topic: len(description.partitions) for topic, description in found.items()}
        own = counts.pop(self._topic, None)
        if own is None:
            raise TopicError(
                f"{self._topic} does not exist, so nothing tells who works: run `headrace topics "
                "apply`"
            )
        self._partitions = counts
        for message in self._reader.read(self._news(own)):
            self._take(message)
        return self.view(time.time_ns() // 1_000_000)

    def view(self, at: int) -> WorkerView:
        """Judge what was read before by another moment (epoch ms), without asking Kafka."""
        kept = at - to_milliseconds(GONE_KEPT)
        recent = {name: last for name, last in self._last.items() if last.seen >= kept}
        known = [(last.beat, last.seen) for last in recent.values() if last.beat is not None]
        seen = (SeenProcess(beat, when, standing_of(beat, when, at)) for beat, when in known)
        return WorkerView(
            self._pipeline.name,
            at,
            tuple(sorted(seen, key=lambda each: (each.beat.role, each.beat.started))),
            self._partitions,
            tuple(lane for lane in self._lanes if lane in self._partitions),
            tuple(name for name, last in recent.items() if last.beat is None),
        )

    def _news(self, partitions: int) -> list[LogSpan]:
        spans = self._cluster.spans(self._topic, partitions)
        return [span.from_offset(self._read_from(span)) for span in spans]

    def _read_from(self, span: LogSpan) -> int:
        read_to = self._read_to.get(span.partition, 0)
        return read_to if read_to <= span.end else 0  # else the topic was made anew

    def _take(self, message: Message) -> None:
        key, value, seen = message.key(), message.value(), message.timestamp()[1]
        self._read_to[message.partition() or 0] = (message.offset() or 0) + 1
        if key is None:
            return  # a foreign record: without a key it is nobody's
        name = key.decode(errors="replace")
        if value is None:
            self._last.pop(name, None)
            return
        self._last[name] = _Last(self._decoded(name, value), seen)

    def _decoded(self, name: str, value: bytes) -> Heartbeat | None:
        try:
            return self._decoder.decode(value)
        except (UndecodableError, UnknownSchemaError) as error:
            before = self._last.get(name)
            if before is None or before.beat is not None:  # once, not every few seconds
                _LOG.warning("a heartbeat of %s cannot be read: %s", name, error)
            return None
