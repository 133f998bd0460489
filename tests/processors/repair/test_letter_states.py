"""Marks of letters: written, read, merged with what became of the jobs."""

import logging

import pytest

from headrace.pipeline import Pipeline
from headrace.pipeline.compacted import CompactedRecord, write_all
from headrace.processors.repair.audit import AuditEntry, read_audit, write_audit
from headrace.processors.repair.letter_states import (
    LetterMark,
    LetterState,
    decode_mark,
    encode_mark,
    is_letter,
    read_marks,
    state_of,
    write_marks,
)
from headrace.processors.sightings import Location
from tests.processors.view_shop import kafka_settings, make_shop, make_topics

REPLAYED = LetterMark(LetterState.REPLAYED, "job-1", 1, "ada", 1_700_000_000_000, "fixed", "r1")


def test_a_letter_without_a_mark_is_open() -> None:
    assert state_of(None, {"job-1": 9}) is LetterState.OPEN


@pytest.mark.parametrize(
    ("succeeded", "state"),
    [
        ({}, LetterState.REPLAYED),
        ({"job-2": 2}, LetterState.REPLAYED),
        ({"job-1": 1}, LetterState.REPLAYED),
        ({"job-1": 2}, LetterState.RESOLVED),
    ],
)
def test_a_replayed_letter_is_resolved_once_its_job_succeeded_in_a_later_generation(
    succeeded: dict[str, int], state: LetterState
) -> None:
    assert state_of(REPLAYED, succeeded) is state


def test_a_discarded_letter_stays_discarded_whatever_became_of_the_job() -> None:
    mark = LetterMark(LetterState.DISCARDED, "job-1", 0, "ada", 1, "obsolete")
    assert state_of(mark, {"job-1": 5}) is LetterState.DISCARDED


def test_a_mark_that_was_written_is_the_same_when_it_is_read() -> None:
    assert decode_mark(encode_mark(REPLAYED)) == REPLAYED


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"state":"open","job":"","generation":0}'])
def test_a_mark_that_says_nothing_is_refused(value: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        decode_mark(value)


@pytest.mark.parametrize(
    ("key", "found"),
    [("shop.a.dlq/0/17", True), ("replay/monday", False), ("replay/2026/12", False)],
)
def test_keys_of_other_tools_are_no_letters(key: str, found: bool) -> None:
    assert is_letter(key) is found


@pytest.fixture(scope="module")
def shop(kafka: str) -> Pipeline:
    made = make_shop(f"m{kafka.rsplit(':', 1)[1]}states")
    make_topics(made, kafka_settings(kafka))
    return made


@pytest.mark.kafka
def test_the_last_mark_of_a_letter_counts_and_an_unreadable_one_leaves_it_open(
    shop: Pipeline, kafka: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings, topology = kafka_settings(kafka), shop.topology
    first, second = (
        Location(f"{shop.name}.default.dlq", 0, 1),
        Location(f"{shop.name}.idle.dlq", 2, 3),
    )
    discarded = LetterMark(LetterState.DISCARDED, "job-1", 0, "ada", 1)
    assert write_marks(settings, topology, [(first, discarded), (second, discarded)]) == 2
    write_marks(settings, topology, [(first, REPLAYED)])
    broken = [
        CompactedRecord(topology.letters, key, b'{"state": "gone"}')
        for key in (str(second).encode(), b"replay/monday")
    ]
    write_all(settings, broken)
    with caplog.at_level(logging.WARNING):
        assert read_marks(settings, topology) == {str(first): REPLAYED}
    assert [str(second) in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.kafka
def test_the_audit_topic_tells_who_did_what_when_and_why(shop: Pipeline, kafka: str) -> None:
    settings = kafka_settings(kafka)
    now = 1_900_000_000_000
    entries = [
        AuditEntry(now, "ada", "discard", "obsolete", 12, {"filter": {"text": "ü"}}),
        AuditEntry(now + 5, "eve", "edit", "", 1),
    ]
    for entry in entries:
        write_audit(settings, shop.topology, entry)
    assert list(read_audit(shop, settings)) == entries
    write_all(settings, [CompactedRecord(shop.topology.audit, b"x", b"no json")])
    assert list(read_audit(shop, settings, since=0)) == entries
