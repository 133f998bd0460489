"""Reports of a pipeline that is said to be so or so, without a broker."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.pipeline import Pipeline, Queue
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.topics import Role
from headrace.pipeline.topology import TIERS
from headrace.processors.lag.composing import Measured, compose
from headrace.processors.lag.due_counts import DueCounts
from headrace.processors.lag.groups import Group
from headrace.processors.lag.heads import Head
from headrace.processors.lag.observing import Observer
from headrace.processors.lag.report import LagReport, Running
from headrace.processors.snapshot import CommitPoint, LogSpan, Snapshot, roles_of

AT = 1_700_000_000_000


@dataclass
class Said:
    """A cluster: every partition of a lane holds ten jobs, of which four are not finished."""

    pipeline: Pipeline
    partitions: int = 1
    at: int = AT
    spans: dict[Place, LogSpan] = field(default_factory=dict)
    commits: dict[Place, CommitPoint] = field(default_factory=dict)
    heads: dict[Place, Head] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    counts: DueCounts | None = None
    running: dict[Place, Running] = field(default_factory=dict)

    def __post_init__(self) -> None:
        topology = self.pipeline.topology
        self.counts = DueCounts([lane.topic for lane in topology.lanes()])
        for topic, role in self.roles.items():
            number = self.partitions if role is Role.LANE else 1
            for place in ((topic, partition) for partition in range(number)):
                ends = {Role.LANE: 10, Role.TIER: 0, Role.DEAD_LETTERS: 3}
                self.spans[place] = LogSpan(*place, 0, ends[role])
                if role is Role.LANE:
                    self.commits[place] = CommitPoint(5, (range(7, 8),))
                    self.heads[place] = Head(self.at - 30_000, self.at - 20_000)
                elif role is Role.TIER:
                    self.commits[place] = CommitPoint(0)
                    self.counts.begin(place, topic.rpartition(".")[2])
        groups = {lane.topic for lane in topology.lanes()} | {topology.scheduler_group}
        self.groups = {name: Group(name, "stable", 2, 1, frozenset(self.spans)) for name in groups}

    @property
    def roles(self) -> Mapping[str, Role]:
        return roles_of(self.pipeline.topology, (Role.LANE, Role.TIER, Role.DEAD_LETTERS))

    def wait(self, tier: str, lane: str, due: int) -> None:
        """Have a job wait in a tier."""
        assert self.counts is not None
        place = (f"{self.pipeline.name}.delay.{tier}", 0)
        span = self.spans[place]
        self.counts.add(place, span.end, f"{self.pipeline.name}.{lane}", due)
        self.spans[place] = replace(span, end=span.end + 1)

    def report(self, observer: Observer | None = None, **changed: Any) -> LagReport:
        """Measure it."""
        snapshot = Snapshot(self.roles, self.spans, self.commits)
        observer = observer or Observer()
        observer.take(snapshot, self.at)
        assert self.counts is not None
        measured = Measured(
            self.pipeline,
            self.at,
            snapshot,
            self.groups,
            self.heads,
            {},
            {},
            self.counts,
            self.counts.lanes(),
            self.running,
            observer,
            {},
            {},
        )
        return compose(replace(measured, **changed), ())


def pipeline_of(lanes: int) -> Pipeline:
    """A pipeline with so many lanes."""
    return Pipeline("shop", queues=[Queue(f"q{n}", priorities=("normal",)) for n in range(lanes)])


TIER_COUNT = len(TIERS)
