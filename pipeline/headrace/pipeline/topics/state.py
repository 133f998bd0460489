"""What the cluster is like, as far as a plan needs to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.pipeline.schema_topic import PublishedSchema


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic that exists.

    Attributes:
        partitions: How many it has.
        replicas: Of the partition that has fewest.
        config: What is in force, the broker's defaults included.
    """

    partitions: int
    replicas: int
    config: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets that a partition holds: from `start` up to, and without, `end`."""

    start: int
    end: int

    @property
    def empty(self) -> bool:
        """Whether it holds no record."""
        return self.start >= self.end


@dataclass(frozen=True, slots=True)
class ClusterState:
    """Everything a plan is made from.

    Attributes:
        topics: The topics that exist, of those asked for.
        default_replicas: What the broker gives a topic that names no number; None if unknown.
        committed: For each group its offsets by (topic, partition).
        spans: What partitions hold: those in which a group lacks an offset, and those of ordered
            lanes that are to grow.
        live_groups: Groups with members, which refuse commits from outside.
        known_partitions: For each topic how many partitions got initial offsets, as recorded.
        schemas: What is published, by fingerprint.
    """

    topics: Mapping[str, TopicState] = field(default_factory=dict)
    default_replicas: int | None = None
    committed: Mapping[str, Mapping[tuple[str, int], int]] = field(default_factory=dict)
    spans: Mapping[tuple[str, int], Span] = field(default_factory=dict)
    live_groups: frozenset[str] = frozenset()
    known_partitions: Mapping[str, int] = field(default_factory=dict)
    schemas: Mapping[bytes, PublishedSchema] = field(default_factory=dict)

    def lag(self, group: str, place: tuple[str, int]) -> int:
        """Offsets of a partition in `spans` that the group has not committed: 0 when drained."""
        span = self.spans[place]
        committed = self.committed.get(group, {}).get(place, span.start)
        return max(0, span.end - max(span.start, committed))
