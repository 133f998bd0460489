"""What no lane takes back from the delay tiers ends as a dead letter, is told of, delays nobody.

What can go wrong: such a record is tried for ever and holds up the commits of its partition, or it
is dead and nobody who asks for the job hears of it.
"""

import json
import os
import subprocess
import sys
import time
import uuid
from typing import Any

import pytest

from headrace.pipeline.kafka import make_producer
from headrace.pipeline.settings import ProducerSettings, load
from headrace.processors.job_history import JobHistory
from headrace.processors.job_list import JobFilter
from headrace.schemas import headers
from headrace.schemas.ids import foreign_job_id
from headrace.schemas.states import JobState
from headrace.schemas.transitions import NOWHERE, Transition, encode_batch
from tests.support.jobs import Journal, reference
from tests.support.stage import ROOT, Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka
LANE_LIMIT = 1_048_576


def delayed(
    stage: Stage, job_type: str, lane: str = "default.normal"
) -> tuple[str, list[tuple[str, bytes]]]:
    job_id = str(uuid.uuid4())
    made = {
        headers.ID: job_id,
        headers.TYPE: job_type,
        headers.LANE: stage.topic(lane),
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
    told = shown(stage, job_id)
    assert (told["state"], told["reason"]) == ("dead", "rejected")
    assert (told["queue"], told["priority"]) == ("default", "normal")
    assert told["error_type"] == "RecordTooLarge"
    assert told["location"]["topic"] == stage.topic("default.dlq")
    assert [each["state"] for each in told["transitions"]] == ["dead"]


def shown(stage: Stage, job_id: str) -> dict[str, Any]:
    """What `headrace jobs show` tells of a job."""
    command = [sys.executable, "-m", "headrace", "jobs", "show"]
    command += [reference(stage.pipeline.name), job_id, "--json", "--no-arguments"]
    environment = os.environ | {"HEADRACE_BOOTSTRAP_SERVERS": stage.kafka.bootstrap_servers}
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def test_a_job_of_a_lane_that_is_no_more_is_told_to_be_dead(stage: Stage) -> None:
    job_id, made = delayed(stage, "work", lane="default.forgotten")
    with stage.scheduler():
        stage.send("delay.soon", b"its bytes", b"customer-7", made)
        died = stage.await_state(job_id, JobState.DEAD)
    assert (died.reason, died.error_type, died.key) == ("undecodable", "StrayRecord", "customer-7")
    assert "default.forgotten" in (died.error_message or "")
    view = JobHistory(stage.pipeline, stage.kafka).find(job_id)
    assert view is not None
    assert (view.summary.state, view.lies_there) == ("dead", True)


def test_a_record_of_a_tier_that_is_no_job_is_told_of_by_the_id_of_its_dead_letter(
    stage: Stage,
) -> None:
    with stage.scheduler():
        stage.send("delay.5s", b"what is this", b"k-junk")
        (lies,) = stage.records("delay.5s")
        place = (stage.topic("delay.5s"), lies.partition() or 0, lies.offset() or 0)
        died = stage.await_state(foreign_job_id(*place), JobState.DEAD)
    assert (died.lane, died.partition, died.offset) == place
    listed = JobHistory(stage.pipeline, stage.kafka).newest(JobFilter(state=JobState.DEAD))
    assert [job.job_id for job in listed].count(died.job_id) == 1


def test_a_job_that_died_on_no_lane_is_said_to_lie_nowhere_when_its_dead_letter_is_gone(
    stage: Stage,
) -> None:
    died = Transition(
        str(uuid.uuid4()), "work", JobState.DEAD.value, stage.topic("default.normal"), NOWHERE,
        NOWHERE, 1, 1, 0, time.time_ns() // 1_000_000, 1, "a scheduler",
    )  # fmt: skip
    stage.send("events", encode_batch([died]))
    view = JobHistory(stage.pipeline, stage.kafka).find(died.job_id)
    assert view is not None
    assert (view.summary.queue, view.summary.state, view.location) == ("default", "dead", None)


def test_jobs_of_several_lanes_that_die_together_are_told_of_under_their_own(
    stage: Stage,
) -> None:
    """One transaction takes many dead letters; a batch of transitions is of one lane."""
    wanted = ["default.gone", "default.normal", "default.high", "default.high"]
    dying = [delayed(stage, "work", lane=lane) for lane in wanted]
    for (_, made), lane in zip(dying, wanted, strict=True):
        payload = b"" if lane == "default.gone" else os.urandom(LANE_LIMIT)
        write(stage, payload, made)
    with stage.scheduler():
        died = {job_id: stage.await_state(job_id, JobState.DEAD) for job_id, _ in dying}
    lanes = [died[job_id].lane for job_id, _ in dying]
    assert lanes == [stage.topic(suffix) for suffix in ["delay.soon", *wanted[1:]]]
    ids = [each.job_id for each in stage.transitions()]
    assert [ids.count(job_id) for job_id, _ in dying] == [1, 1, 1, 1]
