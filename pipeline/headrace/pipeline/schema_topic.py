"""The schemas of job types and of Headrace's own records, where every reader finds them: `<pipeline>.schemas`.

A record's key is the schema's fingerprint in hex, its value is JSON: `name` (the job type),
`parts` (what the schema describes: `arguments`, `result`, `transitions`, `heartbeat`) and `schema` (its text).
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal

from headrace.pipeline.compacted import TIMEOUT, CompactedRecord, read_latest, write_all
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology
from headrace.schemas import fingerprint as fingerprints
from headrace.schemas import heartbeats, transitions
from headrace.schemas.errors import FingerprintCollisionError, SchemaError
from headrace.schemas.parsed import parse

_LOG = logging.getLogger("headrace.schemas")

Part = Literal["arguments", "result", "transitions", "heartbeat"]
ARGUMENTS: Final[Part] = "arguments"
RESULT: Final[Part] = "result"
TRANSITIONS: Final[Part] = "transitions"
HEARTBEAT: Final[Part] = "heartbeat"
_PARTS: Final[tuple[Part, ...]] = (ARGUMENTS, RESULT, TRANSITIONS, HEARTBEAT)


@dataclass(frozen=True, slots=True)
class PublishedSchema:
    """One schema of a job type, or of records of Headrace's own.

    Attributes:
        name: The job type; of Headrace's own records the record's name.
        text: The schema, as JSON.
        fingerprint: Its CRC-64-AVRO, 8 bytes.
        parts: What it describes; both, when arguments and result look alike.
    """

    name: str
    text: str
    fingerprint: bytes
    parts: tuple[Part, ...] = (ARGUMENTS,)

    @property
    def told(self) -> str:
        """What it describes and its fingerprint, for people."""
        return f"{' and '.join(self.parts)}, {self.fingerprint.hex()}"

    @property
    def key(self) -> bytes:
        """The record's key."""
        return self.fingerprint.hex().encode()

    @property
    def value(self) -> bytes:
        """The record's value."""
        document = {"name": self.name, "parts": self.parts, "schema": self.text}
        return json.dumps(document, ensure_ascii=False).encode()


def declared_schemas(pipeline: Pipeline) -> tuple[PublishedSchema, ...]:
    """Every schema that the pipeline's job types declare, each fingerprint once; then Headrace's own.

    Raises:
        FingerprintCollisionError: Two of them share a fingerprint and differ.
    """
    found: dict[bytes, PublishedSchema] = {}
    for schema in _all_of(pipeline):
        same = found.setdefault(schema.fingerprint, schema)
        fingerprints.refuse_collision(schema.name, schema.fingerprint, same.text, schema.text)
        parts = tuple(dict.fromkeys((*same.parts, *schema.parts)))
        found[schema.fingerprint] = replace(same, parts=parts)
    return tuple(found.values())


def _all_of(pipeline: Pipeline) -> Iterable[PublishedSchema]:
    for name, job_type in pipeline.job_types.items():
        arguments, result = job_type.arguments, job_type.result
        yield PublishedSchema(name, arguments.schema_text, arguments.fingerprint)
        if result is not None:
            yield PublishedSchema(name, result.schema_text, result.fingerprint, (RESULT,))
    yield PublishedSchema(
        transitions.NAME, transitions.TEXT, transitions.FINGERPRINT, (TRANSITIONS,)
    )
    yield PublishedSchema(heartbeats.NAME, heartbeats.TEXT, heartbeats.FINGERPRINT, (HEARTBEAT,))


