import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import avro.schema
import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.schemas import framing
from headrace.schemas.codec import RecordCodec, parse, record_codec_for_signature
from headrace.schemas.errors import (
    FingerprintCollisionError,
    SchemaError,
    UndecodableError,
    UnknownSchemaError,
)
from headrace.schemas.fingerprint import fingerprint, refuse_collision
from tests.schemas.codec_samples import Known, NoSchemas, Parcel, codec_of


def thumbnail(path: str, width: int = 320) -> None: ...


def parcels(many: list[Parcel], names: dict[str, bytes], note: str | None) -> None: ...


THUMBNAIL = record_codec_for_signature("image.thumbnail", thumbnail, skip_first=False)
PARCELS = codec_of(parcels)


@pytest.mark.parametrize(
    ("schema", "mark"),
    [
        # the Avro project's own test vectors (share/test/data/schema-tests.txt), little-endian
        ("null", (7195948357588979594).to_bytes(8, "little")),
        ("int", (8247732601305521295).to_bytes(8, "little")),
        ("boolean", (-6970731678124411036).to_bytes(8, "little", signed=True)),
        ("string", (-8142146995180207161).to_bytes(8, "little", signed=True)),
    ],
)
def test_fingerprints_are_those_of_the_avro_specification(schema: str, mark: bytes) -> None:
    assert fingerprint(schema) == mark


def test_apache_avro_finds_the_same_fingerprint() -> None:
    apache = avro.schema.parse(THUMBNAIL.schema_text)
    assert apache.fingerprint("CRC-64-AVRO") == THUMBNAIL.fingerprint


def test_the_bytes_of_a_job_are_fixed() -> None:
    assert THUMBNAIL.schema_text == (
        '{"type":"record","name":"image_thumbnail","fields":[{"name":"path","type":"string"},'
        '{"name":"width","type":"long","default":320}]}'
    )
    payload = THUMBNAIL.encode(THUMBNAIL.bind("a.png"))
    assert payload.hex(" ") == "c3 01 ce d1 80 7f 34 47 96 d5 0a 61 2e 70 6e 67 80 05"
    confluent = THUMBNAIL.encode(THUMBNAIL.bind("a.png"), registry_id=258)
    assert confluent.hex(" ") == "00 00 00 01 02 0a 61 2e 70 6e 67 80 05"


def test_both_framings_are_read() -> None:
    values = THUMBNAIL.bind("a.png", 64)
    known = Known((THUMBNAIL,))
    assert THUMBNAIL.decode(THUMBNAIL.encode(values), NoSchemas()) == values
    assert THUMBNAIL.decode(THUMBNAIL.encode(values, registry_id=0), known) == values


def test_the_parts_of_a_framed_payload_are_told_apart() -> None:
    single = framing.split(b"\xc3\x01ABCDEFGHbody")
    assert (single.kind, single.fingerprint, single.registry_id, single.body) == (
        framing.Kind.SINGLE_OBJECT,
        b"ABCDEFGH",
        None,
        b"body",
    )
    confluent = framing.split(b"\x00\xff\x00\x00\x01body")
    assert (confluent.kind, confluent.registry_id, confluent.body) == (
        framing.Kind.CONFLUENT,
        0xFF000001,
        b"body",
    )


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", r"an empty payload .*\(payload of 0 bytes, it is empty\)"),
        (b"\xc3", "ends inside its framing"),
        (b"\xc3\x01abc", "ends inside its framing"),
        (b"\x00\x00", "ends inside its framing"),
        (b'{"to": "a"}', r"no Avro framing .*11 bytes, it begins with 7b 22 74 6f"),
        (b"\xc3\x02" + b"x" * 20, "ends inside its framing|no Avro framing"),
    ],
)
def test_what_is_not_framed_is_undecodable_and_shown(payload: bytes, message: str) -> None:
    with pytest.raises(UndecodableError, match=message):
        THUMBNAIL.decode(payload, NoSchemas())


def test_truncated_and_trailing_bytes_are_undecodable() -> None:
    payload = THUMBNAIL.encode(THUMBNAIL.bind("a.png"))
    for cut in range(10, len(payload)):
        with pytest.raises(UndecodableError, match="ends inside the record"):
            THUMBNAIL.decode(payload[:cut], NoSchemas())
    with pytest.raises(UndecodableError, match="2 bytes are left over"):
        THUMBNAIL.decode(payload + b"\0\0", NoSchemas())


def test_an_announced_length_beyond_the_payload_allocates_nothing() -> None:
    huge = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    for codec in (THUMBNAIL, PARCELS):
        with pytest.raises(UndecodableError):
            codec.decode(codec.prefix + huge, NoSchemas())


def test_an_unknown_fingerprint_or_id_is_named() -> None:
    with pytest.raises(UnknownSchemaError, match="4142434445464748"):
        THUMBNAIL.decode(b"\xc3\x01ABCDEFGH", NoSchemas())
    with pytest.raises(UnknownSchemaError, match="registry id 7"):
        THUMBNAIL.decode(b"\x00\x00\x00\x00\x07", NoSchemas())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([THUMBNAIL, PARCELS]), st.binary(max_size=64), st.booleans())
def test_random_bytes_are_either_a_record_or_undecodable(
    codec: RecordCodec, noise: bytes, framed: bool
) -> None:
    payload = codec.prefix + noise if framed else noise
    try:
        values = codec.decode(payload, NoSchemas())
    except (UndecodableError, UnknownSchemaError):
        return
    assert codec.decode(codec.encode(values), NoSchemas()) == values


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_record_with_flipped_bytes_is_either_a_record_or_undecodable(data: st.DataObject) -> None:
    from tests.schemas.codec_samples import PARCELS as PARCEL_VALUES

    values = PARCELS.bind(data.draw(st.lists(PARCEL_VALUES, max_size=2)), {"a": b"b"}, "note")
    payload = bytearray(PARCELS.encode(values))
    place = data.draw(st.integers(10, len(payload) - 1))
    payload[place] ^= data.draw(st.integers(1, 255))
    try:
        PARCELS.decode(bytes(payload), NoSchemas())
    except UndecodableError:
        return


