"""What Kafka says of one lane: as KEDA reads it, and what is really to do.

The first takes the right to describe the lanes' topics and groups, which KEDA has too. What needs more
is left out where it may not be had, and a note says so.
"""

from collections.abc import Sequence
from typing import NamedTuple

from headrace.deploy.scaling.explaining import Truth
from headrace.deploy.scaling.kafka_trigger import PartitionOffsets
from headrace.pipeline.errors import KafkaUnavailableError, TopicError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.lag.measuring import LagReader
from headrace.processors.lag.report import TopicLag
from headrace.processors.snapshot import Cluster, Snapshot
from headrace.schemas.errors import HeadraceError


class LaneNow(NamedTuple):
    """What Kafka says of a lane."""

    offsets: tuple[PartitionOffsets, ...]
    truth: Truth
    note: str | None


def read_lane(pipeline: Pipeline, kafka: KafkaSettings, topic: str) -> LaneNow:
    """Learn where a lane is.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        RightsError: The lanes may not be described.
        TopicError: The lane does not exist.
    """
    snapshot = Cluster(kafka).snapshot(pipeline, (Role.LANE,), hidden=True)
    offsets = tuple(offsets_in(snapshot, topic))
    if not offsets:
        raise TopicError(f"{topic} does not exist: run `headrace topics apply`")
    finished = _finished(snapshot, topic)
    lost = sum(max(0, each.start - _from(each)) for each in offsets)
    unfinished = sum(each.end - max(each.start, _from(each)) for each in offsets) - finished
    try:
        lane = _told_of(pipeline, kafka, topic)
    except KafkaUnavailableError:
        raise
    except HeadraceError as error:
        return LaneNow(offsets, Truth(unfinished, finished, lost=lost), str(error))
    running = sum(part.running.jobs for part in lane.partitions if part.running)
    return LaneNow(offsets, Truth(unfinished, finished, running, lane.overdue, lost), None)


def offsets_in(snapshot: Snapshot, topic: str) -> Sequence[PartitionOffsets]:
    """Take a topic's offsets out of a snapshot, as KEDA reads them: open transactions count."""
    hidden = {span.place: span.end for span in snapshot.hidden}
    return [
        PartitionOffsets(
            span.partition,
            span.start,
            hidden.get(place, span.end),
            commit.offset if (commit := snapshot.commits.get(place)) else None,
        )
        for place, span in sorted(snapshot.spans.items())
        if span.topic == topic
    ]


def _told_of(pipeline: Pipeline, kafka: KafkaSettings, topic: str) -> TopicLag:
    reader = LagReader(pipeline, kafka)
    try:
        return next(lane for lane in reader.read().lanes if lane.topic == topic)
    finally:
        reader.close()


def _from(offsets: PartitionOffsets) -> int:
    return offsets.start if offsets.committed is None else offsets.committed


def _finished(snapshot: Snapshot, topic: str) -> int:
    return sum(
        commit.done_within(max(commit.offset, span.start), span.end)
        for place, span in snapshot.spans.items()
        if span.topic == topic and (commit := snapshot.commits.get(place))
    )
