"""A lag report as metrics. No Kafka, no clock."""

from collections.abc import Iterable, Iterator
from math import inf
from typing import Final

from headrace.pipeline.durations import parse_duration
from headrace.pipeline.telemetry.lag_metrics import WITHIN, Alias, LagMetric
from headrace.pipeline.telemetry.metric_specs import MetricSpec
from headrace.pipeline.topics import Role
from headrace.processors.lag.groups import Group
from headrace.processors.lag.report import LagReport, PartitionLag, TopicLag
from headrace.processors.lag.verdicts import Verdict
from headrace.processors.repair.letter_states import STORED

Labels = tuple[str, ...]
Values = dict[MetricSpec, dict[Labels, float]]
_Sample = tuple[MetricSpec, Labels, float | None]
_BOUNDS: Final = {
    text: inf if text == "+Inf" else parse_duration(text).total_seconds() for text in WITHIN.values
}


def figures(report: LagReport) -> Values:
    """Give the value of every series; what is not known has none."""
    samples: list[_Sample] = []
    for topic in report.topics:
        samples += _of_topic(report, topic)
    for lane in report.lanes:
        samples += _of_lane(report, lane)
    for tier in report.tiers:
        name = tier.topic.rpartition(".")[2]
        known = tier.partitions and tier.exact
        samples.append(
            (LagMetric.TIER_LATE, (name,), (report.overdue(tier) or 0.0) if known else None)
        )
    for group in _groups(report):
        samples += _of_group(group)
    return _values(samples)


def _values(samples: Iterable[_Sample]) -> Values:
    found: Values = {}
    for spec, labels, value in samples:
        if value is not None:
            found.setdefault(spec, {})[labels] = float(value)
    return found


def _of_topic(report: LagReport, topic: TopicLag) -> Iterator[_Sample]:
    name = (topic.topic,)
    verdicts = [part.finding.verdict for part in topic.partitions]
    for verdict in Verdict:
        labels = (topic.topic, verdict.value)
        yield LagMetric.VERDICTS, labels, topic.finding.verdict is verdict
        yield LagMetric.PARTITIONS, labels, verdicts.count(verdict)
    if topic.partitions and len(topic.without_offset) < len(topic.partitions):
        yield LagMetric.LAG_JOBS, name, topic.messages
    yield LagMetric.RATE_IN, name, topic.rate_in
    yield LagMetric.RATE_OUT, name, topic.rate_out
    for state, count in (topic.letters or {}).items():
        yield LagMetric.LETTERS, (topic.topic, state.value), count
    if topic.role is not Role.DEAD_LETTERS:
        yield LagMetric.RETENTION_USED, name, topic.retention_used
        yield LagMetric.LAST_COMMIT, name, report.age(topic.last_commit)
        yield LagMetric.LOST_OFFSETS, name, topic.lost


def _of_lane(report: LagReport, lane: TopicLag) -> Iterator[_Sample]:
    name = (lane.topic,)
    if lane.without_offset or not lane.partitions:
        return
    yield LagMetric.READY_JOBS, name, lane.ready
    yield LagMetric.OLDEST_AGE, name, report.age(lane.since) if lane.messages else 0.0
    never = lane.messages and lane.rate_out is not None and lane.closes_in is None
    yield LagMetric.CLOSES_IN, name, inf if never else lane.closes_in
    yield LagMetric.OVERDUE_JOBS, name, lane.overdue
    if lane.due is not None:
        for text, seconds in _BOUNDS.items():
            yield LagMetric.DUE_JOBS, (lane.topic, text), lane.due.within(report.at, seconds)


def _groups(report: LagReport) -> Iterator[Group]:
    named = {t.group.name: t.group for t in report.topics if t.group is not None}
    yield from named.values()


def _of_group(group: Group) -> Iterator[_Sample]:
    yield LagMetric.MEMBERS, (group.name,), group.members
    yield LagMetric.IDLE_MEMBERS, (group.name,), group.idle
    yield LagMetric.SETTLED, (group.name,), group.is_settled


def aliases(report: LagReport, most: int) -> Values:
    """Give lag by the names that other tools use.

    Args:
        report: What was measured.
        most: Partitions of all topics together up to which each of them is told of.
    """
    parts = [
        (topic.group.name, topic, part)
        for topic in report.topics
        for part in topic.partitions
        if topic.group is not None and part.commit_point is not None
    ]
    samples = [*_sums(report, parts)]
    if len(parts) <= most:
        for group, topic, part in parts:
            samples += _of_partition(report, group, topic, part)
    return _values(samples)


def _sums(report: LagReport, parts: list[tuple[str, TopicLag, PartitionLag]]) -> Iterator[_Sample]:
    sums: dict[Labels, int] = {}
    largest: dict[str, int] = {}
    oldest: dict[str, float] = {}
    for group, topic, part in parts:
        raw = _raw(part)
        sums[group, topic.topic] = sums.get((group, topic.topic), 0) + raw
        largest[group] = max(largest.get(group, 0), raw)
        oldest[group] = max(oldest.get(group, 0.0), report.age(part.since) or 0.0)
    yield from ((Alias.LAG_SUM, labels, value) for labels, value in sums.items())
    yield from ((Alias.MAX_LAG, (group,), value) for group, value in largest.items())
    yield from ((Alias.MAX_SECONDS, (group,), value) for group, value in oldest.items())


def _of_partition(
    report: LagReport, group: str, topic: TopicLag, part: PartitionLag
) -> Iterator[_Sample]:
    place = (topic.topic, str(part.partition))
    age = report.age(part.since) if part.messages else 0.0
    yield Alias.LAG, (group, *place), _raw(part)
    yield Alias.OFFSET, (group, *place), part.commit_point
    yield Alias.END, place, part.end
    yield Alias.GROUP_LAG, (group, *place), _raw(part)
    yield Alias.GROUP_SECONDS, (group, *place), age


def _raw(part: PartitionLag) -> int:
    return max(0, part.end - (part.commit_point or 0))


def series_at_most(lanes: int, tiers: int, queues: int) -> int:
    """How many series there can be without aliases, whatever the partitions and jobs."""
    topics, verdicts = lanes + tiers + queues, len(Verdict)
    groups, letters = lanes + 1, queues * (len(STORED) + 1)
    of_lanes = lanes * (4 + len(_BOUNDS))
    return topics * (6 + 2 * verdicts) + of_lanes + letters + tiers + 3 * groups + 4