def unpublished(
    declared: Iterable[PublishedSchema], published: Mapping[bytes, PublishedSchema]
) -> tuple[tuple[PublishedSchema, ...], tuple[str, ...]]:
    """Find what is to be published, and what cannot be.

    A schema that is there, but behind a later one for the same job type's arguments, is published
    again: after a rollback the last one is the one in force.

    Args:
        declared: What job types declare.
        published: What `SchemaTopic.read` gave.

    Returns:
        The schemas to publish, and a sentence for each whose fingerprint is taken by another text.
    """
    missing: list[PublishedSchema] = []
    problems: list[str] = []
    for schema in declared:
        try:
            if not _is_in_force(schema, published):
                missing.append(schema)
        except FingerprintCollisionError as error:
            problems.append(str(error))
    return tuple(missing), tuple(problems)


def _is_in_force(schema: PublishedSchema, published: Mapping[bytes, PublishedSchema]) -> bool:
    same = published.get(schema.fingerprint)
    if same is None:
        return False
    fingerprints.refuse_collision(schema.name, schema.fingerprint, same.text, schema.text)
    if not set(schema.parts) <= set(same.parts):
        return False
    last = latest_arguments(published, schema.name)
    return ARGUMENTS not in schema.parts or last is None or last == same


def latest_arguments(
    published: Mapping[bytes, PublishedSchema], name: str
) -> PublishedSchema | None:
    """Find the argument schema of a job type that was published last; None if none was."""
    of_type = [s for s in published.values() if s.name == name and ARGUMENTS in s.parts]
    return of_type[-1] if of_type else None


class SchemaTopic:
    """The compacted topic `<pipeline>.schemas`. Connects only while a method runs."""

    def __init__(self, kafka: KafkaSettings, topology: Topology) -> None:
        self._kafka = kafka
        self.topic = topology.schemas

    def read(self, timeout: timedelta = TIMEOUT) -> Mapping[bytes, PublishedSchema]:
        """Read all of it, to the end it has now.

        Returns:
            The schemas by fingerprint, the one published last at the end.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time.
            TopicError: The topic does not exist or may not be read.
        """
        return read_records(read_latest(self._kafka, [self.topic], timeout)[self.topic])

    def publish(self, declared: Iterable[PublishedSchema]) -> tuple[PublishedSchema, ...]:
        """Publish what is not published yet; write nothing when all is.

        Two processes that publish at once may write a record twice, which harms nobody.

        Returns:
            What was written.

        Raises:
            FingerprintCollisionError: A fingerprint is there with another text. Nothing was
                written.
            KafkaUnavailableError: Kafka gave no answer in time.
            TopicError: The topic does not exist or may not be written.
        """
        published = self.read()
        missing = tuple(schema for schema in declared if not _is_in_force(schema, published))
        self.write(missing)
        return missing

    def write(self, schemas: Iterable[PublishedSchema]) -> None:
        """Write schemas without looking at what is there. Raises as `publish` does."""
        write_all(self._kafka, records_of(self.topic, schemas))


def records_of(topic: str, schemas: Iterable[PublishedSchema]) -> list[CompactedRecord]:
    """Make the records that publish the schemas."""
    return [CompactedRecord(topic, schema.key, schema.value) for schema in schemas]


def read_records(records: Mapping[bytes, bytes]) -> Mapping[bytes, PublishedSchema]:
    """Understand records of the topic by key; what is no schema is logged and left out."""
    found: dict[bytes, PublishedSchema] = {}
    for key, value in records.items():
        try:
            schema = _read_record(key, value)
        except (ValueError, KeyError, TypeError, SchemaError) as error:
            _LOG.warning("the schema topic holds a record %r that is no schema: %s", key, error)
        else:
            found[schema.fingerprint] = schema
    return found


def _read_record(key: bytes, value: bytes) -> PublishedSchema:
    mark = bytes.fromhex(key.decode())
    document = json.loads(value)
    text, name = str(document["schema"]), str(document["name"])
    computed = parse(text).fingerprint
    if computed != mark:
        raise ValueError(f"its schema's fingerprint is {computed.hex()}")
    parts: tuple[Part, ...] = tuple(part for part in _PARTS if part in document["parts"])
    return PublishedSchema(name, text, mark, parts)
