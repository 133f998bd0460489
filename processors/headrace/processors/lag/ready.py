"""Measures the ready backlog alone: what scaling asks for every few seconds, at little cost.

Of what `measuring.py` reads, this takes the offsets, the tiers and the heartbeats; nothing that only a
person or an alert wants to know. What a job's lane, or a tier, may not tell is an error here: a
number that leaves something out would scale a lane down.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from headrace.consumers.clock import now_ms
from headrace.pipeline.errors import TopicError
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.lag.composing import Measured, compose
from headrace.processors.lag.due_reader import DueReader
from headrace.processors.lag.observing import Observer
from headrace.processors.lag.report import Running, TopicLag
from headrace.processors.lag.running import RunningReader
from headrace.processors.snapshot import Cluster, Snapshot

_PATIENCE: Final = timedelta(seconds=5)
_SECONDS: Final[Mapping[str, int]] = MappingProxyType({})
"""Every due time to the second: a job may leave its tier as late as it is due, or seconds before."""


class ReadyReader:
    """Measures the ready backlog of every lane, again and again. One thread owns it.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
        ahead: How far ahead it tells what falls due. What is due later is counted, and takes some
            20 bytes for each job and 100 for each second in which any is due, but is not told.
        running: As of `LagReader`.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        kafka: KafkaSettings,
        ahead: timedelta,
        *,
        running: Callable[[], Mapping[Place, Running]] | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._ahead = ahead
        self._cluster = Cluster(kafka)
        self._due = DueReader(pipeline, kafka, _SECONDS)
        self._heartbeats = RunningReader(pipeline, kafka)
        self._running = running or self._heartbeats.read

    def read(self) -> Mapping[str, TopicLag]:
        """Measure now; gives each lane by its topic, one that does not exist too.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time.
            RightsError: A topic or a group may not be described, or a tier not be read.
            TopicError: Kafka refused for another reason, or the tiers could not be read to their
                ends in time; the next call goes on.
        """
        snapshot = self._cluster.snapshot(self._pipeline, (Role.LANE, Role.TIER))
        if not self._due.follow(snapshot, _PATIENCE):
            raise TopicError("what waits in the delay tiers is still being counted")
        return {lane.topic: lane for lane in compose(self._measured(snapshot), ()).lanes}

    def close(self) -> None:
        """Let go of Kafka."""
        self._due.close()
        self._heartbeats.close()

    def _measured(self, snapshot: Snapshot) -> Measured:
        at, counts = now_ms(), self._due.counts
        observer = Observer()
        observer.take(snapshot, at)
        return Measured(
            self._pipeline,
            at,
            snapshot,
            groups={},
            heads={},
            letters={},
            retentions={},
            waiting=counts,
            due=counts.lanes(at / 1000 + self._ahead.total_seconds()),
            running=self._running(),
            observer=observer,
            published={},
            held={},
        )
