"""The current states of some jobs by their ids, and following them to their ends."""

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from datetime import timedelta
from typing import Final

from confluent_kafka import KafkaError, Message, TopicPartition

from headrace.pipeline.kafka import make_reader
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.batches import BatchReader
from headrace.processors.job_history import require
from headrace.processors.job_search import created_in
from headrace.processors.job_view import JobSummary, summary_of
from headrace.processors.reader import Progress, TopicReader
from headrace.processors.sightings import Sighting, as_bytes, job_id_of, sight
from headrace.processors.snapshot import CLOCK_MARGIN, Cluster, LogSpan, Snapshot
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition

_FEW: Final = 20
"""Ids up to which looking for them in a record's bytes is quicker than to decode it."""
_POLL: Final = 0.05


class JobStates:
    """What is known of some jobs. One thread owns it; errors as of `JobHistory`.

    Args:
        pipeline: The declaration; handlers are not needed.
        kafka: Where Kafka is.
        ids: The jobs.
        progress: Told how far the reading is.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        kafka: KafkaSettings,
        ids: Iterable[str],
        progress: Progress | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._ids = frozenset(ids)
        self._marks = [job_id.encode() for job_id in self._ids] if len(self._ids) <= _FEW else []
        self._progress = progress
        self._known: dict[str, Transition | Sighting] = {}
        self._ends: list[LogSpan] = []
        self._batches = BatchReader(kafka, pipeline.topology)

    def __getitem__(self, job_id: str) -> JobSummary | None:
        found = self._known.get(job_id)
        return None if found is None else summary_of(found, self._pipeline.topology)

    def is_over(self, job_id: str) -> bool:
        """Whether the job has ended, for all that is known."""
        summary = self[job_id]
        return summary is not None and JobState(summary.state).is_final

    def read(self) -> None:
        """Learn the states of now: from transitions, and from records that nobody has finished."""
        cluster = Cluster(self._kafka)
        snapshot = cluster.snapshot(self._pipeline)
        require(snapshot, self._pipeline.topology.events)
        self._ends = snapshot.of([Role.EVENTS])
        since = _oldest(self._ids)
        with TopicReader(self._kafka, self._progress) as reader:
            events = [span for span in self._ends if span.start < span.end]
            for message in reader.read(events if since is None else cluster.since(events, since)):
                self._take_transitions(message)
            for message in reader.read(snapshot.unfinished([Role.LANE, Role.TIER])):
                self._take_record(message, snapshot)
            if any(job_id not in self._known for job_id in self._ids):
                for message in reader.read(snapshot.of([Role.DEAD_LETTERS])):
                    self._take_record(message, snapshot)

    def follow(self, wait: timedelta, done: Callable[[], bool]) -> None:
        """Read on from where `read` ended, until `done` or the time is over."""
        deadline = time.monotonic() + wait.total_seconds()
        with closing(make_reader(self._kafka)) as reader:
            reader.assign([TopicPartition(each.topic, each.partition, each.end)
                           for each in self._ends])  # fmt: skip
            while not done() and time.monotonic() < deadline:
                first = reader.poll(_POLL)
                for message in () if first is None else (first, *reader.consume(1_000, 0)):
                    error: KafkaError | None = message.error()
                    if error is None:
                        self._take_transitions(message)

    def _take_transitions(self, message: Message) -> None:
        value = as_bytes(message.value()) or b""
        if self._marks and not any(mark in value for mark in self._marks):
            return
        for each in self._batches.read(message):
            if each.job_id in self._ids:
                self._merge(each.job_id, each)

    def _take_record(self, message: Message, snapshot: Snapshot) -> None:
        topic, place = message.topic() or "", (message.partition() or 0, message.offset() or 0)
        if job_id_of(message) in self._ids and not snapshot.is_done(topic, *place):
            sighting = sight(message, snapshot.roles[topic])
            self._merge(sighting.job.job_id, sighting)

    def _merge(self, job_id: str, found: Transition | Sighting) -> None:
        before = self._known.get(job_id)
        if before is None or before.order < found.order:
            self._known[job_id] = found


def _oldest(ids: Collection[str]) -> int | None:
    """When the oldest of the jobs was made, less what clocks may differ; None: cannot be told."""
    made = [created_in(job_id) for job_id in ids]
    known = [each for each in made if each is not None]
    return min(known) - CLOCK_MARGIN if known and len(known) == len(made) else None
