"""Samples of the ready backlog of lanes, for forecasts."""

from collections.abc import Collection, Mapping
from typing import Final

import structlog

from headrace.consumers.seldom import Seldom
from headrace.pipeline.errors import KafkaUnavailableError, TopicError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.snapshot import Cluster, Snapshot
from headrace.processors.statistics.forecast import Sample, recent
from headrace.processors.statistics.reading import read_statistics

INTERVAL: Final = 5_000
"""Milliseconds between two samples."""
_LOG = structlog.get_logger("headrace.statistics")


class Backlogs:
    """Samples the backlogs of lanes; goes on from what was published when it begins.

    Owned by one thread at a time.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._cluster: Cluster | None = None
        self._samples: dict[str, list[Sample]] = {}
        self._next = 0
        self._troubles = Seldom(_LOG)

    def read(self, lanes: Collection[str], now: int) -> Mapping[str, list[Sample]]:
        """Give the samples of the last minutes, a new one among them when it is time.

        Args:
            lanes: Topics of lanes.
            now: Epoch milliseconds.
        """
        if lanes and now >= self._next:
            self._next = now + INTERVAL
            try:
                self._restore(lanes)
                self._sample(lanes, now)
            except (KafkaUnavailableError, TopicError) as error:
                self._troubles.warn("the backlog cannot be measured now", reason=str(error))
        self._samples = {
            lane: recent(found, now) for lane, found in self._samples.items() if lane in lanes
        }
        return self._samples

    def _restore(self, lanes: Collection[str]) -> None:
        new = [lane for lane in lanes if lane not in self._samples]
        if not new:
            return
        published = read_statistics(self._kafka, self._pipeline).backlogs
        for lane in new:
            found = published.get(lane)
            self._samples[lane] = list(found.samples) if found is not None else []

    def _sample(self, lanes: Collection[str], now: int) -> None:
        if self._cluster is None:
            self._cluster = Cluster(self._kafka)
        found = backlogs_in(self._cluster.snapshot(self._pipeline, (Role.LANE,)))
        for lane in lanes:
            if lane in found:
                self._samples[lane].append(Sample(now, found[lane]))


def backlogs_in(snapshot: Snapshot) -> Mapping[str, int]:
    """Count the unfinished jobs of each lane; one without offsets cannot be told and is left out."""
    jobs: dict[str, int] = {}
    for span in snapshot.of((Role.LANE,)):
        commit = snapshot.commits.get(span.place)
        if commit is not None:
            left = span.from_offset(commit.offset)
            done = commit.done_within(left.start, left.end)
            jobs[span.topic] = jobs.get(span.topic, 0) + max(0, left.end - left.start - done)
    return jobs
