"""What every topic of a pipeline must be like."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from headrace.pipeline.durations import format_duration, to_milliseconds
from headrace.pipeline.errors import SettingsError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import PREFIX, TopicSettings
from headrace.pipeline.topology import LONGEST_WAIT, TIERS, Topology

SHORTEST_RETENTION: Final = 2 * LONGEST_WAIT
"""A tier's record waits for its tier's time; as long again the scheduler may be away."""
HANDOVER_ROOM: Final = 512 * 1024
"""Bytes by which a record may grow on its way from a lane to a tier or the dead letters."""
DEAD_LETTER_PARTITIONS: Final = 3
LETTERS_OUTLIVE: Final = timedelta(days=14)
"""How much longer the state of a dead letter is kept than the letter: Kafka deletes whole segments,
so a letter may outlive its retention by a segment's age, a week by default. Without its state it
would be open again."""
DEDUP_MARGIN: Final = timedelta(hours=1)
"""How much longer than the window Kafka keeps notes: clocks differ, and a job whose last attempt is
near may be live a little longer."""
_SHORTEST_SEGMENT: Final = timedelta(minutes=1)
_LONGEST_SEGMENT: Final = timedelta(hours=6)
_SEGMENTS: Final = 24
"""Segments in which the notes of a window lie: only whole ones are deleted, and an owner reads all
that is left."""
_ROWS_SEGMENT: Final = 8 * 1024 * 1024
"""Bytes after which what was overwritten in a table's topic can be compacted away."""
_HEARTBEATS_SEGMENT: Final = 1024 * 1024
"""The shortest that Kafka 4 allows: all that is not compacted yet is read by whoever looks."""
GONE_KEPT: Final = timedelta(days=1)
"""How long a process that ended is remembered: Kafka deletes its last heartbeat then, by itself."""
MIN_INSYNC: Final = "min.insync.replicas"
TIMESTAMP: Final = "message.timestamp.type"
CLEANUP: Final = "cleanup.policy"
RETENTION: Final = "retention.ms"


class Role(StrEnum):
    """What a topic is for."""

    LANE = "lane"
    TIER = "delay tier"
    DEAD_LETTERS = "dead letters"
    EVENTS = "events"
    AUDIT = "audit"
    LETTERS = "letter states"
    DEDUP = "dedup notes"
    HEARTBEATS = "heartbeats"
    COMPACTED = "compacted"


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """What a topic must be like.

    Attributes:
        name: The topic.
        role: What it is for.
        partitions: How many it has.
        replication: Replicas of each partition; -1 leaves it to the broker.
        min_insync: What the settings say of `min.insync.replicas`; None when they leave it to us.
        config: Its configuration, less `min.insync.replicas`, which depends on the replicas.
        group: The consumer group that reads it and must have an offset in each partition.
        ordered: Whether it is the lane of an ordered queue, whose keys must not move while jobs
            wait in it.
    """

    name: str
    role: Role
    partitions: int
    replication: int
    min_insync: int | None
    config: Mapping[str, str]
    group: str | None = None
    ordered: bool = False

    def config_for(self, replicas: int | None) -> Mapping[str, str]:
        """Give the whole configuration of a topic that has, or will have, so many replicas.

        Unknown replicas (None) leave `min.insync.replicas` to the broker, unless it was set: a
        guess above the real number would make the topic unwritable.
        """
        insync = self.min_insync
        if insync is None and replicas is not None:
            insync = 2 if replicas >= 3 else 1
        return self.config if insync is None else {**self.config, MIN_INSYNC: str(insync)}


def wanted(pipeline: Pipeline, settings: TopicSettings) -> tuple[WantedTopic, ...]:
    """Every topic of the pipeline: lanes, dead letters, dedup notes, delay tiers and the rest.

    Raises:
        SettingsError: The settings would lose jobs or make topics that nobody can write to;
            names the variable, the value and the remedy.
    """
    check_settings(settings)
    return tuple(_all(pipeline.topology, settings))


def check_settings(settings: TopicSettings) -> None:
    """Refuse settings that no topic should be made by.

    Raises:
        SettingsError: As for `wanted`.
    """
    if settings.topic_retention < SHORTEST_RETENTION:
        raise SettingsError(
            f"{PREFIX}TOPIC_RETENTION={format_duration(settings.topic_retention)}: a job may wait "
            f"{format_duration(LONGEST_WAIT)} in one delay tier, and Kafka would delete it before "
            "it is due, or while the scheduler is down; set it to "
            f"{format_duration(SHORTEST_RETENTION)} or more"
        )
    if settings.dlq_retention <= timedelta():
        raise SettingsError(
            f"{PREFIX}DLQ_RETENTION={format_duration(settings.dlq_retention)}: dead letters would "
            "be deleted at once; set it to the time in which somebody looks at them, such as 30d"
        )
    if settings.topic_replication == 0:
        raise SettingsError(
            f"{PREFIX}TOPIC_REPLICATION=0: a topic has at least one replica; set it to 1 or more, "
            "or to -1 for the broker's default"
        )
    insync = settings.topic_min_insync
    if insync is not None and 0 < settings.topic_replication < insync:
        raise SettingsError(
            f"{PREFIX}TOPIC_MIN_INSYNC={insync} is more than "
            f"{PREFIX}TOPIC_REPLICATION={settings.topic_replication}: nothing could be written; "
            "set it to at most one less than the replicas"
        )


