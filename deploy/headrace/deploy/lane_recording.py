"""Records what comes to lanes, for `headrace scale simulate`."""

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from headrace.deploy.lane_reading import offsets_in
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.snapshot import Cluster


class Recorded(NamedTuple):
    """What came to a lane from `time` (epoch seconds) on, until the next of the same lane.

    `lag` is what KEDA counted at that time.
    """

    time: float
    lane: str
    arrivals: float
    lag: int


class _Look(NamedTuple):
    at: float
    ends: Mapping[str, int]
    lags: Mapping[str, int]


class Recorder:
    """Looks at the ends of lanes, again and again. Needs the right to describe them alone.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._pipeline = pipeline
        self._cluster = Cluster(kafka)
        self._last = self._look()

    def read(self) -> Iterator[Recorded]:
        """Tell what came to each lane since the last look.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time; the next call covers that time too.
        """
        before, self._last = self._last, self._look()
        seconds = max(self._last.at - before.at, 0.001)
        for lane, end in self._last.ends.items():
            came = max(0, end - before.ends.get(lane, end))
            yield Recorded(
                round(before.at, 3), lane, round(came / seconds, 4), before.lags.get(lane, 0)
            )

    def end(self) -> Iterator[Recorded]:
        """Tell when it ended: the last line of each lane."""
        for lane in self._last.ends:
            yield Recorded(round(self._last.at, 3), lane, 0.0, self._last.lags[lane])

    def _look(self) -> _Look:
        snapshot = self._cluster.snapshot(self._pipeline, (Role.LANE,), hidden=True)
        ends, lags = {}, {}
        for lane in self._pipeline.topology.lanes():
            offsets = offsets_in(snapshot, lane.topic)
            name = f"{lane.queue}.{lane.priority}"
            ends[name] = sum(each.end for each in offsets)
            lags[name] = sum(each.end - (each.committed or each.start) for each in offsets)
        return _Look(time.time(), ends, lags)
