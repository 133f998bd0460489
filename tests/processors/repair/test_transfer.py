"""Exported letters: nothing is lost on the way to a line and back; broken lines say what is wrong."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.processors.errors import ImportLineError
from headrace.processors.repair.raw_records import RawRecord
from headrace.processors.repair.transfer import export_line, identity_of, import_line
from headrace.schemas import headers
from tests.processors.repair.letters import DLQ, letter

BYTES = st.one_of(st.none(), st.binary(max_size=40))
NAMES = st.one_of(
    st.sampled_from([headers.ID, headers.ORIGIN, "twice", ""]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
).filter(lambda name: name != headers.APPENDED)
LINE = json.loads(export_line(letter()))


@given(
    key=BYTES,
    value=BYTES,
    written=st.lists(st.tuples(NAMES, BYTES), max_size=5),
    partition=st.integers(0, 9),
    timestamp=st.integers(0, 2**43),
)
def test_a_record_is_the_same_after_it_was_a_line(
    key: bytes | None,
    value: bytes | None,
    written: list[tuple[str, bytes | None]],
    partition: int,
    timestamp: int,
) -> None:
    record = RawRecord(DLQ, partition, key, value, tuple(written))
    line = export_line(replace(letter(), record=record, appended=timestamp))
    assert "\n" not in line
    read = import_line(line, [DLQ])
    assert read.record == record
    assert read.timestamp == timestamp


def test_the_time_that_an_import_wrote_down_is_no_header_of_the_letter() -> None:
    record = letter().record
    imported = replace(record, headers=(*record.headers, (headers.APPENDED, b"5")))
    again = import_line(export_line(replace(letter(), record=imported)), [DLQ])
    assert again.record == record


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"topic": "other.default.dlq"}, "'other.default.dlq' is no dead-letter topic"),
        ({"topic": None}, "None is no dead-letter topic"),
        ({"partition": -1}, "'partition' is -1"),
        ({"partition": True}, "'partition' is True"),
        ({"timestamp": "now"}, "'timestamp' is 'now'"),
        ({"key": 5}, "'key' is a int"),
        ({"value": "%%%"}, "'value' is no base64"),
        ({"headers": {}}, "'headers' are no list"),
        ({"headers": [["a"]]}, "is no pair"),
        ({"headers": [["a", "%"]]}, "'header a' is no base64"),
    ],
)
def test_a_broken_line_says_which_part_of_it_is_wrong(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ImportLineError, match=told):
        import_line(json.dumps(LINE | change), [DLQ])


@pytest.mark.parametrize("line", [b"\xff", b"{", b"[1]", b"null", b"{}"])
def test_what_is_no_exported_letter_is_refused(line: bytes) -> None:
    with pytest.raises(ImportLineError):
        import_line(line, [DLQ])


def test_a_line_without_a_value_is_refused_as_it_may_have_been_cut() -> None:
    cut = {name: value for name, value in LINE.items() if name != "value"}
    with pytest.raises(ImportLineError, match="no 'value'"):
        import_line(json.dumps(cut), [DLQ])


def test_a_letter_is_known_again_by_job_generation_and_origin() -> None:
    one = letter()
    moved = replace(one.record, partition=7, headers=(*one.record.headers, ("x", b"y")))
    assert identity_of(moved) == identity_of(one.record)
    assert identity_of(letter(generation=1).record) != identity_of(one.record)


def test_a_letter_without_an_origin_is_known_again_by_all_it_holds() -> None:
    one = RawRecord(DLQ, 0, b"k", b"v", (("a", b"1"), ("a", None)))
    assert identity_of(replace(one, partition=5)) == identity_of(one)
    imported = replace(one, headers=(*one.headers, (headers.APPENDED, b"5")))
    assert identity_of(imported) == identity_of(one)
    for other in (replace(one, value=None), replace(one, headers=(("a", b"1"),))):
        assert identity_of(other) != identity_of(one)
