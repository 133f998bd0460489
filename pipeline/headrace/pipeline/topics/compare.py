"""Comparing what topics must be like with what they are. Pure: talks to nobody."""

from collections.abc import Iterable, Iterator
from typing import Final

from headrace.pipeline.schema_topic import PublishedSchema, unpublished
from headrace.pipeline.settings import PREFIX
from headrace.pipeline.topics import draining, offsets
from headrace.pipeline.topics.offsets import OffsetStep, Start
from headrace.pipeline.topics.plan import Action, ConfigChange, TopicPlan, TopicStep
from headrace.pipeline.topics.state import ClusterState, TopicState
from headrace.pipeline.topics.wanted import CLEANUP, Role, WantedTopic
from headrace.pipeline.topology import Topology

_OF_A_QUEUE: Final = {Role.LANE, Role.DEAD_LETTERS, Role.DEDUP}


def compare(
    topology: Topology,
    wanted: Iterable[WantedTopic],
    declared: Iterable[PublishedSchema],
    state: ClusterState,
    *,
    grow: bool = False,
    start: Start | None = None,
) -> TopicPlan:
    """Make the plan.

    Args:
        topology: The names of the pipeline's topics.
        wanted: What its topics must be like.
        declared: The schemas of its job types.
        state: What the cluster is like.
        grow: Whether partitions may be added.
        start: Where groups begin whose offsets are lost; None refuses to guess.
    """
    steps = tuple(compare_topic(topic, state, grow=grow) for topic in wanted)
    initial = {step.wanted.name: _offsets(step, state, start) for step in steps}
    missing, problems = unpublished(declared, state.schemas)
    return TopicPlan(
        topology.pipeline,
        topology.control,
        topology.schemas,
        steps,
        offsets=tuple(step for step in initial.values() if step and _says_something(step)),
        floors=dict(_floors(steps, state)),
        counts=dict(_counts(steps, initial, state)),
        schemas=missing,
        schema_problems=problems,
    )


def compare_topic(wanted: WantedTopic, state: ClusterState, *, grow: bool = False) -> TopicStep:
    """Decide what happens to one topic."""
    topic = state.topics.get(wanted.name)
    if topic is None:
        replicas = wanted.replication if wanted.replication > 0 else state.default_replicas
        problems = tuple(_unwritable(wanted, replicas))
        action = Action.REFUSE if problems else Action.CREATE
        return TopicStep(wanted, action, replicas=replicas, problems=problems)
    problems = (
        *_partition_refusals(wanted, topic, state, grow=grow),
        *_policy_refusals(wanted, topic),
        *_unwritable(wanted, topic.replicas),
    )
    changes = () if problems else tuple(_changes(wanted, topic))
    return TopicStep(
        wanted,
        _action(wanted, topic, problems, changes),
        changes,
        topic.replicas,
        topic.partitions,
        problems,
        tuple(_warnings(wanted, topic)),
    )


def _action(
    wanted: WantedTopic,
    topic: TopicState,
    problems: tuple[str, ...],
    changes: tuple[ConfigChange, ...],
) -> Action:
    if problems:
        return Action.REFUSE
    if wanted.partitions > topic.partitions:
        return Action.GROW
    return Action.CHANGE if changes else Action.KEEP


def _partition_refusals(
    wanted: WantedTopic, topic: TopicState, state: ClusterState, *, grow: bool
) -> Iterator[str]:
    if wanted.partitions < topic.partitions:
        yield (
            f"{wanted.name} has {topic.partitions} partitions and {wanted.partitions} are declared:"
            f" Kafka cannot take partitions away; declare {topic.partitions}"
            f" ({_where_declared(wanted)}), or use a new {_noun(wanted)}"
        )
    if wanted.partitions <= topic.partitions:
        return
    if grow:
        undrained = draining.refusal(wanted, topic.partitions, state)
        if undrained:
            yield undrained
    else:
        yield (
            f"{wanted.name} has {topic.partitions} partitions and {wanted.partitions} are declared:"
            f" {_why_not_grow(wanted)}; apply with --grow-partitions if that is meant, or declare "
            f"{topic.partitions} ({_where_declared(wanted)})"
        )