def _all(topology: Topology, settings: TopicSettings) -> Iterator[WantedTopic]:
    make = _Maker(settings)
    for queue in topology.queues:
        partitions = queue.partitions or settings.topic_partitions
        for lane in topology.lanes():
            if lane.queue == queue.name:
                made = make.log(Role.LANE, lane.topic, partitions, group=lane.topic)
                yield replace(made, ordered=queue.ordered)
        yield make.log(Role.DEAD_LETTERS, topology.dead_letters(queue.name), DEAD_LETTER_PARTITIONS)
        if queue.dedup_window:
            yield make.notes(topology.dedup(queue.name), partitions, queue.dedup_window)
    for tier in TIERS:
        yield make.log(
            Role.TIER,
            topology.tier(tier),
            settings.delay_partitions,
            group=topology.scheduler_group,
        )
    yield make.log(Role.EVENTS, topology.events, settings.events_partitions)
    for name in (topology.control, topology.schedules, topology.schemas):
        yield make.compacted(name)
    yield make.heartbeats(topology.workers)
    yield make.compacted(topology.stats)
    yield make.rows(topology.statistics_rows, settings.events_partitions)
    yield make.letters(topology.letters)
    yield make.log(Role.AUDIT, topology.audit, 1)


@dataclass(frozen=True, slots=True)
class _Maker:
    settings: TopicSettings

    def log(
        self, role: Role, name: str, partitions: int, *, group: str | None = None
    ) -> WantedTopic:
        settings = self.settings
        long = role in {Role.DEAD_LETTERS, Role.AUDIT}
        retention = settings.dlq_retention if long else settings.topic_retention
        room = 0 if role is Role.LANE else HANDOVER_ROOM
        config = {
            CLEANUP: "delete",
            RETENTION: str(to_milliseconds(retention)),
            "retention.bytes": "-1",
            "max.message.bytes": str(settings.topic_max_message_bytes + room),
        }
        return self._topic(role, name, partitions, config, group)

    def compacted(self, name: str) -> WantedTopic:
        return self._topic(Role.COMPACTED, name, 1, self._compaction("compact"), None)

    def rows(self, name: str, partitions: int) -> WantedTopic:
        """Give the topic of a table that is read whole whenever its owner changes: kept short."""
        config = self._compaction("compact") | {"segment.bytes": str(_ROWS_SEGMENT)}
        return self._topic(Role.COMPACTED, name, partitions, config, None)

    def heartbeats(self, name: str) -> WantedTopic:
        """Give the topic that every process writes to every few seconds, and that is read whole."""
        config = self._compaction("compact,delete") | {
            "segment.bytes": str(_HEARTBEATS_SEGMENT),
            RETENTION: str(to_milliseconds(GONE_KEPT)),
        }
        return self._topic(Role.HEARTBEATS, name, 1, config, None)

    def letters(self, name: str) -> WantedTopic:
        retention = self.settings.dlq_retention + LETTERS_OUTLIVE
        config = self._compaction("compact,delete") | {RETENTION: str(to_milliseconds(retention))}
        return self._topic(Role.LETTERS, name, 1, config, None)

    def _compaction(self, policy: str) -> dict[str, str]:
        return {
            CLEANUP: policy,
            # Readers read it whole, so the active segment, which is never compacted, stays short
            "segment.ms": str(to_milliseconds(timedelta(hours=1))),
            "min.cleanable.dirty.ratio": "0.1",
            "max.message.bytes": str(self.settings.topic_max_message_bytes),
        }

    def notes(self, name: str, partitions: int, window: timedelta) -> WantedTopic:
        """Give a topic whose partitions are those of a queue's lanes: an owner reads just its own."""
        retention = window + DEDUP_MARGIN
        segment = min(max(retention / _SEGMENTS, _SHORTEST_SEGMENT), _LONGEST_SEGMENT)
        config = self._compaction("compact,delete") | {
            RETENTION: str(to_milliseconds(retention)),
            "segment.ms": str(to_milliseconds(segment)),
            "segment.bytes": str(16 * 1024 * 1024),
            # Nearly every key is written once: deletion makes it short, compaction hardly
            "min.cleanable.dirty.ratio": "0.5",
        }
        return self._topic(Role.DEDUP, name, partitions, config, None)

    def _topic(
        self, role: Role, name: str, partitions: int, config: dict[str, str], group: str | None
    ) -> WantedTopic:
        settings = self.settings
        # A job stamped by a wrong or replayed clock would be deleted by its claimed age
        config |= {TIMESTAMP: "LogAppendTime", "compression.type": "producer"}
        return WantedTopic(
            name,
            role,
            partitions,
            settings.topic_replication,
            settings.topic_min_insync,
            MappingProxyType(config),
            group,
        )
