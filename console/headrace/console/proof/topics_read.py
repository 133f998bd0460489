"""Reading what a proof run left on its topics, by means of its own.

Nothing here uses the engine's reading code: headers are parsed from their bytes, and transitions
with the schema that their records name. The names of headers are written out on purpose: they are
the wire format, and a name that was changed by mistake must show here.
"""

import io
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

import fastavro
from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from headrace.console.proof.dump import (
    Position,
    Records,
    Role,
    StoredTransition,
    TopicRecord,
    interning,
    role_of,
)
from headrace.console.proof.lookers import Lookers
from headrace.console.proof.records import Committed, Place
from headrace.pipeline.errors import KafkaUnavailableError
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.settings import KafkaSettings
from headrace.schemas import transitions
from headrace.schemas.errors import HeadraceError

_PATIENCE: Final = 30.0
"""Seconds of silence after which reading is given up."""
_TIMEOUT: Final = 15.0
_BATCH: Final = 5_000
_MARK: Final = b"\xc3\x01"
"""Avro single-object encoding; eight bytes of the schema's fingerprint follow."""


class UnreadableTopicError(HeadraceError):
    """A topic holds what no release of Headrace writes there."""


def read_topics(kafka: KafkaSettings, pipeline: str) -> Records:
    """Read everything that a run left, to the end.

    Call it after every worker and scheduler has ended: what is stored later is not seen.

    Args:
        kafka: Where Kafka is.
        pipeline: The pipeline's name.

    Raises:
        KafkaUnavailableError: Nothing came for 30 s.
        UnreadableTopicError: A batch of transitions is of another release, or a topic does not
            stamp the broker's time.
    """
    consumer = make_reader(kafka, **{"isolation.level": "read_committed"})
    reading = _Reading(pipeline)
    try:
        spans = _spans(consumer, pipeline)
        for message in _messages(consumer, spans):
            reading.take(message)
    finally:
        consumer.close()
    watched = {place: end for place, (_, end) in spans.items() if _is_moved(place, pipeline)}
    committed = read_committed(kafka, pipeline, {topic for topic, _ in watched})
    positions = {
        place: Position(end, committed.get(place, Committed(-1))) for place, end in watched.items()
    }
    return Records(reading.records, reading.transitions, positions)


def read_committed(
    kafka: KafkaSettings, pipeline: str, topics: Iterable[str]
) -> dict[Place, Committed]:
    """Ask what is committed on lanes and delay tiers, with the metadata beside it.

    Args:
        kafka: Where they are.
        pipeline: The pipeline's name.
        topics: Lanes and delay tiers.
    """
    groups: dict[str, list[str]] = {}
    for topic in sorted(topics):
        lane = role_of(topic, pipeline) is Role.LANE
        groups.setdefault(topic if lane else f"{pipeline}.scheduler", []).append(topic)
    lookers = Lookers(kafka, _TIMEOUT)
    found: dict[Place, Committed] = {}
    try:
        for group, its in groups.items():
            found |= lookers.committed(group, its)
    except KafkaException as error:
        raise explain("reading what is committed", kafka_error(error), kafka) from error
    finally:
        lookers.close()
    return found


