"""What an exporter has learnt over time, published so that one look of others knows it too.

On `<pipeline>.stats`, compacted, a record for each topic under `lag/<topic>`: of its partitions
what moved, of a lane what waits for it in the tiers. Several exporters publish the same truth.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from headrace.pipeline.compacted import CompactedRecord, read_latest
from headrace.pipeline.errors import TopicError
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.lag.due_counts import LaneDue
from headrace.processors.lag.observing import Progress
from headrace.processors.lag.report import LagReport, TopicLag

_PREFIX: Final = "lag/"
_MISSED: Final = 3
"""Publications that may fail to come before what was published is old."""
_LOG = logging.getLogger("headrace.lag")


@dataclass(frozen=True, slots=True)
class Published:
    """What exporters published, and is not old.

    Attributes:
        progress: What moved, by partition.
        due: What waits in the tiers, by lane.
    """

    progress: Mapping[Place, Progress]
    due: Mapping[str, LaneDue]


NOTHING: Final = Published({}, {})


def records(topic: str, report: LagReport, interval: int) -> Iterable[CompactedRecord]:
    """Make the records to publish.

    Args:
        topic: The statistics topic.
        report: What was learnt.
        interval: Milliseconds until the next publication.
    """
    for found in report.topics:
        value = {"at": report.at, "interval": interval, **_value(found)}
        key = (_PREFIX + found.topic).encode()
        yield CompactedRecord(topic, key, json.dumps(value).encode())


def _value(found: TopicLag) -> dict[str, Any]:
    return {
        "parts": [
            [
                part.partition,
                part.progress.rate_in,
                part.progress.rate_out,
                part.progress.moved,
                part.progress.still_since,
                part.progress.rewound,
                part.progress.grew,
            ]
            for part in found.partitions
        ],
        "due": None if found.due is None else found.due.slots,
    }


def read_published(kafka: KafkaSettings, pipeline: Pipeline, now: int) -> Published:
    """Read what was published and is not old.

    Nothing is known where the topic does not exist or may not be read: figures are then those of
    this process alone.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
    """
    topic = pipeline.topology.stats
    try:
        return published_in(read_latest(kafka, [topic])[topic], now)
    except TopicError as error:
        _LOG.debug("what exporters published is not known: %s", error)
        return NOTHING


def published_in(found: Mapping[bytes, bytes], now: int) -> Published:
    """Put records of the topic together; one that is old, or cannot be read, is left out."""
    progress: dict[Place, Progress] = {}
    due: dict[str, LaneDue] = {}
    for key, value in found.items():
        name = key.decode(errors="replace")
        if not name.startswith(_PREFIX):
            continue
        topic = name.removeprefix(_PREFIX)
        try:
            told = json.loads(value)
            if now - int(told["at"]) > _MISSED * int(told["interval"]):
                continue
            progress |= {(topic, part[0]): Progress(*part[1:]) for part in told["parts"]}
            if told["due"] is not None:
                due[topic] = LaneDue(tuple((int(end), int(jobs)) for end, jobs in told["due"]))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            _LOG.warning("a record of an exporter is ignored: %r: %s", key, error)
    return Published(progress, due)
