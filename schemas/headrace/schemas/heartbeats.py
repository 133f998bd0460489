"""Heartbeats: what each worker and scheduler says of itself every few seconds.

One record on the compacted topic `<pipeline>.workers`, its key the process's name, its value one
Avro record in single-object encoding. The last one of a process that ended in order says so
(`stopped`); one that died goes on saying what it did last, and its age tells.

The schema grows by optional fields alone, as that of transitions does.
"""

import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import fastavro

from headrace.schemas import framing
from headrace.schemas.errors import UndecodableError, UnknownSchemaError
from headrace.schemas.fingerprint import schema_text
from headrace.schemas.parsed import ParsedSchema, parse


class ServedPartition(NamedTuple):
    """One partition that a process owns."""

    partition: int
    running: int = 0
    """Jobs of it that run now."""
    oldest: int | None = None
    """Since when the one runs that runs longest, epoch milliseconds."""


class ServedTopic(NamedTuple):
    """One lane that a worker serves, or one delay tier that a scheduler reads."""

    topic: str
    partitions: tuple[ServedPartition, ...] = ()
    polled: int | None = None
    """When its consumer was last polled, epoch milliseconds; None before the first time."""


class RunningJob(NamedTuple):
    """One attempt that runs now."""

    job_id: str
    job_type: str
    lane: str
    partition: int
    offset: int
    attempt: int
    started: int
    """Epoch milliseconds."""


class SlotUse(NamedTuple):
    """How many jobs of one pool may run at a time, and how many do."""

    pool: str
    total: int
    used: int


class Heartbeat(NamedTuple):
    """What a process says of itself. Times in epoch milliseconds, by its own clock."""

    name: str
    """Host, pid and some chance: no two processes share it."""
    role: str
    """`worker` or `scheduler`."""
    version: str
    """Headrace's."""
    host: str
    pid: int
    started: int
    time: int
    """When it said this."""
    interval: int
    """Milliseconds until the next one, at most, while it is well."""
    served: tuple[ServedTopic, ...] = ()
    slots: tuple[SlotUse, ...] = ()
    running: tuple[RunningJob, ...] = ()
    """The attempts that run longest; at most so many that the record stays small."""
    stopped: bool = False
    """Whether this is its last one: it has ended in order."""

    @property
    def in_flight(self) -> int:
        """Attempts that run, those included that `running` has no room for."""
        return sum(each.running for topic in self.served for each in topic.partitions)


def _record(name: str, *fields: tuple[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [_field(*each) for each in fields]}


def _field(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, "type": kind}


def _array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


_PARTITION: Final = _record(
    "ServedPartition", ("partition", "int"), ("running", "int"), ("oldest", "long")
)
_TOPIC: Final = _record(
    "ServedTopic", ("topic", "string"), ("polled", "long"), ("partitions", _array(_PARTITION))
)
_SLOTS: Final = _record("SlotUse", ("pool", "string"), ("total", "int"), ("used", "int"))
_RUNNING: Final = _record(
    "RunningJob",
    ("job_id", "string"),
    ("job_type", "string"),
    ("lane", "string"),
    ("partition", "int"),
    ("offset", "long"),
    ("attempt", "int"),
    ("started", "long"),
)
SCHEMA: Final[dict[str, Any]] = _record(
    "Heartbeat",
    ("name", "string"),
    ("role", "string"),
    ("version", "string"),
    ("host", "string"),
    ("pid", "int"),
    ("started", "long"),
    ("time", "long"),
    ("interval", "long"),
    ("stopped", "boolean"),
    ("served", _array(_TOPIC)),
    ("slots", _array(_SLOTS)),
    ("running", _array(_RUNNING)),
) | {"namespace": "headrace"}
"""A time of 0 is none."""

_OWN: Final = parse(schema_text(SCHEMA))
NAME: Final = "Heartbeat"
TEXT: Final = _OWN.text
"""The schema as JSON, as it is published for readers of other versions."""
FINGERPRINT: Final = _OWN.fingerprint
_PREFIX: Final = framing.SINGLE_OBJECT_MAGIC + FINGERPRINT
_NONE: Final[Mapping[bytes, ParsedSchema]] = MappingProxyType({})


def encode_heartbeat(beat: Heartbeat) -> bytes:
    """Write a heartbeat in Avro single-object encoding."""
    buffer = io.BytesIO()
    buffer.write(_PREFIX)
    served = [
        {
            "topic": each.topic,
            "polled": each.polled or 0,
            "partitions": [
                part._asdict() | {"oldest": part.oldest or 0} for part in each.partitions
            ],
        }
        for each in beat.served
    ]
    lists = {
        "served": served,
        "slots": [each._asdict() for each in beat.slots],
        "running": [each._asdict() for each in beat.running],
    }
    fastavro.schemaless_writer(buffer, _OWN.parsed, beat._asdict() | lists)
    return buffer.getvalue()


def decode_heartbeat(payload: bytes, writers: Mapping[bytes, ParsedSchema] = _NONE) -> Heartbeat:
    """Read a heartbeat that `encode_heartbeat` wrote, in this version or a newer one.

    Args:
        payload: In Avro single-object encoding.
        writers: Schemas of newer versions by their fingerprints.

    Raises:
        UnknownSchemaError: This version does not know the writer's schema, and `writers` does not
            have it.
        UndecodableError: The bytes are no heartbeat.
    """
    framed = framing.split(payload)
    mark = framed.fingerprint or b""
    writer = _OWN if mark == FINGERPRINT else writers.get(mark)
    if writer is None:
        raise UnknownSchemaError(
            f"fingerprint {mark.hex() or 'none'}",
            f"a heartbeat names it, and this version writes {FINGERPRINT.hex()}: run `headrace "
            "topics apply` with the version that wrote the heartbeat, which publishes it",
        )
    try:
        body = io.BytesIO(framed.body)
        row: Any = fastavro.schemaless_reader(body, writer.parsed, _OWN.parsed)
        return _heartbeat(row)
    except Exception as error:
        what = f"it is no heartbeat: {type(error).__name__}: {error}"
        raise UndecodableError(what, payload) from error


def _heartbeat(row: dict[str, Any]) -> Heartbeat:
    lists = {
        "served": tuple(_served(each) for each in row["served"]),
        "slots": tuple(SlotUse(**each) for each in row["slots"]),
        "running": tuple(RunningJob(**each) for each in row["running"]),
    }
    return Heartbeat(**row | lists)


def _served(row: dict[str, Any]) -> ServedTopic:
    partitions = tuple(
        ServedPartition(each["partition"], each["running"], each["oldest"] or None)
        for each in row["partitions"]
    )
    return ServedTopic(row["topic"], partitions, row["polled"] or None)
