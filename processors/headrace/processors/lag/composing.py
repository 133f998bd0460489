"""Puts a report together from what was measured. No Kafka, no clock."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.pipeline.group_offsets import Place
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.topics import Role
from headrace.processors.lag.due_counts import DueCounts, LaneDue
from headrace.processors.lag.groups import Group
from headrace.processors.lag.heads import Head
from headrace.processors.lag.letters import Counted
from headrace.processors.lag.observing import Observer, Progress
from headrace.processors.lag.report import LagReport, PartitionLag, Running, TopicLag
from headrace.processors.lag.settled_letters import Settled
from headrace.processors.lag.verdicts import (
    Facts,
    Finding,
    Held,
    Verdict,
    judge,
    on_transaction,
    worst,
)
from headrace.processors.snapshot import CommitPoint, LogSpan, Snapshot, group_of


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was measured in one look.

    Attributes:
        pipeline: The declaration.
        at: When (epoch ms).
        snapshot: What the offsets say.
        groups: Who works, by group.
        heads: The oldest record of partitions, where it could be read.
        letters: Dead letters, where they were counted.
        settled: About how many of them somebody did something, where that is known.
        retentions: Milliseconds for which topics keep records, where known.
        waiting: The count of the tiers, when it is complete.
        due: What waits in the tiers, by lane, where known.
        running: What workers tell that they run.
        observer: What moved since the first look.
        published: What moved, as an exporter has told.
        held: What open transactions hide.
    """

    pipeline: Pipeline
    at: int
    snapshot: Snapshot
    groups: Mapping[str, Group]
    heads: Mapping[Place, Head]
    letters: Mapping[Place, Counted]
    retentions: Mapping[str, int]
    waiting: DueCounts | None
    due: Mapping[str, LaneDue]
    running: Mapping[Place, Running]
    observer: Observer
    published: Mapping[Place, Progress]
    held: Mapping[Place, Held]
    settled: Settled | None = None

    def group(self, topic: str, role: Role) -> Group | None:
        """The group that works on a topic."""
        name = group_of(self.pipeline.topology, topic, role)
        return None if name is None else self.groups.get(name, Group(name))

    def progress(self, place: Place) -> Progress:
        """What moved: as was seen, or while there was one look only, as an exporter tells."""
        own = self.observer.of(place)
        return own if own.rate_in is not None else self.published.get(place, own)


def compose(measured: Measured, notes: Sequence[str]) -> LagReport:
    """Make the report."""
    spans: dict[str, list[LogSpan]] = defaultdict(list)
    for span in measured.snapshot.spans.values():
        spans[span.topic].append(span)
    topics = [
        _topic(measured, topic, role, spans[topic])
        for topic, role in measured.snapshot.roles.items()
    ]

    def of(role: Role) -> tuple[TopicLag, ...]:
        return tuple(each for each in topics if each.role is role)

    return LagReport(
        measured.pipeline.name,
        measured.at,
        of(Role.LANE),
        of(Role.TIER),
        of(Role.DEAD_LETTERS),
        tuple(notes),
    )


def _topic(measured: Measured, topic: str, role: Role, spans: Iterable[LogSpan]) -> TopicLag:
    group = measured.group(topic, role)
    parts = tuple(
        _letters(measured, span) if group is None else _worked_on(measured, span, role, group)
        for span in spans
    )
    missing = Finding(Verdict.STOPPED, "the topic does not exist: run `headrace topics apply`")
    return TopicLag(
        topic,
        role,
        group,
        parts,
        measured.due.get(topic) if role is Role.LANE else None,
        worst(part.finding for part in parts) if parts else missing,
        measured.at,
        measured.settled.get(topic) if measured.settled is not None else None,
    )


def _letters(measured: Measured, span: LogSpan) -> PartitionLag:
    counted, progress = measured.letters.get(span.place), measured.progress(span.place)
    held = measured.held.get(span.place)
    came = Finding(Verdict.WARNING, "jobs died within the last minute")
    return PartitionLag(
        span.partition,
        span.start,
        span.end,
        messages=span.end - span.start if counted is None else counted.records,
        exact=counted is not None,
        progress=progress,
        held=held,
        finding=on_transaction(held, measured.at) or (came if progress.rate_in else Finding()),
    )


def _worked_on(measured: Measured, span: LogSpan, role: Role, group: Group) -> PartitionLag:
    commit = measured.snapshot.commits.get(span.place)
    left = _Left.of(measured, span, role, commit)
    head = measured.heads.get(span.place) if left.messages else None
    used = _retention_used(measured, span, left, head)
    running = measured.running.get(span.place)
    progress = measured.progress(span.place)
    facts = Facts(
        role,
        measured.at,
        span.place in group.owned,
        None if commit is None else commit.offset,
        span.start,
        span.end,
        left.messages,
        left.lost,
        None if head is None else head.ready,
        left.next_due,
        used,
        None if running is None else running.since,
        progress,
        measured.held.get(span.place),
    )
    since = None
    if head is not None:
        since = head.ready if role is Role.LANE else head.appended
    return PartitionLag(
        span.partition,
        span.start,
        span.end,
        facts.commit,
        left.messages,
        since,
        left.finished,
        left.lost,
        left.exact,
        left.next_due,
        used,
        running,
        progress,
        facts.held,
        judge(facts, group),
    )


@dataclass(frozen=True, slots=True)
class _Left:
    """What is left to do in a partition."""

    messages: int = 0
    finished: int = 0
    lost: int = 0
    exact: bool = True
    next_due: int | None = None

    @classmethod
    def of(
        cls, measured: Measured, span: LogSpan, role: Role, commit: CommitPoint | None
    ) -> "_Left":
        if commit is None:
            return cls()
        left = span.from_offset(commit.offset)
        done = commit.done_within(left.start, left.end)
        offsets = max(0, left.end - left.start - done)
        lost = max(0, span.start - commit.offset)
        if role is Role.LANE:
            return cls(offsets, done, lost)
        waiting = measured.waiting
        if waiting is None or span.place not in waiting.places:
            return cls(offsets, done, lost, exact=not offsets)
        jobs, due = waiting.waiting(span.place), waiting.next_due(span.place)
        return cls(jobs, done, lost, next_due=due)


def _retention_used(
    measured: Measured, span: LogSpan, left: _Left, head: Head | None
) -> float | None:
    """Say how near the oldest record is to its deletion: by its age, or by offsets.

    Offsets say nothing before retention has deleted anything.
    """
    if not left.messages:
        return 0.0
    retention = measured.retentions.get(span.topic)
    if head is not None and retention is not None:
        return max(0, measured.at - head.appended) / retention
    return left.messages / (span.end - span.start) if span.start else None
