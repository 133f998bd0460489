"""Looking at the cluster: a plan for it, or the refusal to start without its topics."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from headrace.pipeline.durations import format_duration, to_milliseconds
from headrace.pipeline.errors import LoadError, TopicError
from headrace.pipeline.loading import reference_of
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.queues import Lane
from headrace.pipeline.schema_topic import declared_schemas
from headrace.pipeline.settings import KafkaSettings, TopicSettings
from headrace.pipeline.topics.calls import TIMEOUT, AdminCalls
from headrace.pipeline.topics.compare import compare
from headrace.pipeline.topics.offsets import Start
from headrace.pipeline.topics.plan import TopicPlan
from headrace.pipeline.topics.reading import ClusterReader
from headrace.pipeline.topics.wanted import CLEANUP, RETENTION, TIMESTAMP, wanted
from headrace.pipeline.topology import TIERS, Tier, Topology


def plan_topics(
    pipeline: Pipeline,
    kafka: KafkaSettings,
    topics: TopicSettings,
    *,
    grow: bool = False,
    start: Start | None = None,
) -> TopicPlan:
    """Compare the pipeline's topics with the cluster. Changes nothing.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
        topics: What topics must be like.
        grow: Whether partitions may be added.
        start: Where a group begins whose offset is lost: with `earliest`, every record that is
            kept, or with `latest`, those to come. None refuses to guess.

    Raises:
        SettingsError: The settings would lose jobs, or make topics that nobody can write to.
        FingerprintCollisionError: Two declared schemas share a fingerprint and differ.
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: Kafka refused to say, such as for a missing right.
    """
    wishes = wanted(pipeline, topics)
    declared = declared_schemas(pipeline)
    state = ClusterReader(kafka).state(pipeline.topology, wishes)
    return compare(pipeline.topology, wishes, declared, state, grow=grow, start=start)


def check_topics(
    pipeline: Pipeline,
    kafka: KafkaSettings,
    lanes: Iterable[Lane] | None = None,
    *,
    timeout: timedelta = TIMEOUT,
) -> None:
    """Make sure that the topics exist which a process is about to use: one call, some 10 ms.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
        lanes: The lanes that the process serves or writes to, with the dead letters and dedup notes
            of their queues; all when not given. The delay tiers, events and compacted topics are always looked for.
        timeout: How long Kafka may take to answer.

    Raises:
        TopicError: Topics are missing: names them, and the command that makes them.
        RightsError: The user may not see a topic.
        KafkaUnavailableError: Kafka gave no answer in time; trying again may help.
    """
    needed = _needed(pipeline.topology, lanes)
    found = AdminCalls(kafka, timeout).descriptions(needed)
    missing = [topic for topic in needed if topic not in found]
    if missing:
        raise TopicError(
            f"pipeline {pipeline.name!r} lacks {len(missing)} of its topics: {', '.join(missing)}; "
            f"make them with `headrace topics apply {_reference(pipeline)}`"
        )


def check_tiers(pipeline: Pipeline, kafka: KafkaSettings, *, timeout: timedelta = TIMEOUT) -> None:
    """Make sure that the delay tiers keep what waits in them, for as long as it waits.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
        timeout: How long Kafka may take to answer.

    Raises:
        TopicError: A tier stamps the producers' times, deletes records before their wait is over,
            or is compacted: names each, what is wrong with it, and the command that mends it.
        RightsError: The user may not see the settings of a topic.
        KafkaUnavailableError: Kafka gave no answer in time; trying again may help.
    """
    tiers = {pipeline.topology.tier(tier): tier for tier in TIERS}
    configs = ClusterReader(kafka, timeout).configs(tiers)
    problems = [
        f"delay tier {topic}: {problem}"
        for topic, config in configs.items()
        for problem in _harm(tiers[topic], config)
    ]
    if problems:
        apply = f"headrace topics apply {_reference(pipeline)}"
        raise TopicError("\n".join([*problems, f"nothing was moved; mend it with `{apply}`"]))


def _harm(tier: Tier, config: Mapping[str, str | None]) -> Iterator[str]:
    """Say how a tier's settings would lose jobs, or let them run at a wrong time."""
    stamps, retention, policy = config[TIMESTAMP], int(config[RETENTION] or -1), config[CLEANUP]
    if stamps != "LogAppendTime":
        yield (
            f"{TIMESTAMP} is {stamps} and must be LogAppendTime: how long a job waits there would "
            "depend on the clock of whoever wrote it"
        )
    if 0 <= retention < to_milliseconds(tier.wait):
        kept = format_duration(timedelta(milliseconds=retention))
        yield (
            f"{RETENTION} is {retention} ({kept}), shorter than its wait of "
            f"{format_duration(tier.wait)}: Kafka would delete jobs before they are due"
        )
    if policy != "delete":
        yield f"{CLEANUP} is {policy} and must be delete: all but one job of each key would be lost"


def _needed(topology: Topology, lanes: Iterable[Lane] | None) -> list[str]:
    served = tuple(topology.lanes() if lanes is None else lanes)
    dead = dict.fromkeys(topology.dead_letters(lane.queue) for lane in served)
    queues = {lane.queue for lane in served}
    noted = [topology.dedup(q.name) for q in topology.queues if q.dedup_window and q.name in queues]
    common = (topology.events, topology.control, topology.schemas, topology.workers)
    return [
        *(lane.topic for lane in served),
        *dead,
        *noted,
        *(topology.tier(tier) for tier in TIERS),
        *common,
    ]


def _reference(pipeline: Pipeline) -> str:
    try:
        return reference_of(pipeline)
    except LoadError:
        return "module:attribute"