class _Reading:
    """Takes messages, keeps what counts of them."""

    def __init__(self, pipeline: str) -> None:
        self.records: list[TopicRecord] = []
        self.transitions: list[StoredTransition] = []
        self._pipeline = pipeline
        self._intern = interning()
        self._schema = fastavro.parse_schema(transitions.SCHEMA)

    def take(self, message: Message) -> None:
        topic, partition = message.topic() or "", message.partition() or 0
        kind, appended = message.timestamp()
        if kind != TIMESTAMP_LOG_APPEND_TIME:
            raise UnreadableTopicError(
                f"topic {topic} stamps the producers' times, not the broker's: what was stored "
                "before what cannot be told; run `headrace topics apply`"
            )
        if role_of(topic, self._pipeline) is Role.EVENTS:
            self._take_transitions(message.value() or b"", appended, f"{topic}/{partition}")
        else:
            self.records.append(self._record(message, topic, partition, appended))

    def _record(self, message: Message, topic: str, partition: int, appended: int) -> TopicRecord:
        found: dict[str, Any] = dict(message.headers() or ())
        return TopicRecord(
            self._intern(topic),
            partition,
            message.offset() or 0,
            appended,
            self._intern(_text(found.get("ce_id"))),
            _number(found.get("headrace-attempt")) or 1,
            _number(found.get("headrace-step")),
            _number(found.get("headrace-generation")),
            _number(found.get("headrace-due")),
            self._intern(_text(found.get("headrace-worker"))),
            self._intern(_text(found.get("headrace-reason"))),
        )

    def _take_transitions(self, value: bytes, appended: int, where: str) -> None:
        if value[:2] != _MARK or value[2:10] != transitions.FINGERPRINT:
            raise UnreadableTopicError(
                f"a record of {where} begins with {value[:10].hex()}, not with the schema of "
                f"transitions of this release ({transitions.FINGERPRINT.hex()}): check the run with "
                "the release that made it"
            )
        batch: Any = fastavro.schemaless_reader(io.BytesIO(value[10:]), self._schema, None)
        lane, worker = self._intern(batch["lane"]), self._intern(batch["worker"])
        for row in batch["transitions"]:
            detail = row["detail"] or {}
            self.transitions.append(
                StoredTransition(
                    appended, self._intern(row["job_id"]), self._intern(row["state"]), lane,
                    row["partition"], row["offset"], row["attempt"], row["step"],
                    row["generation"], detail.get("due") or 0, worker,
                    self._intern(detail.get("error_type") or ""),
                )
            )  # fmt: skip


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")


def _number(value: bytes | None) -> int:
    """Read a number; one that is none counts as 0, so that a bad record does not end the proof."""
    try:
        return int(value or b"0")
    except ValueError:
        return 0


def _is_moved(place: Place, pipeline: str) -> bool:
    return role_of(place[0], pipeline) in (Role.LANE, Role.TIER)


def _spans(consumer: Consumer, pipeline: str) -> dict[Place, tuple[int, int]]:
    """Find first offset and end of every partition that holds jobs or transitions."""
    found = consumer.list_topics(timeout=_TIMEOUT).topics
    return {
        (topic, partition): consumer.get_watermark_offsets(
            TopicPartition(topic, partition), timeout=_TIMEOUT
        )
        for topic, metadata in found.items()
        if role_of(topic, pipeline) is not Role.OTHER
        for partition in metadata.partitions
    }


def _messages(consumer: Consumer, spans: dict[Place, tuple[int, int]]) -> Iterator[Message]:
    waiting = {place for place, (start, end) in spans.items() if start < end}
    consumer.assign([TopicPartition(*place, spans[place][0]) for place in sorted(waiting)])
    last_sign = time.monotonic()
    while waiting:
        first = consumer.poll(0.2)
        if first is None:
            if time.monotonic() - last_sign > _PATIENCE:
                raise KafkaUnavailableError(
                    f"reading the topics of a proof run: nothing came for {_PATIENCE:g} s, "
                    f"{len(waiting)} partitions are not read to their end; check that Kafka is "
                    "well, then check the run again"
                )
            continue
        last_sign = time.monotonic()
        for message in (first, *consumer.consume(_BATCH, 0)):
            if not _is_end(message, waiting):
                yield message


def _is_end(message: Message, waiting: set[Place]) -> bool:
    """Tell an end of partition from a record.

    The client tells of it at the last stable offset, after every committed record.
    """
    error = message.error()
    if error is None:
        return False
    if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
        raise KafkaException(error)
    waiting.discard((message.topic() or "", message.partition() or 0))
    return True
