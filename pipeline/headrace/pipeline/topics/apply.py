"""Carrying out a plan. Safe to repeat, also after it failed half-way."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError

from headrace.pipeline.compacted import write_all
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.schema_topic import records_of
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import draining
from headrace.pipeline.topics.api import NewTopic
from headrace.pipeline.topics.control import partition_records
from headrace.pipeline.topics.offsets import OffsetStep
from headrace.pipeline.topics.plan import Action, TopicPlan, TopicStep
from headrace.pipeline.topics.writing import ClusterWriter

_LIVE: Final = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.NON_EMPTY_GROUP,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
    }
)


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """What was done.

    Attributes:
        created: Topics.
        changed: Topics whose settings were changed.
        grown: Topics that got partitions.
        offsets: How many initial offsets were committed.
        schemas: The job types whose schemas were published.
        refused: What was not done, with reason and remedy, one sentence each.
    """

    created: tuple[str, ...]
    changed: tuple[str, ...]
    grown: tuple[str, ...]
    offsets: int
    schemas: tuple[str, ...]
    refused: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the topics are now as declared."""
        return not self.refused

    @property
    def summary(self) -> str:
        """One line: `Applied: 14 created, 0 changed, …`."""
        return (
            f"Applied: {len(self.created)} created, {len(self.changed)} changed, "
            f"{len(self.grown)} grown, {len(self.refused)} refused; {self.offsets} initial offsets "
            f"committed, {len(self.schemas)} schemas published"
        )


def apply_plan(plan: TopicPlan, kafka: KafkaSettings) -> ApplyReport:
    """Carry out what the plan does not refuse.

    1. Make topics and change settings.
    2. Wait until each partition has a leader.
    3. Record the partition counts of what will grow, then add partitions: a live worker that
       meets a new partition must already find the count. An ordered lane that jobs have reached
       since the plan does not grow.
    4. Commit initial offsets.
    5. Record how many partitions have offsets, and publish schemas. After a crash before this
       the next plan records it.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time. Applying again goes on from there.
        TopicError: Kafka refused something; names it, and what to do.
    """
    cluster = ClusterWriter(kafka)
    created = _make(cluster, plan)
    write_all(kafka, partition_records(plan.control_topic, plan.floors))
    undrained = draining.undrained(cluster, plan.with_action(Action.GROW))
    grown = _grow(cluster, plan, undrained)
    planned = [step for step in plan.offsets if step.topic not in undrained]
    committed, refused = _commit(cluster, planned, created)
    refused = {**undrained, **refused}
    counts = partition_records(plan.control_topic, _settled(plan, refused))
    write_all(kafka, [*counts, *records_of(plan.schemas_topic, plan.schemas)])
    return ApplyReport(
        created=created,
        changed=_names(step for step in plan.steps if step.config),
        grown=grown,
        offsets=committed,
        schemas=tuple(schema.name for schema in plan.schemas),
        refused=(*plan.refused, *refused.values()),
    )


def _make(cluster: ClusterWriter, plan: TopicPlan) -> tuple[str, ...]:
    new = plan.with_action(Action.CREATE)
    created = cluster.create(_new_topic(step) for step in new)
    cluster.configure(
        {
            step.wanted.name: {change.name: change.after for change in step.config}
            for step in plan.steps
            if step.config
        }
    )
    cluster.await_leaders({step.wanted.name: step.after for step in new})
    return _names(step for step in new if step.wanted.name in created)


def _new_topic(step: TopicStep) -> NewTopic:
    wanted = step.wanted
    return NewTopic(
        wanted.name,
        wanted.partitions,
        wanted.replication,
        config=dict(wanted.config_for(step.replicas)),
    )


def _grow(cluster: ClusterWriter, plan: TopicPlan, kept: Collection[str]) -> tuple[str, ...]:
    growing = [step for step in plan.with_action(Action.GROW) if step.wanted.name not in kept]
    totals = {step.wanted.name: step.after for step in growing}
    cluster.grow(totals)
    cluster.await_leaders(totals)
    return _names(growing)


def _commit(
    cluster: ClusterWriter, steps: Iterable[OffsetStep], created: Collection[str]
) -> tuple[int, Mapping[str, str]]:
    """Commit, and give how many were and a sentence for each topic where Kafka refused."""
    planned = [step for step in steps if step.commits]
    offsets = _still_missing(cluster, planned, created)
    refused = cluster.commit(offsets)
    committed = sum(len(places) for places in offsets.values()) - len(refused)
    return committed, {
        step.topic: refusal(step, errors) for step in planned if (errors := _of(step, refused))
    }


def _still_missing(
    cluster: ClusterWriter, steps: Iterable[OffsetStep], created: Collection[str]
) -> Mapping[str, Mapping[Place, int]]:
    """Leave out what a worker has committed since the plan: it would run finished jobs again."""
    wanted: dict[str, dict[Place, int]] = defaultdict(dict)
    for step in steps:
        wanted[step.group] |= {(step.topic, p): offset for p, offset in step.commits.items()}
    known = {
        group: [place for place in places if place[0] not in created]
        for group, places in wanted.items()
    }
    committed = cluster.committed(known)
    return {
        group: {
            place: offset
            for place, offset in places.items()
            if place[0] in created or place not in committed[group]
        }
        for group, places in wanted.items()
    }


def _of(step: OffsetStep, refused: Mapping[Place, KafkaError]) -> list[KafkaError]:
    return [error for (topic, _), error in refused.items() if topic == step.topic]


def refusal(step: OffsetStep, errors: Sequence[KafkaError]) -> str:
    """Say why offsets of a topic were not committed. Kafka gave the errors, at least one."""
    if errors[0].code() in _LIVE:
        return (
            f"{step.topic}: the live workers of group {step.group} keep its offsets (Kafka refuses "
            "those of others): let them commit, or stop them and apply again"
        )
    return (
        f"{step.topic}: Kafka refused {len(errors)} initial offsets of group {step.group}: "
        f"{errors[0].str()}; apply again when that is mended"
    )


def _settled(plan: TopicPlan, refused: Collection[str]) -> Mapping[str, int]:
    return {topic: count for topic, count in plan.counts.items() if topic not in refused}


def _names(steps: Iterable[TopicStep]) -> tuple[str, ...]:
    return tuple(step.wanted.name for step in steps)