def _policy_refusals(wanted: WantedTopic, topic: TopicState) -> Iterator[str]:
    policy = topic.config.get(CLEANUP)
    if wanted.role is Role.HEARTBEATS:
        return  # written anew every few seconds: no policy that it may have had does harm
    if policy != wanted.config[CLEANUP]:
        yield (
            f"{wanted.name} has {CLEANUP}={policy} where {wanted.config[CLEANUP]} is needed: "
            f"{_policy_harm(wanted)}; find out who made it so, then set it with `kafka-configs.sh "
            f"--alter --topic {wanted.name} --add-config {CLEANUP}={wanted.config[CLEANUP]}`"
        )


def _why_not_grow(wanted: WantedTopic) -> str:
    if wanted.role is Role.LANE:
        return (
            "more partitions send a key's next jobs to another partition, beside those that still "
            "wait in the old one, so drain the lane first"
        )
    if wanted.role is Role.DEDUP:
        return "it has as many as the lanes of its queue, and grows with them"
    return "added partitions can never be taken away again"


def _where_declared(wanted: WantedTopic) -> str:
    if wanted.role in {Role.LANE, Role.DEDUP}:
        return f"Queue(…, partitions=…) or {PREFIX}TOPIC_PARTITIONS"
    if wanted.role is Role.TIER:
        return f"{PREFIX}DELAY_PARTITIONS"
    if wanted.role is Role.EVENTS:
        return f"{PREFIX}EVENTS_PARTITIONS"
    return "Headrace makes it so"


def _noun(wanted: WantedTopic) -> str:
    return "queue" if wanted.role in _OF_A_QUEUE else "pipeline"


def _policy_harm(wanted: WantedTopic) -> str:
    if wanted.role is Role.COMPACTED:
        return "what it holds would be deleted by age"
    if wanted.role is Role.LETTERS:
        return "what was done about dead letters would be forgotten too soon, or kept for ever"
    if wanted.role is Role.DEDUP:
        return "notes would be kept for ever, or the older of two for one key as long as the newer"
    return "compaction deletes all but the last record of each key, which loses jobs"


def _unwritable(wanted: WantedTopic, replicas: int | None) -> Iterator[str]:
    insync = wanted.min_insync
    if insync is not None and replicas is not None and insync > replicas:
        yield (
            f"{wanted.name} has {replicas} replicas and {PREFIX}TOPIC_MIN_INSYNC={insync}: nothing "
            "could be written to it; lower it, or give the topic more replicas"
        )


def _warnings(wanted: WantedTopic, topic: TopicState) -> Iterator[str]:
    if wanted.replication > 0 and wanted.replication != topic.replicas:
        yield (
            f"{wanted.name} has {topic.replicas} replicas where {wanted.replication} are set: left "
            "alone; move it with `kafka-reassign-partitions.sh` if it matters"
        )


def _changes(wanted: WantedTopic, topic: TopicState) -> Iterator[ConfigChange]:
    for name, value in wanted.config_for(topic.replicas).items():
        before = topic.config.get(name)
        if before != value:
            yield ConfigChange(name, before, value)


def _offsets(step: TopicStep, state: ClusterState, start: Start | None) -> OffsetStep | None:
    topic, group = step.wanted.name, step.wanted.group
    if group is None or not step.after:
        return None
    if step.action is Action.CREATE:
        return offsets.for_new_topic(topic, group, step.after)
    return offsets.for_topic(topic, group, step.before, step.after, state, start)


def _says_something(step: OffsetStep) -> bool:
    return bool(step.commits or step.waiting or step.problem)


def _floors(steps: Iterable[TopicStep], state: ClusterState) -> Iterator[tuple[str, int]]:
    for step in steps:
        name = step.wanted.name
        if step.action is Action.GROW and step.wanted.group and name not in state.known_partitions:
            yield name, step.before


def _counts(
    steps: Iterable[TopicStep], initial: dict[str, OffsetStep | None], state: ClusterState
) -> Iterator[tuple[str, int]]:
    for step in steps:
        name = step.wanted.name
        offset_step = initial[name]
        complete = offset_step is not None and offset_step.complete
        if complete and state.known_partitions.get(name) != step.after:
            yield name, step.after
