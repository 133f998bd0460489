"""Partition counts on the control topic: which partitions of a topic got initial offsets.

A record's key is `partitions/<topic>`, its value JSON: `{"partitions": 12}`.
"""

import json
import logging
from collections.abc import Mapping
from typing import Final

from headrace.pipeline.compacted import CompactedRecord, read_latest, write_all
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology

_PREFIX: Final = "partitions/"
_LOG = logging.getLogger("headrace.topics")


def known_partitions(kafka: KafkaSettings, topology: Topology, topic: str) -> int | None:
    """Read how many partitions of a lane or tier got initial offsets; None if nothing says so.

    A worker that finds no offset in a partition from this number on may begin it at 0: it was
    added while the group was live, which refuses commits from outside. See
    `starting_offset_allowed`. Below it the offset is lost, and must not be guessed.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The control topic does not exist or may not be read.
    """
    records = read_latest(kafka, [topology.control])[topology.control]
    return counts_in(records).get(topic)


def record_partitions(kafka: KafkaSettings, control_topic: str, counts: Mapping[str, int]) -> None:
    """Record how many partitions of each topic got initial offsets.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The control topic does not exist or may not be written.
    """
    write_all(kafka, partition_records(control_topic, counts))


def partition_records(control_topic: str, counts: Mapping[str, int]) -> list[CompactedRecord]:
    """Make the records that `record_partitions` writes."""
    return [
        CompactedRecord(
            control_topic,
            f"{_PREFIX}{topic}".encode(),
            json.dumps({"partitions": count}).encode(),
        )
        for topic, count in counts.items()
    ]


def counts_in(records: Mapping[bytes, bytes]) -> Mapping[str, int]:
    """Find the partition counts among the records of the control topic.

    One that cannot be read is logged and left out: nothing is then allowed to begin at 0.
    """
    counts: dict[str, int] = {}
    for key, value in records.items():
        name = key.decode(errors="replace")
        if not name.startswith(_PREFIX):
            continue
        try:
            counts[name.removeprefix(_PREFIX)] = int(json.loads(value)["partitions"])
        except (ValueError, KeyError, TypeError):
            _LOG.warning(
                "the control topic holds an unreadable partition count %s: %r", name, value
            )
    return counts
