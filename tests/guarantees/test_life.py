"""One job's life, seen from outside.

What can go wrong: a record that other services cannot read; a job that runs and whose outcome
nobody learns; a retry that starts early, or with the wrong number; a dead letter without its
history or with other bytes than were submitted; a commit that stays behind, so that lag never
becomes zero; a record that stays in a delay tier for ever.
"""

import io
import time
from collections.abc import Iterator
from datetime import timedelta

import fastavro
import pytest

from headrace.pipeline.known_schemas import known_schemas
from headrace.schemas import headers
from headrace.schemas.states import DeadReason, JobState
from tests.support.jobs import Journal
from tests.support.stage import Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module", autouse=True)
def running(stage: Stage) -> Iterator[None]:
    with stage.worker(), stage.scheduler():
        yield


def test_a_job_lies_on_its_lane_as_a_cloud_event_that_others_can_read(
    stage: Stage, journal: Journal
) -> None:
    with stage.producer() as producer:
        work = {"journal": journal.path, "tag": "life"}
        receipt = producer.submit("work", work, key="k-1", tenant="acme")
        position = receipt.confirm(10)
    (record,) = [m for m in stage.records("default.normal") if m.key() == b"k-1"]
    found = headers_of(record)
    assert (record.partition(), record.offset()) == (position.partition, position.offset)
    assert found["ce_specversion"] == b"1.0"
    assert found["ce_id"] == receipt.job_id.encode()
    assert found["ce_type"] == b"work"
    assert found["ce_tenant"] == b"acme"
    assert found["content-type"] == b"application/avro"
    value = record.value()
    assert value is not None
    assert value[:2] == b"\xc3\x01"
    schema = known_schemas(stage.pipeline, stage.kafka).by_fingerprint(value[2:10])
    read = fastavro.schemaless_reader(io.BytesIO(value[10:]), schema.parsed, None)
    assert isinstance(read, dict)
    assert (read["tag"], read["fail"]) == ("life", 0)


def test_a_job_that_succeeds_tells_its_result_and_leaves_no_lag(
    stage: Stage, journal: Journal
) -> None:
    with stage.producer() as producer:
        job_id = producer.submit("work", {"journal": journal.path, "tag": "ok"}).job_id
    done = stage.await_state(job_id, JobState.SUCCEEDED)
    result = stage.pipeline.job_type("work").result
    assert result is not None
    assert done.result is not None
    assert result.decode(done.result, known_schemas(stage.pipeline, stage.kafka)) == "ok done"
    assert done.started is not None
    assert done.ended is not None
    assert done.created <= done.started <= done.ended
    assert journal.count("start", "ok") == 1
    stage.drained()


def test_a_retry_starts_never_before_its_wait_is_over(stage: Stage, journal: Journal) -> None:
    tags = [f"r{number}" for number in range(30)]
    with stage.producer() as producer:
        for tag in tags:
            producer.submit("two-seconds", {"journal": journal.path, "tag": tag})
    wait_until("all ran twice", lambda: journal.count("start") == 2 * len(tags))
    for tag in tags:
        (failed,) = journal.events("fail", tag)
        second = journal.events("start", tag)[1]
        assert second.attempt == 2
        assert second.at - failed.at >= 2_000_000_000


def test_a_job_that_fails_and_then_succeeds_shows_each_state(
    stage: Stage, journal: Journal
) -> None:
    with stage.producer() as producer:
        job_id = producer.submit("work", {"journal": journal.path, "tag": "f", "fail": 1}).job_id
    stage.await_state(job_id, JobState.SUCCEEDED)
    states = [(each.state, each.attempt) for each in stage.of(job_id)]
    assert states == [("retrying", 1), ("succeeded", 2)]
    assert [event.attempt for event in journal.events("start", "f")] == [1, 2]


def test_a_job_that_always_fails_ends_dead_with_its_whole_history(
    stage: Stage, journal: Journal
) -> None:
    with stage.producer() as producer:
        job = {"journal": journal.path, "tag": "dead", "fail": 9}
        receipt = producer.submit("work", job, key="k-dead", tenant="acme")
        position = receipt.confirm(10)
    died = stage.await_state(receipt.job_id, JobState.DEAD)
    assert (died.reason, died.error_type) == (DeadReason.EXHAUSTED, "ValueError")
    (original,) = [m for m in stage.records("default.normal") if m.offset() == position.offset
                   and m.partition() == position.partition]  # fmt: skip
    (letter,) = [m for m in stage.dead() if m.key() == b"k-dead"]
    assert letter.value() == original.value()
    found = headers_of(letter)
    assert (
        found.items()
        >= {
            name: value
            for name, value in headers_of(original).items()
            if name not in (headers.ATTEMPT, headers.STEP)
        }.items()
    )
    job_headers = headers.decode(list(found.items()), lane="", timestamp=0)
    assert [past.attempt for past in job_headers.history] == [1, 2, 3]
    assert {past.error_type for past in job_headers.history} == {"ValueError"}
    assert found[headers.REASON] == b"exhausted"
    assert found[headers.ORIGIN]
    assert b"dead fails in attempt 3" in (found[headers.TRACEBACK] or b"")
    assert [each.state for each in stage.of(receipt.job_id)] == ["retrying", "retrying", "dead"]
    assert journal.count("start", "dead") == 3


def test_a_delayed_job_starts_never_early(stage: Stage, journal: Journal) -> None:
    begun = time.time_ns()
    with stage.producer() as producer:
        job = {"journal": journal.path, "tag": "delayed"}
        receipt = producer.submit("work", job, delay=timedelta(seconds=1))
    assert receipt.topic.endswith(".delay.soon")
    stage.await_state(receipt.job_id, JobState.SUCCEEDED)
    (event,) = journal.events("start", "delayed")
    assert event.at - begun >= 1_000_000_000


def test_a_job_due_later_than_a_minute_waits_in_a_timed_tier(
    stage: Stage, journal: Journal
) -> None:
    with stage.producer() as producer:
        job = {"journal": journal.path, "tag": "much later"}
        receipt = producer.submit("work", job, delay=timedelta(minutes=7))
        receipt.confirm(10)
    assert receipt.topic.endswith(".delay.5m")
    assert journal.count() == 0


def test_a_job_that_expires_before_it_starts_is_not_run(stage: Stage, journal: Journal) -> None:
    with stage.producer() as producer:
        job = {"journal": journal.path, "tag": "stale"}
        receipt = producer.submit(
            "work", job, delay=timedelta(seconds=0.6), expires=timedelta(seconds=0.3)
        )
    assert stage.await_state(receipt.job_id, JobState.EXPIRED).attempt == 1
    assert journal.count() == 0


def test_nothing_is_left_behind(stage: Stage) -> None:
    for lane in ("default.high", "default.normal", "procs.normal"):
        stage.drained(lane)
    # The one that waits in the tier of five minutes.
    wait_until("the tiers are committed", lambda: stage.waiting_in_tiers() <= 1)
