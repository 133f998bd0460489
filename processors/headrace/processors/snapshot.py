"""Where a pipeline's topics begin and end, and how far their groups are, at one moment."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
    admin,
)

from headrace.consumers import commit_metadata
from headrace.consumers.commit_metadata import CommitMetadata
from headrace.pipeline.errors import KafkaUnavailableError
from headrace.pipeline.group_offsets import Committed, Place
from headrace.pipeline.kafka_faults import kafka_error
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.topics import Role
from headrace.pipeline.topics.api import EARLIEST, LATEST
from headrace.pipeline.topics.calls import AdminCalls
from headrace.pipeline.topology import TIERS, Topology

CLOCK_MARGIN: Final = 600_000
"""Milliseconds by which a producer's clock may run ahead of the broker's."""
_ELECTION: Final = 2.0
"""Seconds that a partition may be without a leader before that counts as an error."""
_COMMITTED: Final = IsolationLevel.READ_COMMITTED
_EVERYTHING: Final = IsolationLevel.READ_UNCOMMITTED
ALL_ROLES: Final = (Role.EVENTS, Role.LANE, Role.TIER, Role.DEAD_LETTERS)


@dataclass(frozen=True, slots=True)
class LogSpan:
    """The offsets of a partition from `start` up to, and without, `end`."""

    topic: str
    partition: int
    start: int
    end: int

    @property
    def place(self) -> Place:
        """Topic and partition."""
        return (self.topic, self.partition)

    def from_offset(self, offset: int) -> "LogSpan":
        """The part at and after an offset."""
        return replace(self, start=min(max(self.start, offset), self.end))


@dataclass(frozen=True, slots=True)
class CommitPoint:
    """How far a group is in a partition: `offset`, and what is finished above it."""

    offset: int
    finished: tuple[range, ...] = ()

    def is_done(self, offset: int) -> bool:
        """Whether the record at an offset is finished."""
        return offset < self.offset or any(offset in run for run in self.finished)

    def done_within(self, start: int, end: int) -> int:
        """How many offsets from `start` up to `end` are finished above the commit point."""
        return sum(max(0, min(run.stop, end) - max(run.start, start)) for run in self.finished)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a cluster says of a pipeline's topics at one moment.

    Attributes:
        roles: What each topic is for, also of topics that do not exist.
        spans: What each partition of the existing topics holds; its end is the last stable
            offset, so that nothing of an open transaction is in it.
        commits: How far the groups of lanes and delay tiers are.
        hidden: What lies behind open transactions, where that was asked for: from the last stable
            offset on.
    """

    roles: Mapping[str, Role]
    spans: Mapping[Place, LogSpan]
    commits: Mapping[Place, CommitPoint] = field(default_factory=dict)
    hidden: tuple[LogSpan, ...] = ()

    def of(self, roles: Collection[Role]) -> list[LogSpan]:
        """Everything that topics of these roles hold."""
        return [span for span in self.spans.values() if self.roles[span.topic] in roles]

    def unfinished(self, roles: Collection[Role]) -> list[LogSpan]:
        """As `of`, lanes and delay tiers from their commit points on."""
        return [
            span.from_offset(commit.offset) if (commit := self.commits.get(span.place)) else span
            for span in self.of(roles)
        ]

    def is_done(self, topic: str, partition: int, offset: int) -> bool:
        """Whether a record of a lane or tier is finished there; False for other topics."""
        commit = self.commits.get((topic, partition))
        return commit is not None and commit.is_done(offset)

    def missing(self) -> list[str]:
        """Topics that should exist and do not."""
        existing = {topic for topic, _ in self.spans}
        return [topic for topic in self.roles if topic not in existing]


def roles_of(topology: Topology, roles: Collection[Role] = ALL_ROLES) -> Mapping[str, Role]:
    """Name the topics that have one of the roles."""
    named: dict[str, Role] = {topology.events: Role.EVENTS, topology.audit: Role.AUDIT}
    named |= {lane.topic: Role.LANE for lane in topology.lanes()}
    named |= {topology.tier(tier): Role.TIER for tier in TIERS}
    named |= {topology.dead_letters(queue.name): Role.DEAD_LETTERS for queue in topology.queues}
    return MappingProxyType({name: role for name, role in named.items() if role in roles})