RECURSIVE = {"type": "record", "name": "N", "fields": [{"name": "n", "type": ["null", "N"]}]}
NULLS = {
    "type": "record",
    "name": "R",
    "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}],
}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (RECURSIVE, "contains itself"),
        ({**RECURSIVE, "namespace": "a.b"}, "contains itself"),
        (NULLS, "take no bytes"),
        ({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}, "take no bytes"),
        ({"type": "record", "name": "R"}, "not an Avro schema"),
        ("Nowhere", "not an Avro schema"),
    ],
)
def test_a_writers_schema_that_could_harm_its_reader_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        parse(json.dumps(schema))


def test_text_that_is_not_json_is_not_a_schema() -> None:
    with pytest.raises(SchemaError, match="not an Avro schema: JSONDecodeError"):
        parse("{")


def test_a_fingerprint_with_another_text_is_refused() -> None:
    one = '{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}'
    other = one.replace("2}", "4}")
    assert parse(one).fingerprint == parse(other).fingerprint
    refuse_collision("job", parse(one).fingerprint, one, one.replace(",", ", "))
    with pytest.raises(FingerprintCollisionError, match="already published with another text"):
        refuse_collision("job", parse(one).fingerprint, one, other)


def written_by(fields: list[dict[str, Any]], values: dict[str, Any]) -> tuple[bytes, RecordCodec]:
    """A record of a foreign writer: its bytes and a codec that knows its schema."""
    from headrace.schemas.codec import record_codec_from_schema

    schema = {"type": "record", "name": "other", "namespace": "com.example", "fields": fields}
    codec = record_codec_from_schema(json.dumps(schema))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), values)
    return codec.prefix + out.getvalue(), codec


def reader(function: Callable[..., Any]) -> RecordCodec:
    return codec_of(function)


def test_a_writer_with_fewer_fields_gets_the_defaults_and_extra_fields_are_left_out() -> None:
    payload, writer = written_by(
        [{"name": "old", "type": "string"}, {"name": "path", "type": "string"}],
        {"old": "x", "path": "a.png"},
    )
    assert THUMBNAIL.decode(payload, Known((writer,))) == {"path": "a.png", "width": 320}


def test_a_required_field_that_the_writer_lacks_is_named() -> None:
    payload, writer = written_by([{"name": "width", "type": "long"}], {"width": 1})
    with pytest.raises(UndecodableError, match="`path`: is missing"):
        THUMBNAIL.decode(payload, Known((writer,)))


def test_numbers_of_a_narrower_writer_are_widened_and_others_refused() -> None:
    def handler(path: str, width: float | None = None) -> None: ...

    fields = [{"name": "path", "type": "string"}, {"name": "width", "type": "int"}]
    payload, writer = written_by(fields, {"path": "a", "width": 5})
    decoded = reader(handler).decode(payload, Known((writer,)))
    assert decoded == {"path": "a", "width": 5.0}
    assert type(decoded["width"]) is float
    payload, writer = written_by(
        [{"name": "path", "type": "string"}, {"name": "width", "type": "string"}],
        {"path": "a", "width": "5"},
    )
    with pytest.raises(UndecodableError, match="`width`"):
        THUMBNAIL.decode(payload, Known((writer,)))


def test_an_instant_in_milliseconds_from_another_language_is_read_by_its_own_unit() -> None:
    from datetime import UTC, datetime

    def handler(at: datetime) -> None: ...

    at = datetime(2024, 2, 29, 12, tzinfo=UTC)
    millis = {"type": "long", "logicalType": "timestamp-millis"}
    payload, writer = written_by([{"name": "at", "type": millis}], {"at": at})
    assert reader(handler).decode(payload, Known((writer,))) == {"at": at}
    assert writer.decode(writer.encode(writer.bind(at=at)), NoSchemas()) == {"at": at}
    payload, writer = written_by([{"name": "at", "type": "long"}], {"at": 5})
    with pytest.raises(UndecodableError, match="`at`"):
        reader(handler).decode(payload, Known((writer,)))


def test_a_record_that_became_optional_is_read() -> None:
    from tests.schemas.codec_samples import Colour, Size

    def before(size: Size, colour: Colour) -> None: ...

    def after(size: Size | None, colour: Colour | None) -> None: ...

    old, new = codec_of(before), codec_of(after)
    payload = old.encode(old.bind(Size(1), Colour.RED))
    assert new.decode(payload, Known((old,))) == {"size": Size(1), "colour": Colour.RED}
    payload = new.encode(new.bind(Size(1), Colour.RED))
    with pytest.raises(UndecodableError):
        old.decode(payload, Known((new,)))


@dataclass
class Deep:
    parcel: Parcel


def test_fields_that_a_nested_writer_lacks_get_their_defaults() -> None:
    def handler(deep: Deep) -> None: ...

    size = {"type": "record", "name": "Size", "fields": [{"name": "width", "type": "int"}]}
    parcel = {"type": "record", "name": "Parcel", "fields": [{"name": "size", "type": size}]}
    deep = {"type": "record", "name": "Deep", "fields": [{"name": "parcel", "type": parcel}]}
    payload, writer = written_by(
        [{"name": "deep", "type": deep}], {"deep": {"parcel": {"size": {"width": 1}}}}
    )
    found = reader(handler).decode(payload, Known((writer,)))["deep"]
    assert found.parcel.size.height == 320
    assert found.parcel.tags == []
