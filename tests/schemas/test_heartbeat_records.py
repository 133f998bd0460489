"""Heartbeats between versions: what a newer process adds is passed over, nothing is guessed."""

import io
import json

import fastavro
import pytest

from headrace.schemas import heartbeats
from headrace.schemas.errors import UndecodableError, UnknownSchemaError
from headrace.schemas.fingerprint import fingerprint, schema_text
from headrace.schemas.framing import single_object_prefix
from headrace.schemas.heartbeats import (
    Heartbeat,
    RunningJob,
    ServedPartition,
    ServedTopic,
    SlotUse,
    decode_heartbeat,
    encode_heartbeat,
)
from headrace.schemas.parsed import parse

LANE = "shop.default.high"
IDLE = Heartbeat("host-1-abc", "worker", "1.2.3", "host", 1, 1_000, 2_000, 5_000)
BUSY = IDLE._replace(
    served=(
        ServedTopic(LANE, (ServedPartition(0), ServedPartition(7, 2, 1_500)), polled=1_990),
        ServedTopic("shop.media.normal"),
    ),
    slots=(SlotUse("default", 8, 2),),
    running=(RunningJob("a", "email.send", LANE, 7, 41, 1, 1_500),),
)


@pytest.mark.parametrize("beat", [IDLE, BUSY, BUSY._replace(stopped=True)])
def test_a_heartbeat_comes_back_as_it_was_written(beat: Heartbeat) -> None:
    assert decode_heartbeat(encode_heartbeat(beat)) == beat


def test_all_jobs_in_flight_are_counted_whether_they_are_named_or_not() -> None:
    assert (IDLE.in_flight, BUSY.in_flight) == (0, 2)


def test_a_heartbeat_of_a_newer_version_is_read_with_its_schema_and_refused_without() -> None:
    schema = json.loads(heartbeats.TEXT)
    schema["fields"].append({"name": "zone", "type": "string", "default": ""})
    old = fastavro.schemaless_reader(
        io.BytesIO(encode_heartbeat(IDLE)[10:]), fastavro.parse_schema(json.loads(heartbeats.TEXT))
    )
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), {**old, "zone": "north"})  # type: ignore[dict-item]
    mark = fingerprint(schema)
    written = single_object_prefix(mark) + buffer.getvalue()
    with pytest.raises(UnknownSchemaError, match=mark.hex()):
        decode_heartbeat(written)
    assert decode_heartbeat(written, {mark: parse(schema_text(schema))}) == IDLE


@pytest.mark.parametrize("cut", [0, 5, 12])
def test_broken_bytes_are_no_heartbeat(cut: int) -> None:
    with pytest.raises((UndecodableError, UnknownSchemaError)):
        decode_heartbeat(encode_heartbeat(BUSY)[:cut])