def group_of(topology: Topology, topic: str, role: Role) -> str | None:
    """Name the consumer group that works on a topic, if one does."""
    if role is Role.LANE:
        return topic
    return topology.scheduler_group if role is Role.TIER else None


class Cluster(AdminCalls):
    """Asks the cluster about topics and groups. Thread-safe; errors as of `AdminCalls`."""

    def snapshot(
        self, pipeline: Pipeline, roles: Collection[Role] = ALL_ROLES, *, hidden: bool = False
    ) -> Snapshot:
        """Learn ends and commit points of the topics that have one of the roles.

        Commit points are read before ends, so that no commit point is beyond an end, and what is
        `hidden` before both, so that a transaction is open that has not been ended since.
        """
        named = roles_of(pipeline.topology, roles)
        places = self._places(named)
        asked: dict[str, list[Place]] = defaultdict(list)
        for place in places:
            group = group_of(pipeline.topology, place[0], named[place[0]])
            if group is not None:
                asked[group].append(place)
        whole = [LogSpan(topic, partition, 0, 0) for topic, partition in places]
        highest = self._offsets(whole, LATEST, _EVERYTHING) if hidden else {}
        commits = self._commit_points(asked)
        spans = self._spans(places)
        behind = tuple(
            replace(span, start=span.end, end=highest[place])
            for place, span in spans.items()
            if highest.get(place, 0) > span.end
        )
        return Snapshot(named, spans, commits, behind)

    def since(self, spans: Iterable[LogSpan], moment: int) -> list[LogSpan]:
        """Cut spans to the records that were appended at or after a time (epoch ms)."""
        found = list(spans)
        offsets = self._offsets(found, _at(moment))
        return [
            span.from_offset(offset if (offset := offsets[span.place]) >= 0 else span.end)
            for span in found
        ]

    def spans(self, topic: str, partitions: int) -> list[LogSpan]:
        """Learn what each partition of one topic holds, committed records alone."""
        return list(self._spans((topic, number) for number in range(partitions)).values())

    def _places(self, topics: Iterable[str]) -> list[Place]:
        found = self.descriptions(topics)
        return [
            (topic, partition)
            for topic in found
            for partition in range(len(found[topic].partitions))
        ]

    def _spans(self, places: Iterable[Place]) -> Mapping[Place, LogSpan]:
        whole = [LogSpan(topic, partition, 0, 0) for topic, partition in places]
        starts = self._offsets(whole, EARLIEST)
        ends = self._offsets(whole, LATEST)
        return {
            span.place: replace(span, start=starts[span.place], end=ends[span.place])
            for span in whole
        }

    def _offsets(
        self, spans: Iterable[LogSpan], spec: Any, seeing: IsolationLevel = _COMMITTED
    ) -> Mapping[Place, int]:
        asked = {TopicPartition(*span.place): spec for span in spans}
        deadline = time.monotonic() + _ELECTION
        while asked:
            try:
                return self._list_offsets(asked, seeing)
            except KafkaUnavailableError as error:
                if not _leader_moves(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_ELECTION / 20)
        return {}

    def _list_offsets(
        self, asked: dict[TopicPartition, Any], seeing: IsolationLevel
    ) -> Mapping[Place, int]:
        futures = self.admin.list_offsets(asked, isolation_level=seeing, **self.bound)
        return {
            (at.topic, at.partition): self.result(
                f"reading offsets of {at.topic}/{at.partition}", future, right="DESCRIBE"
            ).offset
            for at, future in futures.items()
        }

    def _commit_points(
        self, wanted: Mapping[str, Collection[Place]]
    ) -> Mapping[Place, CommitPoint]:
        return {
            place: _point(commit)
            for found in self.commits(wanted).values()
            for place, commit in found.items()
        }


def _leader_moves(error: KafkaUnavailableError) -> bool:
    """Whether a partition is new, or its leader is changing: it answers in a moment."""
    cause = error.__cause__
    return isinstance(cause, KafkaException) and kafka_error(cause).code() in (
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
    )


def _at(moment: int) -> Any:
    specs: Any = admin.OffsetSpec  # type: ignore[attr-defined]  # has it, does not export it
    return specs.for_timestamp(max(0, moment))


def _point(commit: Committed) -> CommitPoint:
    read = commit_metadata.decode(commit.metadata, commit.offset)
    return CommitPoint(commit.offset, read.finished if isinstance(read, CommitMetadata) else ())
