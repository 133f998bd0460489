"""The stream that the store is made from: transitions, and records of lanes, tiers and dead letters."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.pipeline.group_offsets import Place
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.batches import BatchReader
from headrace.processors.errors import NotFoundError
from headrace.processors.sightings import sight
from headrace.processors.snapshot import Cluster, Snapshot
from headrace.processors.store.rows import Evidence, rows_of, unfit
from headrace.processors.store.writing import Batch, Gap

_LOG = structlog.get_logger("headrace.projector")
_POLL: Final = 0.05
"""Seconds that a read waits for more: the store is at most so much behind when little happens."""
_AT_ONCE: Final = 500
"""Records taken at a time; one of transitions may hold 500 of them."""
READ: Final = (Role.EVENTS, Role.LANE, Role.TIER, Role.DEAD_LETTERS)
"""What tells of jobs."""
_LOOK: Final = 30.0
"""Seconds between looks for new partitions and topics."""


class Stream:
    """Reads everything that tells of a pipeline's jobs, from given positions on. One thread owns it.

    Args:
        pipeline: The declaration; handlers are not needed.
        kafka: Where Kafka is.
        positions: The next offset of each partition that was read before.

    Raises:
        KafkaUnavailableError: Kafka does not answer.
        NotFoundError: The pipeline's topics were not made yet.
    """

    def __init__(
        self, pipeline: Pipeline, kafka: KafkaSettings, positions: Mapping[Place, int]
    ) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._cluster = Cluster(kafka)
        self._roles: Mapping[str, Role] = {}
        self._gaps: list[Gap] = []
        self._batches = BatchReader(kafka, pipeline.topology, self._note_gap)
        self._next_look = 0.0
        self._assigned: dict[Place, int] = {}
        self._begins: dict[Place, int] = {}
        self._unwritten: dict[Place, int] = {}
        """Where partitions begin that were never read: what is deleted of them later is missed."""
        self._consumer: Consumer = make_reader(kafka, **{"queued.max.messages.kbytes": 16_384})
        try:
            self._assign(positions)
        except BaseException:
            self._consumer.close()
            raise

    def close(self) -> None:
        """Let go of Kafka."""
        self._consumer.close()

    def begins(self) -> Mapping[Place, int]:
        """Where the reading began."""
        return dict(self._begins)

    def ends(self) -> Mapping[Place, int]:
        """Where the partitions end just now. Errors as of `Cluster.snapshot`."""
        return {place: span.end for place, span in self._snapshot().spans.items()}

    def read(self, most: int) -> Batch:
        """Read for a moment, or until there are so many rows.

        Raises:
            KafkaUnavailableError: Kafka does not answer any more.
            TopicError: Kafka refused.
        """
        self._look_for_more()
        batch = Batch(positions=self._unwritten)
        self._unwritten = {}
        while batch.rows < most:
            messages = self._consumer.consume(_AT_ONCE, _POLL)
            for message in messages:
                self._take(message, batch)
            if len(messages) < _AT_ONCE:
                break
        batch.gaps, self._gaps = self._gaps, []
        return batch

    def _note_gap(self, where: str, reason: str) -> None:
        self._gaps.append(Gap(where.partition("/")[0], reason, 1, where, where))

    def _take(self, message: Message, batch: Batch) -> None:
        place = (message.topic() or "", message.partition() or 0)
        error = message.error()
        if error is not None:
            self._take_event(place, error, batch, message.offset())
            return
        for each in self._evidence(message, self._roles[place[0]]):
            problem = unfit(each)
            if problem is None:
                batch.add(rows_of(each, self._pipeline.topology))
            else:
                self._note_gap(f"{place[0]}/{place[1]}/{message.offset()}", problem)
        batch.positions[place] = (message.offset() or 0) + 1

    def _evidence(self, message: Message, role: Role) -> Sequence[Evidence]:
        return self._batches.read(message) if role is Role.EVENTS else (sight(message, role),)

    def _take_event(
        self, place: Place, error: KafkaError, batch: Batch, offset: int | None
    ) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            if offset is not None and offset > self._assigned.get(place, 0):
                # Markers of transactions lie before it: there is nothing to read up to here.
                self._assigned[place] = batch.positions[place] = offset
            return
        if error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):  # noqa: SLF001
            return  # the client connects again by itself
        raise explain(f"reading {place[0] or 'jobs'}", error, self._kafka)

    # -- what is read ------------------------------------------------------------------------------

    def _snapshot(self) -> Snapshot:
        return self._cluster.snapshot(self._pipeline, READ)

    def _assign(self, positions: Mapping[Place, int]) -> None:
        snapshot = self._snapshot()
        if not snapshot.spans:
            raise NotFoundError(
                f"pipeline {self._pipeline.name!r} has no topics: make them with "
                "`headrace topics apply`"
            )
        self._roles = snapshot.roles
        for place, span in snapshot.spans.items():
            at = positions.get(place)
            self._assigned[place] = _begin(place, at, span.start, span.end)
            if at is None:
                self._unwritten[place] = span.start
        self._begins = dict(self._assigned)
        self._start(self._assigned.items())
        self._next_look = time.monotonic() + _LOOK

    def _start(self, begins: Iterable[tuple[Place, int]]) -> None:
        places = [TopicPartition(*place, offset) for place, offset in begins]
        try:
            # Asked for first: to assign a partition whose broker is not known costs half a second.
            self._consumer.list_topics(timeout=15)
            self._consumer.incremental_assign(places)
        except KafkaException as error:
            raise explain("reading jobs", kafka_error(error), self._kafka) from error

    def _look_for_more(self) -> None:
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK
        spans = self._snapshot().spans
        added = {place: span.start for place, span in spans.items() if place not in self._assigned}
        if added:
            self._assigned |= added
            self._unwritten |= added
            self._start(added.items())


def _begin(place: Place, at: int | None, start: int, end: int) -> int:
    """Where to begin, and say so when it is not where the last one ended."""
    where = f"{place[0]}/{place[1]}"
    if at is None:
        return start
    if at > end:
        _LOG.warning(
            "a partition ends before the place up to which it was read: its topic was made anew, "
            "so it is read from its beginning",
            partition=where,
            read_up_to=at,
            end=end,
        )
        return start
    if at < start:
        _LOG.warning(
            "records were deleted before they were read: raise the topic's retention, or keep the "
            "projector running",
            partition=where,
            offsets=start - at,
        )
    return max(at, start)
