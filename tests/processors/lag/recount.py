"""The lag of a pipeline as plain clients see it: watermarks, committed offsets, every record read.

It shares nothing with what it checks but the codec of the commit metadata.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from headrace.consumers import commit_metadata
from headrace.consumers.commit_metadata import CommitMetadata
from headrace.pipeline import Pipeline
from headrace.pipeline.topology import TIERS
from headrace.processors.lag.due_counts import WIDTHS


@dataclass
class Recount:
    """What was counted.

    Attributes:
        unfinished: Offsets (of tiers: records) that are not finished, by topic.
        raw: End less committed offset, by topic.
        ready: When the oldest unfinished record of a lane could run (epoch ms), by topic.
        due: For each lane the slots of its waiting jobs.
        dead: Records of the dead-letter topics.
    """

    unfinished: Counter[str] = field(default_factory=Counter)
    raw: Counter[str] = field(default_factory=Counter)
    due: dict[str, Counter[int]] = field(default_factory=dict)
    dead: Counter[str] = field(default_factory=Counter)


def recount(shop: Pipeline, bootstrap: str) -> Recount:
    """Count everything anew."""
    topology, found = shop.topology, Recount()
    found.due = {lane.topic: Counter() for lane in topology.lanes()}
    for lane in topology.lanes():
        for place, finished, end in _ends(bootstrap, lane.topic, lane.topic):
            found.raw[lane.topic] += end - place.offset
            found.unfinished[lane.topic] += end - place.offset - sum(map(len, finished))
    for tier in TIERS:
        topic = topology.tier(tier)
        for place, finished, end in _ends(bootstrap, topology.scheduler_group, topic):
            for message in _records(bootstrap, place, end):
                if any(message.offset() in run for run in finished):
                    continue
                headers: dict[str, Any] = dict(message.headers() or ())
                width = WIDTHS.get(tier.name, 1) * 1_000
                due = int(headers["headrace-due"])
                slot = (due + width - 1) // width * width // 1_000
                found.unfinished[topic] += 1
                found.due[headers["headrace-lane"].decode()][slot] += 1
    for queue in shop.queues:
        topic = topology.dead_letters(queue)
        for place, _, end in _ends(bootstrap, "nobody", topic):
            found.dead[topic] += len(list(_records(bootstrap, place, end)))
    return found


def _ends(
    bootstrap: str, group: str, topic: str
) -> Iterator[tuple[TopicPartition, Collection[range], int]]:
    """Give each partition from its commit point on, what is finished above it, and its end."""
    with closing(_consumer(bootstrap, group)) as consumer:
        count = len(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        places = [TopicPartition(topic, number) for number in range(count)]
        for place in consumer.committed(places, timeout=10):
            _, end = consumer.get_watermark_offsets(place, timeout=10)
            read = commit_metadata.decode(place.metadata, place.offset)
            finished = read.finished if isinstance(read, CommitMetadata) else ()
            yield TopicPartition(topic, place.partition, max(0, place.offset)), finished, end


def _records(bootstrap: str, place: TopicPartition, end: int) -> Iterator[Message]:
    if place.offset >= end:
        return
    with closing(_consumer(bootstrap, "nobody")) as consumer:
        consumer.assign([place])
        while True:
            message = consumer.poll(10)
            assert message is not None, f"{place}: nothing came for 10 s"
            if message.error() is not None:
                return
            yield message


def _consumer(bootstrap: str, group: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
        }
    )
