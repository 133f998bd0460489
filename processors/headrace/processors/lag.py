"""How far behind the lanes and delay tiers are: jobs, and how long the oldest of them waits.

Offsets tell how many jobs a lane holds, because lanes are never written in a transaction. Delay
tiers and dead-letter topics are, and a transaction's marker takes an offset too, so their records
are counted by reading them, up to `COUNTED` offsets of a partition; beyond that the offsets are
the count, an upper bound, and `exact` is false.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from headrace.consumers.clock import now_ms
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.lag_report import (
    DeadLetterCount,
    LagReport,
    PartitionLag,
    TopicLag,
)
from headrace.processors.reader import TopicReader
from headrace.processors.sightings import Sighting, sight
from headrace.processors.snapshot import Cluster, LogSpan, Snapshot, group_of

COUNTED: Final = 5_000
"""Offsets of a partition of a delay tier or dead-letter topic up to which records are counted."""
_ROLES: Final = (Role.LANE, Role.TIER, Role.DEAD_LETTERS)


class LagReader:
    """Measures lag, again and again over the same connections.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._cluster = Cluster(kafka)

    def read(self) -> LagReport:
        """Measure now.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time.
            TopicError: Kafka refused.
        """
        snapshot = self._cluster.snapshot(self._pipeline, _ROLES)
        groups = self._cluster.groups(self._groups(snapshot))
        with TopicReader(self._kafka, **_SMALL_FETCHES) as reader:
            counted = _counted(reader, snapshot)
            heads = _heads(reader, snapshot)
        return self._report(snapshot, groups, heads, counted)

    def _groups(self, snapshot: Snapshot) -> list[str]:
        topology = self._pipeline.topology
        named = (group_of(topology, topic, role) for topic, role in snapshot.roles.items())
        return list(dict.fromkeys(name for name in named if name is not None))

    def _report(
        self,
        snapshot: Snapshot,
        groups: Mapping[str, tuple[str, int]],
        heads: Mapping[Place, Sighting],
        counted: Mapping[Place, list[Sighting]],
    ) -> LagReport:
        parts: dict[str, list[PartitionLag]] = {topic: [] for topic in snapshot.roles}
        for span in snapshot.of((Role.LANE, Role.TIER)):
            head, found = heads.get(span.place), counted.get(span.place)
            of_lane = snapshot.roles[span.topic] is Role.LANE
            parts[span.topic].append(
                _of_lane(span, snapshot, head) if of_lane else _of_tier(span, snapshot, found, head)
            )
        topology = self._pipeline.topology

        def measured(topic: str, role: Role) -> TopicLag:
            group = group_of(topology, topic, role) or ""
            return TopicLag(topic, group, *groups[group], tuple(parts[topic]))

        def of(role: Role) -> list[str]:
            return [topic for topic, its_role in snapshot.roles.items() if its_role is role]

        dead = snapshot.of((Role.DEAD_LETTERS,))
        return LagReport(
            self._pipeline.name,
            now_ms(),
            tuple(measured(lane, Role.LANE) for lane in of(Role.LANE)),
            tuple(measured(tier, Role.TIER) for tier in of(Role.TIER)),
            tuple(_dead_letters(topic, dead, counted) for topic in of(Role.DEAD_LETTERS)),
        )


_SMALL_FETCHES: Final[dict[str, Any]] = {
    "fetch.message.max.bytes": 65_536,
    "queued.min.messages": 1_000,
}


def _unfinished(span: LogSpan, snapshot: Snapshot) -> LogSpan:
    commit = snapshot.commits.get(span.place)
    return span if commit is None else span.from_offset(commit.offset)


def _heads(reader: TopicReader, snapshot: Snapshot) -> Mapping[Place, Sighting]:
    """Read the oldest unfinished record of each partition that has one: that at its commit point."""
    spans = [
        _unfinished(span, snapshot)
        for span in snapshot.of((Role.LANE, Role.TIER))
        if span.place in snapshot.commits
    ]
    read = reader.read(spans, first_only=True)
    found = [sight(message, snapshot.roles[message.topic() or ""]) for message in read]
    return {(each.location.topic, each.location.partition): each for each in found}


def _counted(reader: TopicReader, snapshot: Snapshot) -> Mapping[Place, list[Sighting]]:
    """Read the tiers and dead letters that are short enough to be counted."""
    spans = [_unfinished(s, snapshot) for s in snapshot.of((Role.TIER, Role.DEAD_LETTERS))]
    short = [span for span in spans if span.end - span.start <= COUNTED]
    found: dict[Place, list[Sighting]] = defaultdict(list)
    for span in short:
        found[span.place] = []
    for message in reader.read(short):
        sighting = sight(message, snapshot.roles[message.topic() or ""])
        at = sighting.location
        if not snapshot.is_done(at.topic, at.partition, at.offset):
            found[at.topic, at.partition].append(sighting)
    return dict(found)


def _of_lane(span: LogSpan, snapshot: Snapshot, head: Sighting | None) -> PartitionLag:
    commit = snapshot.commits.get(span.place)
    if commit is None:
        return PartitionLag(span.partition, None, span.end, 0, None)
    left = span.from_offset(commit.offset)
    done = commit.done_within(left.start, left.end)
    messages = max(0, left.end - left.start - done)
    since = _ready_since(head) if head is not None and messages else None
    lost = max(0, span.start - commit.offset)
    return PartitionLag(
        span.partition, commit.offset, span.end, messages, since, finished=done, lost=lost
    )


def _of_tier(
    span: LogSpan, snapshot: Snapshot, counted: list[Sighting] | None, head: Sighting | None
) -> PartitionLag:
    found = _of_lane(span, snapshot, head)
    if found.commit_point is None:
        return found
    if counted is None:
        waiting = [head] if head is not None else []
        messages, exact = found.messages, False
    else:
        waiting, messages, exact = counted, len(counted), True
    since = min((each.appended for each in waiting), default=None)
    dues = [each.job.due for each in waiting if each.job.due is not None]
    return PartitionLag(
        span.partition,
        found.commit_point,
        span.end,
        messages,
        since,
        finished=found.finished,
        lost=found.lost,
        exact=exact,
        next_due=min(dues, default=None),
    )


def _ready_since(head: Sighting) -> int:
    """Since when a job on a lane could have run: when it was made, or became due."""
    return max(head.job.created, head.job.due or 0)


def _dead_letters(
    topic: str, spans: Iterable[LogSpan], counted: Mapping[Place, list[Sighting]]
) -> DeadLetterCount:
    total, exact = 0, True
    for span in spans:
        if span.topic != topic:
            continue
        letters = counted.get(span.place)
        total += span.end - span.start if letters is None else len(letters)
        exact = exact and letters is not None
    return DeadLetterCount(topic, total, exact)
