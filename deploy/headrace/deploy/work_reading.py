"""What there is to do over all lanes, and who is busy: cheap enough to be asked every second."""

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from confluent_kafka import KafkaException

from headrace.deploy.scaling.local import Work
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.snapshot import Cluster, Snapshot
from headrace.processors.workers import WorkerReader, WorkerView


class Seen(NamedTuple):
    """What there is to do, and how many jobs each process of this machine runs, by its pid."""

    work: Work
    busy: Mapping[int, int]


class WorkReader:
    """Reads what there is to do, again and again over the same connections. One thread owns it.

    What runs is as old as the workers' heartbeats.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._pipeline = pipeline
        self._cluster = Cluster(kafka)
        self._workers = WorkerReader(pipeline, kafka)

    def read(self) -> Seen:
        """Look.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time.
            RightsError: A lane or a group may not be described, or heartbeats not be read.
            TopicError: A topic does not exist, or Kafka refused for another reason.
        """
        snapshot = self._cluster.snapshot(self._pipeline, (Role.LANE,))
        view = self._workers.read()
        return seen_in(snapshot, view)

    def close(self) -> None:
        """Let go of Kafka."""
        with suppress(KafkaException):
            self._workers.close()


def seen_in(snapshot: Snapshot, view: WorkerView) -> Seen:
    """Put offsets and heartbeats together."""
    ready = running = 0
    for place, left in _unfinished(snapshot).items():
        runs = min(left, view.running(*place))
        running += runs
        ready += left - runs
    return Seen(Work(ready, running), {each.beat.pid: each.beat.in_flight for each in view.alive})


def _unfinished(snapshot: Snapshot) -> Mapping[Place, int]:
    left = {}
    for span in snapshot.unfinished((Role.LANE,)):
        commit = snapshot.commits.get(span.place)
        done = 0 if commit is None else commit.done_within(span.start, span.end)
        left[span.place] = span.end - span.start - done
    return left
