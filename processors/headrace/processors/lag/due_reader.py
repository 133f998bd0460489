"""Follows the delay tiers, and keeps count of what waits in them.

Nothing of it is stored: a restart begins at the scheduler's commit points, above which all that
waits still lies in the tiers, and reads some 100,000 records a second.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.consumers.records import header_list
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.kafka_faults import explain
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.pipeline.topology import TIERS
from headrace.processors.lag.due_counts import WIDTHS, DueCounts
from headrace.processors.snapshot import CommitPoint, LogSpan, Snapshot
from headrace.schemas import headers

_BATCH: Final = 2_000
_POLL_SECONDS: Final = 0.2
_SETTINGS: Final = MappingProxyType(
    {"queued.min.messages": 5_000, "fetch.message.max.bytes": 262_144}
)


class DueReader:
    """Counts what waits in the tiers, again and again. One thread owns it.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
        widths: Seconds of a slot of due times, by tier; a second in all others.
    """

    def __init__(
        self, pipeline: Pipeline, kafka: KafkaSettings, widths: Mapping[str, int] = WIDTHS
    ) -> None:
        self._widths = widths
        topology = pipeline.topology
        self._kafka = kafka
        self._tiers = {topology.tier(tier): tier.name for tier in TIERS}
        self._lanes = [lane.topic for lane in topology.lanes()]
        self.counts = DueCounts(self._lanes, self._widths)
        self._reached: dict[Place, int] = {}
        self._consumer: Consumer | None = None

    def follow(self, snapshot: Snapshot, patience: timedelta) -> bool:
        """Read up to the ends of a snapshot, and take off what its commit points say is finished.

        A job that hops, or is released, between the reading of the commit points and that of the
        ends counts twice until the next call; none is ever left out.

        Args:
            snapshot: With the tiers in it. A tier without offsets of the scheduler is left out.
            patience: How long it may take.

        Returns:
            Whether the counts are complete; else call again, and it goes on.

        Raises:
            RightsError: A tier may not be read.
            TopicError: Kafka refused for another reason.
        """
        spans = {
            span.place: span for span in snapshot.of((Role.TIER,)) if span.place in snapshot.commits
        }
        try:
            self._keep(spans, snapshot)
            return self._read(spans, time.monotonic() + patience.total_seconds())
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Let go of Kafka, and of what was counted."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(KafkaException):
                consumer.close()
        self.counts = DueCounts(self._lanes, self._widths)
        self._reached = {}

    def _keep(self, spans: dict[Place, LogSpan], snapshot: Snapshot) -> None:
        """Settle what is counted; begin partitions that are new, or were reset or made anew."""
        fresh = False
        for place in self.counts.places - spans.keys():
            self.counts.forget(place)
            del self._reached[place]
            fresh = True
        for place, span in spans.items():
            commit = snapshot.commits[place]
            point = CommitPoint(max(commit.offset, span.start), commit.finished)
            known = place in self._reached and self._reached[place] <= span.end
            if not known or not self.counts.settle(place, point):
                self.counts.begin(place, self._tiers[place[0]])
                self.counts.settle(place, point)
                self._reached[place] = point.offset
                fresh = True
        if fresh:
            self._assign()

    def _assign(self) -> None:
        if self._consumer is None:
            self._consumer = make_reader(self._kafka, **_SETTINGS)
            # To assign a partition whose broker is not known yet costs half a second.
            with suppress(KafkaException):
                self._consumer.list_topics(timeout=_POLL_SECONDS * 10)
        self._consumer.assign([TopicPartition(*at, offset) for at, offset in self._reached.items()])

    def _read(self, spans: dict[Place, LogSpan], deadline: float) -> bool:
        while any(self._reached[place] < span.end for place, span in spans.items()):
            if self._consumer is None or time.monotonic() > deadline:
                return False
            first = self._consumer.poll(_POLL_SECONDS)
            if first is not None:
                for message in (first, *self._consumer.consume(_BATCH, 0)):
                    self._take(message)
        return True

    def _take(self, message: Message) -> None:
        place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                raise explain(f"reading {place[0]}", error, self._kafka, right="READ")
            self._reached[place] = max(self._reached[place], offset)
            return
        lane, due = read_wait(message)
        self.counts.add(place, offset, lane, due)
        self._reached[place] = offset + 1


def read_wait(message: Message) -> tuple[str | None, int]:
    """Tell which lane a record of a tier goes to, and when (epoch ms).

    One that is no job goes nowhere: the scheduler makes a dead letter of it, at once.
    """
    appended = message.timestamp()[1]
    found = dict(header_list(message))
    lane, due = found.get(headers.LANE), found.get(headers.DUE)
    if not (found.get(headers.ID) and found.get(headers.TYPE) and lane):
        return None, appended
    try:
        return lane.decode(), int(due) if due else appended
    except ValueError:
        return None, appended
