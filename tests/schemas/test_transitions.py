"""Batches of transitions between versions: older and newer ones stay readable, nothing is guessed."""

import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas import transitions
from headrace.schemas.errors import UndecodableError, UnknownSchemaError
from headrace.schemas.fingerprint import fingerprint, schema_text
from headrace.schemas.framing import single_object_prefix
from headrace.schemas.parsed import parse
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition, decode_batch, encode_batch

PLAIN = Transition("a", "mail", "queued", "shop.a.normal", 0, 5, 1, 2, 0, 1_700, 1_600, "w1")
FIRST_FINGERPRINT = bytes.fromhex("46a69ab7d68e858f")
"""What the first version of the schema was published under."""


def first_schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(transitions.TEXT)
    [detail] = [f for f in schema["fields"][2]["type"]["items"]["fields"] if f["name"] == "detail"]
    detail["type"][1]["fields"].pop()
    return schema


def newer_schema() -> dict[str, Any]:
    """A schema of a later version: a field in the batch, one in the row and one in the detail."""
    schema: dict[str, Any] = json.loads(transitions.TEXT)
    row = schema["fields"][2]["type"]["items"]
    row["fields"][-1]["type"][1]["fields"].append(
        {"name": "cost", "type": ["null", "double"], "default": None}
    )
    row["fields"].append({"name": "host", "type": "string", "default": ""})
    schema["fields"].append({"name": "zone", "type": "string", "default": ""})
    return schema


def written_with(schema: dict[str, Any], **detail: Any) -> bytes:
    row = {name: value for name, value in PLAIN._asdict().items() if name not in ("lane", "worker")}
    rows = [{**row, "started": 3, "ended": 4, "host": "h", "detail": detail or None}]
    batch = {"lane": PLAIN.lane, "worker": PLAIN.worker, "transitions": rows, "zone": "z"}
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), batch)
    return single_object_prefix(fingerprint(schema)) + buffer.getvalue()


def test_a_batch_comes_back_as_it_was_written() -> None:
    batch = [
        PLAIN,
        PLAIN._replace(state="succeeded", started=1, ended=2, result=b"r", key="k"),
        PLAIN._replace(state="running", progress=0.25, progress_text="a quarter"),
        PLAIN._replace(state="succeeded", result_claim="v1;x"),
    ]
    assert decode_batch(encode_batch(batch)) == batch


def test_a_batch_of_the_first_version_is_read_by_every_later_one() -> None:
    assert fingerprint(first_schema()) == FIRST_FINGERPRINT
    [found] = decode_batch(written_with(first_schema(), reason="exhausted", result=b"r"))
    assert found == PLAIN._replace(started=3, ended=4, reason="exhausted", result=b"r")


def test_fields_of_a_newer_version_are_passed_over() -> None:
    newer = parse(schema_text(newer_schema()))
    payload = written_with(newer_schema(), cost=0.5, rare={"progress": 0.5})
    [found] = decode_batch(payload, {newer.fingerprint: newer})
    assert found == PLAIN._replace(started=3, ended=4, progress=0.5)


def test_a_schema_that_nobody_knows_is_named() -> None:
    payload = written_with(newer_schema())
    with pytest.raises(UnknownSchemaError, match=fingerprint(newer_schema()).hex()):
        decode_batch(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"no batch",
        encode_batch([PLAIN])[:-9],
        encode_batch([PLAIN])[:10],
        encode_batch([PLAIN])[:10] + b"\xff" * 40,
    ],
)
def test_bytes_that_are_no_batch_are_refused_as_such(payload: bytes) -> None:
    with pytest.raises(UndecodableError):
        decode_batch(payload)


def test_a_published_schema_of_something_else_is_refused_as_such() -> None:
    other = parse('{"type": "record", "name": "Other", "fields": [{"name": "n", "type": "int"}]}')
    with pytest.raises(UndecodableError, match="no batch of transitions"):
        decode_batch(single_object_prefix(other.fingerprint) + b"\x02", {other.fingerprint: other})


_TEXTS = st.text(max_size=40)
_LONGS = st.integers(-(2**63), 2**63 - 1)
_PLAIN = st.tuples(
    *[
        _TEXTS,
        _TEXTS,
        st.sampled_from(JobState).map(str),
        st.just("l"),
        *[_LONGS] * 7,
        st.just("w"),
    ],
    *[st.none() | _LONGS] * 2,
).map(lambda values: Transition(*values))


@given(st.lists(_PLAIN, min_size=1, max_size=5))
def test_the_bytes_are_those_that_avro_asks_for(batch: list[Transition]) -> None:
    """What is written without fastavro, for speed, is what fastavro would have written."""
    rows = [
        {**row._asdict(), "started": row.started or 0, "ended": row.ended or 0, "detail": None}
        for row in batch
    ]
    written = io.BytesIO()
    document = {"lane": "l", "worker": "w", "transitions": rows}
    fastavro.schemaless_writer(written, fastavro.parse_schema(transitions.SCHEMA), document)
    assert encode_batch(batch) == single_object_prefix(transitions.FINGERPRINT) + written.getvalue()
