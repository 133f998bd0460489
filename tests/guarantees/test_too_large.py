"""A job that its lane does not take back for its size ends as a dead letter, and delays nobody."""

import os
import time
import uuid

import pytest

from headrace.pipeline.kafka import make_producer
from headrace.pipeline.settings import ProducerSettings, load
from headrace.schemas import headers
from headrace.schemas.states import JobState
from tests.support.jobs import Journal
from tests.support.stage import Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka
LANE_LIMIT = 1_048_576


def delayed(stage: Stage, job_type: str) -> tuple[str, list[tuple[str, bytes]]]:
    job_id = str(uuid.uuid4())
    made = {
        headers.ID: job_id,
        headers.TYPE: job_type,
        headers.LANE: stage.topic("default.normal"),
        headers.DUE: str(time.time_ns() // 1_000_000),
    }
    return job_id, [(name, value.encode()) for name, value in made.items()]


def write(stage: Stage, payload: bytes, made: list[tuple[str, bytes]]) -> None:
    """The tiers take larger records than an ordinary client sends."""
    producer = make_producer(stage.kafka, load(ProducerSettings))
    producer.produce(stage.topic("delay.soon"), payload, b"k", headers=[*made])
    assert producer.flush(10) == 0


def test_a_due_job_that_its_lane_refuses_for_its_size_is_buried(
    stage: Stage, journal: Journal
) -> None:
    job_id, made = delayed(stage, "work")
    payload = os.urandom(LANE_LIMIT)
    with stage.worker(), stage.scheduler():
        write(stage, payload, made)
        other = stage.submit("work", journal=journal.path, tag="beside")
        stage.await_state(other, JobState.SUCCEEDED)
        wait_until("it is dead", stage.dead)
        wait_until("the tiers are empty", lambda: stage.waiting_in_tiers() == 0)

    (dead,) = stage.dead()
    found = headers_of(dead)
    assert dead.value() == payload
    assert found[headers.ID] == job_id.encode()
    assert found[headers.ERROR_TYPE] == b"RecordTooLarge"
    assert b"max.message.bytes" in (found[headers.ERROR_MESSAGE] or b"")
