"""What other people write on our lanes.

What can go wrong: one record that cannot be read stops its partition, and with it every job behind
it; or it is thrown away, or reaches the dead letters with other bytes, key or headers than it had;
a job of a type that a newer release brings is killed by an older worker, or uses up its attempts.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from confluent_kafka import Message

from headrace.consumers import retry
from headrace.consumers.worker import Worker
from headrace.schemas import headers
from headrace.schemas.ids import new_job_id
from headrace.schemas.states import DeadReason, JobState
from tests.support import jobs
from tests.support.jobs import Journal
from tests.support.stage import Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def impatient() -> Iterator[None]:
    """Ten seconds between two looks at a job of unknown type are too long for a test."""
    patch = pytest.MonkeyPatch()
    patch.setattr(retry, "UNKNOWN_WAIT", timedelta(milliseconds=300))
    yield
    patch.undo()


@pytest.fixture(scope="module", autouse=True)
def running(stage: Stage, impatient: None) -> Iterator[Worker]:
    with stage.worker(lanes=["default.normal"]) as worker, stage.scheduler():
        yield worker


def event(stage: Stage, job_type: str, **more: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """The headers of a foreign producer that knows CloudEvents and nothing of ours."""
    job_id = new_job_id()
    made = {
        "ce_specversion": b"1.0",
        "ce_id": job_id.encode(),
        "ce_type": job_type.encode(),
        "ce_source": b"/somewhere/else",
    }
    return job_id, list((made | more).items())


def encoded(stage: Stage, name: str, **arguments: Any) -> bytes:
    job_type = stage.pipeline.job_type(name)
    return job_type.arguments.encode(job_type.arguments.bind(**arguments))


def letter(stage: Stage, key: bytes | None) -> Message:
    def found() -> list[Message]:
        return [each for each in stage.dead() if each.key() == key]

    letters: list[Message] = wait_until(f"a dead letter {key!r}", found)
    (one,) = letters
    return one


HOSTILE: dict[str, tuple[bytes | None, list[tuple[str, bytes]]]] = {
    "no headers at all": (b"\x00\x01garbage", []),
    "headers of somebody else": (b'{"to": "a"}', [("x-request", b"17"), ("traceparent", b"00-1")]),
    "no type": (b"abc", [("ce_id", b"1")]),
    "an empty id": (b"abc", [("ce_id", b""), ("ce_type", b"work")]),
    "an id that is no text": (b"abc", [("ce_id", b"\xff\xfe"), ("ce_type", b"work")]),
    "a due time beyond all time": (
        b"abc",
        [("ce_id", b"1"), ("ce_type", b"work"), ("headrace-due", b"9" * 40)],
    ),
    "an attempt that is no number": (
        b"abc",
        [("ce_id", b"1"), ("ce_type", b"work"), ("headrace-attempt", b"many")],
    ),
    "a history that is no JSON": (
        b"abc",
        [("ce_id", b"1"), ("ce_type", b"work"), ("headrace-history", b"[" * 100_000)],
    ),
    "bytes that are not Avro": (b"not avro", [("ce_id", b"1"), ("ce_type", b"work")]),
    "a body cut short": (b"\xc3\x01", [("ce_id", b"1"), ("ce_type", b"work")]),
    "an empty payload": (b"", [("ce_id", b"1"), ("ce_type", b"work")]),
    "no payload": (None, [("ce_id", b"1"), ("ce_type", b"work")]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_cannot_be_read_dies_with_its_bytes_and_the_partition_goes_on(
    stage: Stage, journal: Journal, what: str
) -> None:
    value, sent = HOSTILE[what]
    key = what.encode()
    good_id, good = event(stage, "work")
    payload = encoded(stage, "work", journal=journal.path, tag="behind")
    stage.send_many(
        [("default.normal", value, key, sent), ("default.normal", payload, key, good)], partition=1
    )
    died = letter(stage, key)
    assert died.value() == value
    assert headers_of(died).items() >= dict(sent).items() - {
        pair for pair in sent if pair[0] in (headers.ATTEMPT, headers.HISTORY)
    }
    assert headers_of(died)[headers.REASON] == b"undecodable"
    assert (headers_of(died)[headers.ORIGIN] or b"").startswith(
        stage.topic("default.normal").encode()
    )
    stage.await_state(good_id, JobState.SUCCEEDED)
    assert journal.count("done", "behind") == 1


@pytest.mark.parametrize("key", [None, b"", b"\xff\x00"])
def test_a_key_stays_what_it_was(stage: Stage, key: bytes | None) -> None:
    _, made = event(stage, "work")
    stage.send("default.normal", b"odd key", key, made)
    assert letter(stage, key).value() == b"odd key"


def test_arguments_without_fields_may_be_an_empty_body(stage: Stage) -> None:
    job_id = stage.submit("nothing")
    stage.await_state(job_id, JobState.SUCCEEDED)


def test_a_foreign_record_due_in_the_future_is_not_run_before(
    stage: Stage, journal: Journal
) -> None:
    due = -(-time.time_ns() // 1_000_000) + 1_000
    job_id, made = event(stage, "work", **{"headrace-due": str(due).encode()})
    stage.send(
        "default.normal", encoded(stage, "work", journal=journal.path, tag="due"), b"k", made
    )
    stage.await_state(job_id, JobState.SUCCEEDED)
    (started,) = journal.events("start", "due")
    assert started.at >= due * 1_000_000
    assert [each.state for each in stage.of(job_id)] == ["succeeded"]


def test_a_foreign_record_that_has_expired_is_not_run(stage: Stage, journal: Journal) -> None:
    job_id, made = event(stage, "work", ce_expirytime=b"2001-01-01T00:00:00Z")
    stage.send(
        "default.normal", encoded(stage, "work", journal=journal.path, tag="old"), b"k", made
    )
    stage.await_state(job_id, JobState.EXPIRED)
    assert journal.count() == 0


def test_a_record_whose_schema_nobody_knows_goes_round_and_keeps_its_attempts(
    stage: Stage, journal: Journal
) -> None:
    job_id, made = event(stage, "work")
    stage.send("default.normal", b"\xc3\x01" + b"\x01" * 8 + b"\x02a", b"k-schema", made)
    waits = stage.await_state(job_id, JobState.RETRYING)
    assert (waits.attempt, waits.error_type) == (1, "UnknownSchemaError")


def test_confluent_framing_without_a_registry_waits_for_one(stage: Stage) -> None:
    job_id, made = event(stage, "work")
    stage.send("default.normal", b"\x00\x00\x00\x00\x07\x02a", b"k-confluent", made)
    waits = stage.await_state(job_id, JobState.RETRYING)
    assert "HEADRACE_SCHEMA_REGISTRY_URL" in (waits.error_message or "")


def test_a_huge_key_and_id_stop_nothing(stage: Stage, journal: Journal) -> None:
    _, made = event(stage, "work", ce_id=b"i" * 600_000, ce_tenant=b"t" * 100_000)
    payload = encoded(stage, "work", journal=journal.path, tag="huge")
    stage.send("default.normal", payload, b"k" * 200_000, made)
    wait_until("it ran", lambda: journal.count("done", "huge") == 1)
    died_id, made = event(stage, "work", ce_tenant=b"t" * 100_000)
    stage.send("default.normal", b"no avro", b"k" * 700_000, made)
    stage.await_state(died_id, JobState.DEAD)
    stage.drained()


def test_nothing_is_left_on_the_lane(stage: Stage) -> None:
    stage.drained()


def test_a_job_of_a_type_that_comes_with_the_next_release_waits_for_it(
    kafka: str, tmp_path_factory: pytest.TempPathFactory, impatient: None
) -> None:
    """The worker of today gets a job of tomorrow; then tomorrow's worker starts."""
    from tests.guarantees.conftest import new_stage

    stage = new_stage(kafka, tmp_path_factory.mktemp("release"))
    journal = stage.journal()
    old = jobs.make(stage.pipeline.name, withhold=("novel",))
    with stage.scheduler():
        with stage.worker(lanes=["default.normal"], pipeline=old):
            job_id = stage.submit("novel", journal=journal.path, tag="new")
            wait_until("it went round twice", lambda: len(stage.of(job_id)) >= 2)
        with stage.worker(lanes=["default.normal"]):
            done = stage.await_state(job_id, JobState.SUCCEEDED)
    assert done.attempt == 1
    assert {each.error_type for each in stage.of(job_id)[:-1]} == {"UnknownJobType"}
    stage.close()


def test_a_job_whose_type_nobody_brings_dies_after_the_grace(
    stage: Stage, running: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lane,) = running.lanes.values()
    monkeypatch.setattr(lane, "rules", replace(lane.rules, grace=timedelta(seconds=0.5)))
    job_id, made = event(stage, "nobody-knows")
    stage.send("default.normal", b"\xc3\x01whatever", b"k-nobody", made)
    died = stage.await_state(job_id, JobState.DEAD)
    assert (died.reason, died.attempt) == (DeadReason.UNKNOWN_TYPE, 1)
    assert "retrying" in {each.state for each in stage.of(job_id)}
    assert letter(stage, b"k-nobody").value() == b"\xc3\x01whatever"
